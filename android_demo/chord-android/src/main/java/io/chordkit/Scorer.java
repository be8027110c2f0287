package io.chordkit;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/** Scores candidates after a history: the native engine, or an artifact of the same bundle on another runtime. */
public interface Scorer extends AutoCloseable {
  /**
   * {@code scores[i]} = score of {@code candidates[i]} after {@code history}, the higher the better. Buffers are direct and of native order
   * ({@link Buffers}), are read and written from their positions to their limits, and keep both.
   *
   * @param history item ids, oldest first, the newest last; zeros, the empty slots, stand in front
   * @param candidates item ids
   * @param scores room for as many as there are candidates
   * @throws ChordException an id outside the catalogue, no history, or a result that is not finite
   */
  void rerank(IntBuffer history, IntBuffer candidates, FloatBuffer scores) throws ChordException;

  @Override
  void close();
}
