package io.chordkit;

/** An item by its owner's id, and its score: the higher the better. */
public final class Scored {
  private final String name;
  private final int id;
  private final float score;

  Scored(String name, int id, float score) {
    this.name = name;
    this.id = id;
    this.score = score;
  }

  /** The owner's id. */
  public String name() {
    return name;
  }

  /** The model's number of it. */
  public int id() {
    return id;
  }

  /** Comparable within one ranking only. */
  public float score() {
    return score;
  }

  @Override
  public String toString() {
    return name + " " + score;
  }
}
