import io.chordkit.trust.BouncyCastleEd25519;
import io.chordkit.trust.BundleVerifier;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.EnvelopeTerms;
import io.chordkit.trust.EnvelopeVerifier;
import io.chordkit.trust.PlatformEd25519;
import io.chordkit.trust.StrictEd25519;
import io.chordkit.trust.TrustedKeys;
import io.chordkit.trust.VerificationException;
import io.chordkit.trust.VerifiedBundle;
import io.chordkit.trust.VerifiedEnvelope;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;

/** Answers questions, a line each, of words and hexadecimal bytes: what the library says, or the exception and its sentence. */
public final class Answers {
  public static void main(String[] arguments) throws Exception {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.println(answer(line.split(" ", -1)));
    }
  }

  private static String answer(String[] words) throws Exception {
    try {
      if (words[0].equals("available")) {
        return String.valueOf(PlatformEd25519.isAvailable());
      }
      Ed25519Verifier verifier = verifier(words[1]);
      if (words[0].equals("ed25519")) {
        return String.valueOf(verifier.verify(bytes(words[2]), bytes(words[3]), bytes(words[4])));
      }
      TrustedKeys keys = new TrustedKeys(list(words[3]), list(words[4]));
      return words[0].equals("bundle") ? bundle(words, keys, verifier) : envelope(words, keys, verifier);
    } catch (VerificationException error) {
      return error.getClass().getSimpleName() + " " + error.getMessage();
    } catch (RuntimeException error) {
      return error.getClass().getSimpleName() + " " + error.getMessage();
    }
  }

  /** bundle VERIFIER PATH KEYS REVOKED MINIMUM */
  private static String bundle(String[] words, TrustedKeys keys, Ed25519Verifier verifier) throws Exception {
    FileInputStream stream = new FileInputStream(words[2]);
    try {
      ByteBuffer mapped = stream.getChannel().map(FileChannel.MapMode.READ_ONLY, 0, stream.getChannel().size());
      VerifiedBundle opened = new BundleVerifier(keys, verifier).open(mapped, Long.parseLong(words[5]));
      StringBuilder said = new StringBuilder("accepted ");
      said.append(opened.formatVersion()).append(' ').append(opened.counter()).append(' ').append(hex(opened.fingerprint()));
      said.append(' ').append(hex(opened.keyId()));
      for (String name : opened.members()) {
        ByteBuffer member = opened.member(name);
        byte[] data = new byte[member.remaining()];
        member.get(data);
        said.append(' ').append(name).append('=').append(hex(java.security.MessageDigest.getInstance("SHA-256").digest(data)));
      }
      return opened.member("no such member") == null ? said.toString() : "a member that is not there";
    } finally {
      stream.close();
    }
  }

  /** envelope VERIFIER DATA KEYS REVOKED SUBJECT FINGERPRINT MINIMUM NOW LATEST */
  private static String envelope(String[] words, TrustedKeys keys, Ed25519Verifier verifier) throws Exception {
    EnvelopeTerms terms = new EnvelopeTerms().minimumSerial(Long.parseLong(words[7])).latestSeen(Long.parseLong(words[9]));
    if (!words[5].equals("any")) {
      terms.subject(bytes(words[5]));
    }
    if (!words[6].equals("any")) {
      terms.fingerprint(bytes(words[6]));
    }
    if (!words[8].equals("none")) {
      terms.now(Long.parseLong(words[8]));
    }
    VerifiedEnvelope opened = new EnvelopeVerifier(keys, verifier).open(bytes(words[2]), terms);
    return "accepted " + opened.serial() + " " + hex(opened.subject()) + " " + opened.notBefore() + " " + opened.expires() + " "
        + hex(opened.keyId()) + " " + hex(opened.payload()) + " " + hex(opened.fingerprint()) + " " + opened.latestSeen();
  }

  private static Ed25519Verifier verifier(String name) {
    if (name.equals("platform")) {
      return new PlatformEd25519();
    }
    if (name.equals("bouncycastle")) {
      return new BouncyCastleEd25519();
    }
    if (name.equals("forgiving")) {
      return new Forgiving();
    }
    return name.equals("none") ? null : new Failing();
  }

  private static final class Forgiving extends StrictEd25519 {
    @Override
    protected boolean verifyStrict(byte[] key, byte[] signature, byte[] message) {
      return true;
    }
  }

  private static final class Failing implements Ed25519Verifier {
    @Override
    public boolean verify(byte[] key, byte[] signature, byte[] message) {
      throw new IllegalStateException("no luck");
    }
  }

  private static List<byte[]> list(String words) {
    List<byte[]> all = new ArrayList<byte[]>();
    for (String word : words.isEmpty() ? new String[0] : words.split(",")) {
      all.add(bytes(word));
    }
    return all;
  }

  private static byte[] bytes(String hex) {
    byte[] all = new byte[hex.length() / 2];
    for (int i = 0; i < all.length; i++) {
      all[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
    }
    return all;
  }

  private static String hex(byte[] data) {
    StringBuilder text = new StringBuilder();
    for (byte value : data) {
      text.append(Character.forDigit(value >> 4 & 15, 16)).append(Character.forDigit(value & 15, 16));
    }
    return text.toString();
  }
}
