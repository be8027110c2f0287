package io.chordkit;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/** Makes the buffers that native code reads in place, and checks those that it is given. */
public final class Buffers {
  private Buffers() {}

  /** A direct buffer of native order that holds {@code ids}, from position 0 to its limit. */
  public static IntBuffer ints(int... ids) {
    IntBuffer buffer = intsOf(ids.length);
    buffer.put(ids);
    buffer.flip();
    return buffer;
  }

  /** An empty one, for {@code count} ids. */
  public static IntBuffer intsOf(int count) {
    return bytes(count).asIntBuffer();
  }

  /** For {@code count} scores, or numbers of a hidden state. */
  public static FloatBuffer floatsOf(int count) {
    return bytes(count).asFloatBuffer();
  }

  private static ByteBuffer bytes(int count) {
    return ByteBuffer.allocateDirect(Math.multiplyExact(count, 4)).order(ByteOrder.nativeOrder());
  }

  static void check(String what, IntBuffer buffer) {
    check(what, buffer, buffer.order(), 0);
  }

  static void checkRoom(String what, FloatBuffer buffer, int count) {
    checkWritable(what, buffer);
    check(what, buffer, buffer.order(), count);
  }

  static void checkRoom(String what, IntBuffer buffer, int count) {
    checkWritable(what, buffer);
    check(what, buffer, buffer.order(), count);
  }

  static void check(String what, FloatBuffer buffer, int count) {
    check(what, buffer, buffer.order(), count);
  }

  private static void checkWritable(String what, Buffer buffer) {
    if (buffer.isReadOnly()) {
      throw new IllegalArgumentException(what + ": the buffer can only be read");
    }
  }

  private static void check(String what, Buffer buffer, ByteOrder order, int count) {
    if (!buffer.isDirect() || order != ByteOrder.nativeOrder()) {
      throw new IllegalArgumentException(what + ": the buffer is not direct, or not of native order; Buffers makes one that is");
    }
    if (buffer.remaining() < count) {
      throw new IllegalArgumentException(what + ": the buffer has room for " + buffer.remaining() + ", and " + count + " are needed");
    }
  }
}
