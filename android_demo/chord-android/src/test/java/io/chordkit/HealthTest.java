package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;

import io.chordkit.Health.Count;
import org.junit.Test;

/** What a phone tells of how it fares. */
public final class HealthTest extends WithEngine {
  @Test
  public void theRecordIsThatOfPythonAndCountsBeginAnew() throws Exception {
    Health health = new Health();
    long value = 88573;
    for (Count each : Count.values()) { // of what are sums, and of the others the largest
      if (each == Count.STALE || each == Count.MILLISECONDS) {
        health.atLeast(each, value);
        health.atLeast(each, value / 2);
      } else {
        health.add(each, value - 1);
        health.add(each, 1);
      }
      value = (value - 1) / 3;
    }
    health.add(Count.HITS, 100000); // more than there were clicks
    assertArrayEquals(Material.bytes("learning/counted.chrh"), health.report(engine));
    assertArrayEquals(Material.bytes("learning/nothing.chrh"), health.report(engine));
    health.add(Count.CLICKS, Long.MAX_VALUE);
    assertEquals(31, health.report(engine)[16]);
  }

  @Test
  public void anAttemptToLearnIsCountedWithItsOutcome() throws Exception {
    Health health = new Health();
    health.learned(Personalisation.of(engine, LearningTest.clicks(bundle, "few"), null, new Learning()));
    health.learned(Personalisation.of(engine, LearningTest.clicks(bundle, "likely"), null, new Learning()));
    byte[] record = health.report(engine);
    assertEquals(2, record[16 + Count.TRAININGS.ordinal()]); // two: two bits
    assertEquals(1, record[16 + Count.ADOPTED.ordinal()]);
  }
}
