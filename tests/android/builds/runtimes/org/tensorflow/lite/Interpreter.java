package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Map;

/**
 * Stands in for LiteRT's interpreter under its published signatures, and is as strict with buffers. A "model" is its four numbers, whatever
 * follows: slots, candidates, dim and a factor; it scores factor * candidate + newest item + the sum of the user vector.
 */
public final class Interpreter implements AutoCloseable {
  /** As LiteRT's. */
  public static class Options {
    private int threads;

    public Options setNumThreads(int threads) {
      this.threads = threads;
      return this;
    }
  }

  public static int open;
  public static int threads;

  private final int[] model = new int[4];

  public Interpreter(ByteBuffer file, Options options) {
    if (!file.isDirect() || file.order() != ByteOrder.nativeOrder() || file.position() != 0 || file.remaining() < 16) {
      throw new IllegalArgumentException("not a model");
    }
    for (int i = 0; i < 4; i++) {
      model[i] = file.getInt(4 * i);
    }
    threads = options.threads;
    open++;
  }

  public String[] getSignatureInputs(String signature) {
    require(signature);
    return model[2] == 0 ? new String[] {"candidates", "history"} : new String[] {"candidates", "history", "user"};
  }

  public Tensor getInputTensorFromSignature(String input, String signature) {
    require(signature);
    final int width = model[input.equals("history") ? 0 : input.equals("candidates") ? 1 : 2];
    return new Tensor() {
      @Override
      public int[] shape() {
        return width == 1 ? new int[] {1} : new int[] {1, width};
      }
    };
  }

  public void runSignature(Map<String, Object> inputs, Map<String, Object> outputs, String signature) {
    require(signature);
    IntBuffer history = (IntBuffer) inputs.get("history");
    IntBuffer candidates = (IntBuffer) inputs.get("candidates");
    FloatBuffer user = (FloatBuffer) inputs.get("user");
    if (history.capacity() != model[0] || candidates.capacity() != model[1] || (user == null ? 0 : user.capacity()) != model[2]) {
      throw new IllegalArgumentException("Cannot copy to a TensorFlowLite tensor with another number of bytes");
    }
    if (model[3] < 0) {
      throw new IllegalStateException("Internal error: Failed to run on the given Interpreter");
    }
    float sum = history.get(model[0] - 1);
    for (int i = 0; i < model[2]; i++) {
      sum += user.get(i);
    }
    FloatBuffer scores = (FloatBuffer) outputs.get("scores");
    for (int i = 0; i < model[1]; i++) {
      scores.put(model[3] * candidates.get(i) + sum);
    }
  }

  private static void require(String signature) {
    if (!signature.equals("serving_default")) {
      throw new IllegalArgumentException("Invalid signature name");
    }
  }

  @Override
  public void close() {
    open--;
  }
}
