package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

/** What a phone learns of its user, and what it does with it. */
public final class LearningTest {
  private Bundle bundle;
  private Engine engine;
  private IntBuffer history;
  private IntBuffer candidates;

  @Before
  public void open() throws Exception {
    bundle = Shop.bundle("sasrec");
    engine = bundle.engine();
    history = Material.ids("sasrec/full/history.i32");
    candidates = Material.ids("sasrec/full/candidates.i32");
  }

  @After
  public void close() {
    engine.close();
  }

  static ClickStream clicks(Bundle bundle, String name) throws Exception {
    ClickStream clicks = new ClickStream(bundle.items());
    clicks.addAll(Arrays.asList(Material.text("learning/" + name + ".txt").split("\n")));
    return clicks;
  }

  private Personalisation learned(String name) throws Exception {
    return Personalisation.of(engine, clicks(bundle, name), samples(), new Learning());
  }

  private Samples samples() throws Exception {
    return Samples.read(engine, Material.bytes("learning/samples.chrs"));
  }

  private float[] values(Scorer scorer) throws Exception {
    FloatBuffer scores = Buffers.floatsOf(candidates.remaining());
    scorer.rerank(history, candidates, scores);
    return Material.values(scores);
  }

  private int[] scores(Scorer scorer) throws Exception {
    return Material.bits(values(scorer));
  }

  @Test
  public void samplesAreThoseThatWereSent() throws Exception {
    Samples samples = samples();
    String[] lines = Material.text("learning/samples.txt").split("\n");
    assertEquals(lines.length, samples.items().remaining());
    int found = 0;
    for (int place = 0; place < lines.length; place++) {
      assertEquals(Integer.parseInt(lines[place].replace("*", "")), samples.items().get(place));
      if (lines[place].startsWith("*")) {
        assertEquals(place, samples.lessons().get(2 * found + 1));
        found++;
      }
    }
    assertEquals(12, found);
    assertEquals(found, samples.size());
  }

  @Test
  public void samplesThatAreNotWholeOrForAnotherBackboneAreRefusedByTheCheckThatThePythonDecoderNames() throws Exception {
    for (final String name : Material.names("learning/refused", ".chrs")) {
      String sentence = Material.text("learning/refused/" + name + ".txt");
      Attempt reading =
          new Attempt() {
            @Override
            public void run() throws Exception {
              Samples.read(engine, Material.bytes("learning/refused/" + name + ".chrs"));
            }
          };
      reading.assertThrowsWith(LearningException.BadSamples.class, sentence.substring(0, sentence.indexOf(": ", "samples: ".length()) + 2));
    }
    assertEquals(12, samples().size());
  }

  @Test
  public void aTasteIsLearnedAndMovesTheScores() throws Exception {
    Personalisation made = learned("few");
    assertNotNull(made.adapter());
    assertTrue(made.hadEnough());
    assertEquals(39, made.own());
    assertEquals(12, made.outside());
    assertEquals(6, made.kept());
    assertTrue(made.leastGain() > 1 && made.gain() > made.leastGain());
    assertTrue(made.milliseconds() > 0);
    PersonalScorer scorer = new PersonalScorer(engine);
    int[] frozen = scores(engine);
    assertArrayEquals(frozen, scores(scorer));
    scorer.use(made.adapter());
    assertFalse(Arrays.equals(frozen, scores(scorer)));
    assertArrayEquals(frozen, scores(engine));
    scorer.use(null);
    assertArrayEquals(frozen, scores(scorer));
  }

