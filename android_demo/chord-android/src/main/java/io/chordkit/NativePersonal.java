package io.chordkit;

import java.nio.ByteBuffer;

/** kernels/libchord/include/chord_personal.h; src/main/cpp/chord_personal_jni.c is the other side, which trusts {@link PersonalFile}. */
final class NativePersonal {
  static {
    System.loadLibrary("chord_jni");
  }

  private NativePersonal() {}

  /**
   * @param masterBytes takes what the master needs
   * @param fingerprint takes 8 bytes, of the master that the file was made from
   * @param sentence takes that of a refusal
   * @return a chord_status
   */
  static native int query(ByteBuffer file, int start, int bytes, long[] masterBytes, byte[] fingerprint, Object[] sentence);

  /** @return a chord_status */
  static native int expand(ByteBuffer file, int start, int bytes, ByteBuffer master, Object[] sentence);
}
