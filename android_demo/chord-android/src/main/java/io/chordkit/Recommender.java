package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/**
 * From the owner's ids to the owner's ids: what the catalogue does not have is left out, and named in the {@link Ranking}.
 *
 * <p>It keeps its buffers, so one thread at a time is in it and others wait; give each thread its own. The scorer stays the caller's to close.
 */
public final class Recommender {
  private static final Comparator<Scored> BEST_FIRST =
      new Comparator<Scored>() {
        @Override
        public int compare(Scored one, Scored other) {
          return Float.compare(other.score(), one.score());
        }
      };

  private final Scorer scorer;
  @Nullable private final Searcher searcher;
  private final Items items;
  private IntBuffer history = Buffers.intsOf(64);
  private IntBuffer ids = Buffers.intsOf(128);
  private FloatBuffer scores = Buffers.floatsOf(128);

  /**
   * @param scorer an {@link Engine}, a {@link PersonalScorer}, or any other runtime; {@link #topK} has nothing to search with over others
   */
  public Recommender(Scorer scorer, Items items) {
    this.scorer = scorer;
    this.searcher = scorer instanceof Searcher ? (Searcher) scorer : null;
    this.items = items;
  }

  /**
   * The candidates in the order of their scores, ties in the order given.
   *
   * @param history ids of what the user took, oldest first
   * @param candidates ids to rank
   * @throws EngineException.BadHistory none of the history is in the catalogue
   */
  public synchronized Ranking rerank(List<String> history, List<String> candidates) throws ChordException {
    List<String> unknownHistory = takeHistory(history);
    List<String> unknown = new ArrayList<String>();
    List<String> known = new ArrayList<String>(candidates.size());
    makeRoom(candidates.size());
    ids.clear();
    for (String name : candidates) {
      int id = items.id(name);
      if (id == 0) {
        unknown.add(name);
      } else {
        ids.put(id);
        known.add(name);
      }
    }
    ids.flip();
    List<Scored> scored = new ArrayList<Scored>(known.size());
    if (!known.isEmpty()) {
      scores.clear();
      scorer.rerank(this.history, ids, scores);
      for (int i = 0; i < known.size(); i++) {
        scored.add(new Scored(items, known.get(i), ids.get(i), scores.get(i)));
      }
      Collections.sort(scored, BEST_FIRST); // stable
    }
    return new Ranking(scored, unknownHistory, unknown);
  }

  /**
   * The {@code k} best items of the whole catalogue, ties in the order of the catalogue; fewer where it ends.
   *
   * @param excludeHistory leave out the items of the history
   * @throws IllegalStateException the scorer is neither an engine nor a personal one
   * @throws EngineException.BadHistory none of the history is in the catalogue
   */
  public synchronized Ranking topK(List<String> history, int k, boolean excludeHistory) throws ChordException {
    if (searcher == null) {
      throw new IllegalStateException("only an Engine or a PersonalScorer searches the whole catalogue; rerank candidates, or make a Recommender over one");
    }
    List<String> unknown = takeHistory(history);
    int most = Math.min(k, items.size());
    makeRoom(most);
    ids.clear();
    scores.clear();
    int found = searcher.topK(this.history, most, excludeHistory, ids, scores);
    List<Scored> scored = new ArrayList<Scored>(found);
    for (int i = 0; i < found; i++) {
      scored.add(new Scored(items, items.name(ids.get(i)), ids.get(i), scores.get(i)));
    }
    return new Ranking(scored, unknown, Collections.<String>emptyList());
  }

  private List<String> takeHistory(List<String> names) {
    if (history.capacity() < names.size()) {
      history = Buffers.intsOf(2 * names.size());
    }
    List<String> unknown = new ArrayList<String>();
    items.ids(names, history, unknown);
    return unknown;
  }

  private void makeRoom(int count) {
    if (ids.capacity() < count) {
      ids = Buffers.intsOf(2 * count);
      scores = Buffers.floatsOf(2 * count);
    }
  }
}