  @Test
  public void itLearnsWhatPythonsBindingLearns() throws Exception {
    for (String strategy : new String[] {"plain", "mixed"}) {
      if (!strategy.equals("plain")) {
        engine.adopt(Material.bytes("sasrec/strategies/" + strategy + ".chrd"));
      }
      String folder = "learning/" + strategy + "/";
      Personalisation made = learned("few");
      assertArrayEquals(Material.values(Material.ids(folder + "counts.i32")), new int[] {made.own(), made.outside(), made.kept()});
      // Another architecture rounds another way in places, which ten steps carry on: it learns nearly the same there.
      boolean same = System.getProperty("os.arch").equals("amd64") == Material.text("learning/machine.txt").equals("x86_64");
      float[] gate = Material.values(folder + "gate.f32");
      assertEquals(gate[1] - gate[0], Math.log(made.gain()), same ? 1e-5 : 1e-3);
      assertEquals(gate[2], Math.log(made.leastGain()), same ? 1e-5 : 1e-3);
      PersonalScorer scorer = new PersonalScorer(engine);
      scorer.use(Adapter.read(engine, Material.bytes(folder + "adapter.chra"), 1));
      float[] wanted = Material.values(folder + "scores.f32");
      assertArrayEquals(wanted, values(scorer), same ? 0 : 1e-4f);
      scorer.use(made.adapter());
      assertArrayEquals(wanted, values(scorer), same ? 0 : 0.05f);
      if (same) {
        assertArrayEquals(Material.bytes(folder + "adapter.chra"), made.adapter().bytes());
      }
    }
  }

  @Test
  public void theTasteComesToTheTop() throws Exception {
    PersonalScorer scorer = new PersonalScorer(engine);
    scorer.use(learned("few").adapter());
    List<String> taste = Arrays.asList("SKU-3", "SKU-17", "SKU-40", "SKU-77", "SKU-101");
    List<String> names = new ArrayList<String>();
    for (int id = 1; id < engine.items(); id++) {
      names.add("SKU-" + id);
    }
    int before = 0;
    int after = 0;
    for (int place = 0; place < 10; place++) {
      before += taste.contains(new Recommender(engine, bundle.items()).rerank(taste, names).get(place).name()) ? 1 : 0;
      after += taste.contains(new Recommender(scorer, bundle.items()).rerank(taste, names).get(place).name()) ? 1 : 0;
    }
    assertTrue(before + " of the taste among the ten best before, " + after + " after", after > before);
  }

  @Test
  public void theBestOfTheCatalogueAreThoseOfRerankingAllOfIt() throws Exception {
    PersonalScorer scorer = new PersonalScorer(engine);
    IntBuffer items = Buffers.intsOf(9);
    FloatBuffer best = Buffers.floatsOf(9);
    int[] first = new int[2];
    for (int turn = 0; turn < 2; turn++) {
      int[] all = new int[engine.items()];
      for (int i = 0; i < all.length; i++) {
        all[i] = i + 1;
      }
      candidates = Buffers.ints(all);
      FloatBuffer scores = Buffers.floatsOf(all.length);
      scorer.rerank(history, candidates, scores);
      for (boolean exclude : new boolean[] {false, true}) {
        assertEquals(9, scorer.topK(history, 9, exclude, items, best));
        boolean[] taken = new boolean[all.length + 1];
        for (int i = 0; exclude && i < history.limit(); i++) {
          taken[history.get(i)] = true;
        }
        for (int place = 0; place < 9; place++) {
          int wanted = 0;
          for (int id = 1; id <= all.length; id++) {
            wanted = !taken[id] && (wanted == 0 || scores.get(id - 1) > scores.get(wanted - 1)) ? id : wanted;
          }
          assertEquals(wanted, items.get(place));
          assertEquals(scores.get(wanted - 1), best.get(place), 0);
          taken[wanted] = true;
        }
        first[turn] = items.get(0);
      }
      assertEquals(all.length, scorer.topK(history, 300, false, Buffers.intsOf(300), Buffers.floatsOf(300)));
      scorer.use(learned("few").adapter());
    }
    assertEquals("SKU-" + first[1], new Recommender(scorer, bundle.items()).topK(names(history), 1, true).get(0).name());
    assertTrue(first[0] != first[1]);
  }

