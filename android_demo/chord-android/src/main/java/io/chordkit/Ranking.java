package io.chordkit;

import java.util.AbstractList;
import java.util.Collections;
import java.util.List;

/** Items, best first, and what was asked for that the catalogue does not have. */
public final class Ranking extends AbstractList<Scored> {
  private final List<Scored> items;
  private final List<String> unknownHistory;
  private final List<String> unknownCandidates;

  Ranking(List<Scored> items, List<String> unknownHistory, List<String> unknownCandidates) {
    this.items = items;
    this.unknownHistory = Collections.unmodifiableList(unknownHistory);
    this.unknownCandidates = Collections.unmodifiableList(unknownCandidates);
  }

  @Override
  public Scored get(int place) {
    return items.get(place);
  }

  @Override
  public int size() {
    return items.size();
  }

  /** Ids of the history that the catalogue does not have; the items were ranked as if they were not there. */
  public List<String> unknownHistory() {
    return unknownHistory;
  }

  /** Ids of the candidates that the catalogue does not have; they have no score. */
  public List<String> unknownCandidates() {
    return unknownCandidates;
  }
}
