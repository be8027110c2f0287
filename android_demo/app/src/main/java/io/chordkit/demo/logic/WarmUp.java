package io.chordkit.demo.logic;

import io.chordkit.ChordException;

/**
 * When a phone has got going: the means of the last 30 calls and of the 30 before agree within 4 %, after at least 30 calls and 0.25 s, and
 * after 8 s in any case (docs/benchmarking.md).
 */
public final class WarmUp {
  private static final int WINDOW = 30;
  private static final double AGREEMENT = 0.04;
  private static final long LEAST_NANOSECONDS = 250000000L;
  private static final long MOST_NANOSECONDS = 8000000000L;

  private final long[] ring = new long[2 * WINDOW];
  private int calls;
  private long elapsed;
  private boolean converged;

  /**
   * One more call.
   *
   * @param took nanoseconds of this call
   * @param elapsed nanoseconds since the first one began
   * @return whether it was the last one
   */
  public boolean isOverAfter(long took, long elapsed) {
    ring[calls++ % ring.length] = took;
    this.elapsed = elapsed;
    if (calls >= ring.length && elapsed >= LEAST_NANOSECONDS) {
      double before = mean(2);
      double now = mean(1);
      converged = Math.abs(now - before) <= AGREEMENT * Math.max(now, before);
    }
    return calls >= WINDOW && (converged || elapsed >= MOST_NANOSECONDS);
  }

  /** Calls {@code call} until it is over. */
  public static WarmUp of(Call call) throws ChordException, InterruptedException {
    WarmUp warmUp = new WarmUp();
    long begin = System.nanoTime();
    long start = begin;
    boolean over = false;
    while (!over) {
      call.run();
      long end = System.nanoTime();
      over = warmUp.isOverAfter(end - start, end - begin);
      start = end;
      Interruption.check();
    }
    return warmUp;
  }

  public int calls() {
    return calls;
  }

  public double seconds() {
    return elapsed / 1e9;
  }

  /** Whether the two means agreed; false = the time was up. */
  public boolean converged() {
    return converged;
  }

  /** Mean nanoseconds of the last 30 calls. */
  public double lastMean() {
    return mean(1);
  }

  /**
   * @param back 1 = the last 30 calls, 2 = the 30 before
   */
  private double mean(int back) {
    // One whole ring more, so that nothing is below 0.
    int first = calls + ring.length - back * WINDOW;
    long sum = 0;
    for (int i = first; i < first + WINDOW; i++) {
      sum += ring[i % ring.length];
    }
    return (double) sum / WINDOW;
  }
}
