package io.chordkit;

import io.chordkit.annotation.Nullable;

/** What the phone was to learn from, or what it learned, is refused. */
public abstract class LearningException extends ChordException {
  private static final long serialVersionUID = 1;

  LearningException(String sentence) {
    super(sentence);
  }

  /** The samples are damaged, or belong to another backbone. */
  public static final class BadSamples extends LearningException {
    private static final long serialVersionUID = 1;

    BadSamples(String sentence) {
      super(sentence);
    }
  }

  /** The adapter is damaged, or belongs to another backbone or another strategy. */
  public static final class BadAdapter extends LearningException {
    private static final long serialVersionUID = 1;

    BadAdapter(String sentence) {
      super(sentence);
    }
  }

  /** A state, a score or a parameter is too large to compute with. */
  public static final class NotFinite extends LearningException {
    private static final long serialVersionUID = 1;

    NotFinite(String sentence) {
      super(sentence);
    }
  }

  /** Another strategy or user vector was adopted while it learned: what it learned is for the one before, and was thrown away. */
  public static final class Superseded extends LearningException {
    private static final long serialVersionUID = 1;

    Superseded() {
      super("another strategy or user vector was adopted while this phone learned; learn again");
    }
  }

  /**
   * @param status a chord_learn_status of chord_learn.h
   * @param sentence null = the status's own
   */
  static void throwUnlessOk(int status, @Nullable Object sentence) throws LearningException {
    if (status == NativeLearning.OK) {
      return;
    }
    String words = sentence == null ? NativeLearning.statusText(status) : (String) sentence;
    switch (status) {
      case 2:
        throw new BadSamples(words);
      case 3:
        throw new BadAdapter(words);
      case 5:
        throw new OutOfMemoryError(words);
      case 6:
        throw new NotFinite(words);
      default:
        throw new IllegalArgumentException(words);
    }
  }
}
