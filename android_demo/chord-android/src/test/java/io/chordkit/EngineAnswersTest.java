package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.Test;

/** What the engine answers is what the Python engine answers, bit for bit: all kernels of all processors return the same floats. */
public final class EngineAnswersTest {
  private static final String[] MODELS = {"sasrec", "caser"};
  private static final String[] CASES = {"full", "longer", "padded", "short", "one"};
  private static final String[] STRATEGIES = {"plain", "mixed", "off", "narrow"};
  private static final String[] USERS = {"nobody", "mixed", "stranger"};
  private static final float UNTOUCHED = -12345.5f;

  @Test
  public void everyAnswerForEveryStrategyAndUserIsPythons() throws Exception {
    Set<String> seen = new HashSet<String>();
    int compared = 0;
    for (String model : MODELS) {
      for (String strategy : STRATEGIES) {
        Engine engine = open(model);
        try {
          if (!strategy.equals("plain")) {
            engine.adopt(Material.bytes(model + "/strategies/" + strategy + ".chrd"));
          }
          for (String user : USERS) {
            engine.adoptUser(user.equals("nobody") ? null : Material.bytes(model + "/users/" + user + ".chru"));
            for (String name : CASES) {
              String answers = model + "/" + name + "/" + strategy + "-" + user + "/";
              assertAnswers(engine, model + "/" + name + "/", answers);
              seen.add(Arrays.toString(Material.values(answers + "scores.f32")));
              compared++;
            }
          }
        } finally {
          engine.close();
        }
      }
    }
    assertEquals(MODELS.length * STRATEGIES.length * USERS.length * CASES.length, compared);
    // A strategy or a user that made no difference would make this test blind to it.
    assertEquals(compared, seen.size());
  }

  @Test
  public void inAnyOrderOfCallsEveryAnswerIsPythons() throws Exception {
    Random random = new Random(0);
    for (String model : MODELS) {
      Engine engine = open(model);
      String strategy = "plain";
      String user = "nobody";
      String name = "full";
      for (int step = 0; step < 400; step++) {
        switch (random.nextInt(6)) {
          case 0:
            strategy = STRATEGIES[1 + random.nextInt(STRATEGIES.length - 1)];
            engine.adopt(Material.bytes(model + "/strategies/" + strategy + ".chrd"));
            break;
          case 1:
            user = USERS[random.nextInt(USERS.length)];
            engine.adoptUser(user.equals("nobody") ? null : Material.bytes(model + "/users/" + user + ".chru"));
            break;
          case 2:
            name = CASES[random.nextInt(CASES.length)];
            break;
          case 3: // a state that no history has
            FloatBuffer hidden = Buffers.floatsOf(engine.dim());
            hidden.put(0, 1 + step);
            IntBuffer one = Buffers.intsOf(1);
            one.put(0, 1);
            engine.score(hidden, one, Buffers.floatsOf(1));
            break;
          default: // often the history of the call before
            IntBuffer candidates = Material.ids(model + "/" + name + "/candidates.i32");
            FloatBuffer scores = Buffers.floatsOf(candidates.remaining());
            engine.rerank(Material.ids(model + "/" + name + "/history.i32"), candidates, scores);
            assertBits(model + "/" + name + "/" + strategy + "-" + user + "/scores.f32", scores);
        }
      }
      engine.close();
    }
  }

  private static void assertAnswers(Engine engine, String inputs, String answers) throws Exception {
    IntBuffer history = Material.ids(inputs + "history.i32");
    IntBuffer candidates = Material.ids(inputs + "candidates.i32");
    FloatBuffer scores = Buffers.floatsOf(candidates.remaining());
    engine.rerank(history, candidates, scores);
    assertBits(answers + "scores.f32", scores);

    FloatBuffer hidden = Buffers.floatsOf(engine.dim());
    engine.hidden(history, hidden);
    assertBits(answers + "hidden.f32", hidden);

    FloatBuffer again = Buffers.floatsOf(candidates.remaining());
    engine.score(hidden, candidates, again);
    assertBits(answers + "scores.f32", again);

    for (String which : new String[] {"top", "new"}) {
      int[] wanted = Material.values(Material.ids(answers + which + "-items.i32"));
      IntBuffer items = Buffers.intsOf(wanted.length);
      FloatBuffer best = Buffers.floatsOf(wanted.length);
      int found = engine.topK(history, wanted.length, which.equals("new"), items, best);
      assertEquals(wanted.length, found);
      assertArrayEquals(answers + which, wanted, Material.values(items));
      assertBits(answers + which + "-scores.f32", best);
    }
  }