  private List<String> names(IntBuffer ids) throws Exception {
    List<String> names = new ArrayList<String>();
    for (int i = 0; i < ids.limit(); i++) {
      names.add(bundle.items().name(ids.get(i)));
    }
    return names;
  }

  @Test
  public void theSameClicksGiveTheSameBytesAndWhatIsReadFromThemScoresTheSame() throws Exception {
    Adapter one = learned("few").adapter();
    Adapter other = learned("few").adapter();
    assertArrayEquals(one.bytes(), other.bytes());
    PersonalScorer scorer = new PersonalScorer(engine);
    scorer.use(one);
    int[] moved = scores(scorer);
    scorer.use(Adapter.read(engine, one.bytes(), 1));
    assertArrayEquals(moved, scores(scorer));
    assertEquals(one.biases(), Adapter.read(engine, one.bytes(), 1).biases());
  }

  @Test
  public void whatTheModelKnewAlreadyIsNotLearned() throws Exception {
    Personalisation made = learned("likely");
    assertNull(made.adapter());
    assertTrue(made.hadEnough());
    assertTrue(made.leastGain() <= 1);
    assertEquals(0, made.kept());
  }

  @Test
  public void fromTooFewClicksNothingIsLearned() throws Exception {
    ClickStream clicks = new ClickStream(bundle.items());
    for (int count = 0; count <= 8; count++) {
      Personalisation made = Personalisation.of(engine, clicks, samples(), new Learning());
      assertNull(made.adapter());
      assertFalse(made.hadEnough());
      assertEquals(0, made.leastGain(), 0);
      assertEquals(Math.max(0, count - 1), made.own());
      clicks.add("SKU-" + (3 + count % 2));
    }
    assertTrue(learned("few").hadEnough());
  }

  @Test
  public void asManyClicksAsWereAskedForAreLearnedFrom() throws Exception {
    Personalisation made = Personalisation.of(engine, clicks(bundle, "few"), null, new Learning().ownClicks(30));
    assertEquals(30, made.own());
    assertEquals(0, made.outside());
    assertNotNull(made.adapter());
  }

  @Test
  public void anAdapterIsForTheStrategyAndTheUserVectorThatItWasTrainedUnder() throws Exception {
    byte[] mixed = Material.bytes("sasrec/strategies/mixed.chrd");
    engine.adopt(mixed);
    final Adapter adapter = learned("few").adapter();
    PersonalScorer scorer = new PersonalScorer(engine);
    scorer.use(adapter);
    int[] moved = scores(scorer);
    engine.adopt(Material.bytes("sasrec/strategies/off.chrd"));
    assertNull(scorer.adapter());
    assertArrayEquals(scores(engine), scores(scorer));
    new Attempt() {
      @Override
      public void run() throws Exception {
        Adapter.read(engine, adapter.bytes(), 1);
      }
    }.assertThrowsWith(LearningException.BadAdapter.class, "adapter: strategy: ");
    engine.adopt(mixed);
    assertArrayEquals(moved, scores(scorer));
    engine.adoptUser(Material.bytes("sasrec/users/mixed.chru"));
    assertArrayEquals(scores(engine), scores(scorer));
    engine.adoptUser(null);
    assertArrayEquals(moved, scores(scorer));
  }

  @Test
  public void theOtherBackboneLearnsToo() throws Exception {
    engine.close();
    bundle = Shop.bundle("caser");
    engine = bundle.engine();
    history = Material.ids("caser/full/history.i32");
    PersonalScorer scorer = new PersonalScorer(engine);
    int[] frozen = scores(scorer);
    Personalisation made = Personalisation.of(engine, clicks(bundle, "few"), null, new Learning());
    assertTrue(made.leastGain() > 1);
    scorer.use(made.adapter());
    assertFalse(Arrays.equals(frozen, scores(scorer)));
  }

