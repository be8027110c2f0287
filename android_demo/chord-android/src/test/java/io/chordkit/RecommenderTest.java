package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

/** From the owner's ids to the owner's ids. */
public final class RecommenderTest {
  private Bundle bundle;
  private Engine engine;
  private Items items;
  private Recommender recommender;

  @Before
  public void open() throws Exception {
    bundle = Shop.bundle("sasrec");
    engine = bundle.engine();
    items = bundle.items();
    recommender = new Recommender(engine, items);
  }

  @After
  public void close() {
    engine.close();
  }

  @Test
  public void candidatesComeBestFirstWithTheEnginesScores() throws Exception {
    List<String> candidates = names("sasrec/full/candidates.i32");
    float[] wanted = Material.values("sasrec/full/plain-nobody/scores.f32");
    Ranking ranking = recommender.rerank(names("sasrec/full/history.i32"), candidates);
    assertEquals(candidates.size(), ranking.size());
    for (int i = 0; i < ranking.size(); i++) {
      Scored each = ranking.get(i);
      assertEquals(wanted[candidates.indexOf(each.name())], each.score(), 0);
      assertEquals(items.id(each.name()), each.id());
      assertEquals(items.title(each.id()) + "|" + items.category(each.id()), each.title() + "|" + each.category());
      assertTrue(i == 0 || ranking.get(i - 1).score() >= each.score());
    }
    assertEquals(Collections.emptyList(), ranking.unknownHistory());
    assertEquals(Collections.emptyList(), ranking.unknownCandidates());
  }

  @Test
  public void theBestOfTheCatalogueAreTheEngines() throws Exception {
    for (boolean exclude : new boolean[] {false, true}) {
      String folder = "sasrec/longer/plain-nobody/" + (exclude ? "new" : "top");
      Ranking ranking = recommender.topK(names("sasrec/longer/history.i32"), 7, exclude);
      int[] ids = Material.values(Material.ids(folder + "-items.i32"));
      float[] scores = Material.values(folder + "-scores.f32");
      assertEquals(7, ranking.size());
      for (int i = 0; i < 7; i++) {
        assertEquals(items.name(ids[i]) + " " + scores[i], ranking.get(i).toString());
      }
    }
    assertEquals(items.size(), recommender.topK(names("sasrec/one/history.i32"), Integer.MAX_VALUE, false).size());
  }

  @Test
  public void eachSaysWhatPeopleCallIt() throws Exception {
    List<String> history = names("sasrec/short/history.i32");
    Ranking ranking = recommender.rerank(history, Arrays.asList("SKU-2", "SKU-1"));
    for (Scored each : ranking) {
      boolean sock = each.name().equals("SKU-1");
      assertEquals(sock ? "Sock" : "", each.title());
      assertEquals(sock ? "wool, warm" : "wool", each.category());
    }
    for (Scored each : recommender.topK(history, items.size(), false)) {
      assertEquals(items.title(items.id(each.name())), each.title());
    }
  }

  @Test
  public void whatTheCatalogueDoesNotHaveIsLeftOutAndNamed() throws Exception {
    List<String> history = new ArrayList<String>(names("sasrec/short/history.i32"));
    List<Scored> without = recommender.rerank(history, Arrays.asList("SKU-2", "SKU-1"));
    history.add(1, "gone");
    history.add("");
    Ranking ranking = recommender.rerank(history, Arrays.asList("SKU-2", "new", "SKU-1", "new"));
    assertEquals(without.toString(), ranking.toString());
    assertEquals(Arrays.asList("gone", ""), ranking.unknownHistory());
    assertEquals(Arrays.asList("new", "new"), ranking.unknownCandidates());
    assertEquals(Arrays.asList("gone", ""), recommender.topK(history, 1, true).unknownHistory());
    assertEquals(0, recommender.rerank(history, Collections.singletonList("new")).size());
  }

  @Test
  public void aHistoryOfWhichNothingIsKnownIsRefused() {
    new Attempt() {
      @Override
      public void run() throws Exception {
        recommender.rerank(Collections.singletonList("gone"), Collections.singletonList("SKU-1"));
      }
    }.assertThrowsWith(EngineException.BadHistory.class, "no item");
    new Attempt() {
      @Override
      public void run() throws Exception {
        recommender.topK(Collections.<String>emptyList(), 3, false);
      }
    }.assertThrowsWith(EngineException.BadHistory.class, "no item");
  }

  @Test
  public void equalScoresKeepTheOrderGivenOnAnyRuntime() throws Exception {
    Scorer flat =
        new Scorer() {
          @Override
          public void rerank(IntBuffer history, IntBuffer candidates, FloatBuffer scores) {
            for (int i = 0; i < candidates.remaining(); i++) {
              scores.put(i, i == 2 ? 1 : 0);
            }
          }

          @Override
          public void close() {}
        };
    final Recommender other = new Recommender(flat, items);
    Ranking ranking = other.rerank(Collections.singletonList("SKU-1"), Arrays.asList("SKU-9", "SKU-3", "SKU-5", "SKU-1"));
    assertEquals("[SKU-5 1.0, SKU-9 0.0, SKU-3 0.0, SKU-1 0.0]", ranking.toString());
    new Attempt() {
      @Override
      public void run() throws Exception {
        other.topK(Collections.singletonList("SKU-1"), 3, false);
      }
    }.assertThrowsWith(IllegalStateException.class, "only an Engine");
  }

  @Test
  public void longListsHaveRoom() throws Exception {
    List<String> many = new ArrayList<String>();
    for (int i = 0; i < 1000; i++) {
      many.add(items.name(1 + i % items.size()));
    }
    assertEquals(1000, recommender.rerank(many, many).size());
  }

  @Test
  public void theProfileIsWhatPythonPools() throws Exception {
    int[] pools = Material.values(Material.ids("sasrec/pools.i32"));
    for (String history : new String[] {"full", "longer", "short", "one"}) {
      List<String> names = new ArrayList<String>(names("sasrec/" + history + "/history.i32"));
      names.add(0, "gone");
      Profile profile = Profile.of(engine, items, names, pools);
      float[] values = profile.values();
      assertArrayEquals(Material.values("sasrec/" + history + "/profile.f32"), values, 1e-6f); // log1p is libm's
      FloatBuffer sent = ByteBuffer.wrap(profile.bytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
      assertArrayEquals(values, Material.values(sent), 0);
      assertEquals(Collections.singletonList("gone"), profile.unknown());
    }
    assertEquals(3 * engine.dim() + 1, Profile.of(engine, items, Collections.<String>emptyList()).values().length);
  }

  private List<String> names(String file) throws Exception {
    List<String> names = new ArrayList<String>();
    for (int id : Material.values(Material.ids(file))) {
      names.add(items.name(id));
    }
    return names;
  }
}
