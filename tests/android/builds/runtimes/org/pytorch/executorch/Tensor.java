package org.pytorch.executorch;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/** Stands in for ExecuTorch's under its published signatures. */
public abstract class Tensor {
  final Buffer data;

  private Tensor(Buffer data, ByteOrder order, long[] shape) {
    if (!data.isDirect() || order != ByteOrder.nativeOrder() || count(shape) != data.capacity()) {
      throw new IllegalArgumentException("Inconsistent data capacity and shape, or no direct buffer of native order");
    }
    this.data = data;
  }

  private static long count(long[] shape) {
    long count = 1;
    for (long size : shape) {
      count *= size;
    }
    return count;
  }

  public static Tensor fromBlobUnsigned(ByteBuffer data, long[] shape) {
    return new Tensor(data, data.order(), shape) {};
  }

  public static Tensor fromBlob(IntBuffer data, long[] shape) {
    return new Tensor(data, data.order(), shape) {};
  }

  public static Tensor fromBlob(FloatBuffer data, long[] shape) {
    return new Tensor(data, data.order(), shape) {};
  }

  public float[] getDataAsFloatArray() {
    FloatBuffer numbers = (FloatBuffer) data;
    float[] found = new float[numbers.capacity()];
    for (int i = 0; i < found.length; i++) {
      found[i] = numbers.get(i);
    }
    return found;
  }
}
