package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.zip.CRC32;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** What a {@link ChordStore} keeps besides the signed files: which of them are in use, and what is no longer accepted. */
final class StoreState {
  static final String STRATEGY = "strategy";
  static final String USER_VECTOR = "user vector";
  static final String[] KINDS = {STRATEGY, USER_VECTOR};

  private static final int VERSION = 2;
  private static final int WITHOUT_RELEASES = 1;
  private static final int MARK = 9; // eight digits of the CRC and the end of their line

  /** A bundle in the folder. */
  static final class Slot {
    final String file;
    final long counter;

    /** Its number in a channel; 0 = it came another way. */
    final long release;

    Slot(String file, long counter) {
      this(file, counter, 0);
    }

    Slot(String file, long counter, long release) {
      this.file = file;
      this.counter = counter;
      this.release = release;
    }

    private boolean isNewerThan(Slot other) {
      boolean later = StoreFolder.number(file) > StoreFolder.number(other.file);
      return counter != other.counter ? counter > other.counter : later;
    }
  }

  /** An envelope in the folder, for one backbone. */
  static final class Kept {
    final String file;
    final String fingerprint;
    final long serial;

    Kept(String file, String fingerprint, long serial) {
      this.file = file;
      this.fingerprint = fingerprint;
      this.serial = serial;
    }
  }

  /** Strategies, or user vectors, of one subject. */
  static final class Line {
    final String subject;
    final String kind;

    /** The highest that was adopted; never goes down. */
    long serial;

    /** The newest first; of different backbones. */
    final List<Kept> kept = new ArrayList<Kept>();

    Line(String subject, String kind) {
      this.subject = subject;
      this.kind = kind;
    }

    @Nullable
    Kept keptFor(String fingerprint) {
      for (Kept each : kept) {
        if (each.fingerprint.equals(fingerprint)) {
          return each;
        }
      }
      return null;
    }

    /** In the place of the one for the same backbone, and of the oldest beyond {@code most}. */
    void replace(Kept newest, int most) {
      kept.remove(keptFor(newest.fingerprint));
      kept.add(0, newest);
      while (kept.size() > most) {
        kept.remove(most);
      }
    }
  }

  /** Adapters of one subject for one backbone, all trained under the same inputs. */
  static final class Trained {
    final String subject;
    final String fingerprint;

    /** The strategy and the user vector that they were trained under. */
    final String inputs;

    final float temperature;

    /** File of the one in use; null = the frozen model. */
    @Nullable String current;

    /** File of the one before; null = the frozen model. */
    @Nullable String previous;

    Trained(String subject, String fingerprint, String inputs, float temperature) {
      this.subject = subject;
      this.fingerprint = fingerprint;
      this.inputs = inputs;
      this.temperature = temperature;
    }
  }

  @Nullable Slot current;
  @Nullable Slot previous;

  /** The lowest counter that is installed; never goes down. */
  long minimum;

  long latestSeen;

  /** Of the next file. */
  long next;

  final List<Line> lines = new ArrayList<Line>();

  /** The newest last. */
  final List<Trained> adapters = new ArrayList<Trained>();

  final StoreReleases releases = new StoreReleases();

  /** Everything in the folder that is in use. */
  List<String> files() {
    List<String> all = new ArrayList<String>();
    for (Slot slot : new Slot[] {current, previous, releases.prepared}) {
      if (slot != null) {
        all.add(slot.file);
      }
    }
    for (Line line : lines) {
      for (Kept kept : line.kept) {
        all.add(kept.file);
      }
    }
    for (Trained trained : adapters) {
      for (String file : new String[] {trained.current, trained.previous}) {
        if (file != null) {
          all.add(file);
        }
      }
    }
    return all;
  }

  /** A bundle that was found: of all that are added the newest becomes the current one, the next the one before. */
  void add(Slot found) {
    if (current == null || found.isNewerThan(current)) {
      previous = current;
      current = found;
      minimum = found.counter;
    } else if (previous == null || found.isNewerThan(previous)) {
      previous = found;
    }
  }

  @Nullable
  Line find(String subject, String kind) {
    for (Line line : lines) {
      if (line.subject.equals(subject) && line.kind.equals(kind)) {
        return line;
      }
    }
    return null;
  }

  Line findOrAdd(String subject, String kind) {
    Line found = find(subject, kind);
    if (found == null) {
      found = new Line(subject, kind);
      lines.add(found);
    }
    return found;
  }

