package io.chordkit.release;

import io.chordkit.ChordException;

/** An update is refused, and nothing that is kept has changed; the message is one sentence that says why, and what mends it. */
public abstract class ReleaseException extends ChordException {
  private static final long serialVersionUID = 1;

  ReleaseException(String sentence) {
    super(sentence);
  }

  /** Not the one spelling that a file may have: canonical JSON. */
  public static final class NotCanonical extends ReleaseException {
    private static final long serialVersionUID = 1;

    NotCanonical(String sentence) {
      super(sentence);
    }
  }

  /** A field is missing, of another kind, or not possible. */
  public static final class Malformed extends ReleaseException {
    private static final long serialVersionUID = 1;

    Malformed(String sentence) {
      super(sentence);
    }
  }

  /** More bytes than a file may have, or others than the file above it says. */
  public static final class WrongLength extends ReleaseException {
    private static final long serialVersionUID = 1;

    WrongLength(String sentence) {
      super(sentence);
    }
  }

  /** Not the bytes that the file above says: damaged, or put together of several states of the channel. */
  public static final class WrongHash extends ReleaseException {
    private static final long serialVersionUID = 1;

    WrongHash(String sentence) {
      super(sentence);
    }
  }

  /** Fewer valid signatures than the role's threshold, or nothing here that verifies any. */
  public static final class Untrusted extends ReleaseException {
    private static final long serialVersionUID = 1;

    Untrusted(String sentence) {
      super(sentence);
    }
  }

  /** An older version than this phone has seen, or another one than the file above says; or a root that is not the next one. */
  public static final class WrongVersion extends ReleaseException {
    private static final long serialVersionUID = 1;

    WrongVersion(String sentence) {
      super(sentence);
    }
  }

  /** By the clock that the app gives it is no longer good. */
  public static final class Expired extends ReleaseException {
    private static final long serialVersionUID = 1;

    Expired(String sentence) {
      super(sentence);
    }
  }

  /** A file that a channel always has is not on the mirror. */
  public static final class Missing extends ReleaseException {
    private static final long serialVersionUID = 1;

    Missing(String sentence) {
      super(sentence);
    }
  }
}
