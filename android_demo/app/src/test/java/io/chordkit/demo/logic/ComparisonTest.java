package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.Test;

public class ComparisonTest {
  private static final List<String> OWN = Arrays.asList("d", "a", "c", "b");
  private static final List<String> SHARED = Arrays.asList("a", "b", "c", "d");

  @Test
  public void risesAreAgainstTheOtherList() {
    Comparison both = new Comparison(OWN, SHARED, "d");
    int[] personal = {3, -1, 0, -2};
    int[] shared = {1, 2, 0, -3};
    for (int i = 0; i < 4; i++) {
      assertEquals(OWN.get(i), both.personal.get(i).id);
      assertEquals(i + 1, both.personal.get(i).rank);
      assertEquals(personal[i], both.personal.get(i).rise());
      assertEquals(SHARED.get(i), both.shared.get(i).id);
      assertEquals(shared[i], both.shared.get(i).rise());
    }
    assertEquals(3, both.moved);
    assertEquals(1, both.takenPersonal());
    assertEquals(4, both.takenShared());
    assertTrue(both.personal.get(0).taken);
    assertFalse(both.personal.get(1).taken);
  }

  @Test
  public void whatWasTakenMayBeNoCandidate() {
    Comparison same = new Comparison(OWN, OWN, "z");
    assertEquals(0, same.takenPersonal());
    assertEquals(0, same.takenShared());
    assertEquals(0, same.moved);
  }

  @Test
  public void listsOfOtherItemsAreNotCompared() {
    String[][] others = {{"a", "b", "c"}, {"a", "b", "c", "e"}, {"a", "a", "b", "c", "d"}};
    for (String[] each : others) {
      List<String> other = Arrays.asList(each);
      for (int turn = 0; turn < 2; turn++) {
        try {
          new Comparison(turn == 0 ? OWN : other, turn == 0 ? other : OWN, "a");
          fail(other.toString());
        } catch (IllegalArgumentException expected) {
          assertTrue(expected.getMessage().startsWith("the two lists differ in more than their order"));
        }
      }
    }
    assertEquals(0, new Comparison(Collections.<String>emptyList(), Collections.<String>emptyList(), "a").moved);
  }
}
