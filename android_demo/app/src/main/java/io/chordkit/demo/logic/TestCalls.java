package io.chordkit.demo.logic;

import io.chordkit.Buffers;
import io.chordkit.ChordException;
import io.chordkit.Engine;
import io.chordkit.TestVectors;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/**
 * Reranks over a bundle's test vectors, row after row, round and round; everything that they need is made before. An engine keeps its last
 * history and does not encode it again: where one would follow itself, each is followed by a variation with another newest item.
 */
final class TestCalls implements Call {
  private final Engine engine;
  private final IntBuffer[] histories;
  private final IntBuffer[] candidates;
  private final FloatBuffer scores;
  private final int step;
  private int next;

  TestCalls(Engine engine, TestVectors vectors) {
    this.engine = engine;
    int count = vectors.count();
    IntBuffer[] given = new IntBuffer[count];
    for (int row = 0; row < count; row++) {
      given[row] = copied(vectors.history(row));
    }
    histories = walk(given);
    step = histories.length / count;
    candidates = new IntBuffer[histories.length];
    for (int row = 0; row < histories.length; row++) {
      candidates[row] = copied(vectors.candidates(row / step));
    }
    scores = Buffers.floatsOf(vectors.candidates());
  }

  /** The histories, or, if one follows itself, each and its variation. */
  static IntBuffer[] walk(IntBuffer[] given) {
    boolean repeats = false;
    for (int row = 0; row < given.length; row++) {
      repeats |= given[row].equals(given[(row + 1) % given.length]);
    }
    if (!repeats) {
      return given;
    }
    IntBuffer[] both = new IntBuffer[2 * given.length];
    for (int row = 0; row < given.length; row++) {
      both[2 * row] = given[row];
      both[2 * row + 1] = varied(given[row], given[(row + 1) % given.length]);
    }
    return both;
  }

  private static IntBuffer varied(IntBuffer own, IntBuffer after) {
    IntBuffer copy = copied(own.duplicate());
    int newest = copy.capacity() - 1;
    int item = 1;
    while (item == own.get(newest) || item == after.get(newest)) {
      item++;
    }
    copy.put(newest, item);
    return copy;
  }

  @Override
  public void run() throws ChordException {
    engine.rerank(histories[next], candidates[next], scores);
    next = next + 1 == histories.length ? 0 : next + 1;
  }

  /** The scores [rows * candidates] of the test vectors. */
  float[] scores() throws ChordException {
    int each = scores.capacity();
    float[] all = new float[histories.length / step * each];
    next = 0;
    for (int row = 0; row < histories.length; row++) {
      run();
      if (row % step == 0) {
        scores.get(all, row / step * each, each);
        scores.clear();
      }
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
