package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import org.junit.Test;

public class WarmUpTest {
  private static final long MS = 1000000;

  /** Calls until it is over, of {@code took(i)}; returns it. */
  private abstract static class Phone {
    abstract long took(int call);

    WarmUp warmUp() {
      WarmUp warmUp = new WarmUp();
      long elapsed = 0;
      int call = 0;
      boolean over = false;
      while (!over) {
        long took = took(call++);
        elapsed += took;
        over = warmUp.isOverAfter(took, elapsed);
      }
      assertEquals(call, warmUp.calls());
      assertEquals(elapsed / 1e9, warmUp.seconds(), 1e-12);
      return warmUp;
    }
  }

  @Test
  public void steadyCallsConvergeOnceSixtyAndAQuarterOfASecondArePast() {
    WarmUp slow =
        new Phone() {
          @Override
          long took(int call) {
            return 10 * MS;
          }
        }.warmUp();
    assertTrue(slow.converged());
    assertEquals(60, slow.calls());
    WarmUp quick =
        new Phone() {
          @Override
          long took(int call) {
            return MS;
          }
        }.warmUp();
    assertEquals(250, quick.calls());
    assertEquals(MS, quick.lastMean(), 0);
  }

  @Test
  public void aChangeWithinTheLastSixtyIsWaitedFor() {
    WarmUp warmUp =
        new Phone() {
          @Override
          long took(int call) {
            return call < 300 ? 2 * MS : MS;
          }
        }.warmUp();
    // At 250 ms both windows are old ones and agree: the change comes after.
    assertEquals(125, warmUp.calls());
    warmUp =
        new Phone() {
          @Override
          long took(int call) {
            return call < 100 ? 3 * MS : MS;
          }
        }.warmUp();
    assertEquals("84 calls are 0.25 s, all of them slow", 84, warmUp.calls());
    warmUp =
        new Phone() {
          @Override
          long took(int call) {
            return call < 70 ? 3 * MS : MS;
          }
        }.warmUp();
    assertTrue(warmUp.converged());
    // A single slow one among thirty is 6 % of their mean: none may be left.
    assertEquals(130, warmUp.calls());
    assertEquals(MS, warmUp.lastMean(), 0);
  }

  @Test
  public void fourPerCentIsTheLimit() {
    final WarmUp[] both = new WarmUp[2];
    final double[] growth = {1.041, 1.043};
    for (int i = 0; i < both.length; i++) {
      final double each = growth[i];
      both[i] =
          new Phone() {
            @Override
            long took(int call) {
              // Every thirty calls slower by so much.
              return (long) (10 * MS * Math.pow(each, call / 30));
            }
          }.warmUp();
    }
    // 1 - 1 / 1.041 = 3.94 %, 1 - 1 / 1.043 = 4.12 %
    assertTrue(both[0].converged());
    assertEquals(60, both[0].calls());
    assertTrue(both[1].calls() > 60);
  }

  @Test
  public void afterEightSecondsItIsOverInAnyCase() {
    WarmUp warmUp =
        new Phone() {
          @Override
          long took(int call) {
            // Thirty calls are 6 % slower than the thirty before.
            return (long) (MS * Math.pow(1.002, call));
          }
        }.warmUp();
    assertFalse(warmUp.converged());
    assertEquals(8, warmUp.seconds(), 0.02);
    WarmUp slow =
        new Phone() {
          @Override
          long took(int call) {
            return 1000 * MS;
          }
        }.warmUp();
    assertEquals("at least thirty", 30, slow.calls());
    assertFalse(slow.converged());
    assertEquals(1000 * MS, slow.lastMean(), 0);
  }
}
