package io.chordkit;

/** A master file or a strategy for it is damaged, or they are not for each other; the message says which. What was in use still is. */
public final class PatchException extends ChordException {
  private static final long serialVersionUID = 1;

  PatchException(String noun, String check, String why) {
    super(noun + ": " + check + ": " + why);
  }

  static void require(boolean right, String noun, String check, String why) throws PatchException {
    if (!right) {
      throw new PatchException(noun, check, why);
    }
  }
}
