package io.chordkit;

/** The native engine refuses what it was given. */
public abstract class EngineException extends ChordException {
  private static final long serialVersionUID = 1;

  EngineException(String sentence) {
    super(sentence);
  }

  /** The master weights are damaged, or describe a model that the engine cannot run. */
  public static final class BadMaster extends EngineException {
    private static final long serialVersionUID = 1;

    BadMaster(String sentence) {
      super(sentence);
    }
  }

  /** The strategy is damaged, or belongs to another backbone. */
  public static final class BadStrategy extends EngineException {
    private static final long serialVersionUID = 1;

    BadStrategy(String sentence) {
      super(sentence);
    }
  }

  /** The user vector is damaged, or belongs to another backbone. */
  public static final class BadUserVector extends EngineException {
    private static final long serialVersionUID = 1;

    BadUserVector(String sentence) {
      super(sentence);
    }
  }

  /** An id outside the catalogue, no item at all, or an empty slot behind an item. */
  public static final class BadHistory extends EngineException {
    private static final long serialVersionUID = 1;

    BadHistory(String sentence) {
      super(sentence);
    }
  }

  /** A candidate outside the catalogue. */
  public static final class BadCandidate extends EngineException {
    private static final long serialVersionUID = 1;

    BadCandidate(String sentence) {
      super(sentence);
    }
  }

  /** Other threads were adopting, or one inference did not end, for a second or longer: try again. */
  public static final class Busy extends EngineException {
    private static final long serialVersionUID = 1;

    Busy(String sentence) {
      super(sentence);
    }
  }

  /** The result is not finite: weights, a user vector or a hidden state too large to compute with. */
  public static final class NotFinite extends EngineException {
    private static final long serialVersionUID = 1;

    NotFinite(String sentence) {
      super(sentence);
    }
  }

  /** @param status a chord_status of chord.h */
  static void throwUnlessOk(int status, String sentence) throws EngineException {
    switch (status) {
      case NativeEngine.OK:
        return;
      case 2:
        throw new BadMaster(sentence);
      case 3:
        throw new BadStrategy(sentence);
      case 4:
        throw new BadHistory(sentence);
      case NativeEngine.BAD_CANDIDATE:
        throw new BadCandidate(sentence);
      case 6:
        throw new OutOfMemoryError(sentence);
      case NativeEngine.BUSY:
        throw new Busy(sentence);
      case 8:
        throw new BadUserVector(sentence);
      case NativeEngine.NOT_FINITE:
        throw new NotFinite(sentence);
      default:
        throw new IllegalArgumentException(sentence);
    }
  }
}
