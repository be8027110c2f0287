package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * An artifact that becomes any user's: the int8 file of layout speed with its patch table (CHRT, docs/patching.md). A strategy makes of it, byte for
 * byte, the file that the exporter writes for this strategy, in about a millisecond and with no runtime. Any thread.
 */
public final class MasterFile {
  private static final int INT2_LOW = -2;
  private static final int INT2_HIGH = 1;
  private static final int INT4_LOW = -7;
  private static final int INT4_HIGH = 7;
  private static final int HALF = 1 << 14;
  private static final int SCALE = 4;

  private final ByteBuffer data;
  private final PatchTable table;

  private MasterFile(ByteBuffer data) throws PatchException {
    this.data = data;
    table = new PatchTable(data);
  }

  /**
   * Checks a master file, all of it.
   *
   * @param file from position to limit; read in place whenever a strategy is given, so it must stay as it is
   * @throws PatchException it has no patch table at its end, or is damaged
   */
  public static MasterFile read(ByteBuffer file) throws PatchException {
    return new MasterFile(file.slice().order(ByteOrder.LITTLE_ENDIAN));
  }

  /** Whether a file ends in a patch table, whole or damaged: whether it is one for every user. */
  public static boolean carriesTable(ByteBuffer file) {
    return PatchTable.begin(file.slice().order(ByteOrder.LITTLE_ENDIAN)) >= 0;
  }

  /** The 8 bytes of the backbone that every strategy for it carries. */
  public byte[] fingerprint() {
    return table.fingerprint();
  }

  /** How many channels every strategy for it has. */
  public int channels() {
    return table.channels;
  }

  /** Bytes of what comes of it. */
  public int size() {
    return table.content;
  }

  /**
   * The file of one user.
   *
   * @param strategy its wire form (CHRD): of a signed bundle, or {@link io.chordkit.trust.VerifiedEnvelope#payload}
   * @return direct and of native order, from 0 to its limit: what a runtime loads
   * @throws PatchException the strategy is damaged, or for another backbone
   */
  public ByteBuffer patched(byte[] strategy) throws PatchException {
    byte[] widths = StrategyWidths.of(strategy, table.fingerprint(), table.channels);
    byte[] result = new byte[table.content];
    ByteBuffer view = data.duplicate();
    view.limit(table.content);
    view.position(0);
    view.get(result);
    int channel = 0;
    for (int layer = 0; layer < table.layers; layer++) {
      int rows = table.number(layer, PatchTable.ROWS);
      for (int row = 0; row < rows; row++, channel++) {
        patch(result, layer, row, channel, widths[channel]);
      }
    }
    ByteBuffer direct = ByteBuffer.allocateDirect(result.length).order(ByteOrder.nativeOrder());
    direct.put(result);
    direct.flip();
    return direct;
  }

  private void patch(byte[] result, int layer, int row, int channel, int width) {
    if (width == 8) {
      return;
    }
    int first = table.number(layer, PatchTable.CODES) + row * table.number(layer, PatchTable.STRIDE);
    int behind = first + table.number(layer, PatchTable.COLUMNS);
    int low = width == 2 ? INT2_LOW : width == 4 ? INT4_LOW : 0;
    int high = width == 2 ? INT2_HIGH : width == 4 ? INT4_HIGH : 0;
    int ratio = width == 0 ? 0 : table.ratio(width, channel);
    for (int place = first; place < behind; place++) {
      int code = result[place] * ratio + HALF >> 15;
      result[place] = (byte) (code < low ? low : code > high ? high : code);
    }
    int scale = width == 0 ? table.offScale(layer) : table.scale(width, channel);
    int into = table.number(layer, PatchTable.SCALES) + SCALE * row;
    for (int i = 0; i < SCALE; i++) {
      result[into + i] = (byte) (scale >> 8 * i);
    }
  }
}
