package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/**
 * A {@link Scorer} over an artifact of a bundle, on another runtime than the native engine. An artifact is a graph of numbers of fixed shapes
 * (`docs/targets/inputs.md`) that checks nothing: here ids are checked, histories are padded in front or cut to their newest items, and
 * candidates are scored as many at a time as the artifact takes. Calls wait for each other: runtimes are for one thread at a time.
 *
 * <p>A runtime of your own is a subclass with {@link #run} and {@link #release}.
 */
public abstract class ArtifactScorer implements Scorer {
  /** What an artifact was exported for. */
  public static final class Shape {
    final int items;
    final int maxLength;
    final int candidates;
    final int dim;

    /**
     * @param items largest item id of the catalogue
     * @param maxLength slots of a history
     * @param candidates how many candidates are scored in one run
     * @param dim numbers of the user vector; 0 = the artifact takes none
     */
    public Shape(int items, int maxLength, int candidates, int dim) {
      if (items < 1 || maxLength < 1 || candidates < 1 || dim < 0) {
        throw new IllegalArgumentException(
            "no artifact has " + items + " items, " + maxLength + " slots, " + candidates + " candidates and a user vector of " + dim);
      }
      this.items = items;
      this.maxLength = maxLength;
      this.candidates = candidates;
      this.dim = dim;
    }
  }

  private final Shape shape;
  private final IntBuffer history;
  private final IntBuffer candidates;
  private final FloatBuffer scores;
  @Nullable private final FloatBuffer user;
  private boolean closed;

  protected ArtifactScorer(Shape shape) {
    this.shape = shape;
    history = Buffers.intsOf(shape.maxLength);
    candidates = Buffers.intsOf(shape.candidates);
    scores = Buffers.floatsOf(shape.candidates);
    user = shape.dim == 0 ? null : Buffers.floatsOf(shape.dim);
  }

  /**
   * Runs the artifact once. All buffers are direct, of native order, and whole: from 0 to their capacity; they are the same ones in every call.
   *
   * @param history [1, maxLength]
   * @param candidates [1, candidates]
   * @param user [1, dim], or null for an artifact that takes none; zeros are nobody's
   * @param scores [1, candidates], to be written
   */
  protected abstract void run(IntBuffer history, IntBuffer candidates, @Nullable FloatBuffer user, FloatBuffer scores) throws ChordException;

  /** Gives back what the runtime holds; called once. */
  protected abstract void release();

  @Override
  public final synchronized void rerank(IntBuffer history, IntBuffer candidates, FloatBuffer scores) throws ChordException {
    requireOpen();
    int count = candidates.remaining();
    Buffers.check("history", history);
    Buffers.check("candidates", candidates);
    Buffers.checkRoom("scores", scores, count);
    for (int i = 0; i < count; i++) {
      int id = candidates.get(candidates.position() + i);
      if (id < 1 || id > shape.items) {
        throw new EngineException.BadCandidate("a candidate is outside 1..items: " + id + " of " + shape.items);
      }
    }
    pad(history);
    for (int first = 0; first < count; first += shape.candidates) {
      score(candidates, scores, first, Math.min(shape.candidates, count - first));
    }
  }

  private void pad(IntBuffer given) throws EngineException {
    int start = given.position();
    while (start < given.limit() && given.get(start) == 0) {
      start++;
    }
    if (start == given.limit()) {
      throw new EngineException.BadHistory("the history holds no item");
    }
    for (int i = start; i < given.limit(); i++) {
      int id = given.get(i);
      if (id < 1 || id > shape.items) {
        throw new EngineException.BadHistory(
            id == 0 ? "the history holds an empty slot behind an item" : "the history holds an id outside 0..items: " + id + " of " + shape.items);
      }
    }
    int length = Math.min(given.limit() - start, shape.maxLength);
    for (int slot = 0; slot < shape.maxLength; slot++) {
      int behind = shape.maxLength - slot;
      history.put(slot, behind > length ? 0 : given.get(given.limit() - behind));
    }
  }

  private void score(IntBuffer given, FloatBuffer out, int first, int count) throws ChordException {
    for (int i = 0; i < shape.candidates; i++) {
      // What is over is scored too, and must be an item.
      candidates.put(i, i < count ? given.get(given.position() + first + i) : 1);
    }
    history.clear();
    candidates.clear();
    scores.clear();
    if (user != null) {
      user.clear();
    }
    run(history, candidates, user, scores);
    for (int i = 0; i < count; i++) {
      float score = scores.get(i);
      if (Float.isNaN(score) || Float.isInfinite(score)) {
        throw new EngineException.NotFinite("the result is not finite: an input, or the weights, are too large to compute with");
      }
      out.put(out.position() + first + i, score);
    }
  }

  /**
   * Makes a user vector the one of all later calls.
   *
   * @param vector as many finite numbers as the artifact takes; null = nobody's
   * @throws EngineException.BadUserVector it has another length, a number is not finite, or the artifact takes none
   */
  public final synchronized void adoptUser(@Nullable float[] vector) throws EngineException {
    requireOpen();
    if (user == null) {
      throw new EngineException.BadUserVector("the artifact takes no user vector; export one that does");
    }
    if (vector != null && vector.length != shape.dim) {
      throw new EngineException.BadUserVector("the user vector has " + vector.length + " numbers, and the artifact takes " + shape.dim);
    }
    for (int i = 0; vector != null && i < shape.dim; i++) {
      if (Float.isNaN(vector[i]) || Float.isInfinite(vector[i])) {
        throw new EngineException.BadUserVector("the user vector is not finite: number " + i + " is " + vector[i]);
      }
    }
    for (int i = 0; i < shape.dim; i++) {
      user.put(i, vector == null ? 0 : vector[i]);
    }
  }

  /** @throws IllegalStateException it is closed */
  protected final void requireOpen() {
    if (closed) {
      throw new IllegalStateException("the scorer is closed");
    }
  }

  /** Waits for a call under way; later ones throw {@link IllegalStateException}. */
  @Override
  public final synchronized void close() {
    if (!closed) {
      closed = true;
      release();
    }
  }
}
