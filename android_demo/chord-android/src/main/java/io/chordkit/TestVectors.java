package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Real histories and candidates with the scores that they must give (docs/bundle.md, "Members"): {@code vectors.safetensors} of a bundle.
 * Rows are views of the bundle, without copying. Any thread.
 */
public final class TestVectors {
  private static final int LONGEST_HEADER = 1 << 20;
  private static final int SIZE_BYTES = 8;
  private static final int NUMBER_BYTES = 4;
  private static final String MEMBER = "vectors.safetensors";
  private static final String SCORES = "scores/";

  private final ByteBuffer data;
  private final Map<String, Table> tables = new LinkedHashMap<String, Table>();
  private final int count;
  private final int length;
  private final int candidates;
  private final List<String> references = new ArrayList<String>();

  /**
   * @param member the file; little-endian, which every Android is as well
   * @param items of the catalogue
   */
  TestVectors(ByteBuffer member, int items) throws BundleException {
    data = member.slice().order(ByteOrder.LITTLE_ENDIAN);
    long header = data.remaining() < SIZE_BYTES ? -1 : data.getLong(0);
    if (header < 0 || header > Math.min(LONGEST_HEADER, data.remaining() - SIZE_BYTES)) {
      throw refused("it ends before its header does, or its header is longer than " + LONGEST_HEADER + " bytes");
    }
    ByteBuffer text = data.duplicate();
    text.limit(SIZE_BYTES + (int) header);
    text.position(SIZE_BYTES);
    Json described = Json.parse(text, MEMBER);
    long room = data.remaining() - SIZE_BYTES - header;
    for (String name : described.fields()) {
      if (!name.equals("__metadata__")) {
        tables.put(name, new Table(name, described.object(name), SIZE_BYTES + (int) header, room));
      }
    }
    for (String name : new String[] {"histories", "candidates", "targets"}) {
      if (!tables.containsKey(name)) {
        throw refused("it has no " + name);
      }
    }
    count = table("histories").rows;
    length = table("histories").columns;
    candidates = table("candidates").columns;
    for (String name : tables.keySet()) {
      if (name.startsWith(SCORES)) {
        references.add(name.substring(SCORES.length()));
      }
    }
    Collections.sort(references);
    requireShapes();
    requireValues(items);
  }

  /** How many histories there are. */
  public int count() {
    return count;
  }

  /** Slots of a history. */
  public int length() {
    return length;
  }

  /** Candidates of a history. */
  public int candidates() {
    return candidates;
  }

  /** Names of the references whose scores there are, sorted: int8, and one for each strategy that an artifact was made with. */
  public List<String> references() {
    return Collections.unmodifiableList(references);
  }

  /** Whether each history has a user vector. */
  public boolean hasUsers() {
    return tables.containsKey("users");
  }

  /** Item numbers [length], padded with 0 in front, oldest first. A view of the bundle, direct and read-only. */
  public IntBuffer history(int row) {
    return table("histories").row(row).asIntBuffer();
  }

  /** Item numbers [candidates]. A view of the bundle, direct and read-only. */
  public IntBuffer candidates(int row) {
    return table("candidates").row(row).asIntBuffer();
  }

  /** The column of the item that the user took next. */
  public int target(int row) {
    return table("targets").row(row).getInt();
  }

  /** The scores [candidates] that the reference gives: float32 arithmetic over the artifact's weights. A view of the bundle. */
  public FloatBuffer scores(String reference, int row) {
    return table(SCORES + reference).row(row).asFloatBuffer();
  }

  /** The user vector [dim] of a row; null where the bundle has none. A view of the bundle. */
  @Nullable
  public FloatBuffer user(int row) {
    return hasUsers() ? table("users").row(row).asFloatBuffer() : null;
  }

  private Table table(String name) {
    Table found = tables.get(name);
    if (found == null) {
      throw new IllegalArgumentException("the test vectors have no " + name);
    }
    return found;
  }