  @Test
  public void whatWasReadForAnotherBackboneIsNotUsed() throws Exception {
    final Adapter adapter = learned("few").adapter();
    final Samples samples = samples();
    try (final Engine other = Shop.bundle("caser").engine()) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          new PersonalScorer(other).use(adapter);
        }
      }.assertThrowsWith(IllegalArgumentException.class, "adapter: it was read for an engine of another backbone");
      new Attempt() {
        @Override
        public void run() throws Exception {
          Adapter.read(other, adapter.bytes(), 1);
        }
      }.assertThrowsWith(LearningException.BadAdapter.class, "adapter: fingerprint: ");
      new Attempt() {
        @Override
        public void run() throws Exception {
          Personalisation.of(other, clicks(bundle, "few"), samples, new Learning());
        }
      }.assertThrowsWith(IllegalArgumentException.class, "samples: they were read for another engine");
    }
    try (Engine same = bundle.engine()) {
      PersonalScorer scorer = new PersonalScorer(same);
      scorer.use(adapter);
      assertNotNull(scorer.adapter());
    }
  }

  @Test
  public void aDamagedAdapterIsRefused() throws Exception {
    byte[] whole = learned("few").adapter().bytes();
    for (int place : new int[] {0, 4, 8, 30, whole.length / 2, whole.length - 1}) {
      final byte[] spoilt = whole.clone();
      spoilt[place] ^= 1;
      refused(spoilt);
    }
    for (int length : new int[] {0, 1, 40, whole.length - 1}) {
      refused(Arrays.copyOf(whole, length));
    }
    refused(Arrays.copyOf(whole, whole.length + 1));
  }

  private void refused(final byte[] adapter) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        Adapter.read(engine, adapter, 1);
      }
    }.assertThrowsWith(LearningException.BadAdapter.class, "adapter: ");
  }

  @Test
  public void itRefusesWhatTheEngineRefuses() throws Exception {
    final PersonalScorer scorer = new PersonalScorer(engine);
    scorer.use(learned("few").adapter());
    final FloatBuffer room = Buffers.floatsOf(1);
    new Attempt() {
      @Override
      public void run() throws Exception {
        scorer.rerank(history, Buffers.ints(engine.items() + 1), room);
      }
    }.assertThrowsWith(EngineException.BadCandidate.class, "");
    new Attempt() {
      @Override
      public void run() throws Exception {
        scorer.rerank(Buffers.ints(0), Buffers.ints(1), room);
      }
    }.assertThrowsWith(EngineException.BadHistory.class, "");
    new Attempt() {
      @Override
      public void run() throws Exception {
        scorer.rerank(history, Buffers.ints(1, 2), room);
      }
    }.assertThrows(IllegalArgumentException.class, "scores: the buffer has room for 1, and 2 are needed");
    engine.close();
    new Attempt() {
      @Override
      public void run() throws Exception {
        scorer.rerank(history, Buffers.ints(1), room);
      }
    }.assertThrowsWith(IllegalStateException.class, "closed");
  }

  @Test
  public void whatIsLearnedWhileAnotherStrategyIsAdoptedIsThrownAway() throws Exception {
    final byte[][] strategies = {Material.bytes("sasrec/strategies/mixed.chrd"), Material.bytes("sasrec/strategies/off.chrd")};
    final AtomicReference<Throwable> wrong = new AtomicReference<Throwable>();
    Thread adopting =
        new Thread() {
          @Override
          public void run() {
            try {
              for (int turn = 0; !isInterrupted(); turn++) {
                engine.adopt(strategies[turn % 2]);
              }
            } catch (EngineException problem) {
              wrong.set(problem);
            }
          }
        };
    adopting.start();
    int superseded = 0;
    long end = System.nanoTime() + 20000000000L;
    try {
      while (superseded < 3 && System.nanoTime() < end) {
        try {
          learned("few");
        } catch (LearningException.Superseded expected) {
          superseded++;
        }
      }
    } finally {
      adopting.interrupt();
      adopting.join();
    }
    assertNull(String.valueOf(wrong.get()), wrong.get());
    assertEquals(3, superseded);
    assertNotNull(learned("few").adapter());
  }
}
