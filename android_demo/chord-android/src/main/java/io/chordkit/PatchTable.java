package io.chordkit;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.zip.CRC32;

/** The patch table at the end of a master file (CHRT, docs/patching.md), checked in the order that is written there. */
final class PatchTable {
  /** Fields of a layer. */
  static final int CODES = 0;

  static final int STRIDE = 1;
  static final int ROWS = 2;
  static final int COLUMNS = 3;
  static final int SCALES = 4;
  private static final int OFF_SCALE = 5;

  private static final int FINGERPRINT = 8;
  private static final int CONTENT = 16;
  private static final int CHANNELS = 20;
  private static final int LAYERS = 24;
  private static final int HEADER = 28;
  private static final int ENTRY = 24;
  private static final int CHANNEL = 12;
  private static final int END = 8;
  private static final int MOST_GAP = 16;
  private static final int PIECE = 16384;

  /** Bytes of the content, the channels, the layers. */
  final int content;

  final int channels;
  final int layers;

  private final ByteBuffer data;
  private final int begin;
  private final int arrays;

  /** @param data a whole file, little-endian */
  PatchTable(ByteBuffer data) throws PatchException {
    this.data = data;
    begin = begin(data);
    require(begin >= 0, "table", "the file does not end in a patch table; take the int8 artifact of layout speed");
    require(data.get(begin + 4) == 1, "version", "it is of a later one than this app reads");
    require(data.getInt(begin + 4) == 1, "reserved", "not all are zero");
    long size = HEADER + ENTRY * unsigned(begin + LAYERS) + CHANNEL * unsigned(begin + CHANNELS) + END;
    require(size == data.limit() - begin, "length", "it is not what its header announces; fetch the file again");
    require(crc() == data.getInt(data.limit() - 4), "CRC", "the checksum does not match, the bytes are damaged; fetch the file again");
    long before = unsigned(begin + CONTENT);
    require(before <= begin && before >= begin - MOST_GAP, "content", "it has " + before + " bytes, and the table begins at byte " + begin);
    content = (int) before;
    channels = data.getInt(begin + CHANNELS);
    layers = data.getInt(begin + LAYERS);
    arrays = begin + HEADER + ENTRY * layers;
    requireLayers();
    requireValues();
  }

  /** Where the table of a file begins; -1 = there is none. */
  static int begin(ByteBuffer data) {
    int length = data.limit();
    if (length < HEADER + END) {
      return -1;
    }
    long found = length - (data.getInt(length - END) & 0xFFFFFFFFL);
    boolean inside = found >= 0 && found <= length - HEADER - END;
    return inside && data.getInt((int) found) == ('C' | 'H' << 8 | 'R' << 16 | 'T' << 24) ? (int) found : -1;
  }

  byte[] fingerprint() {
    byte[] found = new byte[8];
    for (int i = 0; i < found.length; i++) {
      found[i] = data.get(begin + FINGERPRINT + i);
    }
    return found;
  }

  /** A field of a layer; all are below 2^31 once the table is checked. */
  int number(int layer, int field) {
    return data.getInt(begin + HEADER + ENTRY * layer + 4 * field);
  }

  /** The bits of the scale of a channel that is off. */
  int offScale(int layer) {
    return number(layer, OFF_SCALE);
  }

  /** The bits of a channel's scale at 2 or 4 bits. */
  int scale(int width, int channel) {
    return data.getInt(arrays + 4 * (channel + (width == 4 ? channels : 0)));
  }

  /** A channel's ratio at 2 or 4 bits. */
  int ratio(int width, int channel) {
    return data.getShort(arrays + 8 * channels + 2 * (channel + (width == 4 ? channels : 0)));
  }

  private void requireLayers() throws PatchException {
    require(layers > 0, "layers", "there are none");
    long rows = 0;
    for (int layer = 0; layer < layers; layer++) {
      long columns = field(layer, COLUMNS);
      boolean possible = field(layer, ROWS) > 0 && columns > 0 && columns <= field(layer, STRIDE);
      require(possible, "layers", "layer " + layer + " has no rows, no codes or rows that overlap");
      rows += field(layer, ROWS);
    }
    require(rows == channels, "channels", "the layers have " + rows + ", and the header announces " + channels);
    long[][] regions = new long[2 * layers][];
    for (int layer = 0; layer < layers; layer++) {
      long codes = field(layer, CODES);
      long scales = field(layer, SCALES);
      regions[2 * layer] = new long[] {codes, codes + (field(layer, ROWS) - 1) * field(layer, STRIDE) + field(layer, COLUMNS)};
      regions[2 * layer + 1] = new long[] {scales, scales + 4 * field(layer, ROWS)};
    }
    Arrays.sort(
        regions,
        new Comparator<long[]>() {
          @Override
          public int compare(long[] one, long[] other) {
            return one[0] < other[0] ? -1 : one[0] > other[0] ? 1 : 0;
          }
        });
    for (int i = 0; i < regions.length; i++) {
      long next = i + 1 < regions.length ? regions[i + 1][0] : content;
      require(regions[i][1] <= next, "places", "two pieces overlap, or one ends behind the content");
    }
  }

  private void requireValues() throws PatchException {
    for (int layer = 0; layer < layers; layer++) {
      require(isScale(offScale(layer)), "values", "a scale is not finite and above 0");
    }
    for (int width = 2; width <= 4; width += 2) {
      for (int channel = 0; channel < channels; channel++) {
        require(isScale(scale(width, channel)), "values", "a scale is not finite and above 0");
        require(ratio(width, channel) > 0, "values", "a ratio is not above 0");
      }
    }
  }

  private static boolean isScale(int bits) {
    float scale = Float.intBitsToFloat(bits);
    return scale > 0 && !Float.isInfinite(scale);
  }

  private long field(int layer, int field) {
    return number(layer, field) & 0xFFFFFFFFL;
  }

  private long unsigned(int offset) {
    return data.getInt(offset) & 0xFFFFFFFFL;
  }

  /** Of all bytes but the last four; piece by piece, as Android before API 26 has it. */
  private int crc() {
    CRC32 crc = new CRC32();
    byte[] piece = new byte[PIECE];
    ByteBuffer view = data.duplicate();
    view.position(0);
    view.limit(data.limit() - 4);
    while (view.hasRemaining()) {
      int length = Math.min(piece.length, view.remaining());
      view.get(piece, 0, length);
      crc.update(piece, 0, length);
    }
    return (int) crc.getValue();
  }

  private static void require(boolean right, String check, String why) throws PatchException {
    PatchException.require(right, "patch table", check, why);
  }
}
