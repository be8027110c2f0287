import io.chordkit.trust.BouncyCastleEd25519;

/** Prints for each key, signature and message, in hexadecimal, whether they fit. */
public final class VerifyAll {
  public static void main(String[] words) {
    for (int i = 0; i < words.length; i += 3) {
      System.out.println(new BouncyCastleEd25519().verify(bytes(words[i]), bytes(words[i + 1]), bytes(words[i + 2])));
    }
  }

  private static byte[] bytes(String hexadecimal) {
    byte[] found = new byte[hexadecimal.length() / 2];
    for (int i = 0; i < found.length; i++) {
      found[i] = (byte) Integer.parseInt(hexadecimal.substring(2 * i, 2 * i + 2), 16);
    }
    return found;
  }
}
