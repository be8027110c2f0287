package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import io.chordkit.annotation.Nullable;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.Test;

/** What an artifact is given, by a runtime that writes down what it is asked. */
public final class ArtifactScorerTest {
  private static final int ITEMS = 9;
  private static final int LENGTH = 4;
  private static final int BLOCK = 3;

  private static final class Recorder extends ArtifactScorer {
    final List<int[]> histories = new ArrayList<int[]>();
    final List<int[]> candidates = new ArrayList<int[]>();
    final List<float[]> users = new ArrayList<float[]>();
    float factor = 1;
    int releases;
    private int running;

    Recorder(int dim) {
      super(new Shape(ITEMS, LENGTH, BLOCK, dim));
    }

    @Override
    protected void run(IntBuffer history, IntBuffer given, @Nullable FloatBuffer user, FloatBuffer scores) {
      assertEquals("two runs at once", 1, ++running);
      histories.add(rest(history));
      int[] ids = rest(given);
      candidates.add(ids);
      if (user != null) {
        float[] vector = new float[user.remaining()];
        user.get(vector);
        users.add(vector);
      }
      for (int id : ids) {
        scores.put(id * factor);
      }
      running--;
    }

    @Override
    protected void release() {
      releases++;
    }

    private static int[] rest(IntBuffer buffer) {
      int[] found = new int[buffer.remaining()];
      buffer.get(found);
      return found;
    }
  }

  private final Recorder scorer = new Recorder(0);

  private static float[] scores(Scorer scorer, IntBuffer history, int... candidates) throws ChordException {
    FloatBuffer scores = Buffers.floatsOf(candidates.length);
    scorer.rerank(history, Buffers.ints(candidates), scores);
    assertEquals(0, scores.position());
    float[] found = new float[candidates.length];
    scores.get(found);
    return found;
  }

  @Test
  public void historiesArePaddedInFrontAndCutToTheirNewestItems() throws ChordException {
    scores(scorer, Buffers.ints(7), 1);
    scores(scorer, Buffers.ints(0, 0, 5, 6), 1);
    scores(scorer, Buffers.ints(1, 2, 3, 4), 1);
    scores(scorer, Buffers.ints(0, 9, 1, 2, 3, 4, 5), 1);
    int[][] wanted = {{0, 0, 0, 7}, {0, 0, 5, 6}, {1, 2, 3, 4}, {2, 3, 4, 5}};
    assertTrue(Arrays.deepEquals(wanted, scorer.histories.toArray(new int[0][])));
  }

  @Test
  public void candidatesAreScoredAsManyAtATimeAsTheArtifactTakes() throws ChordException {
    assertArrayEquals(new float[] {9, 1, 8, 2, 7, 3, 6}, scores(scorer, Buffers.ints(1), 9, 1, 8, 2, 7, 3, 6), 0);
    int[][] wanted = {{9, 1, 8}, {2, 7, 3}, {6, 1, 1}};
    assertTrue(Arrays.deepEquals(wanted, scorer.candidates.toArray(new int[0][])));
    assertEquals(0, scores(scorer, Buffers.ints(1)).length);
  }

  @Test
  public void buffersAreUsedFromPositionToLimitAndKeepBoth() throws ChordException {
    IntBuffer history = Buffers.ints(9, 1, 2, 9);
    IntBuffer candidates = Buffers.ints(9, 3, 4, 9);
    FloatBuffer scores = Buffers.floatsOf(4);
    history.position(1).limit(3);
    candidates.position(1).limit(3);
    scores.position(1);
    scorer.rerank(history, candidates, scores);
    assertArrayEquals(new int[] {0, 0, 1, 2}, scorer.histories.get(0));
    assertEquals("1 3 1 3 1 4", history.position() + " " + history.limit() + " " + candidates.position() + " " + candidates.limit() + " "
        + scores.position() + " " + scores.limit());
    scores.position(0);
    float[] found = new float[4];
    scores.get(found);
    assertArrayEquals(new float[] {0, 3, 4, 0}, found, 0);
  }

