package io.chordkit.trust;

import io.chordkit.ChordException;

/** A bundle or an envelope is refused; the message is one sentence that says why, and what mends it. */
public abstract class VerificationException extends ChordException {
  private static final long serialVersionUID = 1;

  VerificationException(String sentence) {
    super(sentence);
  }

  /** Nothing here verifies Ed25519, so nothing is accepted. */
  public static final class NoVerifier extends VerificationException {
    private static final long serialVersionUID = 1;

    NoVerifier(String sentence) {
      super(sentence);
    }
  }

  /** The bytes are not what the format says: damaged, altered, or never right. */
  public static final class Damaged extends VerificationException {
    private static final long serialVersionUID = 1;

    Damaged(String sentence) {
      super(sentence);
    }
  }

  /** Of a later version of its format: the app is to be updated. */
  public static final class TooNew extends VerificationException {
    private static final long serialVersionUID = 1;

    TooNew(String sentence) {
      super(sentence);
    }
  }

  /** Not signed, not by an accepted key, or altered since. */
  public static final class Untrusted extends VerificationException {
    private static final long serialVersionUID = 1;

    Untrusted(String sentence) {
      super(sentence);
    }
  }

  /** Its counter or serial is below the lowest that is accepted. */
  public static final class Older extends VerificationException {
    private static final long serialVersionUID = 1;

    Older(String sentence) {
      super(sentence);
    }
  }

  /** Expired, not good yet, or good for a time only and no clock was given. */
  public static final class NotNow extends VerificationException {
    private static final long serialVersionUID = 1;

    NotNow(String sentence) {
      super(sentence);
    }
  }

  /** For another subject or another backbone. */
  public static final class NotForThis extends VerificationException {
    private static final long serialVersionUID = 1;

    NotForThis(String sentence) {
      super(sentence);
    }
  }

  /** Throws what a status of chord_verify.h other than CHORD_VERIFY_OK means; what is not known is refused too. */
  static void throwUnlessOk(int status, String sentence) throws VerificationException {
    switch (status) {
      case 0:
        return;
      case 1:
        throw new IllegalArgumentException(sentence);
      case 2:
        throw new NoVerifier(sentence);
      case 4:
        throw new TooNew(sentence);
      case 5:
      case 6:
      case 7:
        throw new Untrusted(sentence);
      case 8:
        throw new Older(sentence);
      case 9:
        throw new NotNow(sentence);
      case 10:
        throw new NotForThis(sentence);
      default:
        throw new Damaged(sentence);
    }
  }
}
