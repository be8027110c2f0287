package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/**
 * The learning part of libchord (kernels/libchord/include/chord_learn.h); src/main/cpp/chord_learn_jni.c is the other side, which trusts what
 * {@link Samples}, {@link Lessons} and {@link Adapter} have made.
 *
 * <p>What returns an int returns a chord_learn_status, unless it says otherwise. Lessons are pairs of ints in a direct buffer.
 */
final class NativeLearning {
  static final int OK = 0;

  /** Numbers that {@link #openSamples} finds, and where among them they stand. */
  static final int SAMPLE_NUMBERS = 6;

  static final int SAMPLES = 1;
  static final int ITEMS = 2;
  static final int OFFSET = 3;
  static final int DEFLATED = 4;
  static final int MOST = 5;

  static {
    System.loadLibrary("chord_jni");
  }

  private NativeLearning() {}

  static native String statusText(int status);

  static native int openSamples(long model, byte[] data, int[] numbers, Object[] sentence);

  static native int readSamples(long model, int[] numbers, byte[] payload, int size, IntBuffer items, IntBuffer lessons, Object[] sentence);

  /** @return how many lessons were written */
  static native int ownLessons(int items, int most, IntBuffer lessons);

  static native int states(
      long session, IntBuffer items, int itemCount, IntBuffer lessons, int count, FloatBuffer states, Object[] sentence);

  /**
   * @param otherItems and what follows of others: null and 0 without samples from outside
   * @param strategy 8 bytes
   * @param adapter room for {@link #mostAdapterBytes}
   * @param counts takes the adapter's bytes, 1 if it may be adopted, own and outside lessons, and how many of these were kept
   * @param numbers takes the held-out likelihood before and after, and the lower bound of the gain
   */
  static native int personalise(
      long model,
      float temperature,
      IntBuffer items,
      int itemCount,
      IntBuffer lessons,
      int count,
      FloatBuffer states,
      @Nullable IntBuffer otherItems,
      int otherItemCount,
      @Nullable IntBuffer otherLessons,
      int otherCount,
      @Nullable FloatBuffer otherStates,
      byte[] strategy,
      byte[] adapter,
      int[] counts,
      double[] numbers,
      Object[] sentence);

  /** @return bytes */
  static native int mostAdapterBytes(int dim);

  /** @param biases takes how many items have one */
  static native int openAdapter(long model, ByteBuffer data, int bytes, byte[] strategy, int[] biases, Object[] sentence);

  /** @param numbers takes the likelihood of the lessons before, with the adapter, and the lower bound of the gain */
  static native int judge(
      long model,
      ByteBuffer adapter,
      int bytes,
      int dim,
      int biases,
      float temperature,
      IntBuffer items,
      int itemCount,
      IntBuffer lessons,
      int count,
      FloatBuffer states,
      double[] numbers,
      Object[] sentence);

  static native int scores(
      long session,
      ByteBuffer adapter,
      int bytes,
      int dim,
      int biases,
      float temperature,
      FloatBuffer hidden,
      int from,
      IntBuffer candidates,
      int first,
      int count,
      FloatBuffer scores,
      int to);
}
