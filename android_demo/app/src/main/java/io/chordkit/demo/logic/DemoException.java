package io.chordkit.demo.logic;

import io.chordkit.ChordException;

/** What the app was given is not what it can work with; the message is one sentence. */
public final class DemoException extends ChordException {
  private static final long serialVersionUID = 1;

  public DemoException(String sentence) {
    super(sentence);
  }
}
