package io.chordkit.trust;

import java.util.Arrays;
import java.util.List;

/** Whose signatures are accepted: several keys while one takes another's place, less those that are revoked by their identifier. */
public final class TrustedKeys {
  final byte[] keys;
  final byte[] revoked;

  /**
   * @param keys public keys of 32 bytes each, as RFC 8032 writes them
   * @param revoked identifiers of 8 bytes each: the first of the SHA-256 of a key; what `chordkit bundle key` prints, as bytes
   */
  public TrustedKeys(List<byte[]> keys, List<byte[]> revoked) {
    if (keys.isEmpty()) {
      throw new IllegalArgumentException("no public key was given to verify with; give at least one");
    }
    this.keys = joined(keys, 32);
    this.revoked = joined(revoked, 8);
  }

  /** One key, and none revoked. */
  public TrustedKeys(byte[] key) {
    this(Arrays.asList(new byte[][] {key}), Arrays.asList(new byte[0][]));
  }

  private static byte[] joined(List<byte[]> parts, int size) {
    byte[] all = new byte[parts.size() * size];
    for (int i = 0; i < parts.size(); i++) {
      if (parts.get(i).length != size) {
        throw new IllegalArgumentException(parts.get(i).length + " bytes were given where " + size + " are needed");
      }
      System.arraycopy(parts.get(i), 0, all, i * size, size);
    }
    return all;
  }
}
