package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import org.junit.Test;

/** What a phone computes, held against what the bundle's maker computed: right ones pass, and what is wrong is found. */
public final class SelfCheckTest {
  @Test
  public void theEnginePassesOnEveryReference() throws Exception {
    for (String name : new String[] {"sasrec", "caser", "users"}) {
      SelfCheck check = SelfCheck.of(Shop.bundle(name));
      assertTrue(check.passed());
      assertEquals(3, check.require().results().size());
      for (SelfCheck.Result result : check.results()) {
        assertEquals(12, result.histories());
        assertTrue(result.relativeRmsError() > 0 && result.relativeRmsError() < 0.02);
        assertTrue(result.maxAbsError() > 0 && result.topOverlap() > 0.95);
      }
    }
  }

  @Test
  public void theErrorsAreThoseThatWereMeasured() throws Exception {
    Bundle bundle = Shop.bundle("sasrec"); // measured over the same twelve histories
    for (SelfCheck.Result result : SelfCheck.of(bundle).results()) {
      Parity made = bundle.about("native-" + result.reference()).parity;
      assertEquals(made.maxAbsError, result.maxAbsError(), 0);
      assertEquals(made.relativeRmsError, result.relativeRmsError(), 1e-12);
    }
  }

  @Test
  public void strategiesTakenForEachOtherAreFound() throws Exception {
    failed("store/swapped", "mixed: relative_rms_error ", "twice what the bundle's maker measured", "off: ", "nearer to those of off");
  }

  @Test
  public void anotherMasterIsFound() throws Exception {
    failed("store/retrained", "int8: relative_rms_error", "max_relative_error", "top10_overlap");
  }

  @Test
  public void strategiesTakenForEachOtherAreFoundWhereEveryToleranceHolds() throws Exception {
    try {
      SelfCheck.of(Shop.bundle("store/near")).require();
    } catch (SelfCheck.Failed failed) {
      assertEquals(
          "this device does not compute what the bundle's maker computed: mixed: the scores are nearer to those of off; "
              + "off: the scores are nearer to those of mixed",
          failed.getMessage());
      return;
    }
    assertTrue("it passed", false);
  }

  @Test
  public void anArtifactOnAnotherRuntimeIsHeldAgainstItsOwnReference() throws Exception {
    Bundle bundle = Shop.bundle("sasrec");
    Engine engine = bundle.engine();
    engine.adopt(bundle.strategy("off"));
    SelfCheck right = SelfCheck.of(bundle, "native-off", engine);
    assertTrue(right.passed());
    assertEquals("off", right.results().get(0).reference());
    assertFalse(SelfCheck.of(bundle, "native-mixed", engine).passed());
    assertFalse(SelfCheck.of(bundle, "native-off", new Shifted(engine)).passed());
    assertFalse(SelfCheck.of(bundle, "native-off", new OneWrong(engine)).passed());
    engine.close();
  }

  @Test
  public void noNumberIsNoPass() throws Exception {
    Scorer broken =
        new Scorer() {
          @Override
          public void rerank(IntBuffer history, IntBuffer candidates, FloatBuffer scores) {
            scores.put(3, Float.NaN);
          }

          @Override
          public void close() {}
        };
    SelfCheck check = SelfCheck.of(Shop.bundle("sasrec"), "native-int8", broken);
    assertTrue(check.results().get(0).reasons().get(0).startsWith("relative_rms_error NaN is above"));
  }

  @Test
  public void anArtifactThatTakesAUserVectorIsNotCheckedWithoutOne() throws Exception {
    final Bundle bundle = Shop.bundle("users");
    new Attempt() {
      @Override
      public void run() throws Exception {
        SelfCheck.of(bundle, "native-int8", bundle.engine());
      }
    }.assertThrowsWith(IllegalArgumentException.class, "native-int8", "user vector");
  }

  private static void failed(final String bundle, String... words) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        SelfCheck.of(Shop.bundle(bundle)).require();
      }
    }.assertThrowsWith(SelfCheck.Failed.class, words);
  }

  /** Looks at each history as if it had ended one item before. */
  private static final class Shifted implements Scorer {
    private final Engine engine;

    Shifted(Engine engine) {
      this.engine = engine;
    }

    @Override
    public void rerank(IntBuffer history, IntBuffer candidates, FloatBuffer scores) throws ChordException {
      IntBuffer shorter = history.duplicate();
      shorter.limit(history.limit() - 1);
      engine.rerank(shorter, candidates, scores);
    }

    @Override
    public void close() {}
  }

  /** Gives the first candidate the score of the second. */
  private static final class OneWrong implements Scorer {
    private final Engine engine;

    OneWrong(Engine engine) {
      this.engine = engine;
    }

    @Override
    public void rerank(IntBuffer history, IntBuffer candidates, FloatBuffer scores) throws ChordException {
      engine.rerank(history, candidates, scores);
      scores.put(0, scores.get(1));
    }

    @Override
    public void close() {}
  }
}
