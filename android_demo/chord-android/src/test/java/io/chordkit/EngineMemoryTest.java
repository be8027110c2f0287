package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.io.BufferedReader;
import java.io.FileReader;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

/** What calls leave behind: nothing on Java's heap, and nothing in the process. */
public final class EngineMemoryTest {
  /** Fewer where an emulator makes each of them slow. */
  private static final int CALLS = Integer.getInteger("chord.test.calls", 100000);

  /** Bytes by which a process grows by itself: an emulator keeps what it has translated. */
  private static final long NOISE = Integer.getInteger("chord.test.noise", 0);

  /** The smallest piece that malloc of a 64-bit system gives: what a call would leave behind, if it left anything. */
  private static final int SMALLEST_PIECE = 32;

  private interface Call {
    void run() throws Exception;
  }

  private Engine engine;
  private IntBuffer history;
  private IntBuffer candidates;
  private FloatBuffer scores;

  @Before
  public void open() throws Exception {
    engine = Engine.open(Material.map("sasrec/master.chrm"));
    engine.adopt(Material.bytes("sasrec/strategies/mixed.chrd"));
    engine.adoptUser(Material.bytes("sasrec/users/mixed.chru"));
    history = Material.ids("sasrec/full/history.i32");
    candidates = Material.ids("sasrec/full/candidates.i32");
    scores = Buffers.floatsOf(candidates.remaining());
  }

  @After
  public void close() {
    engine.close();
  }

  @Test
  public void noCallAllocatesOnTheHeap() throws Exception {
    final FloatBuffer hidden = Buffers.floatsOf(engine.dim());
    final IntBuffer items = Buffers.intsOf(7);
    final int[] pools = {2, 5};
    final FloatBuffer profile = Buffers.floatsOf(2 * engine.dim() + 1);
    assertAllocatesNothing("rerank with what was learned", personal());
    assertAllocatesNothing(
        "rerank",
        new Call() {
          @Override
          public void run() throws Exception {
            engine.rerank(history, candidates, scores);
          }
        });
    assertAllocatesNothing(
        "hidden",
        new Call() {
          @Override
          public void run() throws Exception {
            engine.hidden(history, hidden);
          }
        });
    assertAllocatesNothing(
        "score",
        new Call() {
          @Override
          public void run() throws Exception {
            engine.score(hidden, candidates, scores);
          }
        });
    assertAllocatesNothing(
        "topK",
        new Call() {
          @Override
          public void run() throws Exception {
            engine.topK(history, 7, true, items, scores);
          }
        });
    assertAllocatesNothing(
        "profile",
        new Call() {
          @Override
          public void run() throws Exception {
            engine.profile(history, pools, profile);
          }
        });
  }

  /** Asks the virtual machine, whose word for it Android does not have: by reflection, so that this compiles for Android too. */
  /** A rerank with an adapter. */
  private Call personal() throws Exception {
    final PersonalScorer scorer = new PersonalScorer(engine);
    scorer.use(Personalisation.of(engine, LearningTest.clicks(Shop.bundle("sasrec"), "few"), null, new Learning()).adapter());
    return new Call() {
      @Override
      public void run() throws Exception {
        scorer.rerank(history, candidates, scores);
        assertTrue(scorer.adapter() != null);
      }
    };
  }

  @Test
  public void learningLeavesNothing() throws Exception {
    final ClickStream clicks = LearningTest.clicks(Shop.bundle("sasrec"), "few");
    final Samples samples = Samples.read(engine, Material.bytes("learning/samples.chrs"));
    assertNoGrowth(
        CALLS / 200,
        20000, // of the memory that training takes
        new Call() {
          @Override
          public void run() throws Exception {
            Personalisation.of(engine, clicks, samples, new Learning());
          }
        });
  }

  private static void assertAllocatesNothing(String what, Call call) throws Exception {
    Object bean = Class.forName("java.lang.management.ManagementFactory").getMethod("getThreadMXBean").invoke(null);
    Method allocated = Class.forName("com.sun.management.ThreadMXBean").getMethod("getThreadAllocatedBytes", long.class);
    Object[] thread = {Thread.currentThread().getId()};
    for (int i = 0; i < 100; i++) {
      call.run();
      allocated.invoke(bean, thread); // reflection makes itself faster after some calls
    }
    long fewest = Long.MAX_VALUE;
    // What the virtual machine does once, at any time, is not what a call does.
    for (int attempt = 0; attempt < 3 && fewest != 0; attempt++) {
      long before = (Long) allocated.invoke(bean, thread);
      long between = (Long) allocated.invoke(bean, thread);
      for (int i = 0; i < 1000; i++) {
        call.run();
      }
      long after = (Long) allocated.invoke(bean, thread);
      assertTrue("the virtual machine does not count what is allocated", between > before);
      // To ask takes some bytes itself, the same each time.
      fewest = Math.min(fewest, (after - between) - (between - before));
    }
    assertEquals(what + ": bytes that 1,000 calls allocated", 0, fewest);
  }

  @Test
  public void aHundredThousandReranksLeaveNothing() throws Exception {
    assertNoGrowth(
        CALLS,
        SMALLEST_PIECE,
        new Call() {
          @Override
          public void run() throws Exception {
            engine.rerank(history, candidates, scores);
          }
        });
  }

  @Test
  public void adoptionsAndRefusalsLeaveNothing() throws Exception {
    final byte[] mixed = Material.bytes("sasrec/strategies/mixed.chrd");
    final byte[] foreign = Material.bytes("refused/strategies/foreign.chrd");
    final byte[] user = Material.bytes("sasrec/users/mixed.chru");
    assertNoGrowth(
        CALLS / 10,
        foreign.length, // what a forgotten copy of a strategy would take
        new Call() {
          @Override
          public void run() throws Exception {
            engine.adopt(mixed);
            engine.adoptUser(user);
            try {
              engine.adopt(foreign);
              throw new AssertionError("a foreign strategy is not refused");
            } catch (EngineException.BadStrategy refused) {
              // As it should.
            }
          }
        });
  }

  @Test
  public void enginesThatAreClosedGiveTheirMemoryBack() throws Exception {
    final ByteBuffer master = Material.map("sasrec/master.chrm");
    assertNoGrowth(
        CALLS / 100,
        2 * engine.channels() * engine.dim(), // two sets of weights, at the least
        new Call() {
          @Override
          public void run() throws Exception {
            Engine other = Engine.open(master);
            other.rerank(history, candidates, scores);
            other.close();
          }
        });
  }

  /** The process grows by less than half of what it would grow by, if every call left {@code piece} bytes behind. */
  private static void assertNoGrowth(int calls, int piece, Call call) throws Exception {
    for (int i = 0; i < calls / 5; i++) {
      call.run();
    }
    System.gc();
    long before = resident();
    for (int i = 0; i < calls; i++) {
      call.run();
    }
    System.gc();
    long grown = resident() - before;
    assertTrue("the process grew by " + grown + " bytes in " + calls + " calls", grown < (long) calls * piece / 2 + NOISE);
  }

  private static long resident() throws Exception {
    BufferedReader status = new BufferedReader(new FileReader("/proc/self/status"));
    try {
      for (String line = status.readLine(); line != null; line = status.readLine()) {
        if (line.startsWith("VmRSS:")) {
          return 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
        }
      }
    } finally {
      status.close();
    }
    throw new AssertionError("/proc/self/status says nothing of VmRSS");
  }
}
