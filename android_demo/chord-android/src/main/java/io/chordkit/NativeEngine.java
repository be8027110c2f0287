package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/**
 * libchord (kernels/libchord/include/chord.h); src/main/cpp/chord_engine_jni.c is the other side, which trusts what {@link Engine} has checked.
 *
 * <p>What returns an int returns a chord_status. A buffer goes with the element that it starts at and how many are meant. Sentences of
 * refusals come back in {@code sentence[0]}, or are those of {@link #statusText}.
 */
final class NativeEngine {
  static final int OK = 0;
  static final int BAD_ARGUMENT = 1;
  static final int BAD_CANDIDATE = 5;
  static final int BUSY = 7;
  static final int NOT_FINITE = 9;

  static {
    System.loadLibrary("chord_jni");
  }

  private NativeEngine() {}

  static native String statusText(int status);

  /**
   * @param handle takes the model, which {@link #closeModel} gives back
   * @param numbers takes items, longest history, dim, channels
   * @param fingerprint takes 8 bytes
   * @param texts takes the architecture and the variant, or first the sentence of a refusal
   */
  static native int openModel(
      ByteBuffer master, int start, int bytes, String variant, long[] handle, int[] numbers, byte[] fingerprint, Object[] texts);

  static native void closeModel(long model);

  /** @return a session, which {@link #closeSession} gives back; 0 = no memory */
  static native long openSession(long model);

  static native void closeSession(long session);

  static native int adopt(long model, byte[] strategy, Object[] sentence);

  static native int check(long model, byte[] strategy, byte[] widths, Object[] sentence);

  static native int adoptUser(long session, byte[] vector, Object[] sentence);

  static native int rerank(
      long session, IntBuffer history, int from, int slots, IntBuffer candidates, int first, int count, FloatBuffer scores, int to);

  static native int hidden(long session, IntBuffer history, int from, int slots, FloatBuffer hidden, int to);

  static native int score(
      long session, FloatBuffer hidden, int from, IntBuffer candidates, int first, int count, FloatBuffer scores, int to);

  /** @return the number of items found, or the negative of a chord_status */
  static native int topK(
      long session, IntBuffer history, int from, int slots, int k, boolean excludeHistory, IntBuffer items, int to, FloatBuffer scores, int at);

  static native int profile(long model, IntBuffer history, int from, int slots, int[] pools, FloatBuffer profile, int to);
}
