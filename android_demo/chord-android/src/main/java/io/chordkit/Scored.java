package io.chordkit;

/** An item by its owner's id, what people call it, and its score: the higher the better. */
public final class Scored {
  private final Items items;
  private final String name;
  private final int id;
  private final float score;

  Scored(Items items, String name, int id, float score) {
    this.items = items;
    this.name = name;
    this.id = id;
    this.score = score;
  }

  /** The owner's id. */
  public String name() {
    return name;
  }

  /** What people call it; "" where the bundle does not say. */
  public String title() {
    return items.title(id);
  }

  /** What it is among; "" where the bundle does not say. */
  public String category() {
    return items.category(id);
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
