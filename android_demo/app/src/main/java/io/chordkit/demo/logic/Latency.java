package io.chordkit.demo.logic;

import java.util.Arrays;

/** How long calls took. */
public final class Latency {
  private static final double NANOSECONDS = 1000;

  private final long[] sorted;

  /**
   * @param nanoseconds a number for each call, at least one; not kept
   */
  public Latency(long[] nanoseconds) {
    if (nanoseconds.length == 0) {
      throw new IllegalArgumentException("no call was timed");
    }
    sorted = nanoseconds.clone();
    Arrays.sort(sorted);
  }

  public int calls() {
    return sorted.length;
  }

  /**
   * The time in microseconds that {@code percent} of the calls did not exceed, between two calls in proportion, as numpy has it.
   *
   * @param percent 0 to 100
   */
  public double percentile(double percent) {
    if (!(percent >= 0 && percent <= 100)) {
      throw new IllegalArgumentException(percent + " is no percentage");
    }
    double place = percent / 100 * (sorted.length - 1);
    int below = (int) place;
    int above = Math.min(below + 1, sorted.length - 1);
    return (sorted[below] + (place - below) * (sorted[above] - sorted[below])) / NANOSECONDS;
  }
}
