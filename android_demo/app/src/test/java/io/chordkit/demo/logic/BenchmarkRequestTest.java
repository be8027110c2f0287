package io.chordkit.demo.logic;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.HashMap;
import java.util.Map;
import org.junit.Test;

public class BenchmarkRequestTest {
  private static final String KEY = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";

  private static Map<String, Object> extras(Object... more) {
    Map<String, Object> extras = new HashMap<String, Object>();
    extras.put("bundle", "shop.chord");
    extras.put("key", KEY);
    for (int i = 0; i < more.length; i += 2) {
      extras.put((String) more[i], more[i + 1]);
    }
    return extras;
  }

  private static void refused(String extra, Object value, String wanted) {
    Map<String, Object> extras = extras("strategy", "s");
    extras.put(extra, value);
    try {
      BenchmarkRequest.of(extras);
      fail(extra + " " + value);
    } catch (DemoException expected) {
      assertTrue(expected.getMessage(), expected.getMessage().startsWith("extra " + extra + ": it must be " + wanted));
    }
  }

  @Test
  public void whatIsNotSaidIsAsDocumented() throws Exception {
    BenchmarkRequest request = BenchmarkRequest.of(extras());
    assertEquals("shop.chord", request.bundle);
    assertEquals(KEY.toLowerCase(java.util.Locale.ROOT), Hexadecimal.of(request.key()));
    assertNull(request.run);
    assertNull(request.strategy);
    assertNull(request.user);
    assertFalse(request.cold);
    assertEquals("saturated", request.mode());
    assertEquals(1000, request.iterations);
    assertEquals(0, request.leastMilliseconds);
    assertEquals(60000, request.mostMilliseconds);
    assertEquals(10, request.blockMilliseconds);
    assertEquals(20, request.adoptions);
  }

  @Test
  public void whatIsSaidIsTaken() throws Exception {
    BenchmarkRequest request =
        BenchmarkRequest.of(
            extras(
                "run", "0123abcd", "strategy", "user 1/é", "user", "u", "mode", "cold", "iterations", 1, "least_ms", 3600000, "most_ms", 1,
                "block_ms", 10000, "adoptions", 10000));
    assertEquals("0123abcd", request.run);
    assertEquals("user 1/é", request.strategy);
    assertEquals("u", request.user);
    assertTrue(request.cold);
    assertEquals("cold", request.mode());
    assertEquals(1, request.iterations);
    assertEquals(3600000, request.leastMilliseconds);
    assertEquals(1, request.mostMilliseconds);
    assertEquals(10000, request.blockMilliseconds);
    assertEquals(10000, request.adoptions);
  }

  @Test
  public void everyExtraHasItsLimits() {
    String file = "a file name without a path";
    String long101 = new String(new char[101]).replace('\0', 'a');
    for (Object bad : new Object[] {"", "../shop.chord", "a/b", ".hidden", "a\nb", "a b", "é", long101, 7, null}) {
      refused("bundle", bad, file);
    }
    for (Object bad : new Object[] {"", KEY.substring(1), KEY + "0", KEY.replace('a', 'g'), 7, null}) {
      refused("key", bad, "64 hexadecimal digits");
    }
    for (Object bad : new Object[] {"", "0123abc", "0123ABCD", "0123abcd/", "../../etc", new String(new char[33]).replace('\0', 'a'), 7}) {
      refused("run", bad, "8 to 32 of 0-9 a-f");
    }
    for (String name : new String[] {"strategy", "user"}) {
      for (Object bad : new Object[] {"", new String(new char[201]).replace('\0', 'a'), 7}) {
        refused(name, bad, "a name of 1 to 200 characters");
      }
    }
    for (Object bad : new Object[] {"", "Cold", "sparse", 7}) {
      refused("mode", bad, "saturated or cold");
    }
    Object[][] limits = {
      {"iterations", 1, 1000000}, {"least_ms", 0, 3600000}, {"most_ms", 1, 3600000}, {"block_ms", 1, 10000}, {"adoptions", 1, 10000}
    };
    for (Object[] each : limits) {
      int low = (Integer) each[1];
      int high = (Integer) each[2];
      for (Object bad : new Object[] {low - 1, high + 1, Integer.MIN_VALUE, Integer.MAX_VALUE, "5", 5L, 5.0f}) {
        refused((String) each[0], bad, "a whole number of " + low + " to " + high + " (--ei)");
      }
    }
  }

  @Test
  public void adoptionsNeedAStrategy() throws Exception {
    try {
      BenchmarkRequest.of(extras("adoptions", 20));
      fail();
    } catch (DemoException expected) {
      assertEquals("extra adoptions: it must be left out where no strategy is named", expected.getMessage());
    }
  }

  @Test
  public void theRunIsReadWhateverElseIsWrong() throws Exception {
    assertEquals("0123abcd", BenchmarkRequest.runOf(extras("run", "0123abcd", "mode", 7)));
    assertNull(BenchmarkRequest.runOf(extras()));
  }
}
