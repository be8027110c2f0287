package io.chordkit.release;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.regex.Pattern;

/** A file below {@code targets/} of a mirror: a bundle or a difference, with the length and the hash that the channel signed. */
public final class TargetFile {
  private static final String NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}(\\.[A-Za-z0-9_-]{1,64}){0,3}";
  static final Pattern BUNDLE = Pattern.compile(NAME + "\\.chord");
  static final Pattern DIFFERENCE = Pattern.compile(NAME + "\\.chordd");

  private static final int CHUNK = 1 << 16;

  final String name;
  final long length;
  final String sha256;

  TargetFile(String name, Fields fields) throws ReleaseException {
    this.name = name;
    this.length = fields.whole("length", 0, CanonicalJson.LARGEST);
    this.sha256 = fields.sha256();
  }

  /** Holds that it can be a bundle's, or a difference's. */
  TargetFile named(Pattern form, Fields fields) throws ReleaseException {
    if (!form.matcher(name).matches() || length == 0) {
      throw fields.problem("its target", "a file of a channel");
    }
    return this;
  }

  public String name() {
    return name;
  }

  /** Its bytes; no mirror gives more. */
  public long length() {
    return length;
  }

  /** 64 digits. */
  public String sha256() {
    return sha256;
  }

  /**
   * Copies it from a mirror, and holds it against what was signed. What was written counts only if this returns.
   *
   * @throws ReleaseException the mirror has something else, or nothing
   */
  public void fetch(Mirror mirror, OutputStream out) throws ReleaseException, IOException {
    try (InputStream stream = mirror.fetch(path(), length)) {
      if (stream == null) {
        throw new ReleaseException.Missing(path() + ": the mirror does not have it; ask another one");
      }
      MessageDigest digest = Hexadecimal.sha256();
      byte[] chunk = new byte[CHUNK];
      long copied = 0;
      for (int read = stream.read(chunk); read >= 0 && copied <= length; read = stream.read(chunk)) {
        copied += read;
        digest.update(chunk, 0, read);
        out.write(chunk, 0, (int) Math.min(read, Math.max(0, length - copied + read)));
      }
      require(copied, Hexadecimal.of(digest.digest()));
    }
  }

  /**
   * Holds bytes that came from anywhere against what was signed.
   *
   * @param data from its position to its limit, which stay
   */
  public void require(ByteBuffer data) throws ReleaseException {
    require(data.remaining(), sha256(data));
  }

  private void require(long bytes, String hash) throws ReleaseException {
    if (bytes != length) {
      throw new ReleaseException.WrongLength(name + ": it has not the " + length + " bytes that were signed; ask another mirror");
    }
    if (!hash.equals(sha256)) {
      throw new ReleaseException.WrongHash(name + ": its hash is not the one that was signed; ask another mirror");
    }
  }

  /** The digits of the hash of what lies from position to limit, which stay. */
  public static String sha256(ByteBuffer data) {
    MessageDigest digest = Hexadecimal.sha256();
    digest.update(data.duplicate());
    return Hexadecimal.of(digest.digest());
  }

  /** What a {@link Mirror} is asked for. */
  public String path() {
    return "targets/" + sha256 + "." + name;
  }
}
