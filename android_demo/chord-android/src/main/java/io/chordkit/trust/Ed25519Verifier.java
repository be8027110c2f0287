package io.chordkit.trust;

/**
 * The arithmetic of Ed25519 (RFC 8032), from the platform or from a library made for it; nothing here computes it.
 *
 * <p>{@link PlatformEd25519} where the platform has it, BouncyCastleEd25519 (its own source set) elsewhere.
 */
public interface Ed25519Verifier {
  /**
   * Whether {@code signature} (64 bytes) is a valid signature by the public key {@code key} (32 bytes) over {@code message}.
   *
   * <p>What is thrown here comes out of {@link BundleVerifier#open} and {@link EnvelopeVerifier#open}, and nothing is accepted.
   */
  boolean verify(byte[] key, byte[] signature, byte[] message);
}
