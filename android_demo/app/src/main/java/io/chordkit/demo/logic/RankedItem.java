package io.chordkit.demo.logic;

/** One candidate in two lists. */
public final class RankedItem {
  /** The owner's id. */
  public final String id;

  /** Its place in this list, from 1 on. */
  public final int rank;

  /** Its place in the other list, from 1 on. */
  public final int otherRank;

  /** Whether it is what the user really took next. */
  public final boolean taken;

  RankedItem(String id, int rank, int otherRank, boolean taken) {
    this.id = id;
    this.rank = rank;
    this.otherRank = otherRank;
    this.taken = taken;
  }

  /** By how many places it stands higher than in the other list; below 0 = lower. */
  public int rise() {
    return otherRank - rank;
  }
}
