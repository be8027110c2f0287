package io.chordkit;

import java.nio.ByteBuffer;

/** kernels/libchord/include/chord_personal.h; src/main/cpp/chord_personal_jni.c is the other side, which trusts {@link PersonalFile}. */
final class NativePersonal {
  static {
    System.loadLibrary("chord_jni");
  }

  private NativePersonal() {}

  /**
   * @param sizes takes how many bytes the master needs, and how many the strategy for it
   * @param fingerprint takes 8 bytes, of the master that the file was made from
   * @param sentence takes that of a refusal
   * @return a chord_status
   */
  static native int query(ByteBuffer file, int start, int bytes, long[] sizes, byte[] fingerprint, Object[] sentence);

  /** @return a chord_status */
  static native int expand(ByteBuffer file, int start, int bytes, ByteBuffer master, Object[] sentence);

  /**
   * @param fingerprint of the expanded master
   * @return a chord_status
   */
  static native int strategy(ByteBuffer file, int start, int bytes, byte[] fingerprint, byte[] strategy, Object[] sentence);
}
