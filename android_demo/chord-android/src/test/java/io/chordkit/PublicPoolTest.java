package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import org.junit.Test;

/** Samples that the phone finds itself. */
public final class PublicPoolTest extends WithEngine {
  private PublicPool pool() throws Exception {
    return PublicPool.map(engine, Material.file("learning/pool.safetensors"));
  }

  /** Pieces of histories, one a line, as tests/android/learning_material.py writes them. */
  private static String told(Samples samples) {
    StringBuilder all = new StringBuilder();
    int lesson = 0;
    for (int place = 0; place < samples.items().limit(); place++) {
      boolean begins = lesson < samples.size() && samples.lessons().get(2 * lesson) == place;
      boolean asked = lesson < samples.size() && samples.lessons().get(2 * lesson + 1) == place;
      all.append(place == 0 ? "" : begins ? "\n" : " ").append(asked ? "*" : "").append(samples.items().get(place));
      lesson += asked ? 1 : 0;
    }
    return all.append("\n").toString();
  }

  @Test
  public void theNearestAreThoseThatPythonFinds() throws Exception {
    Samples found = pool().nearest(LearningTest.clicks(bundle, "few"), new Learning(), 30);
    assertEquals(30, found.size());
    assertEquals(Material.text("learning/nearest.txt"), told(found));
    assertNotNull(Personalisation.of(engine, LearningTest.clicks(bundle, "few"), found, new Learning()).adapter());
  }

  @Test
  public void allOfThemCanBeHadAndEachIsThereOnce() throws Exception {
    PublicPool pool = pool();
    Samples all = pool.nearest(LearningTest.clicks(bundle, "few"), new Learning(), 4096);
    assertTrue(pool.size() > 500);
    assertEquals(pool.size(), all.size());
    assertEquals(pool.size(), pool.nearest(new ClickStream(bundle.items()), new Learning(), 4096).size()); // a new user
  }

  @Test
  public void whatIsNoPublicPoolForThisBackboneIsRefused() throws Exception {
    for (final String name : Material.names("learning/pools", ".safetensors")) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          PublicPool.open(engine, ByteBuffer.wrap(Material.bytes("learning/pools/" + name + ".safetensors")));
        }
      }.assertThrowsWith(LearningException.BadSamples.class, "pool: ", Material.text("learning/pools/" + name + ".txt"));
    }
  }

  @Test
  public void noChangedByteIsTakenForAPool() throws Exception {
    byte[] whole = Material.bytes("learning/pool.safetensors");
    for (int place = 0; place < whole.length; place += 997) {
      final byte[] changed = whole.clone();
      changed[place] ^= 1;
      new Attempt() {
        @Override
        public void run() throws Exception {
          PublicPool.open(engine, ByteBuffer.wrap(changed));
        }
      }.assertThrowsWith(LearningException.BadSamples.class, "pool: ");
    }
  }
}
