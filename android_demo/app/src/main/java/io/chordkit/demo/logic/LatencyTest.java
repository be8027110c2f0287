package io.chordkit.demo.logic;

import io.chordkit.ChordException;
import io.chordkit.annotation.Nullable;

/** Times one call many times. */
public final class LatencyTest {
  private static final int STEPS = 100;

  private LatencyTest() {}

  /** Call after call, once they are warm: the best case. */
  public static Latency warm(Call call, int calls, Progress progress) throws ChordException, InterruptedException {
    WarmUp.of(call);
    return timed(call, calls, null, progress);
  }

  /** With 64 MB of something else read before each call, outside its time. */
  public static Latency cold(Call call, int calls, Progress progress) throws ChordException, InterruptedException {
    return timed(call, calls, new OtherMemory(), progress);
  }

  private static Latency timed(Call call, int calls, @Nullable OtherMemory other, Progress progress)
      throws ChordException, InterruptedException {
    long[] nanoseconds = new long[calls];
    int step = Math.max(1, calls / STEPS);
    for (int i = 0; i < calls; i++) {
      if (i % step == 0) {
        Interruption.check();
        progress.at(i, calls);
      }
      if (other != null) {
        other.read();
      }
      long start = System.nanoTime();
      call.run();
      nanoseconds[i] = System.nanoTime() - start;
    }
    progress.at(calls, calls);
    return new Latency(nanoseconds);
  }
}
