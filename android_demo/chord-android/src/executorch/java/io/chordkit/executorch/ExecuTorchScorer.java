package io.chordkit.executorch;

import io.chordkit.ArtifactScorer;
import io.chordkit.annotation.Nullable;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;
import org.pytorch.executorch.EValue;
import org.pytorch.executorch.Module;
import org.pytorch.executorch.Tensor;

/** Scores by a `.pte` artifact of a bundle, on CPU: by XNNPACK, or by the native engine inside ExecuTorch (executorch-chord). */
public final class ExecuTorchScorer extends ArtifactScorer {
  private final Module module;
  @Nullable private final EValue master;

  private ExecuTorchScorer(Module module, Shape shape, @Nullable EValue master) {
    super(shape);
    this.module = module;
    this.master = master;
  }

  /**
   * ExecuTorch reads programs from files only, so the artifact is written to one first, unless it is there already.
   *
   * @param artifact the bytes of the artifact, as a bundle gives them
   * @param copy a file that only this app can write, in its cache folder for instance; it must stay until {@link #close}
   * @param shape what the artifact was exported for: its items and candidates are in the bundle, slots and dim those of the backbone
   * @throws ExecuTorchException it is no program that ExecuTorch runs
   * @throws IOException the copy cannot be written
   */
  public static ExecuTorchScorer open(ByteBuffer artifact, File copy, Shape shape) throws ExecuTorchException, IOException {
    return new ExecuTorchScorer(load(artifact, copy), shape, null);
  }

  /**
   * The same for an artifact of target executorch-chord, once {@code System.loadLibrary("chord_executorch")} was called.
   *
   * @param artifact as above
   * @param copy as above
   * @param shape as above
   * @param master the bundle's master weights, direct, as a bundle gives them; the scorer reads them where they lie, so that the bundle must
   *     stay open as long as it does
   * @throws ExecuTorchException it is no program that ExecuTorch runs
   * @throws IOException the copy cannot be written
   */
  public static ExecuTorchScorer open(ByteBuffer artifact, File copy, Shape shape, ByteBuffer master) throws ExecuTorchException, IOException {
    ByteBuffer weights = master.slice().order(ByteOrder.nativeOrder());
    EValue last = EValue.from(Tensor.fromBlobUnsigned(weights, new long[] {weights.capacity()}));
    return new ExecuTorchScorer(load(artifact, copy), shape, last);
  }

  private static Module load(ByteBuffer artifact, File copy) throws ExecuTorchException, IOException {
    if (!isCopy(artifact, copy)) {
      write(artifact, copy);
    }
    try {
      return Module.load(copy.getPath(), Module.LOAD_MODE_MMAP);
    } catch (RuntimeException error) {
      throw new ExecuTorchException(copy + ": ExecuTorch does not run this file", error);
    }
  }

  private static boolean isCopy(ByteBuffer artifact, File copy) throws IOException {
    if (copy.length() != artifact.remaining() || !copy.isFile()) {
      return false;
    }
    try (FileInputStream stream = new FileInputStream(copy)) {
      FileChannel channel = stream.getChannel();
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()).equals(artifact);
    }
  }

  /** Under another name first, so that the file is whole or the old one. */
  private static void write(ByteBuffer artifact, File copy) throws IOException {
    File unfinished = new File(copy.getPath() + ".partial");
    try (FileOutputStream stream = new FileOutputStream(unfinished)) {
      ByteBuffer rest = artifact.duplicate();
      while (rest.hasRemaining()) {
        stream.getChannel().write(rest);
      }
      stream.getFD().sync();
    }
    if (!unfinished.renameTo(copy)) {
      throw new IOException(copy + ": the artifact cannot be written there; name a file in a folder of this app");
    }
  }

  @Override
  protected void run(IntBuffer history, IntBuffer candidates, @Nullable FloatBuffer user, FloatBuffer scores) throws ExecuTorchException {
    float[] found;
    try {
      List<EValue> inputs = new ArrayList<>();
      inputs.add(value(history));
      if (user != null) {
        inputs.add(value(user));
      }
      inputs.add(value(candidates));
      if (master != null) {
        inputs.add(master);
      }
      EValue[] results = module.forward(inputs.toArray(new EValue[0]));
      found = results.length == 1 ? results[0].toTensor().getDataAsFloatArray() : new float[0];
    } catch (RuntimeException error) {
      throw new ExecuTorchException("artifact: ExecuTorch did not run it", error);
    }
    if (found.length != scores.capacity()) {
      throw new ExecuTorchException(
          "artifact: ExecuTorch gave " + found.length + " scores for " + scores.capacity() + " candidates; open it with the shape it was exported for",
          null);
    }
    scores.put(found);
  }

  private static EValue value(IntBuffer ids) {
    return EValue.from(Tensor.fromBlob(ids, new long[] {1, ids.capacity()}));
  }

  private static EValue value(FloatBuffer numbers) {
    return EValue.from(Tensor.fromBlob(numbers, new long[] {1, numbers.capacity()}));
  }

  @Override
  protected void release() {
    module.destroy();
  }
}
