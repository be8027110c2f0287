package io.chordkit.demo.logic;

import java.util.Arrays;

/** 64 MB of something else, read before a call so that nothing of the model is left in the caches: what a phone does between two lists. */
final class OtherMemory {
  private static final int BYTES = 64 << 20;
  private static final int LINE = 64;

  private final byte[] bytes = new byte[BYTES];

  /** Where the bytes read go, so that reading them cannot be left out. */
  private volatile int sum;

  OtherMemory() {
    // Memory that was never written may be one page of zeros, many times.
    Arrays.fill(bytes, (byte) 1);
  }

  int read() {
    int read = 0;
    for (int i = 0; i < BYTES; i += LINE) {
      read += bytes[i];
    }
    sum = read;
    return sum;
  }
}
