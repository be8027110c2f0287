package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * What leaves the phone where the cloud makes strategies from profiles: mean embeddings of the last items, and not the items. It is
 * computed here, from the bundle's own embeddings. docs/privacy.md says what it tells of a user, which is not nothing.
 */
public final class Profile {
  /** Those that chordkit trains with. */
  static final int[] DEFAULT_POOLS = {5, 25, 200};

  private final float[] values;
  private final List<String> unknown;

  private Profile(float[] values, List<String> unknown) {
    this.values = values;
    this.unknown = unknown;
  }

  /** Over the last 5, 25 and 200 items, as chordkit trains by default. */
  public static Profile of(Engine engine, Items items, List<String> history) throws ChordException {
    return of(engine, items, history, DEFAULT_POOLS);
  }

  /**
   * @param history the owner's ids, oldest first, any number; what the catalogue does not have is left out
   * @param pools how many of the last items each mean is over, ascending: those that the hypernetwork was trained with
   */
  public static Profile of(Engine engine, Items items, List<String> history, int[] pools) throws ChordException {
    IntBuffer ids = Buffers.intsOf(Math.max(1, history.size()));
    List<String> unknown = new ArrayList<String>();
    items.ids(history, ids, unknown);
    return of(engine, ids, pools, unknown);
  }

  static Profile of(Engine engine, IntBuffer ids, int[] pools, List<String> unknown) throws ChordException {
    FloatBuffer room = Buffers.floatsOf(pools.length * engine.dim() + 1);
    engine.profile(ids, pools, room);
    float[] values = new float[room.remaining()];
    room.get(values);
    return new Profile(values, unknown);
  }

  /** The numbers [pools * dim + 1]; the last is log(1 + items) / 4. */
  public float[] values() {
    return Arrays.copyOf(values, values.length);
  }

  /** The same for sending: float32, little-endian, 4 bytes a number. */
  public byte[] bytes() {
    ByteBuffer buffer = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    buffer.asFloatBuffer().put(values);
    return buffer.array();
  }

  /** Ids of the history that the catalogue does not have. */
  public List<String> unknown() {
    return Collections.unmodifiableList(unknown);
  }
}
