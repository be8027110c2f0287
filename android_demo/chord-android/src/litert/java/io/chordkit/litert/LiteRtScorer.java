package io.chordkit.litert;

import io.chordkit.ArtifactScorer;
import io.chordkit.ChordException;
import io.chordkit.MasterFile;
import io.chordkit.PatchException;
import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.tensorflow.lite.Interpreter;

/**
 * Scores by a `.tflite` artifact of a bundle, on CPU. One that carries a patch table (int8 in the layout speed, docs/patching.md) takes any user's
 * strategy, without another file: {@link #adopt}.
 */
public final class LiteRtScorer extends ArtifactScorer {
  private static final String SIGNATURE = "serving_default";
  private static final String HISTORY = "history";
  private static final String CANDIDATES = "candidates";
  private static final String USER = "user";
  private static final String SCORES = "scores";

  private final ByteBuffer artifact;
  private final int threads;
  private Interpreter interpreter;
  @Nullable private MasterFile everybody;
  private final Map<String, Object> inputs = new HashMap<String, Object>();
  private final Map<String, Object> outputs = new HashMap<String, Object>();

  private LiteRtScorer(ByteBuffer artifact, int threads, Interpreter interpreter, Shape shape) {
    super(shape);
    this.artifact = artifact;
    this.threads = threads;
    this.interpreter = interpreter;
  }

  /**
   * @param artifact the bytes of the artifact, direct, as a bundle gives them; read in place, so they must stay as they are until {@link #close}
   * @param items largest item id of the bundle's catalogue
   * @param threads how many threads LiteRT may use; one is best for models of this size
   * @throws LiteRtException it is no model that LiteRT runs, or none of ours
   */
  public static LiteRtScorer open(ByteBuffer artifact, int items, int threads) throws LiteRtException {
    ByteBuffer file = artifact.slice().order(ByteOrder.nativeOrder());
    Interpreter interpreter = interpreter(file, threads);
    try {
      return new LiteRtScorer(file, threads, interpreter, shape(interpreter, items));
    } catch (IllegalArgumentException error) {
      interpreter.close();
      throw new LiteRtException("artifact: this model has other inputs than chordkit gives it; take one of a bundle", error);
    }
  }

  private static Interpreter interpreter(ByteBuffer file, int threads) throws LiteRtException {
    try {
      return new Interpreter(file, new Interpreter.Options().setNumThreads(threads));
    } catch (IllegalArgumentException error) {
      throw new LiteRtException("artifact: LiteRT does not run this file", error);
    } catch (IllegalStateException error) {
      throw new LiteRtException("artifact: LiteRT does not run this file", error);
    }
  }

  /**
   * Makes a strategy the one of all later calls: codes and scales are rewritten in a copy of the artifact, and the copy is loaded. The user vector in
   * use stays in use; whatever is refused, so does the strategy.
   *
   * @param strategy its wire form (CHRD): of a signed bundle, or {@link io.chordkit.trust.VerifiedEnvelope#payload}; null = 8 bits everywhere
   * @throws PatchException the artifact carries no patch table, or the strategy is damaged or for another backbone
   * @throws LiteRtException LiteRT does not run what came of it
   */
  public synchronized void adopt(@Nullable byte[] strategy) throws ChordException {
    requireOpen();
    MasterFile master = everybody;
    if (master == null) {
      master = MasterFile.read(artifact);
      everybody = master;
    }
    Interpreter next = interpreter(strategy == null ? artifact : master.patched(strategy), threads);
    interpreter.close();
    interpreter = next;
  }

  private static Shape shape(Interpreter interpreter, int items) {
    boolean personal = Arrays.asList(interpreter.getSignatureInputs(SIGNATURE)).contains(USER);
    return new Shape(items, width(interpreter, HISTORY), width(interpreter, CANDIDATES), personal ? width(interpreter, USER) : 0);
  }

  private static int width(Interpreter interpreter, String input) {
    int[] shape = interpreter.getInputTensorFromSignature(input, SIGNATURE).shape();
    if (shape.length != 2 || shape[0] != 1) {
      throw new IllegalArgumentException(input + " has the shape " + Arrays.toString(shape));
    }
    return shape[1];
  }

  @Override
  protected void run(IntBuffer history, IntBuffer candidates, @Nullable FloatBuffer user, FloatBuffer scores) throws LiteRtException {
    inputs.put(HISTORY, history);
    inputs.put(CANDIDATES, candidates);
    if (user != null) {
      inputs.put(USER, user);
    }
    outputs.put(SCORES, scores);
    try {
      interpreter.runSignature(inputs, outputs, SIGNATURE);
    } catch (IllegalArgumentException error) {
      throw new LiteRtException("artifact: LiteRT did not run it", error);
    } catch (IllegalStateException error) {
      throw new LiteRtException("artifact: LiteRT did not run it", error);
    }
  }

  @Override
  protected void release() {
    interpreter.close();
  }
}
