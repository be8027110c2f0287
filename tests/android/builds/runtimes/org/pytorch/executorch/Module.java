package org.pytorch.executorch;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;

/** Stands in for ExecuTorch's under its published signatures; of models see the other Interpreter. */
public class Module {
  public static final int LOAD_MODE_FILE = 0;
  public static final int LOAD_MODE_MMAP = 1;
  public static int open;

  private final ByteBuffer model;

  private Module(byte[] file) {
    if (file.length != 16) {
      throw new IllegalStateException("not a program");
    }
    model = ByteBuffer.wrap(file).order(ByteOrder.nativeOrder());
    open++;
  }

  public static Module load(final String path, int mode) {
    try {
      return new Module(Files.readAllBytes(Paths.get(path)));
    } catch (IOException error) {
      throw new IllegalArgumentException("Cannot load model path!! " + path);
    }
  }

  public EValue[] forward(EValue... inputs) {
    int dim = model.getInt(8);
    int added = 0;
    if (inputs[inputs.length - 1].toTensor().data instanceof ByteBuffer) {
      added = ((ByteBuffer) inputs[inputs.length - 1].toTensor().data).get(0);
      inputs = Arrays.copyOf(inputs, inputs.length - 1);
    }
    if (inputs.length != (dim == 0 ? 2 : 3) || model.getInt(12) < 0) {
      throw new IllegalStateException("Execution of method forward failed with status 0x12");
    }
    IntBuffer history = (IntBuffer) inputs[0].toTensor().data;
    IntBuffer candidates = (IntBuffer) inputs[inputs.length - 1].toTensor().data;
    float sum = added + history.get(history.capacity() - 1);
    for (int i = 0; i < dim; i++) {
      sum += ((FloatBuffer) inputs[1].toTensor().data).get(i);
    }
    int count = model.getInt(4);
    FloatBuffer scores = ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer();
    for (int i = 0; i < count; i++) {
      scores.put(i, model.getInt(12) * candidates.get(i % candidates.capacity()) + sum);
    }
    return new EValue[] {EValue.from(Tensor.fromBlob(scores, new long[] {1, count}))};
  }

  public void destroy() {
    open--;
  }
}
