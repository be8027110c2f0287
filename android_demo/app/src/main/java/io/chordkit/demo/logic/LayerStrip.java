package io.chordkit.demo.logic;

import java.util.Arrays;

/** The channels of one layer in their order, as runs of one width. */
public final class LayerStrip {
  /** The layer's name in the channel table. */
  public final String name;

  public final int channels;

  private final int[] widths;
  private final int[] lengths;

  /**
   * @param name of the layer
   * @param widths of the whole strategy: 0, 2, 4 or 8 for a channel
   * @param offset of the layer's first channel
   */
  public LayerStrip(String name, byte[] widths, int offset, int channels) {
    this.name = name;
    this.channels = channels;
    int[] runWidths = new int[channels];
    int[] runLengths = new int[channels];
    int runs = 0;
    for (int i = offset; i < offset + channels; i++) {
      if (runs == 0 || runWidths[runs - 1] != widths[i]) {
        runWidths[runs++] = widths[i];
      }
      runLengths[runs - 1]++;
    }
    this.widths = Arrays.copyOf(runWidths, runs);
    this.lengths = Arrays.copyOf(runLengths, runs);
  }

  public int runs() {
    return widths.length;
  }

  /** Bits of the channels of a run: 0 = off, 2, 4, 8. */
  public int width(int run) {
    return widths[run];
  }

  /** Channels of a run. */
  public int length(int run) {
    return lengths[run];
  }

  /** What part of the layer's channels has so many bits, 0 to 1. */
  public double share(int width) {
    int count = 0;
    for (int i = 0; i < widths.length; i++) {
      count += widths[i] == width ? lengths[i] : 0;
    }
    return (double) count / channels;
  }
}
