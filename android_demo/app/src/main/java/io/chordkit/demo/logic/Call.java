package io.chordkit.demo.logic;

import io.chordkit.ChordException;

/** What is timed: one rerank, usually. */
public interface Call {
  void run() throws ChordException;
}
