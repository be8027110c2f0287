package io.chordkit.demo.logic;

import io.chordkit.Buffers;
import io.chordkit.ChordException;
import io.chordkit.Engine;
import io.chordkit.Items;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.List;

/** The rerank of one user's candidates, all of it prepared. */
final class UserCall implements Call {
  private final Engine engine;
  private final IntBuffer history;
  private final IntBuffer candidates;
  private final FloatBuffer scores;

  UserCall(Engine engine, Items items, DemoUser user) {
    this.engine = engine;
    history = ids(items, user.history);
    candidates = ids(items, user.candidates);
    scores = Buffers.floatsOf(candidates.remaining());
  }

  @Override
  public void run() throws ChordException {
    engine.rerank(history, candidates, scores);
  }

  private static IntBuffer ids(Items items, List<String> names) {
    IntBuffer ids = Buffers.intsOf(names.size());
    for (String name : names) {
      int id = items.id(name);
      if (id != 0) {
        ids.put(id);
      }
    }
    ids.flip();
    return ids;
  }
}
