package io.chordkit.litert;

import io.chordkit.ChordException;

/** LiteRT cannot run an artifact. */
public final class LiteRtException extends ChordException {
  private static final long serialVersionUID = 1;

  LiteRtException(String sentence, Exception cause) {
    super(sentence + ": " + cause.getMessage());
    initCause(cause);
  }
}
