package io.chordkit;

import java.nio.IntBuffer;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/** Samples of other people's histories, for a phone to learn from: what the cloud sent (CHRS, docs/formats.md), checked. */
public final class Samples {
  private final Engine engine;
  private final IntBuffer items;
  private final IntBuffer lessons;

  Samples(Engine engine, IntBuffer items, IntBuffer lessons) {
    this.engine = engine;
    this.items = items;
    this.lessons = lessons;
  }

  /**
   * Checks them; nothing in them is trusted, and no more is inflated than they may hold.
   *
   * @throws LearningException.BadSamples they are damaged, or belong to another backbone
   */
  public static Samples read(Engine engine, byte[] data) throws LearningException {
    int[] numbers = new int[NativeLearning.SAMPLE_NUMBERS];
    Object[] sentence = new Object[1];
    EngineSessions.Session session = engine.sessions().take(); // the model stays while it is held
    try {
      LearningException.throwUnlessOk(NativeLearning.openSamples(engine.model(), data, numbers, sentence), sentence[0]);
      byte[] payload = new byte[numbers[NativeLearning.MOST] + 1];
      int size = inflated(data, numbers, payload);
      IntBuffer items = Buffers.intsOf(Math.max(1, numbers[NativeLearning.ITEMS]));
      IntBuffer lessons = Buffers.intsOf(Math.max(2, 2 * numbers[NativeLearning.SAMPLES]));
      int status = NativeLearning.readSamples(engine.model(), numbers, payload, size, items, lessons, sentence);
      LearningException.throwUnlessOk(status, sentence[0]);
      items.limit(numbers[NativeLearning.ITEMS]);
      lessons.limit(2 * numbers[NativeLearning.SAMPLES]);
      return new Samples(engine, items, lessons);
    } finally {
      engine.sessions().giveBack(session);
    }
  }

  /** How many there are. */
  public int size() {
    return lessons.limit() / 2;
  }

  /** Of all pieces of histories, in a row. */
  IntBuffer items() {
    return items;
  }

  IntBuffer lessons() {
    return lessons;
  }

  boolean isOf(Engine other) {
    return engine == other;
  }

  private static int inflated(byte[] data, int[] numbers, byte[] payload) throws LearningException {
    Inflater inflater = new Inflater(true);
    try {
      inflater.setInput(data, numbers[NativeLearning.OFFSET], numbers[NativeLearning.DEFLATED]);
      int size = 0;
      while (size < payload.length && !inflater.finished()) {
        int more = inflater.inflate(payload, size, payload.length - size);
        if (more == 0 && !inflater.finished()) {
          break; // it ends before its end, or asks for a dictionary
        }
        size += more;
      }
      if (!inflater.finished() || inflater.getRemaining() != 0 || size == payload.length) {
        throw new LearningException.BadSamples("samples: deflate: the payload is longer or shorter than its counts say; match again");
      }
      return size;
    } catch (DataFormatException broken) {
      throw new LearningException.BadSamples(
          "samples: deflate: the payload cannot be inflated (" + broken.getMessage() + "); match again");
    } finally {
      inflater.end();
    }
  }
}
