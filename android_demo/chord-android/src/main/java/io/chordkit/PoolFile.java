package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Iterator;
import java.util.Map;
import java.util.TreeMap;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The file of a pool (docs/coda.md, "The file of a pool"): a safetensors file whose checksum is right and whose arrays are of the known kinds. */
final class PoolFile {
  private static final int SIZE_BYTES = 8;
  private static final int LONGEST_HEADER = 1 << 16;
  private static final String CHECKSUM = "sha256";

  /** Name, type in the file, type in the checksum, bytes of a number, dimensions; in the order of the checksum. */
  private static final String[][] TENSORS = {
    {"flat", "I32", "int32", "4", "1"},
    {"offsets", "I64", "int64", "8", "1"},
    {"segment_sources", "I32", "int32", "4", "1"},
    {"source_names", "I64", "int64", "8", "1"},
    {"sample_segments", "I32", "int32", "4", "1"},
    {"sample_places", "I32", "int32", "4", "1"},
    {"codes", "I8", "int8", "1", "2"},
    {"scales", "F32", "float32", "4", "1"},
  };

  /** An array, where it lies. */
  static final class Tensor {
    final ByteBuffer data;
    final int rows;
    final int columns;

    private Tensor(ByteBuffer data, int rows, int columns) {
      this.data = data;
      this.rows = rows;
      this.columns = columns;
    }
  }

  final String fingerprint;
  final JSONObject settings;
  private final Map<String, Tensor> tensors = new TreeMap<String, Tensor>();

  PoolFile(ByteBuffer file) throws LearningException {
    ByteBuffer data = file.slice().order(ByteOrder.LITTLE_ENDIAN);
    long header = data.limit() < SIZE_BYTES ? -1 : data.getLong(0);
    if (header < 0 || header > Math.min(LONGEST_HEADER, data.limit() - SIZE_BYTES)) {
      throw refused("it ends before its header does, or its header is longer than " + LONGEST_HEADER + " bytes");
    }
    try {
      JSONObject all = new JSONObject(Json.decoded(part(data, SIZE_BYTES, SIZE_BYTES + (int) header)));
      ByteBuffer arrays = part(data, SIZE_BYTES + (int) header, data.limit());
      JSONObject metadata = all.getJSONObject("__metadata__");
      if (!"chordkit.pool".equals(metadata.opt("format")) || !"1".equals(metadata.opt("version"))) {
        throw refused("format and version are not chordkit.pool and 1");
      }
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(spelled(metadata).getBytes(StandardCharsets.US_ASCII));
      for (String[] kind : TENSORS) {
        tensors.put(kind[0], tensor(kind, all.getJSONObject(kind[0]), arrays, digest));
      }
      if (!Hex.of(digest.digest()).equals(metadata.opt(CHECKSUM)) || all.length() != TENSORS.length + 1) {
        throw refused("its checksum does not match, it is damaged");
      }
      fingerprint = metadata.getString("fingerprint");
      settings = new JSONObject(metadata.getString("settings"));
    } catch (JSONException | CharacterCodingException | StackOverflowError notOne) {
      throw refused("its header is not that of a pool");
    } catch (NoSuchAlgorithmException impossible) { // every Java has it
      throw new IllegalStateException(impossible);
    }
  }

  Tensor tensor(String name) {
    Tensor found = tensors.get(name);
    if (found == null) {
      throw new IllegalArgumentException(name);
    }
    return found;
  }

  static LearningException refused(String why) {
    return new LearningException.BadSamples("pool: " + why + "; make it again with 'chordkit match build'");
  }

  private static Tensor tensor(String[] kind, JSONObject about, ByteBuffer arrays, MessageDigest digest)
      throws JSONException, LearningException {
    JSONArray shape = about.getJSONArray("shape");
    JSONArray offsets = about.getJSONArray("data_offsets");
    if (!kind[1].equals(about.opt("dtype")) || shape.length() != Integer.parseInt(kind[4]) || offsets.length() != 2) {
      throw refused(kind[0] + " has another type or number of dimensions");
    }
    long rows = count(shape.get(0));
    long columns = shape.length() == 2 ? count(shape.get(1)) : 1;
    long from = count(offsets.get(0));
    long to = count(offsets.get(1));
    long room = arrays.limit();
    // All are below the file's size before they are multiplied.
    boolean fits = rows >= 0 && rows <= room && columns >= 0 && columns <= room && from >= 0 && from <= to && to <= room;
    if (!fits || to - from != rows * columns * Integer.parseInt(kind[3])) {
      throw refused(kind[0] + " does not lie where its shape says");
    }
    ByteBuffer data = part(arrays, (int) from, (int) to);
    String spelledShape = shape.length() == 2 ? "(" + rows + ", " + columns + ")" : "(" + rows + ",)";
    digest.update((kind[0] + " " + kind[2] + " " + spelledShape).getBytes(StandardCharsets.US_ASCII));
    digest.update(data.duplicate());
    return new Tensor(data, (int) rows, (int) columns);
  }

  private static long count(Object value) {
    return value instanceof Integer || value instanceof Long ? ((Number) value).longValue() : -1;
  }

  private static ByteBuffer part(ByteBuffer whole, int from, int to) {
    ByteBuffer view = whole.duplicate();
    view.limit(to);
    view.position(from);
    return view.slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The metadata as Python's json spells them with their keys in order, less the checksum itself. */
  private static String spelled(JSONObject metadata) throws JSONException, LearningException {
    Map<String, String> sorted = new TreeMap<String, String>();
    for (Iterator<String> keys = metadata.keys(); keys.hasNext(); ) {
      String key = keys.next();
      if (!key.equals(CHECKSUM)) {
        sorted.put(key, metadata.getString(key));
      }
    }
    StringBuilder text = new StringBuilder("{");
    for (Map.Entry<String, String> each : sorted.entrySet()) {
      text.append(text.length() == 1 ? "" : ", ").append(quoted(each.getKey())).append(": ").append(quoted(each.getValue()));
    }
    return text.append('}').toString();
  }

  private static String quoted(String text) throws LearningException {
    for (int i = 0; i < text.length(); i++) {
      if (text.charAt(i) < ' ' || text.charAt(i) > '~') {
        throw refused("its metadata are not plain text");
      }
    }
    return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
  }
}
