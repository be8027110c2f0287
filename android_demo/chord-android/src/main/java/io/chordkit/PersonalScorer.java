package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/**
 * An engine with what the phone learned of its user: scores as {@link Engine#rerank} gives them, moved by an {@link Adapter}. Without one, and
 * whenever the engine has another strategy or user vector than the adapter was trained under, they are those of the engine, bit for bit.
 *
 * <p>Any number of threads at once; once as many have called as ever call at once, none allocates in Java.
 */
public final class PersonalScorer implements Scorer {
  private final Engine engine;
  @Nullable private volatile Adapter adapter;

  /** Without an adapter. The engine stays the caller's to close. */
  public PersonalScorer(Engine engine) {
    this.engine = engine;
  }

  /** From the next call on; null = none. */
  public void use(@Nullable Adapter value) {
    adapter = value;
  }

  /** The one that scores are moved by now; null = none, or one for another strategy. */
  @Nullable
  public Adapter adapter() {
    Adapter used = adapter;
    return used != null && used.inputs().same(engine.inputs()) ? used : null;
  }

  @Override
  public void rerank(IntBuffer history, IntBuffer candidates, FloatBuffer scores) throws EngineException {
    Adapter used = adapter();
    if (used == null) {
      engine.rerank(history, candidates, scores);
      return;
    }
    Buffers.check("history", history);
    Buffers.check("candidates", candidates);
    int count = candidates.remaining();
    Buffers.checkRoom("scores", scores, count);
    EngineSessions.Session session = engine.sessions().take(used.inputs());
    int status;
    int moved = NativeLearning.OK;
    try {
      FloatBuffer hidden = session.hidden(engine.dim());
      status = NativeEngine.hidden(session.handle, history, history.position(), history.remaining(), hidden, 0);
      if (status == NativeEngine.OK) {
        moved =
            NativeLearning.scores(
                session.handle,
                used.data(),
                used.size(),
                engine.dim(),
                used.biases(),
                used.temperature(),
                hidden,
                0,
                candidates,
                candidates.position(),
                count,
                scores,
                scores.position());
      }
    } finally {
      engine.sessions().giveBack(session);
    }
    Engine.throwUnlessOk(status);
    Engine.throwUnlessOk(engineStatus(moved));
  }

  /** Nothing: the engine is the caller's. */
  @Override
  public void close() {}

  /** The same refusals as the engine's. */
  private static int engineStatus(int learning) { // of chord_learn_status
    switch (learning) {
      case 0:
        return NativeEngine.OK;
      case 4:
        return NativeEngine.BAD_CANDIDATE;
      case 6:
        return NativeEngine.NOT_FINITE;
      default:
        return NativeEngine.BAD_ARGUMENT;
    }
  }
}
