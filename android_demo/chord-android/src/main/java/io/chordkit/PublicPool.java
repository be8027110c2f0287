package io.chordkit;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * A pool of samples whose histories are public ({@code chordkit match build --public}, docs/coda.md): it travels to the phone, and the phone finds
 * what is like its user. Nothing leaves it, not even a profile. Any thread.
 */
public final class PublicPool {
  private static final int MOST_PARTS = 64;

  private static final Comparator<int[]> BY_ITEMS =
      new Comparator<int[]>() {
        @Override
        public int compare(int[] one, int[] other) {
          int common = Math.min(one.length, other.length) - 1; // the last is the number of the piece
          for (int i = 0; i < common; i++) {
            if (one[i] != other[i]) {
              return one[i] < other[i] ? -1 : 1;
            }
          }
          return one.length - other.length;
        }
      };

  private final Engine engine;
  private final int[] flat;
  private final int[] starts;
  private final int[] segments;
  private final int[] places;
  private final ByteBuffer codes;
  private final ByteBuffer scales;
  private final int[] pools;
  private final int context;

  private PublicPool(Engine engine, PoolFile file) throws LearningException {
    this.engine = engine;
    JSONObject settings = file.settings;
    int items = settings.optInt("items", -1);
    if (!file.fingerprint.equals(Hex.of(engine.fingerprint()))) {
      throw PoolFile.refused("fingerprint: it is for backbone " + file.fingerprint + ", not " + Hex.of(engine.fingerprint()));
    }
    if (settings.optInt("k", -1) != 0 || file.tensor("source_names").rows != 0) {
      throw PoolFile.refused("it is not a public one, and belongs on a server");
    }
    if (items < 1 || items > engine.items()) {
      throw PoolFile.refused("it has " + items + " items, and the bundle " + engine.items());
    }
    context = settings.optInt("context", -1);
    pools = pools(settings.optJSONArray("pools"));
    flat = ints(file.tensor("flat"));
    starts = starts(file.tensor("offsets"), flat.length);
    segments = ints(file.tensor("sample_segments"));
    places = ints(file.tensor("sample_places"));
    codes = file.tensor("codes").data;
    scales = file.tensor("scales").data;
    if (context < 1 || file.tensor("codes").columns != width() || file.tensor("codes").rows != places.length) {
      throw PoolFile.refused("its profiles are not those of " + places.length + " samples of this backbone");
    }
    requireSamples(items, file.tensor("scales").rows);
  }

  /** Maps a file, and checks all of it: that it is whole, fits together, and is for the backbone of {@code engine}. */
  public static PublicPool map(Engine engine, File file) throws ChordException, IOException {
    return open(engine, Bundle.mapped(file));
  }

  /**
   * @param file from position to limit; what is searched stays there
   * @throws LearningException.BadSamples it is damaged, not public, or for another backbone
   */
  public static PublicPool open(Engine engine, ByteBuffer file) throws LearningException {
    return new PublicPool(engine, new PoolFile(file));
  }

  /** Samples that there are. */
  public int size() {
    return places.length;
  }

  /**
   * Those that are most like the user, by the clicks that {@link Personalisation} does not examine; for this engine.
   *
   * @param count how many, at most 4,096
   */
  public Samples nearest(ClickStream clicks, Learning how, int count) throws ChordException {
    if (count < 1 || count > 4096) {
      throw new IllegalArgumentException("count: " + count + " is not possible, ask for 1 to 4096 samples");
    }
    return pieces(search(directions(clicks.profileForSamples(engine, how, pools).values()), count));
  }

  private int width() {
    return pools.length * engine.dim();
  }

  /** Each part of a profile at the same length: the product of two is the mean of their cosines. */
  private float[] directions(float[] profile) {
    float[] found = Arrays.copyOf(profile, width());
    for (int from = 0; from < found.length; from += engine.dim()) {
      double squares = 0;
      for (int i = from; i < from + engine.dim(); i++) {
        squares += (double) found[i] * found[i];
      }
      double length = Math.max(Math.sqrt(squares), 1e-30) * Math.sqrt(pools.length);
      for (int i = from; i < from + engine.dim(); i++) {
        found[i] = (float) (found[i] / length);
      }
    }
    return found;
  }