  @Nullable
  Trained trained(String subject, String fingerprint) {
    for (Trained each : adapters) {
      if (each.subject.equals(subject) && each.fingerprint.equals(fingerprint)) {
        return each;
      }
    }
    return null;
  }

  byte[] toBytes() {
    try {
      JSONObject all = new JSONObject();
      all.put("version", VERSION);
      all.put("minimum", minimum);
      all.put("latest_seen", latestSeen);
      all.put("next", next);
      all.put("current", of(current));
      all.put("previous", of(previous));
      JSONArray written = new JSONArray();
      for (Line line : lines) {
        JSONArray envelopes = new JSONArray();
        for (Kept kept : line.kept) {
          envelopes.put(new JSONObject().put("file", kept.file).put("fingerprint", kept.fingerprint).put("serial", kept.serial));
        }
        JSONObject one = new JSONObject().put("subject", line.subject).put("kind", line.kind).put("serial", line.serial);
        written.put(one.put("kept", envelopes));
      }
      JSONArray trained = new JSONArray();
      for (Trained each : adapters) {
        JSONObject one = new JSONObject().put("subject", each.subject).put("fingerprint", each.fingerprint).put("inputs", each.inputs);
        one.put("temperature", each.temperature);
        trained.put(one.put("current", orNull(each.current)).put("previous", orNull(each.previous)));
      }
      all.put("adapters", trained);
      all.put("releases", releases.toJson());
      byte[] json = all.put("envelopes", written).toString().getBytes(StandardCharsets.UTF_8);
      byte[] mark = mark(json);
      ByteBuffer whole = ByteBuffer.allocate(mark.length + json.length);
      return whole.put(mark).put(json).array();
    } catch (JSONException impossible) { // null keys and numbers that are not finite
      throw new IllegalStateException(impossible);
    }
  }

  /**
   * @throws BundleException it is not what {@link #toBytes} writes
   */
  static StoreState parse(byte[] data) throws BundleException {
    byte[] json = new byte[Math.max(0, data.length - MARK)];
    System.arraycopy(data, data.length - json.length, json, 0, json.length);
    byte[] mark = mark(json);
    boolean whole = data.length >= MARK;
    for (int i = 0; whole && i < MARK; i++) {
      whole = data[i] == mark[i];
    }
    if (!whole) {
      throw new BundleException("the store's state is damaged");
    }
    Json all = Json.parse(ByteBuffer.wrap(json), "the store's state");
    long version = all.count("version");
    if (version != VERSION && version != WITHOUT_RELEASES) {
      throw new BundleException("the store's state was written by another version of the library");
    }
    StoreState state = new StoreState();
    state.minimum = all.count("minimum");
    state.latestSeen = all.count("latest_seen");
    state.next = all.count("next");
    state.current = slot(all.objectOrNull("current"));
    state.previous = slot(all.objectOrNull("previous"));
    for (Json one : all.objects("envelopes")) {
      Line line = state.findOrAdd(one.text("subject"), one.text("kind"));
      line.serial = one.count("serial");
      for (Json kept : one.objects("kept")) {
        line.kept.add(new Kept(kept.text("file"), kept.text("fingerprint"), kept.count("serial")));
      }
    }
    for (Json one : all.has("adapters") ? all.objects("adapters") : new Json[0]) { // older libraries wrote none
      Trained trained = new Trained(one.text("subject"), one.text("fingerprint"), one.text("inputs"), (float) one.number("temperature"));
      trained.current = one.textOrNull("current");
      trained.previous = one.textOrNull("previous");
      state.adapters.add(trained);
    }
    if (version != WITHOUT_RELEASES) {
      state.releases.read(all.object("releases"));
    }
    return state;
  }

  private static Object orNull(@Nullable String text) {
    return text == null ? JSONObject.NULL : text;
  }

  static Object of(@Nullable Slot slot) throws JSONException {
    return slot == null ? JSONObject.NULL : new JSONObject().put("file", slot.file).put("counter", slot.counter).put("release", slot.release);
  }

  @Nullable
  static Slot slot(@Nullable Json one) throws BundleException {
    return one == null ? null : new Slot(one.text("file"), one.count("counter"), one.has("release") ? one.count("release") : 0);
  }

  private static byte[] mark(byte[] json) {
    CRC32 crc = new CRC32();
    crc.update(json);
    return String.format(Locale.ROOT, "%08x\n", crc.getValue()).getBytes(StandardCharsets.US_ASCII);
  }
}
