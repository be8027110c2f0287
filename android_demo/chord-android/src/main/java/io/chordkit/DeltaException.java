package io.chordkit;

/** A difference between bundles is damaged, or for another file than the one that is there; the message says which. The whole bundle helps. */
public final class DeltaException extends ChordException {
  private static final long serialVersionUID = 1;

  DeltaException(String check, String why) {
    super("difference: " + check + ": " + why + "; fetch the whole bundle");
  }
}
