package io.chordkit.demo.logic;

import io.chordkit.ChordException;
import java.io.IOException;

/** What went wrong, as one sentence for a screen or a file. */
public final class Failure {
  private static final int LONGEST = 1000;

  private Failure() {}

  public static String sentence(Throwable problem) {
    String message = problem.getMessage();
    boolean speaks = message != null && !message.trim().isEmpty();
    if (problem instanceof OutOfMemoryError) {
      return "there is not enough memory" + (speaks ? ": " + oneLine(message) : "");
    }
    if (speaks && (problem instanceof ChordException || problem instanceof IOException)) {
      return oneLine(message);
    }
    return oneLine(problem.getClass().getSimpleName() + (speaks ? ": " + message : ""));
  }

  private static String oneLine(String text) {
    String line = text.trim().replaceAll("\\s+", " ");
    return line.length() <= LONGEST ? line : line.substring(0, LONGEST - 1) + "…";
  }
}
