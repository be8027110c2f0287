package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;

/** The files that a phone verified last, as they came, and none but the root before the first: a channel does not go back behind them. */
public final class KeptChannel {
  /** The longest that it can be. */
  public static final int MOST_BYTES =
      20 + ChannelClient.MOST_ROOT + ChannelClient.MOST_TIMESTAMP + ChannelClient.MOST_SNAPSHOT + ChannelClient.MOST_TARGETS;

  private static final int MAGIC = 0x4348524b; // CHRK
  private static final int FILES = 4;

  final byte[] root;
  final byte[] timestamp;
  final byte[] snapshot;
  final byte[] targets;

  KeptChannel(byte[] root, byte[] timestamp, byte[] snapshot, byte[] targets) {
    this.root = root;
    this.timestamp = timestamp;
    this.snapshot = snapshot;
    this.targets = targets;
  }

  /** For a file of the app's own: a word, and each of the four with its length before it. */
  public byte[] toBytes() {
    byte[][] all = {root, timestamp, snapshot, targets};
    int size = 4 * (1 + FILES);
    for (byte[] each : all) {
      size += each.length;
    }
    ByteBuffer data = ByteBuffer.allocate(size).putInt(MAGIC);
    for (byte[] each : all) {
      data.putInt(each.length).put(each);
    }
    return data.array();
  }

  /** What {@link #toBytes} gave; null = it is something else. */
  @Nullable
  public static KeptChannel parse(byte[] data) {
    ByteBuffer rest = ByteBuffer.wrap(data);
    byte[][] all = new byte[FILES][];
    try {
      boolean ours = rest.getInt() == MAGIC;
      for (int i = 0; ours && i < FILES; i++) {
        int length = rest.getInt();
        ours = length >= 0 && length <= rest.remaining();
        all[i] = new byte[ours ? length : 0];
        rest.get(all[i]);
      }
      return ours && !rest.hasRemaining() ? new KeptChannel(all[0], all[1], all[2], all[3]) : null;
    } catch (BufferUnderflowException cut) {
      return null;
    }
  }
}
