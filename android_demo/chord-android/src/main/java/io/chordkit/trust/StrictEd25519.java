package io.chordkit.trust;

/**
 * Refuses what libraries differ in before one is asked, by comparing bytes, as Python and C do (docs/formats.md, "Which signatures are
 * valid"): another length, an S that is not below the group's order, a key or an R that is not the one spelling of its point or whose order
 * is small.
 */
public abstract class StrictEd25519 implements Ed25519Verifier {
  // Numbers of 32 bytes, the lowest first, as RFC 8032 writes them.
  private static final byte[] FIELD = bytes("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
  private static final byte[] GROUP_ORDER = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  private static final byte[][] SMALL_ORDER = {
    bytes("0000000000000000000000000000000000000000000000000000000000000000"),
    bytes("0100000000000000000000000000000000000000000000000000000000000000"),
    bytes("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
  };

  /** As {@link #verify}, for a key and a signature that are strictly written. */
  protected abstract boolean verifyStrict(byte[] key, byte[] signature, byte[] message);

  @Override
  public final boolean verify(byte[] key, byte[] signature, byte[] message) {
    return key.length == 32
        && signature.length == 64
        && isBelow(signature, 32, 0xff, GROUP_ORDER)
        && isStrictPoint(key)
        && isStrictPoint(signature)
        && verifyStrict(key, signature, message);
  }

  private static boolean isStrictPoint(byte[] encoded) {
    for (byte[] y : SMALL_ORDER) {
      boolean same = (encoded[31] & 0x7f) == y[31];
      for (int i = 0; i < 31; i++) {
        same &= encoded[i] == y[i];
      }
      if (same) {
        return false;
      }
    }
    return isBelow(encoded, 0, 0x7f, FIELD); // above y is the sign of x
  }

  private static boolean isBelow(byte[] bytes, int offset, int highest, byte[] limit) {
    for (int i = 31; i >= 0; i--) {
      int ours = bytes[offset + i] & (i == 31 ? highest : 0xff);
      int theirs = limit[i] & 0xff;
      if (ours != theirs) {
        return ours < theirs;
      }
    }
    return false;
  }

  static byte[] bytes(String hex) {
    byte[] all = new byte[hex.length() / 2];
    for (int i = 0; i < all.length; i++) {
      all[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
    }
    return all;
  }
}