  private void requireShapes() throws BundleException {
    for (Map.Entry<String, Table> each : tables.entrySet()) {
      String name = each.getKey();
      Table table = each.getValue();
      boolean scores = name.startsWith(SCORES);
      boolean floats = scores || name.equals("users");
      if (!floats && !name.equals("histories") && !name.equals("candidates") && !name.equals("targets")) {
        throw refused("it holds an array '" + name + "' that this version does not know; update the app");
      }
      if (table.isFloat != floats || table.dimensions != (name.equals("targets") ? 1 : 2)) {
        throw refused(name + " has another type or number of dimensions");
      }
      if (table.rows != count || (scores && table.columns != candidates)) {
        throw refused(name + " has other rows or columns than histories and candidates");
      }
    }
    if (count == 0 || length == 0 || candidates == 0 || (hasUsers() && table("users").columns == 0)) {
      throw refused("there are none");
    }
  }

  private void requireValues(int items) throws BundleException {
    for (int row = 0; row < count; row++) {
      IntBuffer history = history(row);
      boolean begun = false;
      while (history.hasRemaining()) {
        int id = history.get();
        if (id < 0 || id > items || (begun && id == 0)) {
          throw refused("history " + row + " has an item outside of the catalogue, or an empty slot behind an item");
        }
        begun |= id != 0;
      }
      IntBuffer ids = candidates(row);
      while (ids.hasRemaining()) {
        int id = ids.get();
        if (id < 1 || id > items) {
          throw refused("candidates " + row + " has an item outside of the catalogue");
        }
      }
      if (!begun || target(row) < 0 || target(row) >= candidates) {
        throw refused("row " + row + " has no item, or a target outside of its candidates");
      }
    }
    for (Map.Entry<String, Table> each : tables.entrySet()) {
      if (each.getValue().isFloat && !each.getValue().isFinite()) {
        throw refused(each.getKey() + " has a number that is not finite");
      }
    }
  }

  private static BundleException refused(String why) {
    return new BundleException(MEMBER + ": " + why + "; make the bundle anew");
  }

  /** One array of the file. */
  private final class Table {
    final boolean isFloat;
    final int dimensions;
    final int rows;
    final int columns;
    private final int start;

    Table(String name, Json about, int first, long room) throws BundleException {
      String type = about.text("dtype");
      long[] shape = about.counts("shape");
      long[] offsets = about.counts("data_offsets");
      isFloat = type.equals("F32");
      dimensions = shape.length;
      if (!(isFloat || type.equals("I32")) || dimensions < 1 || dimensions > 2 || offsets.length != 2) {
        throw refused(name + " is no float32 or int32 array of one or two dimensions");
      }
      long across = dimensions == 2 ? shape[1] : 1;
      // Both are below the file's size before they are multiplied.
      boolean fits = shape[0] <= room && across <= room && offsets[0] <= offsets[1] && offsets[1] <= room;
      if (!fits || offsets[1] - offsets[0] != shape[0] * across * NUMBER_BYTES || (first + offsets[0]) % NUMBER_BYTES != 0) {
        throw refused(name + " does not lie where its shape says");
      }
      rows = (int) shape[0];
      columns = (int) across;
      start = first + (int) offsets[0];
    }

    ByteBuffer row(int row) {
      if (row < 0 || row >= rows) {
        throw new IndexOutOfBoundsException("row " + row + " is not one of " + rows);
      }
      ByteBuffer view = data.duplicate();
      int at = start + row * columns * NUMBER_BYTES;
      view.limit(at + columns * NUMBER_BYTES);
      view.position(at);
      return view.slice().order(ByteOrder.LITTLE_ENDIAN);
    }

    boolean isFinite() {
      for (int row = 0; row < rows; row++) {
        FloatBuffer values = row(row).asFloatBuffer();
        while (values.hasRemaining()) {
          float value = values.get();
          if (Float.isNaN(value) || Float.isInfinite(value)) {
            return false;
          }
        }
      }
      return true;
    }
  }
}