  @Test
  public void theProfileIsPythons() throws Exception {
    for (String model : MODELS) {
      int[] pools = Material.values(Material.ids(model + "/pools.i32"));
      Engine engine = open(model);
      for (String name : CASES) {
        String inputs = model + "/" + name + "/";
        FloatBuffer profile = Buffers.floatsOf(pools.length * engine.dim() + 1);
        engine.profile(Material.ids(inputs + "history.i32"), pools, profile);
        assertBits(inputs + "profile.f32", profile);
      }
      engine.close();
    }
  }

  @Test
  public void aProfileOfNobodyIsZero() throws Exception {
    Engine engine = open("sasrec");
    FloatBuffer profile = Buffers.floatsOf(2 * engine.dim() + 1);
    for (IntBuffer nothing : new IntBuffer[] {Buffers.ints(0, 0, 0), Buffers.ints()}) {
      fill(profile);
      engine.profile(nothing, new int[] {1, 4}, profile);
      assertArrayEquals(new float[2 * engine.dim() + 1], Material.values(profile), 0f);
    }
    engine.close();
  }

  @Test
  public void widthsAreTheStrategysAndAskingAdoptsNothing() throws Exception {
    for (String model : MODELS) {
      Engine engine = open(model);
      for (String name : Material.names(model + "/strategies", ".chrd")) {
        byte[] widths = engine.widths(Material.bytes(model + "/strategies/" + name + ".chrd"));
        assertEquals(engine.channels(), widths.length);
        assertArrayEquals(Material.bytes(model + "/strategies/" + name + ".widths"), widths);
      }
      assertBits(model + "/full/plain-nobody/scores.f32", scores(engine, model + "/full/"));
      engine.close();
    }
  }

  @Test
  public void adoptingBackAndForthLeavesNoTrace() throws Exception {
    Engine engine = open("sasrec");
    String[] turns = {"mixed", "narrow", "off", "mixed", "mixed", "off", "narrow"};
    for (String strategy : turns) {
      engine.adopt(Material.bytes("sasrec/strategies/" + strategy + ".chrd"));
      assertBits("sasrec/full/" + strategy + "-nobody/scores.f32", scores(engine, "sasrec/full/"));
    }
    engine.close();
  }

  @Test
  public void aUserVectorCountsFromTheNextCallAndIsDropped() throws Exception {
    Engine engine = open("sasrec");
    byte[] vector = Material.bytes("sasrec/users/mixed.chru");
    engine.adoptUser(vector);
    Arrays.fill(vector, (byte) 0); // the caller's array is the caller's
    assertBits("sasrec/full/plain-mixed/scores.f32", scores(engine, "sasrec/full/"));
    engine.adopt(Material.bytes("sasrec/strategies/narrow.chrd"));
    assertBits("sasrec/full/narrow-mixed/scores.f32", scores(engine, "sasrec/full/"));
    engine.adoptUser(Material.bytes("sasrec/users/stranger.chru"));
    assertBits("sasrec/full/narrow-stranger/scores.f32", scores(engine, "sasrec/full/"));
    engine.adoptUser(null);
    assertBits("sasrec/full/narrow-nobody/scores.f32", scores(engine, "sasrec/full/"));
    engine.close();
  }

