package io.chordkit;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

/** Something that must be refused. */
public abstract class Attempt {
  public abstract void run() throws Exception;

  /** Runs it, and holds what it throws against the class and the whole sentence. */
  public final void assertThrows(Class<? extends Throwable> kind, String sentence) {
    Throwable thrown = thrown();
    assertEquals(String.valueOf(thrown), kind, thrown == null ? null : thrown.getClass());
    assertEquals(sentence, thrown.getMessage());
  }

  /** Likewise, where the sentence must hold words. */
  public final void assertThrowsWith(Class<? extends Throwable> kind, String... words) {
    Throwable thrown = thrown();
    assertEquals(String.valueOf(thrown), kind, thrown == null ? null : thrown.getClass());
    for (String word : words) {
      assertTrue(thrown.getMessage() + " says nothing of " + word, thrown.getMessage().contains(word));
    }
  }

  private Throwable thrown() {
    try {
      run();
      return null;
    } catch (Throwable thrown) {
      return thrown;
    }
  }
}
