package io.chordkit;

/** A {@link ChordStore} has no bundle that it could open, or go back to; the message says what was tried and why it failed. */
public final class StoreException extends ChordException {
  private static final long serialVersionUID = 1;

  StoreException(String sentence) {
    super(sentence);
  }
}