  @Test
  public void everyVariantOfThisProcessorGivesTheSameBits() throws Exception {
    Engine scalar = Engine.open(Material.map("sasrec/master.chrm"), "scalar");
    assertEquals("scalar", scalar.variant());
    assertBits("sasrec/full/plain-nobody/scores.f32", scores(scalar, "sasrec/full/"));
    scalar.close();
    Engine fastest = open("sasrec");
    assertNotEquals("", fastest.variant());
    assertBits("sasrec/full/plain-nobody/scores.f32", scores(fastest, "sasrec/full/"));
    fastest.close();
  }

  @Test
  public void aModelSaysWhatItIs() throws Exception {
    Engine sasrec = open("sasrec");
    assertEquals("sasrec", sasrec.architecture());
    assertEquals(120, sasrec.items());
    assertEquals(12, sasrec.maxLength());
    assertEquals(32, sasrec.dim());
    byte[] fingerprint = sasrec.fingerprint();
    byte[] digest = java.security.MessageDigest.getInstance("SHA-256").digest(Material.bytes("sasrec/master.chrm"));
    assertArrayEquals(Arrays.copyOf(digest, 8), fingerprint);
    fingerprint[0] ^= 1;
    assertArrayEquals(Arrays.copyOf(digest, 8), sasrec.fingerprint());
    sasrec.close();
    Engine caser = open("caser");
    assertEquals("caser", caser.architecture());
    assertEquals(10, caser.maxLength());
    caser.close();
  }

  @Test
  public void buffersAreReadAndWrittenFromPositionToLimitWhichStay() throws Exception {
    Engine engine = open("sasrec");
    int[] ids = Material.values(Material.ids("sasrec/full/history.i32"));
    int[] wanted = Material.values(Material.ids("sasrec/full/candidates.i32"));
    IntBuffer history = within(ids, 3, 2);
    IntBuffer candidates = within(wanted, 1, 4);
    FloatBuffer scores = Buffers.floatsOf(wanted.length + 9);
    fill(scores);
    scores.position(5).limit(5 + wanted.length);
    engine.rerank(history, candidates, scores);
    assertEquals("history", 3, history.position());
    assertEquals("history", 3 + ids.length, history.limit());
    assertEquals("candidates", 1, candidates.position());
    assertEquals("candidates", 1 + wanted.length, candidates.limit());
    assertEquals("scores", 5, scores.position());
    assertEquals("scores", 5 + wanted.length, scores.limit());
    assertBits("sasrec/full/plain-nobody/scores.f32", scores);
    assertUntouched(scores, 5, 5 + wanted.length);

    FloatBuffer hidden = Buffers.floatsOf(engine.dim() + 7);
    fill(hidden);
    hidden.position(2);
    engine.hidden(history, hidden);
    assertEquals(2, hidden.position());
    assertUntouched(hidden, 2, 2 + engine.dim());
    hidden.limit(2 + engine.dim());
    assertBits("sasrec/full/plain-nobody/hidden.f32", hidden);

    fill(scores);
    engine.score(hidden, candidates, scores);
    assertBits("sasrec/full/plain-nobody/scores.f32", scores);
    assertUntouched(scores, 5, 5 + wanted.length);
    assertEquals(2, hidden.position());

    int[] best = Material.values(Material.ids("sasrec/full/plain-nobody/top-items.i32"));
    IntBuffer items = Buffers.intsOf(best.length + 6);
    items.position(4);
    fill(scores);
    assertEquals(best.length, engine.topK(history, best.length, false, items, scores));
    assertEquals(4, items.position());
    assertArrayEquals(best, Arrays.copyOfRange(Material.values((IntBuffer) items.duplicate().clear()), 4, 4 + best.length));
    assertUntouched(scores, 5, 5 + best.length);

    int[] pools = Material.values(Material.ids("sasrec/pools.i32"));
    FloatBuffer profile = Buffers.floatsOf(pools.length * engine.dim() + 4);
    fill(profile);
    profile.position(1);
    engine.profile(history, pools, profile);
    assertEquals(1, profile.position());
    assertUntouched(profile, 1, 2 + pools.length * engine.dim());
    profile.limit(2 + pools.length * engine.dim());
    assertBits("sasrec/full/profile.f32", profile);
    engine.close();
  }

