package io.chordkit.trust;

import java.nio.ByteBuffer;

/** The C verifier (kernels/libchord/verify), one parser for every language; src/main/cpp/chord_verify_jni.c is the other side. */
final class NativeVerifier {
  static {
    System.loadLibrary("chord_jni");
  }

  private NativeVerifier() {}

  /**
   * @param data direct, from its first byte on
   * @param numbers takes format version and counter
   * @param ids takes fingerprint and key identifier, 8 bytes each
   * @param results takes the sentence of a refusal; or the members' names, and a long[] of their offsets and sizes
   * @return a chord_verify_status
   */
  static native int openBundle(
      ByteBuffer data,
      int size,
      byte[] keys,
      byte[] revoked,
      Ed25519Verifier verifier,
      long minimum,
      long[] numbers,
      byte[] ids,
      Object[] results);

  /**
   * @param numbers takes serial, not before, expires, latest seen, bytes of the subject, offset and bytes of the payload
   * @param results takes the sentence of a refusal
   * @return a chord_verify_status
   */
  static native int openEnvelope(
      byte[] data,
      byte[] keys,
      byte[] revoked,
      Ed25519Verifier verifier,
      byte[] subject,
      byte[] fingerprint,
      long minimumSerial,
      long now,
      long latestSeen,
      long[] numbers,
      byte[] ids,
      Object[] results);
}
