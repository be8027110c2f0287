package io.chordkit;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;

/** What the engine refuses, by which exception and with which sentence; nothing that is refused leaves a trace. */
public final class EngineRefusalsTest {
  private static final String HISTORY = "the history holds an id outside 0..items, no item, or an empty slot behind an item";
  private static final String CANDIDATE = "a candidate is outside 1..items";
  private static final String NOT_FINITE = "the result is not finite: an input, or the weights, are too large to compute with";
  private static final String CLOSED = "the engine is closed; open another one";

  private Engine engine;
  private IntBuffer history;
  private IntBuffer candidates;
  private FloatBuffer scores;
  private FloatBuffer hidden;
  private IntBuffer items;

  @Before
  public void open() throws Exception {
    engine = Engine.open(Material.map("sasrec/master.chrm"));
    engine.adopt(Material.bytes("sasrec/strategies/mixed.chrd"));
    engine.adoptUser(Material.bytes("sasrec/users/stranger.chru"));
    history = Material.ids("sasrec/full/history.i32");
    candidates = Material.ids("sasrec/full/candidates.i32");
    scores = Buffers.floatsOf(candidates.remaining());
    hidden = Buffers.floatsOf(engine.dim());
    items = Buffers.intsOf(candidates.remaining());
  }

  @After
  public void isAsItWas() throws Exception {
    try {
      engine.rerank(history, candidates, scores);
    } catch (IllegalStateException closed) {
      return;
    }
    float[] wanted = Material.values("sasrec/full/mixed-stranger/scores.f32");
    assertArrayEquals(Material.bits(wanted), Material.bits(Material.values(scores)));
    engine.close();
  }