  @Test
  public void slicesAndReadOnlyInputsAreAsGoodAsBuffers() throws Exception {
    Engine engine = open("sasrec");
    int[] ids = Material.values(Material.ids("sasrec/full/history.i32"));
    int[] wanted = Material.values(Material.ids("sasrec/full/candidates.i32"));
    FloatBuffer room = Buffers.floatsOf(wanted.length + 3);
    fill(room);
    room.position(3);
    FloatBuffer scores = room.slice();
    engine.rerank(within(ids, 7, 1).slice().asReadOnlyBuffer(), within(wanted, 2, 3).slice().asReadOnlyBuffer(), scores);
    assertBits("sasrec/full/plain-nobody/scores.f32", scores);
    assertUntouched(room, 3, 3 + wanted.length);
    engine.close();
  }

  @Test
  public void aMasterMayLieAtAnyMultipleOfFourInABuffer() throws Exception {
    byte[] master = Material.bytes("sasrec/master.chrm");
    for (int before : new int[] {0, 4, 64}) {
      ByteBuffer data = ByteBuffer.allocateDirect(before + master.length + 5);
      data.position(before);
      data.put(master);
      data.position(before).limit(before + master.length);
      Engine engine = Engine.open(data);
      assertEquals(before, data.position());
      assertBits("sasrec/full/plain-nobody/scores.f32", scores(engine, "sasrec/full/"));
      engine.close();
    }
  }

  @Test
  public void aCatalogueThatEndsGivesFewerItems() throws Exception {
    Engine engine = open("sasrec");
    IntBuffer history = Material.ids("sasrec/full/history.i32");
    int distinct = 0;
    boolean[] known = new boolean[engine.items() + 1];
    for (int id : Material.values(history)) {
      distinct += known[id] ? 0 : 1;
      known[id] = true;
    }
    int room = engine.items() + 10;
    IntBuffer items = Buffers.intsOf(room);
    FloatBuffer scores = Buffers.floatsOf(room);
    assertEquals(engine.items(), engine.topK(history, room, false, items, scores));
    assertEquals(engine.items() - distinct, engine.topK(history, room, true, items, scores));
    for (int i = 0; i < engine.items() - distinct; i++) {
      assertFalse("an item of the history", known[items.get(i)]);
      assertTrue(i == 0 || scores.get(i - 1) >= scores.get(i));
    }
    engine.close();
  }

  private static Engine open(String model) throws Exception {
    return Engine.open(Material.map(model + "/master.chrm"));
  }

  private static FloatBuffer scores(Engine engine, String inputs) throws Exception {
    IntBuffer candidates = Material.ids(inputs + "candidates.i32");
    FloatBuffer scores = Buffers.floatsOf(candidates.remaining());
    engine.rerank(Material.ids(inputs + "history.i32"), candidates, scores);
    return scores;
  }

  private static void assertBits(String name, FloatBuffer found) throws Exception {
    assertArrayEquals(name, Material.bits(Material.values(name)), Material.bits(Material.values(found)));
  }

  private static void fill(FloatBuffer buffer) {
    for (int i = 0; i < buffer.capacity(); i++) {
      FloatBuffer all = buffer.duplicate();
      all.clear();
      all.put(i, UNTOUCHED);
    }
  }

  /** Everything outside {@code from..to} is as {@link #fill} left it. */
  private static void assertUntouched(FloatBuffer buffer, int from, int to) {
    FloatBuffer all = buffer.duplicate();
    all.clear();
    for (int i = 0; i < all.capacity(); i++) {
      assertEquals("number " + i, i < from || i >= to, all.get(i) == UNTOUCHED);
    }
  }

  /** Ids with others around them, of items that do not exist: position and limit stand at the ids. */
  private static IntBuffer within(int[] ids, int before, int after) {
    IntBuffer buffer = Buffers.intsOf(before + ids.length + after);
    for (int i = 0; i < buffer.capacity(); i++) {
      buffer.put(i, -1);
    }
    buffer.position(before);
    buffer.put(ids);
    buffer.position(before).limit(before + ids.length);
    return buffer;
  }
}
