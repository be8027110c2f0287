package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.util.Arrays;

/**
 * An attempt to make the model this user's, and what came of it: an adapter, if it made choices that it had not learned from more probable by
 * more than chance explains; else nothing. The frozen model is asked, and never changed.
 */
public final class Personalisation {
  @Nullable private final Adapter adapter;
  private final int[] counts;
  private final double[] numbers;
  private final double milliseconds;

  private Personalisation(@Nullable Adapter adapter, int[] counts, double[] numbers, double milliseconds) {
    this.adapter = adapter;
    this.counts = counts;
    this.numbers = numbers;
    this.milliseconds = milliseconds;
  }

  /**
   * Learns from the clicks of the user and from samples of others. It computes for up to some hundred milliseconds on the thread that calls,
   * which should be one in the background; reranks go on meanwhile.
   *
   * @param samples null = from the clicks alone
   * @throws LearningException what the model answers is too large to learn from, or another strategy was adopted meanwhile
   */
  public static Personalisation of(Engine engine, ClickStream clicks, @Nullable Samples samples, Learning how) throws ChordException {
    long begun = System.nanoTime();
    if (samples != null && !samples.isOf(engine)) {
      throw new IllegalArgumentException("samples: they were read for another engine; read them for this one");
    }
    Lessons own = Lessons.own(clicks.newest(clicks.size()), how.ownClicks());
    Lessons others = samples == null || samples.size() == 0 || own.count() < Adapter.FEWEST ? null : Lessons.outside(samples);
    Inputs inputs = engine.inputs();
    int[] counts = new int[5];
    double[] numbers = new double[3];
    byte[] room = new byte[NativeLearning.mostAdapterBytes(engine.dim())];
    EngineSessions.Session session = engine.sessions().take(inputs);
    try {
      own.ask(session, engine.dim());
      if (others != null) {
        others.ask(session, engine.dim());
      }
      requireNow(inputs, engine);
      learn(engine, how, own, others, inputs, room, counts, numbers);
    } finally {
      engine.sessions().giveBack(session);
    }
    requireNow(inputs, engine);
    counts[3] = samples == null ? 0 : samples.size();
    Adapter made = counts[1] == 0 ? null : Adapter.read(engine, Arrays.copyOf(room, counts[0]), how.temperature(), inputs);
    return new Personalisation(made, counts, numbers, (System.nanoTime() - begun) / 1e6);
  }

  /** What is worth having; null = nothing is. */
  @Nullable
  public Adapter adapter() {
    return adapter;
  }

  /** Whether there was enough to say anything: some tens of clicks. */
  public boolean hadEnough() {
    return leastGain() > 0;
  }

  /** Clicks of the user that it learned from; of some it was also asked how probable they had been, before it learned from them. */
  public int own() {
    return counts[2];
  }

  /** Samples of others that were there. */
  public int outside() {
    return counts[3];
  }

  /** Those of them that were like the user's own and learned from; 0 without an adapter. */
  public int kept() {
    return counts[4];
  }

  /** By what factor a click that was left out became more probable, in the geometric mean: 1.03 is 3 % more. */
  public double gain() {
    return Math.exp(numbers[1] - numbers[0]);
  }

  /** The same at the least, with a confidence of 95 %. Above 1, and only then, there is an adapter; 0 where nothing can be said. */
  public double leastGain() {
    return Math.exp(numbers[2]);
  }

  /** All of it. */
  public double milliseconds() {
    return milliseconds;
  }

  private static void learn(
      Engine engine, Learning how, Lessons own, @Nullable Lessons others, Inputs inputs, byte[] room, int[] counts, double[] numbers)
      throws LearningException {
    Object[] sentence = new Object[1];
    int status =
        NativeLearning.personalise(
            engine.model(),
            how.temperature(),
            own.items,
            own.items.limit(),
            own.lessons,
            own.count(),
            own.states,
            others == null ? null : others.items,
            others == null ? 0 : others.items.limit(),
            others == null ? null : others.lessons,
            others == null ? 0 : others.count(),
            others == null ? null : others.states,
            inputs.strategyDigest(),
            room,
            counts,
            numbers,
            sentence);
    LearningException.throwUnlessOk(status, sentence[0]);
  }

  private static void requireNow(Inputs inputs, Engine engine) throws LearningException {
    if (!inputs.same(engine.inputs())) {
      throw new LearningException.Superseded();
    }
  }
}