  /** Numbers of the samples. */
  private int[] search(float[] direction, int count) {
    Best best = new Best(Math.min(count, size()));
    byte[] row = new byte[direction.length];
    ByteBuffer rows = codes.duplicate();
    for (int sample = 0; sample < size(); sample++) {
      rows.get(row);
      float product = 0;
      for (int i = 0; i < row.length; i++) {
        product += row[i] * direction[i];
      }
      best.add(sample, product * scales.getFloat(4 * sample));
    }
    return best.items();
  }

  /** The pieces of histories that hold the samples and what stands before each; windows that touch are one piece. */
  private Samples pieces(int[] found) {
    long[] order = new long[found.length];
    for (int i = 0; i < found.length; i++) {
      order[i] = (long) segments[found[i]] << 32 | places[found[i]];
    }
    Arrays.sort(order);
    List<int[]> pieces = new ArrayList<int[]>();
    List<List<Integer>> targets = new ArrayList<List<Integer>>();
    int total = 0;
    for (int i = 0; i < order.length; ) {
      int segment = (int) (order[i] >> 32);
      int begin = Math.max(0, (int) order[i] - context);
      int stop = begin;
      List<Integer> marked = new ArrayList<Integer>();
      for (; i < order.length && (int) (order[i] >> 32) == segment && (marked.isEmpty() || (int) order[i] - context <= stop); i++) {
        stop = (int) order[i] + 1;
        marked.add((int) order[i] - begin);
      }
      int[] piece = Arrays.copyOfRange(flat, starts[segment] + begin, starts[segment] + stop + 1);
      piece[piece.length - 1] = pieces.size();
      pieces.add(piece);
      targets.add(marked);
      total += stop - begin;
    }
    Collections.sort(pieces, BY_ITEMS);
    IntBuffer items = Buffers.intsOf(total);
    IntBuffer lessons = Buffers.intsOf(2 * found.length);
    for (int[] piece : pieces) {
      int begin = items.position();
      items.put(piece, 0, piece.length - 1);
      for (int target : targets.get(piece[piece.length - 1])) {
        lessons.put(begin).put(begin + target);
      }
    }
    items.flip();
    lessons.flip();
    return new Samples(engine, items, lessons);
  }

  private static int[] pools(JSONArray listed) throws LearningException {
    int[] pools = new int[listed == null ? 0 : listed.length()];
    boolean rise = pools.length > 0 && pools.length <= MOST_PARTS;
    for (int i = 0; rise && i < pools.length; i++) {
      pools[i] = listed.optInt(i, -1);
      rise = pools[i] > (i == 0 ? 0 : pools[i - 1]);
    }
    if (!rise) {
      throw PoolFile.refused("the parts of its profiles do not rise from 1");
    }
    return pools;
  }

  private static int[] ints(PoolFile.Tensor tensor) {
    int[] found = new int[tensor.rows];
    tensor.data.duplicate().order(tensor.data.order()).asIntBuffer().get(found);
    return found;
  }

  private static int[] starts(PoolFile.Tensor offsets, int items) throws LearningException {
    int[] found = new int[offsets.rows];
    boolean rise = found.length > 1 && offsets.data.getLong(0) == 0;
    for (int i = 1; rise && i < found.length; i++) {
      long next = offsets.data.getLong(8 * i);
      rise = next >= found[i - 1] + 2L && next <= items;
      found[i] = (int) next;
    }
    if (!rise || found[found.length - 1] != items) {
      throw PoolFile.refused("its segments do not rise from 0 to the number of items, by two or more");
    }
    return found;
  }

  private void requireSamples(int items, int scaled) throws LearningException {
    for (int item : flat) {
      if (item < 1 || item > items) {
        throw PoolFile.refused("its items do not lie in 1.." + items);
      }
    }
    if (places.length == 0 || segments.length != places.length || scaled != places.length) {
      throw PoolFile.refused("it has no samples, or not of each the segment, place and scale");
    }
    for (int i = 0; i < places.length; i++) {
      boolean known = segments[i] >= 0 && segments[i] < starts.length - 1;
      if (!known || places[i] < 1 || places[i] >= starts[segments[i] + 1] - starts[segments[i]]) {
        throw PoolFile.refused("a sample does not stand behind an item of a segment");
      }
      float scale = scales.getFloat(4 * i);
      if (!(scale > 0) || Float.isInfinite(scale)) {
        throw PoolFile.refused("a profile's scale is not above 0 and finite");
      }
    }
  }
}
