package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32;

/** A strategy on the wire (CHRD, docs/formats.md) as the width of each channel; the engine reads them by itself, in C. */
final class StrategyWidths {
  private static final int FINGERPRINT = 8;
  private static final int CHANNELS = 16;
  private static final int HEADER = 20;
  private static final int CHECKSUM = 4;

  private StrategyWidths() {}

  /** Widths 0, 2, 4 and 8 of so many channels; checked in the order that docs/formats.md gives. */
  static byte[] of(byte[] wire, byte[] fingerprint, int channels) throws PatchException {
    ByteBuffer data = ByteBuffer.wrap(wire).order(ByteOrder.LITTLE_ENDIAN);
    require(wire.length >= HEADER + CHECKSUM, "length", wire.length + " bytes cannot hold a header and a checksum; fetch it again");
    require(data.getInt(0) == ('C' | 'H' << 8 | 'R' << 16 | 'D' << 24), "magic", "the data does not begin with CHRD; give another file");
    require(wire[4] == 1, "version", "it is of a later one than this app reads");
    require(wire[5] == 0, "encoding", "it is none that this app reads");
    int flags = data.getShort(6);
    require((flags & ~1) == 0, "flags", "there are some that this app does not know");
    for (int i = 0; i < fingerprint.length; i++) {
      require(wire[FINGERPRINT + i] == fingerprint[i], "fingerprint", "it is for another backbone; fetch one for this backbone");
    }
    require(data.getInt(CHANNELS) == channels, "channel count", "the backbone has " + channels + "; fetch one for this backbone");
    int packed = (channels + 3) / 4;
    require(wire.length == HEADER + packed + CHECKSUM, "length", "it is not what its header announces; fetch it again");
    CRC32 crc = new CRC32();
    crc.update(wire, 0, HEADER + packed);
    require((int) crc.getValue() == data.getInt(HEADER + packed), "CRC", "the checksum does not match, the bytes are damaged; fetch it again");
    byte[] widths = new byte[channels];
    for (int i = 0; i < channels; i++) {
      int code = wire[HEADER + i / 4] >> 2 * (i % 4) & 3;
      require(code != 0 || flags == 1, "code", "channel " + i + " is off although the flags do not allow it");
      widths[i] = (byte) (code == 0 ? 0 : 1 << code);
    }
    for (int i = channels; i < 4 * packed; i++) {
      require((wire[HEADER + i / 4] >> 2 * (i % 4) & 3) == 0, "pad bits", "bits after the last channel are not zero");
    }
    return widths;
  }

  private static void require(boolean right, String check, String why) throws PatchException {
    PatchException.require(right, "strategy", check, why);
  }
}
