package io.chordkit;

/** Something from outside was refused; the message is one sentence that says what, and what mends it. Whatever was in use still is. */
public abstract class ChordException extends Exception {
  private static final long serialVersionUID = 1;

  protected ChordException(String sentence) {
    super(sentence);
  }
}
