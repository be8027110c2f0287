package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.Test;

/** From clicks to what the engine and the cloud take. */
public final class ClickStreamTest extends WithEngine {
  private static int[] newest(ClickStream clicks, int most) {
    return Material.values(clicks.newest(most));
  }

  @Test
  public void theNewestAreKeptInTheirOrder() throws Exception {
    ClickStream clicks = new ClickStream(bundle.items(), 4);
    assertEquals(0, clicks.newest(9).remaining());
    clicks.addAll(Arrays.asList("SKU-7", "SKU-3", "SKU-7"));
    assertArrayEquals(new int[] {7, 3, 7}, newest(clicks, 9));
    assertArrayEquals(new int[] {3, 7}, newest(clicks, 2));
    assertEquals(0, clicks.newest(0).remaining());
    for (int turn = 1; turn <= 10; turn++) {
      assertTrue(clicks.add("SKU-" + (10 + turn)));
    }
    assertArrayEquals(new int[] {17, 18, 19, 20}, newest(clicks, 9));
    assertEquals(4, clicks.size());
    assertEquals(13, clicks.total());
    clicks.clear();
    assertEquals(0, clicks.size());
    assertTrue(clicks.add("SKU-1"));
    assertArrayEquals(new int[] {1}, newest(clicks, 9));
  }

  @Test
  public void whatTheCatalogueDoesNotHaveIsCountedAndNotKept() throws Exception {
    ClickStream clicks = new ClickStream(bundle.items());
    assertFalse(clicks.add("SKU-0"));
    assertFalse(clicks.add(""));
    assertTrue(clicks.add("SKU-5"));
    assertEquals(2, clicks.unknown());
    assertEquals(1, clicks.total());
    assertArrayEquals(new int[] {5}, newest(clicks, 9));
  }

  @Test
  public void theHistoryIsOneForTheEngineAndTheProfileIsThatOfTheClicks() throws Exception {
    List<String> names = new ArrayList<String>();
    ClickStream clicks = new ClickStream(bundle.items());
    for (int id : Material.values(Material.ids("sasrec/longer/history.i32"))) {
      names.add(bundle.items().name(id));
    }
    clicks.addAll(names);
    assertArrayEquals(
        Material.bits(Profile.of(engine, bundle.items(), names).values()), Material.bits(clicks.profile(engine).values()));
    FloatBuffer scores = Buffers.floatsOf(37);
    engine.rerank(clicks.newest(engine.maxLength()), Material.ids("sasrec/longer/candidates.i32"), scores);
    assertArrayEquals(
        Material.bits(Material.values("sasrec/longer/plain-nobody/scores.f32")), Material.bits(Material.values(scores)));
    assertArrayEquals(
        Profile.of(engine, bundle.items(), Collections.<String>emptyList()).values(),
        new ClickStream(bundle.items()).profile(engine).values(),
        0);
  }

  @Test
  public void theCloudIsAskedForSamplesWithWhatIsNotExamined() throws Exception {
    List<String> names = new ArrayList<String>();
    ClickStream clicks = new ClickStream(bundle.items());
    for (int count = 1; count <= 41; count++) {
      names.add("SKU-" + count);
    }
    clicks.addAll(names);
    int[] own = {100, 20};
    int[] before = {1 + 8, 21 + 4}; // the first lesson has one click before it; a fifth of 40, and of 20, is not examined
    for (int i = 0; i < own.length; i++) {
      float[] asked = clicks.profileForSamples(engine, new Learning().ownClicks(own[i])).values();
      float[] wanted = Profile.of(engine, bundle.items(), names.subList(0, before[i])).values();
      assertArrayEquals(Material.bits(wanted), Material.bits(asked));
    }
  }

  @Test
  public void aStreamOfOneClickIsRefused() {
    new Attempt() {
      @Override
      public void run() throws Exception {
        new ClickStream(bundle.items(), 1);
      }
    }.assertThrows(IllegalArgumentException.class, "capacity: 1 is not possible, keep 2 clicks or more");
  }
}
