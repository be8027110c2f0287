package io.chordkit.demo.logic;

import io.chordkit.Buffers;
import io.chordkit.ChordException;
import io.chordkit.Engine;
import io.chordkit.TestVectors;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/** Reranks over a bundle's test vectors, row after row, round and round; everything that they need is made before. */
final class TestCalls implements Call {
  private final Engine engine;
  private final IntBuffer[] histories;
  private final IntBuffer[] candidates;
  private final FloatBuffer scores;
  private int next;

  TestCalls(Engine engine, TestVectors vectors) {
    this.engine = engine;
    histories = new IntBuffer[vectors.count()];
    candidates = new IntBuffer[vectors.count()];
    for (int row = 0; row < histories.length; row++) {
      histories[row] = copied(vectors.history(row));
      candidates[row] = copied(vectors.candidates(row));
    }
    scores = Buffers.floatsOf(vectors.candidates());
  }

  @Override
  public void run() throws ChordException {
    engine.rerank(histories[next], candidates[next], scores);
    next = next + 1 == histories.length ? 0 : next + 1;
  }

  /** The scores [rows * candidates] of all rows. */
  float[] scores() throws ChordException {
    int each = scores.capacity();
    float[] all = new float[histories.length * each];
    next = 0;
    for (int row = 0; row < histories.length; row++) {
      run();
      scores.get(all, row * each, each);
      scores.clear();
    }
    return all;
  }

  private static IntBuffer copied(IntBuffer row) {
    IntBuffer copy = Buffers.intsOf(row.remaining());
    copy.put(row);
    copy.clear();
    return copy;
  }
}
