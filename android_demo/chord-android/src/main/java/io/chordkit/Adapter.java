package io.chordkit;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * What a phone learned of its user (CHRA, docs/formats.md): some 4 KB of numbers behind the frozen encoder, good for one backbone and for the
 * strategy and the user vector that it was trained under. It tells of its user and belongs on the phone.
 */
public final class Adapter {
  /** Clicks below which nothing can be said. */
  static final int FEWEST = 10;

  private final byte[] bytes;
  private final float temperature;
  private final int biases;

  /** Read in place by native code. */
  private final ByteBuffer data;

  private final Inputs inputs;
  private final byte[] fingerprint;

  private Adapter(byte[] bytes, float temperature, Inputs inputs, ByteBuffer data, int biases, byte[] fingerprint) {
    this.bytes = bytes;
    this.temperature = temperature;
    this.inputs = inputs;
    this.data = data;
    this.biases = biases;
    this.fingerprint = fingerprint;
  }

  /**
   * Checks one for an engine, with the strategy and the user vector that it has now.
   *
   * @param temperature as {@link Learning#temperature} was when it was trained
   * @throws LearningException.BadAdapter it is damaged, or was trained for another backbone or under another strategy
   */
  public static Adapter read(Engine engine, byte[] bytes, float temperature) throws LearningException {
    return read(engine, bytes, temperature, engine.inputs());
  }

  static Adapter read(Engine engine, byte[] bytes, float temperature, Inputs inputs) throws LearningException {
    ByteBuffer data = ByteBuffer.allocateDirect(Math.max(1, bytes.length));
    data.put(bytes);
    int[] biases = new int[1];
    Object[] sentence = new Object[1];
    EngineSessions.Session session = engine.sessions().take(); // the model stays while it is held
    try {
      int status = NativeLearning.openAdapter(engine.model(), data, bytes.length, inputs.strategyDigest(), biases, sentence);
      LearningException.throwUnlessOk(status, sentence[0]);
    } finally {
      engine.sessions().giveBack(session);
    }
    return new Adapter(bytes.clone(), temperature, inputs, data, biases[0], engine.fingerprint());
  }

  /**
   * Asks whether it still helps.
   *
   * @param newer how many of the newest clicks came after it was trained
   * @return whether these became no more probable by it; false also where fewer than ten say too little
   * @throws LearningException as {@link Personalisation#of}
   */
  boolean fails(Engine engine, ClickStream clicks, int newer) throws ChordException {
    Lessons lessons = Lessons.own(clicks.newest(clicks.size()), newer);
    if (lessons.count() < FEWEST) {
      return false;
    }
    double[] numbers = new double[3];
    Object[] sentence = new Object[1];
    EngineSessions.Session session = engine.sessions().take(inputs);
    try {
      lessons.ask(session, engine.dim());
      int status =
          NativeLearning.judge(
              engine.model(),
              data,
              bytes.length,
              engine.dim(),
              biases,
              temperature,
              lessons.items,
              lessons.items.limit(),
              lessons.lessons,
              lessons.count(),
              lessons.states,
              numbers,
              sentence);
      LearningException.throwUnlessOk(status, sentence[0]);
    } finally {
      engine.sessions().giveBack(session);
    }
    if (!inputs.same(engine.inputs())) {
      throw new LearningException.Superseded();
    }
    return numbers[1] <= numbers[0];
  }

  /** For keeping. */
  public byte[] bytes() {
    return bytes.clone();
  }

  /** Items that have a number of their own, besides what holds for all. */
  public int biases() {
    return biases;
  }

  boolean isFor(Engine engine) {
    return Arrays.equals(fingerprint, engine.fingerprint());
  }

  Inputs inputs() {
    return inputs;
  }

  float temperature() {
    return temperature;
  }

  ByteBuffer data() {
    return data;
  }

  int size() {
    return bytes.length;
  }
}
