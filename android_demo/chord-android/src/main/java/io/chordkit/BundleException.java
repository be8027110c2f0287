package io.chordkit;

/** A bundle was rightly signed, and what is in it is not what this library reads; the message names the member, the field and what mends it. */
public final class BundleException extends ChordException {
  private static final long serialVersionUID = 1;

  BundleException(String sentence) {
    super(sentence);
  }
}
