package io.chordkit.demo.logic;

import java.util.Arrays;

/** Nanoseconds, as many as come. */
final class Samples {
  private long[] values = new long[4096];
  private int count;

  void add(long[] more, int moreCount) {
    if (values.length < count + moreCount) {
      values = Arrays.copyOf(values, 2 * (count + moreCount));
    }
    System.arraycopy(more, 0, values, count, moreCount);
    count += moreCount;
  }

  int count() {
    return count;
  }

  Latency latency() {
    return new Latency(Arrays.copyOf(values, count));
  }
}