  @Test
  public void whatTheArtifactCannotCheckIsRefusedBeforeItRuns() throws ChordException {
    int[][] histories = {{}, {0, 0}, {1, 0, 2}, {1, 0}, {-1}, {ITEMS + 1}, {ITEMS + 1, 1, 2, 3, 4}};
    for (int[] history : histories) {
      try {
        scores(scorer, Buffers.ints(history), 1);
        fail("accepted " + Arrays.toString(history));
      } catch (EngineException.BadHistory expected) {
        assertTrue(expected.getMessage().startsWith("the history holds"));
      }
    }
    for (int candidate : new int[] {0, -1, ITEMS + 1, Integer.MIN_VALUE}) {
      try {
        scores(scorer, Buffers.ints(1), 1, 2, 3, candidate);
        fail("accepted " + candidate);
      } catch (EngineException.BadCandidate expected) {
        assertTrue(expected.getMessage().contains("" + candidate));
      }
    }
    try {
      scorer.rerank(Buffers.ints(1), Buffers.ints(1, 2), Buffers.floatsOf(1));
      fail("accepted too little room");
    } catch (IllegalArgumentException expected) {
      assertTrue(expected.getMessage().contains("room for 1"));
    }
    try {
      scorer.rerank(IntBuffer.wrap(new int[] {1}), Buffers.ints(1), Buffers.floatsOf(1));
      fail("accepted a buffer on the heap");
    } catch (IllegalArgumentException expected) {
      assertTrue(expected.getMessage().startsWith("history"));
    }
    assertEquals(0, scorer.histories.size());
  }

  @Test
  public void scoresThatAreNotFiniteAreRefused() throws ChordException {
    for (float factor : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      scorer.factor = factor;
      try {
        scores(scorer, Buffers.ints(1), 1);
        fail("accepted " + factor);
      } catch (EngineException.NotFinite expected) {
        scorer.factor = 1;
      }
    }
  }

  @Test
  public void aUserVectorGoesIntoEveryRunUntilTheNextOne() throws ChordException {
    Recorder personal = new Recorder(2);
    scores(personal, Buffers.ints(1), 1, 2, 3, 4);
    float[] vector = {0.5f, -2};
    personal.adoptUser(vector);
    vector[0] = 9;
    scores(personal, Buffers.ints(1), 1, 2, 3, 4);
    personal.adoptUser(null);
    scores(personal, Buffers.ints(1), 1);
    float[][] wanted = {{0, 0}, {0, 0}, {0.5f, -2}, {0.5f, -2}, {0, 0}};
    assertTrue(Arrays.deepEquals(wanted, personal.users.toArray(new float[0][])));
  }

  @Test
  public void anotherUserVectorIsRefusedAndTheOneInUseStays() throws ChordException {
    Recorder personal = new Recorder(2);
    personal.adoptUser(new float[] {1, 2});
    float[][] wrong = {{}, {1}, {1, 2, 3}, {1, Float.NaN}, {Float.POSITIVE_INFINITY, 1}};
    for (float[] vector : wrong) {
      try {
        personal.adoptUser(vector);
        fail("accepted " + Arrays.toString(vector));
      } catch (EngineException.BadUserVector expected) {
        assertTrue(expected.getMessage().startsWith("the user vector"));
      }
    }
    scores(personal, Buffers.ints(1), 1);
    assertArrayEquals(new float[] {1, 2}, personal.users.get(0), 0);
    try {
      scorer.adoptUser(null);
      fail("accepted by an artifact that takes none");
    } catch (EngineException.BadUserVector expected) {
      assertTrue(expected.getMessage().contains("takes no user vector"));
    }
  }

  @Test
  public void closedTwiceIsClosedOnceAndNothingRunsAfterwards() throws ChordException {
    scorer.close();
    scorer.close();
    assertEquals(1, scorer.releases);
    try {
      scores(scorer, Buffers.ints(1), 1);
      fail("ran after close");
    } catch (IllegalStateException expected) {
      assertEquals("the scorer is closed", expected.getMessage());
    }
  }

  @Test
  public void threadsWaitForEachOther() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(10);
    List<Future<Boolean>> results = new ArrayList<Future<Boolean>>();
    for (int thread = 0; thread < 10; thread++) {
      final int own = 1 + thread % ITEMS;
      results.add(
          threads.submit(
              new Callable<Boolean>() {
                @Override
                public Boolean call() throws ChordException {
                  for (int i = 0; i < 500; i++) {
                    if (!Arrays.equals(new float[] {own, own, 1, own}, scores(scorer, Buffers.ints(own), own, own, 1, own))) {
                      return false;
                    }
                  }
                  return true;
                }
              }));
    }
    for (Future<Boolean> result : results) {
      assertTrue(result.get());
    }
    threads.shutdown();
  }

  @Test
  public void shapesThatNoArtifactHasAreRefused() {
    int[][] wrong = {{0, 1, 1, 0}, {1, 0, 1, 0}, {1, 1, 0, 0}, {1, 1, 1, -1}};
    for (int[] shape : wrong) {
      try {
        new ArtifactScorer.Shape(shape[0], shape[1], shape[2], shape[3]);
        fail("accepted " + Arrays.toString(shape));
      } catch (IllegalArgumentException expected) {
        assertTrue(expected.getMessage().startsWith("no artifact has"));
      }
    }
  }
}
