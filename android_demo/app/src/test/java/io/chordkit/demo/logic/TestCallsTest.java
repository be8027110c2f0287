package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertSame;

import java.nio.IntBuffer;
import org.junit.Test;

public class TestCallsTest {
  private static final int[] A = {0, 2, 1};
  private static final int[] B = {3, 3, 2};

  private static void holds(int[]... histories) {
    IntBuffer[] given = new IntBuffer[histories.length];
    for (int row = 0; row < given.length; row++) {
      given[row] = IntBuffer.wrap(histories[row]);
    }
    IntBuffer[] walk = TestCalls.walk(given);
    assertEquals(2 * given.length, walk.length);
    for (int row = 0; row < walk.length; row++) {
      assertNotEquals(walk[row], walk[(row + 1) % walk.length]);
    }
    for (int row = 0; row < given.length; row++) {
      assertEquals(IntBuffer.wrap(histories[row]), walk[2 * row]);
      assertEquals(given[row].get(1), walk[2 * row + 1].get(1));
    }
  }

  @Test
  public void aHistoryNeverFollowsItself() {
    holds(A);
    holds(A, A);
    holds(A, B, B);
    holds(A, B, A);
    holds(B, A, A, A);
  }

  @Test
  public void historiesThatDifferStayAsTheyAre() {
    IntBuffer[] given = {IntBuffer.wrap(A), IntBuffer.wrap(B)};
    assertSame(given, TestCalls.walk(given));
  }
}
