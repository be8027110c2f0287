package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.Test;

/**
 * One engine and many threads. Freed memory is overwritten while these tests run (MALLOC_PERTURB_ of glibc), so that what is used after it
 * was given back gives wrong scores.
 */
public final class EngineThreadsTest {
  private static final int THREADS = 10;
  private static final int CALLS = 300;
  private static final long OVERLAP_NS = 30000000;
  private static final long PATIENCE_MS = 60000;

  /** A thread that hands on what it ends with. */
  private abstract static class Worker extends Thread {
    private volatile Throwable thrown;

    abstract void work() throws Exception;

    @Override
    public final void run() {
      try {
        work();
      } catch (Throwable thrown) {
        this.thrown = thrown;
      }
    }

    final void await() throws Exception {
      join(PATIENCE_MS);
      assertTrue("a thread does not end", !isAlive());
      if (thrown != null) {
        throw new AssertionError("a thread failed: " + thrown, thrown);
      }
    }
  }

  /** A rerank with buffers of its own, and the names of the answers that it may give. */
  private static final class Question {
    final IntBuffer history = ids("history.i32");
    final IntBuffer candidates = ids("candidates.i32");
    final FloatBuffer scores = Buffers.floatsOf(candidates.remaining());

    private static IntBuffer ids(String name) {
      try {
        return Material.ids("sasrec/full/" + name);
      } catch (java.io.IOException error) {
        throw new AssertionError(error);
      }
    }

    /** The number of the answer among {@code answers}; -1 = it is none of them. */
    int ask(Engine engine, int[][] answers) throws Exception {
      engine.rerank(history, candidates, scores);
      int[] bits = Material.bits(Material.values(scores));
      for (int i = 0; i < answers.length; i++) {
        if (Arrays.equals(bits, answers[i])) {
          return i;
        }
      }
      return -1;
    }
  }

  private static int[] answer(String strategyAndUser) throws Exception {
    return Material.bits(Material.values("sasrec/full/" + strategyAndUser + "/scores.f32"));
  }

  private static Engine open() throws Exception {
    return Engine.open(Material.map("sasrec/master.chrm"));
  }

  private static byte[] strategy(String name) throws Exception {
    return Material.bytes("sasrec/strategies/" + name + ".chrd");
  }

  @Test
  public void tenThreadsWithAdoptionsMeanwhileSeeOneStrategyOrTheOther() throws Exception {
    final Engine engine = open();
    final byte[][] strategies = {strategy("mixed"), strategy("narrow")};
    final int[][] answers = {answer("mixed-nobody"), answer("narrow-nobody")};
    engine.adopt(strategies[0]);
    final CountDownLatch start = new CountDownLatch(1);
    final AtomicInteger[] seen = {new AtomicInteger(), new AtomicInteger()};
    final AtomicInteger left = new AtomicInteger(THREADS);
    Worker[] workers = new Worker[THREADS];
    for (int i = 0; i < THREADS; i++) {
      workers[i] =
          new Worker() {
            @Override
            void work() throws Exception {
              try {
                Question question = new Question();
                start.await();
                long patience = System.nanoTime() + 1000000 * PATIENCE_MS;
                // On a busy machine the calls of all threads may be over before a second strategy was adopted.
                for (int call = 0; call < CALLS || seen[0].get() == 0 || seen[1].get() == 0; call++) {
                  int which = question.ask(engine, answers);
                  assertTrue("neither the one strategy's scores nor the other's", which >= 0);
                  seen[which].incrementAndGet();
                  assertTrue("one of two strategies is never in use", System.nanoTime() < patience);
                }
              } finally {
                left.decrementAndGet();
              }
            }
          };
      workers[i].start();
    }
    start.countDown();
    int adopted = 0;
    while (left.get() > 0) {
      try {
        engine.adopt(strategies[++adopted % 2]);
      } catch (EngineException.Busy busy) {
        // Allowed: the strategy in use stays.
      }
      Thread.yield();
    }
    for (Worker worker : workers) {
      worker.await();
    }
    assertTrue(seen[0].get() > 0 && seen[1].get() > 0 && seen[0].get() + seen[1].get() >= THREADS * CALLS);
    engine.close();
  }

