package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.BitSet;

/**
 * An engine with what the phone learned of its user: scores as {@link Engine#rerank} gives them, moved by an {@link Adapter}. Without one, and
 * whenever the engine has another strategy or user vector than the adapter was trained under, they are those of the engine, bit for bit.
 *
 * <p>Any number of threads at once; once as many have called as ever call at once, no rerank allocates in Java.
 */
public final class PersonalScorer implements Scorer, Searcher {
  private static final int PAGE = 1024;

  private final Engine engine;
  @Nullable private volatile Adapter adapter;

  /** Without an adapter. The engine stays the caller's to close. */
  public PersonalScorer(Engine engine) {
    this.engine = engine;
  }

  /**
   * From the next call on; null = none.
   *
   * @throws IllegalArgumentException it was read for an engine of another backbone
   */
  public void use(@Nullable Adapter value) {
    if (value != null && !value.isFor(engine)) {
      throw new IllegalArgumentException("adapter: it was read for an engine of another backbone; read one for this engine");
    }
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
    try {
      FloatBuffer hidden = hidden(session, history);
      score(session, used, hidden, candidates, count, scores);
    } finally {
      engine.sessions().giveBack(session);
    }
  }

  /**
   * The best of the whole catalogue, as {@link Engine#topK} has them, with what was learned. It looks at every item in Java, which takes longer
   * than the engine's own search, and needs some memory a call.
   */
  @Override
  public int topK(IntBuffer history, int k, boolean excludeHistory, IntBuffer items, FloatBuffer scores) throws EngineException {
    Adapter used = adapter();
    if (used == null) {
      return engine.topK(history, k, excludeHistory, items, scores);
    }
    Engine.checkSearch(history, k, items, scores);
    BitSet left = new BitSet();
    for (int i = history.position(); excludeHistory && i < history.limit(); i++) {
      left.set(Math.max(0, history.get(i))); // what is no item is refused below
    }
    Best best = new Best(Math.min(k, engine.items()));
    IntBuffer page = Buffers.intsOf(PAGE);
    FloatBuffer found = Buffers.floatsOf(PAGE);
    EngineSessions.Session session = engine.sessions().take(used.inputs());
    try {
      FloatBuffer hidden = hidden(session, history);
      for (int id = 1; id <= engine.items(); ) {
        page.clear();
        for (; page.hasRemaining() && id <= engine.items(); id++) {
          if (!left.get(id)) {
            page.put(id);
          }
        }
        page.flip();
        score(session, used, hidden, page, page.limit(), found);
        for (int i = 0; i < page.limit(); i++) {
          best.add(page.get(i), found.get(i));
        }
      }
    } finally {
      engine.sessions().giveBack(session);
    }
    return best.copyTo(items, scores);
  }

  private FloatBuffer hidden(EngineSessions.Session session, IntBuffer history) throws EngineException {
    FloatBuffer hidden = session.hidden(engine.dim());
    Engine.throwUnlessOk(
        NativeEngine.hidden(session.handle, history, history.position(), history.remaining(), hidden, 0));
    return hidden;
  }

  private void score(
      EngineSessions.Session session, Adapter used, FloatBuffer hidden, IntBuffer candidates, int count, FloatBuffer scores)
      throws EngineException {
    int status =
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
    Engine.throwUnlessOk(engineStatus(status));
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