  @Test
  public void mastersThatCannotBeRun() throws Exception {
    for (final String name : Material.names("refused/masters", ".chrm")) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          Engine.open(Material.direct(Material.bytes("refused/masters/" + name + ".chrm")));
        }
      }.assertThrows(EngineException.BadMaster.class, Material.text("refused/masters/" + name + ".txt"));
    }
  }

  @Test
  public void aMasterOnTheHeap() throws Exception {
    new Attempt() {
      @Override
      public void run() throws Exception {
        Engine.open(ByteBuffer.wrap(Material.bytes("sasrec/master.chrm")));
      }
    }.assertThrowsWith(IllegalArgumentException.class, "master: the buffer is not direct");
  }

  @Test
  public void aVariantThatThereIsNot() throws Exception {
    new Attempt() {
      @Override
      public void run() throws Exception {
        Engine.open(Material.map("sasrec/master.chrm"), "abacus");
      }
    }.assertThrowsWith(IllegalArgumentException.class, "abacus");
  }

  @Test
  public void strategiesThatAreSpoiltOrForeign() throws Exception {
    for (String name : Material.names("refused/strategies", ".chrd")) {
      final byte[] strategy = Material.bytes("refused/strategies/" + name + ".chrd");
      String sentence = Material.text("refused/strategies/" + name + ".txt");
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.adopt(strategy);
        }
      }.assertThrows(EngineException.BadStrategy.class, sentence);
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.widths(strategy);
        }
      }.assertThrows(EngineException.BadStrategy.class, sentence);
    }
  }

  @Test
  public void userVectorsThatAreSpoiltOrForeign() throws Exception {
    for (String name : Material.names("refused/users", ".chru")) {
      final byte[] vector = Material.bytes("refused/users/" + name + ".chru");
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.adoptUser(vector);
        }
      }.assertThrows(EngineException.BadUserVector.class, Material.text("refused/users/" + name + ".txt"));
    }
  }

  @Test
  public void historiesThatCannotBe() throws Exception {
    IntBuffer[] wrong = {
      Buffers.ints(), Buffers.ints(0), Buffers.ints(0, 0, 0), Buffers.ints(1, 0), Buffers.ints(1, 0, 2), Buffers.ints(121),
      Buffers.ints(-1), Buffers.ints(5, Integer.MAX_VALUE), Buffers.ints(Integer.MIN_VALUE, 5)
    };
    for (final IntBuffer bad : wrong) {
      for (final String method : new String[] {"rerank", "hidden", "topK"}) {
        new Attempt() {
          @Override
          public void run() throws Exception {
            call(method, bad, candidates);
          }
        }.assertThrows(EngineException.BadHistory.class, HISTORY);
      }
    }
    for (final IntBuffer bad : new IntBuffer[] {Buffers.ints(1, 0), Buffers.ints(121), Buffers.ints(-1, 4)}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.profile(bad, new int[] {2}, Buffers.floatsOf(engine.dim() + 1));
        }
      }.assertThrows(EngineException.BadHistory.class, HISTORY);
    }
  }

  @Test
  public void candidatesThatThereAreNot() throws Exception {
    engine.hidden(history, hidden);
    for (final IntBuffer bad : new IntBuffer[] {Buffers.ints(0), Buffers.ints(1, 121), Buffers.ints(-1, 1), Buffers.ints(1, Integer.MAX_VALUE)}) {
      for (final String method : new String[] {"rerank", "score"}) {
        new Attempt() {
          @Override
          public void run() throws Exception {
            call(method, history, bad);
          }
        }.assertThrows(EngineException.BadCandidate.class, CANDIDATE);
      }
    }
  }

  @Test
  public void noCandidatesAreNothingWrongButTheHistoryStillIs() throws Exception {
    engine.rerank(history, Buffers.ints(), scores);
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.rerank(Buffers.ints(121), Buffers.ints(), scores);
      }
    }.assertThrows(EngineException.BadHistory.class, HISTORY);
  }

  @Test
  public void resultsThatAreNotFinite() throws Exception {
    final Engine overflowing = Engine.open(Material.map("sasrec/overflowing.chrm"));
    new Attempt() {
      @Override
      public void run() throws Exception {
        overflowing.rerank(history, candidates, scores);
      }
    }.assertThrows(EngineException.NotFinite.class, NOT_FINITE);
    new Attempt() {
      @Override
      public void run() throws Exception {
        overflowing.topK(history, 1, false, items, scores);
      }
    }.assertThrows(EngineException.NotFinite.class, NOT_FINITE);
    overflowing.close();
    for (float value : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      hidden.put(3, value);
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.score(hidden, candidates, scores);
        }
      }.assertThrows(EngineException.NotFinite.class, NOT_FINITE);
    }
  }

  @Test
  public void buffersOnTheHeap() throws Exception {
    final IntBuffer heapIds = IntBuffer.wrap(Material.values(history));
    final FloatBuffer heapScores = FloatBuffer.allocate(scores.capacity());
    refuses("history", heapIds, candidates, scores);
    refuses("candidates", history, heapIds, scores);
    refuses("scores", history, candidates, heapScores);
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.hidden(history, heapScores);
      }
    }.assertThrowsWith(IllegalArgumentException.class, "hidden: the buffer is not direct, or not of native order");
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.score(heapScores, candidates, scores);
      }
    }.assertThrowsWith(IllegalArgumentException.class, "hidden: the buffer is not direct, or not of native order");
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.topK(history, 3, false, IntBuffer.allocate(3), scores);
      }
    }.assertThrowsWith(IllegalArgumentException.class, "items: the buffer is not direct, or not of native order");
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.profile(heapIds, new int[] {2}, Buffers.floatsOf(engine.dim() + 1));
      }
    }.assertThrowsWith(IllegalArgumentException.class, "history: the buffer is not direct, or not of native order");
  }

  @Test
  public void buffersOfTheOtherByteOrder() throws Exception {
    ByteOrder other = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
    IntBuffer turned = ByteBuffer.allocateDirect(48).order(other).asIntBuffer();
    refuses("history", turned, candidates, scores);
    refuses("candidates", history, turned, scores);
    refuses("scores", history, candidates, ByteBuffer.allocateDirect(4 * scores.capacity()).order(other).asFloatBuffer());
  }

  @Test
  public void buffersBetweenTheirNumbers() throws Exception {
    byte[] bytes = Material.bytes("sasrec/full/history.i32");
    ByteBuffer shifted = ByteBuffer.allocateDirect(1 + bytes.length).order(ByteOrder.nativeOrder());
    shifted.position(1);
    shifted.put(bytes);
    shifted.position(1);
    final IntBuffer odd = shifted.slice().order(ByteOrder.nativeOrder()).asIntBuffer();
    final FloatBuffer oddFloats = shifted.slice().order(ByteOrder.nativeOrder()).asFloatBuffer();
    assertTrue(odd.isDirect() && odd.order() == ByteOrder.nativeOrder());
    for (final String method : new String[] {"rerank", "hidden", "topK", "profile"}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          call(method, odd, candidates);
        }
      }.assertThrowsWith(IllegalArgumentException.class, "a buffer does not begin at a multiple of 4 bytes");
    }
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.rerank(history, odd, scores);
      }
    }.assertThrowsWith(IllegalArgumentException.class, "a buffer does not begin at a multiple of 4 bytes");
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.rerank(history, Buffers.ints(1), oddFloats);
      }
    }.assertThrowsWith(IllegalArgumentException.class, "a buffer does not begin at a multiple of 4 bytes");
  }

  @Test
  public void aMasterBetweenItsNumbers() throws Exception {
    byte[] bytes = Material.bytes("sasrec/master.chrm");
    final ByteBuffer shifted = ByteBuffer.allocateDirect(1 + bytes.length);
    shifted.position(1);
    shifted.put(bytes);
    shifted.position(1);
    new Attempt() {
      @Override
      public void run() throws Exception {
        Engine.open(shifted);
      }
    }.assertThrowsWith(IllegalArgumentException.class, "multiple of 4 bytes");
  }

  @Test
  public void buffersThatCanOnlyBeRead() throws Exception {
    final FloatBuffer onlyRead = scores.asReadOnlyBuffer();
    for (final String method : new String[] {"rerank", "topK"}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          if (method.equals("rerank")) {
            engine.rerank(history, candidates, onlyRead);
          } else {
            engine.topK(history, 3, false, items, onlyRead);
          }
        }
      }.assertThrows(IllegalArgumentException.class, "scores: the buffer can only be read");
    }
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.topK(history, 3, false, items.asReadOnlyBuffer(), scores);
      }
    }.assertThrows(IllegalArgumentException.class, "items: the buffer can only be read");
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.hidden(history, hidden.asReadOnlyBuffer());
      }
    }.assertThrows(IllegalArgumentException.class, "hidden: the buffer can only be read");
  }

  @Test
  public void buffersThatAreTooSmall() throws Exception {
    final int count = candidates.remaining();
    scores.limit(count - 1);
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.rerank(history, candidates, scores);
      }
    }.assertThrows(
        IllegalArgumentException.class, "scores: the buffer has room for " + (count - 1) + ", and " + count + " are needed");
    scores.clear();
    scores.position(1);
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.rerank(history, candidates, scores);
      }
    }.assertThrowsWith(IllegalArgumentException.class, "scores: the buffer has room for " + (count - 1));
    scores.clear();
    final FloatBuffer small = Buffers.floatsOf(engine.dim() - 1);
    for (final String method : new String[] {"hidden", "score"}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          if (method.equals("hidden")) {
            engine.hidden(history, small);
          } else {
            engine.score(small, candidates, scores);
          }
        }
      }.assertThrowsWith(IllegalArgumentException.class, "hidden: the buffer has room for 31, and 32 are needed");
    }
    for (final boolean ids : new boolean[] {true, false}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.topK(history, 5, false, Buffers.intsOf(ids ? 4 : 5), Buffers.floatsOf(ids ? 5 : 4));
        }
      }.assertThrowsWith(IllegalArgumentException.class, (ids ? "items" : "scores") + ": the buffer has room for 4, and 5 are needed");
    }
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.profile(history, new int[] {1, 2}, Buffers.floatsOf(2 * engine.dim()));
      }
    }.assertThrowsWith(IllegalArgumentException.class, "profile: the buffer has room for 64, and 65 are needed");
  }

  @Test
  public void numbersThatAreNotPossible() throws Exception {
    for (final int k : new int[] {0, -1, Integer.MIN_VALUE}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.topK(history, k, false, items, scores);
        }
      }.assertThrows(IllegalArgumentException.class, "k: " + k + " is not possible, ask for at least one item");
    }
    int[][] wrong = {{}, {0}, {-3}, {2, 2}, {5, 2}, new int[65]};
    for (int i = 0; i < 65; i++) {
      wrong[5][i] = i + 1;
    }
    for (final int[] pools : wrong) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.profile(history, pools, Buffers.floatsOf(pools.length * engine.dim() + 1));
        }
      }.assertThrowsWith(IllegalArgumentException.class, "pools: ");
    }
  }

  @Test
  public void everythingOfAClosedEngine() throws Exception {
    final byte[] strategy = Material.bytes("sasrec/strategies/mixed.chrd");
    engine.close();
    engine.close();
    for (final String method : new String[] {"rerank", "hidden", "score", "topK", "profile", "adopt", "widths", "adoptUser"}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          if (method.equals("adopt")) {
            engine.adopt(strategy);
          } else if (method.equals("widths")) {
            engine.widths(strategy);
          } else if (method.equals("adoptUser")) {
            engine.adoptUser(null);
          } else {
            call(method, history, candidates);
          }
        }
      }.assertThrows(IllegalStateException.class, CLOSED);
    }
    assertEquals(120, engine.items());
  }

  @Test
  public void missingBuffers() throws Exception {
    for (final int which : new int[] {0, 1, 2}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          engine.rerank(which == 0 ? null : history, which == 1 ? null : candidates, which == 2 ? null : scores);
        }
      }.assertThrowsWith(NullPointerException.class);
    }
    for (final String method : new String[] {"adopt", "widths", "profile"}) {
      new Attempt() {
        @Override
        public void run() throws Exception {
          if (method.equals("adopt")) {
            engine.adopt(null);
          } else if (method.equals("widths")) {
            engine.widths(null);
          } else {
            engine.profile(history, null, scores);
          }
        }
      }.assertThrowsWith(NullPointerException.class);
    }
  }

  private void call(String method, IntBuffer from, IntBuffer of) throws Exception {
    if (method.equals("rerank")) {
      engine.rerank(from, of, scores);
    } else if (method.equals("hidden")) {
      engine.hidden(from, hidden);
    } else if (method.equals("score")) {
      engine.score(hidden, of, scores);
    } else if (method.equals("topK")) {
      engine.topK(from, 3, false, items, scores);
    } else if (method.equals("profile")) {
      engine.profile(from, new int[] {2}, Buffers.floatsOf(engine.dim() + 1));
    } else {
      throw new AssertionError(method);
    }
  }

  private void refuses(String what, final IntBuffer from, final IntBuffer of, final FloatBuffer to) {
    new Attempt() {
      @Override
      public void run() throws Exception {
        engine.rerank(from, of, to);
      }
    }.assertThrowsWith(IllegalArgumentException.class, what + ": the buffer is not direct, or not of native order");
  }
}
