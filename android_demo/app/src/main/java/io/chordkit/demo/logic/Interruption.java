package io.chordkit.demo.logic;

/** How long work ends early: whoever no longer wants it interrupts its thread. */
final class Interruption {
  private Interruption() {}

  static void check() throws InterruptedException {
    if (Thread.interrupted()) {
      throw new InterruptedException("stopped");
    }
  }
}
