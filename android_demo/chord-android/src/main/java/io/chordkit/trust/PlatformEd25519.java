package io.chordkit.trust;

import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;

/** Ed25519 of the platform: Android API 33 and later, JDK 15 and later. Ask {@link #isAvailable} before. */
public final class PlatformEd25519 extends StrictEd25519 {
  /** What X.509 writes before the 32 bytes of an Ed25519 key (RFC 8410). */
  private static final byte[] PREFIX = bytes("302a300506032b6570032100");

  // RFC 8032, section 7.1, test 1: over no message.
  private static final byte[] KNOWN_KEY = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  private static final byte[] KNOWN_SIGNATURE =
      bytes(
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555f"
              + "b8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");

  /**
   * Whether the platform verifies a signature that is known to be valid; some list the name and have it for keys in hardware alone. Where it
   * does not, another verifier is needed, and without one everything is refused.
   */
  public static boolean isAvailable() {
    return new PlatformEd25519().verify(KNOWN_KEY, KNOWN_SIGNATURE, new byte[0]);
  }

  @Override
  protected boolean verifyStrict(byte[] key, byte[] signature, byte[] message) {
    byte[] encoded = new byte[PREFIX.length + key.length];
    System.arraycopy(PREFIX, 0, encoded, 0, PREFIX.length);
    System.arraycopy(key, 0, encoded, PREFIX.length, key.length);
    try {
      PublicKey publicKey = KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(encoded));
      Signature verifier = Signature.getInstance("Ed25519");
      verifier.initVerify(publicKey);
      verifier.update(message);
      return verifier.verify(signature);
    } catch (GeneralSecurityException error) { // no such algorithm, or no point
      return false;
    }
  }
}
