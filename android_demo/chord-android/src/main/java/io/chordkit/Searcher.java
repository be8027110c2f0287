package io.chordkit;

import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/** A scorer that looks through the whole catalogue. */
interface Searcher {
  /** As {@link Engine#topK}. */
  int topK(IntBuffer history, int k, boolean excludeHistory, IntBuffer items, FloatBuffer scores) throws ChordException;
}
