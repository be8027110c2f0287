package io.chordkit;

import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * What a phone keeps of its user's clicks: the newest items, in the order in which they came, and no times. Out of it come the history for the
 * engine, the profile for the cloud, and what {@link ChordStore.Session#personalise} learns from. 4 bytes a click, made once. Any thread.
 *
 * <p>It is the memory of one process: an app that starts fills it from its own records, oldest first.
 */
public final class ClickStream {
  private static final int CAPACITY = 1024;

  private final Items items;
  private final int[] ring;
  private long total;
  private long unknown;

  /** Keeps 1,024 clicks. */
  public ClickStream(Items items) {
    this(items, CAPACITY);
  }

  /**
   * @param items of the bundle in use: after an update make another stream, the numbers of items may have changed
   * @param capacity how many clicks are kept, 2 or more
   */
  public ClickStream(Items items, int capacity) {
    if (capacity < 2) {
      throw new IllegalArgumentException("capacity: " + capacity + " is not possible, keep 2 clicks or more");
    }
    this.items = items;
    this.ring = new int[capacity];
  }

  /**
   * Takes in a click.
   *
   * @param item the owner's id
   * @return whether it was kept: the catalogue has the item
   */
  public synchronized boolean add(String item) {
    int id = items.id(item);
    if (id == 0) {
      unknown++;
      return false;
    }
    ring[(int) (total++ % ring.length)] = id;
    return true;
  }

  /** Takes in several, oldest first. */
  public synchronized void addAll(List<String> clicked) {
    for (String item : clicked) {
      add(item);
    }
  }

  /** Clicks that are kept. */
  public synchronized int size() {
    return (int) Math.min(total, ring.length);
  }

  /** Clicks that were ever taken in, without the unknown ones. */
  public synchronized long total() {
    return total;
  }

  /** Clicks on items that the catalogue does not have: counted and not kept. */
  public synchronized long unknown() {
    return unknown;
  }

  /** Forgets them all. */
  public synchronized void clear() {
    Arrays.fill(ring, 0);
    total = 0;
    unknown = 0;
  }

  /** The newest {@code most} clicks as item ids, oldest first, in a direct buffer: the history that {@link Engine} takes. */
  public synchronized IntBuffer newest(int most) {
    int count = Math.min(size(), Math.max(0, most));
    IntBuffer ids = Buffers.intsOf(Math.max(1, count));
    for (long click = total - count; click < total; click++) {
      ids.put(ring[(int) (click % ring.length)]);
    }
    ids.flip();
    return ids;
  }

  /**
   * What the cloud is asked for samples with: a profile of the clicks before those that {@link Personalisation} examines. Samples that were
   * chosen by the examined clicks themselves would have seen the questions.
   */
  public Profile profileForSamples(Engine engine, Learning how) throws ChordException {
    return profileForSamples(engine, how, Profile.DEFAULT_POOLS);
  }

  synchronized Profile profileForSamples(Engine engine, Learning how, int[] pools) throws ChordException {
    int lessons = Math.max(0, Math.min(how.ownClicks(), size() - 1));
    IntBuffer ids = newest(ring.length);
    ids.limit(Math.max(0, ids.limit() - lessons + Learning.unexamined(lessons)));
    return Profile.of(engine, ids, pools, Collections.<String>emptyList());
  }

  /** What the cloud is asked with, over the last 5, 25 and 200 clicks ({@link Profile}). */
  public Profile profile(Engine engine) throws ChordException {
    return Profile.of(engine, newest(ring.length), Profile.DEFAULT_POOLS, Collections.<String>emptyList());
  }
}