  @Test
  public void userVectorsChangeForCallsThatBeginLater() throws Exception {
    final Engine engine = open();
    final int[][] answers = {answer("plain-nobody"), answer("plain-mixed")};
    final byte[][] users = {null, Material.bytes("sasrec/users/mixed.chru")};
    final AtomicInteger left = new AtomicInteger(4);
    Worker[] workers = new Worker[4];
    for (int i = 0; i < workers.length; i++) {
      workers[i] =
          new Worker() {
            @Override
            void work() throws Exception {
              try {
                Question question = new Question();
                for (int call = 0; call < CALLS; call++) {
                  assertTrue("neither with the user vector nor without", question.ask(engine, answers) >= 0);
                }
              } finally {
                left.decrementAndGet();
              }
            }
          };
      workers[i].start();
    }
    Question own = new Question();
    for (int turn = 1; left.get() > 0; turn++) {
      engine.adoptUser(users[turn % 2]);
      assertEquals(turn % 2, own.ask(engine, answers));
    }
    for (Worker worker : workers) {
      worker.await();
    }
    engine.close();
  }

  @Test
  public void oneAdoptionIsEveryThreads() throws Exception {
    final Engine engine = open();
    String[] users = {"nobody", "mixed", "stranger", "nobody"};
    for (int turn = 0; turn < users.length; turn++) {
      byte[] vector = users[turn].equals("nobody") ? null : Material.bytes("sasrec/users/" + users[turn] + ".chru");
      engine.adoptUser(vector);
      if (vector != null) {
        Arrays.fill(vector, (byte) 0); // the caller's array is the caller's
      }
      final int[][] answers = {answer("plain-" + users[turn])};
      Worker[] workers = new Worker[4];
      final CountDownLatch start = new CountDownLatch(workers.length);
      for (int i = 0; i < workers.length; i++) {
        workers[i] =
            new Worker() {
              @Override
              void work() throws Exception {
                Question question = new Question();
                start.countDown();
                start.await();
                // Long enough for calls to overlap, so that each thread needs a session of its own.
                for (long end = System.nanoTime() + OVERLAP_NS; System.nanoTime() < end; ) {
                  assertEquals("the scores of another user", 0, question.ask(engine, answers));
                }
              }
            };
        workers[i].start();
      }
      for (Worker worker : workers) {
        worker.await();
      }
    }
    engine.close();
  }

  @Test
  public void closingWaitsForNobodyAndBreaksNothingThatRuns() throws Exception {
    final int[][] answers = {answer("plain-nobody")};
    for (int round = 0; round < 20; round++) {
      final Engine engine = open();
      final CountDownLatch running = new CountDownLatch(1);
      Worker[] workers = new Worker[4];
      for (int i = 0; i < workers.length; i++) {
        workers[i] =
            new Worker() {
              @Override
              void work() throws Exception {
                Question question = new Question();
                try {
                  while (true) {
                    assertEquals("a call under way gave wrong scores", 0, question.ask(engine, answers));
                    running.countDown();
                  }
                } catch (IllegalStateException closed) {
                  assertEquals("the engine is closed; open another one", closed.getMessage());
                } finally {
                  running.countDown();
                }
              }
            };
        workers[i].start();
      }
      running.await();
      engine.close();
      // Takes memory that was given back, where it was given back too early.
      Engine other = open();
      assertEquals(0, new Question().ask(other, answers));
      for (Worker worker : workers) {
        worker.await();
      }
      other.close();
      engine.close();
    }
  }

  @Test
  public void manyThreadsMayCloseAtOnce() throws Exception {
    for (int round = 0; round < 20; round++) {
      final Engine engine = open();
      Worker[] workers = new Worker[4];
      for (int i = 0; i < workers.length; i++) {
        workers[i] =
            new Worker() {
              @Override
              void work() {
                engine.close();
              }
            };
        workers[i].start();
      }
      for (Worker worker : workers) {
        worker.await();
      }
    }
  }

  @Test
  public void theEngineKeepsTheMasterThatItReads() throws Exception {
    int[][] answers = {answer("plain-nobody")};
    byte[] master = Material.bytes("sasrec/master.chrm");
    Engine engine = Engine.open(Material.direct(master));
    for (int turn = 0; turn < 5; turn++) {
      System.gc();
      System.runFinalization();
      ByteBuffer taken = ByteBuffer.allocateDirect(master.length);
      while (taken.hasRemaining()) {
        taken.put((byte) -1);
      }
      assertEquals(0, new Question().ask(engine, answers));
    }
    engine.close();
  }
}
