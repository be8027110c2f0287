package io.chordkit.demo.logic;

import java.nio.ByteBuffer;

/** 64 MB of something else, read before a call so that nothing of the model is left in the caches: what a phone does between two lists. */
final class OtherMemory {
  private static final int BYTES = 64 << 20;
  private static final int LINE = 64;

  private final ByteBuffer bytes = ByteBuffer.allocateDirect(BYTES);

  /** Where the bytes read go, so that reading them cannot be left out. */
  private volatile int sum;

  OtherMemory() {
    // Memory that was never written may be one page of zeros, many times.
    for (int i = 0; i < BYTES; i += LINE) {
      bytes.put(i, (byte) 1);
    }
  }

  /** Returns the sum of what was read: one for every line of a cache. */
  int read() {
    int read = 0;
    for (int i = 0; i < BYTES; i += LINE) {
      read += bytes.get(i);
    }
    sum = read;
    return sum;
  }
}
