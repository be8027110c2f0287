package io.chordkit.demo.logic;

import io.chordkit.Buffers;
import io.chordkit.ChordException;
import io.chordkit.Items;
import io.chordkit.Scorer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.List;

/** The rerank of one user's candidates, all of it prepared. */
final class UserCall implements Call {
  private final Scorer scorer;
  private final IntBuffer history;
  private final IntBuffer candidates;
  private final FloatBuffer scores;

  UserCall(Scorer scorer, Items items, DemoUser user) {
    this.scorer = scorer;
    history = ids(items, user.history);
    candidates = ids(items, user.candidates);
    scores = Buffers.floatsOf(candidates.remaining());
  }

  @Override
  public void run() throws ChordException {
    scorer.rerank(history, candidates, scores);
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
