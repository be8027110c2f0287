package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import io.chordkit.ChordException;
import java.util.ArrayList;
import java.util.List;
import org.junit.Test;

public class LatencyTestTest {
  private static final class Counter implements Call {
    int calls;

    @Override
    public void run() {
      calls++;
    }
  }

  @Test
  public void percentilesAreThoseOfNumpy() {
    // numpy.percentile([1000, 2000, 3000, 4000, 10000], [0, 25, 50, 90, 99, 100]) / 1000
    Latency latency = new Latency(new long[] {3000, 1000, 10000, 2000, 4000});
    double[] percents = {0, 25, 50, 90, 99, 100};
    double[] wanted = {1, 2, 3, 7.6, 9.76, 10};
    for (int i = 0; i < percents.length; i++) {
      assertEquals(wanted[i], latency.percentile(percents[i]), 1e-9);
    }
    assertEquals(5, latency.calls());
    assertEquals(7, new Latency(new long[] {7000}).percentile(99), 0);
  }

  @Test
  public void whatIsNotThereHasNoPercentile() {
    for (double percent : new double[] {-0.1, 100.1, Double.NaN}) {
      try {
        new Latency(new long[] {1}).percentile(percent);
        fail();
      } catch (IllegalArgumentException expected) {
        assertTrue(expected.getMessage().endsWith("is no percentage"));
      }
    }
    try {
      new Latency(new long[0]);
      fail();
    } catch (IllegalArgumentException expected) {
      assertEquals("no call was timed", expected.getMessage());
    }
  }

  @Test
  public void eachCallIsTimedOnceAndProgressReachesItsEnd() throws Exception {
    final List<Integer> told = new ArrayList<Integer>();
    Progress progress =
        new Progress() {
          @Override
          public void at(int done, int total) {
            assertEquals(250, total);
            told.add(done);
          }
        };
    Counter counter = new Counter();
    assertEquals(250, LatencyTest.warm(counter, 250, progress).calls());
    assertTrue("the warm-up calls as well", counter.calls > 250 + 30);
    assertEquals(0, (int) told.get(0));
    assertEquals(250, (int) told.get(told.size() - 1));
    assertTrue(told.size() > 50);
    Counter cold = new Counter();
    assertEquals(3, LatencyTest.cold(cold, 3, Progress.SILENT).calls());
    assertEquals("cold calls have no warm-up", 3, cold.calls);
  }

  @Test
  public void coldReadsOneByteOfEveryLineOfSixtyFourMegabytes() {
    assertEquals(1 << 20, new OtherMemory().read());
  }

  @Test
  public void readingOtherMemoryIsOutsideOfTheTime() throws Exception {
    // Reading 64 MB takes milliseconds, an empty call does not.
    assertTrue(LatencyTest.cold(new Counter(), 20, Progress.SILENT).percentile(50) < 500);
  }

  @Test
  public void anInterruptedThreadStops() throws Exception {
    Thread.currentThread().interrupt();
    try {
      LatencyTest.cold(new Counter(), 1000, Progress.SILENT);
      fail();
    } catch (InterruptedException expected) {
      assertTrue(!Thread.currentThread().isInterrupted());
    }
    Thread.currentThread().interrupt();
    try {
      WarmUp.of(new Counter());
      fail();
    } catch (InterruptedException expected) {
      assertTrue(!Thread.currentThread().isInterrupted());
    }
  }

  @Test
  public void aRefusedCallEndsTheTest() throws Exception {
    Call refused =
        new Call() {
          @Override
          public void run() throws ChordException {
            throw new DemoException("no");
          }
        };
    try {
      LatencyTest.warm(refused, 10, Progress.SILENT);
      fail();
    } catch (DemoException expected) {
      assertEquals("no", expected.getMessage());
    }
  }
}
