package io.chordkit;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/** What the segments of a {@link Delta} add, inflated block by block and no further than they ask. */
final class DeltaStream implements Closeable {
  private static final int FED = 4096;
  private static final int MOST_PLANES = 16;

  private final ByteBuffer deflated;
  private final Inflater inflater = new Inflater(true);
  private final byte[] fed = new byte[FED];
  private final byte[] coded = new byte[DeltaSegments.BLOCK + MOST_PLANES];

  DeltaStream(ByteBuffer deflated) {
    this.deflated = deflated;
  }

  @Override
  public void close() {
    inflater.end();
  }

  /** Adds the next differences to the words of a block. */
  void add(byte[] block, int length, int word, int bits) throws DeltaException {
    int count = length / word;
    int planes = 8 * word / bits;
    int stride = (count * bits + 7) / 8;
    take(planes * stride);
    int mask = (1 << bits) - 1;
    for (int i = 0; i < count; i++) {
      int zigzag = 0;
      int place = i * bits >> 3;
      int shift = i * bits & 7;
      for (int plane = 0; plane < planes; plane++) {
        zigzag |= (coded[plane * stride + place] >> shift & mask) << plane * bits;
      }
      int sum = zigzag >>> 1 ^ -(zigzag & 1);
      for (int at = 0; at < word; at++) {
        sum += (block[i * word + at] & 255) << 8 * at;
      }
      for (int at = 0; at < word; at++) {
        block[i * word + at] = (byte) (sum >> 8 * at);
      }
    }
  }

  /** Refuses what comes behind the last byte that was taken. */
  void requireEnd() throws DeltaException {
    byte[] further = new byte[1];
    while (!inflater.finished()) {
      boolean last = !feed();
      require(inflate(further, 0, 1) == 0, "it goes on behind the last segment");
      require(!last || inflater.finished(), "it has no end");
    }
    require(inflater.getRemaining() == 0 && !deflated.hasRemaining(), "something follows it");
  }

  private void take(int size) throws DeltaException {
    for (int filled = 0; filled < size; ) {
      boolean last = !feed();
      int found = inflate(coded, filled, size - filled);
      require(found > 0 || !last && !inflater.finished(), "it ends early");
      filled += found;
    }
  }

  /** False = there is nothing that it could still be given. */
  private boolean feed() {
    if (!inflater.needsInput()) {
      return true;
    }
    int size = Math.min(FED, deflated.remaining());
    deflated.get(fed, 0, size);
    inflater.setInput(fed, 0, size);
    return size > 0;
  }

  private int inflate(byte[] into, int from, int size) throws DeltaException {
    try {
      return inflater.inflate(into, from, size);
    } catch (DataFormatException broken) {
      throw new DeltaException("stream", "it cannot be inflated");
    }
  }

  private static void require(boolean right, String why) throws DeltaException {
    Delta.require(right, "stream", why);
  }
}
