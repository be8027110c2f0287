package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.IntBuffer;
import java.nio.charset.CharacterCodingException;
import java.util.Arrays;
import java.util.List;

/**
 * The catalogue: the owner's own ids (SKUs), the numbers 1 to {@link #size} by which the model knows them, and words for people where the
 * bundle has any. Any thread.
 *
 * <p>100,000 ids of ten characters take 3.5 MB and no object each; titles and categories 0.4 MB each, whatever their length.
 */
public final class Items {
  /** All ids, one after the other; that of item i ends before ends[i] and starts at ends[i - 1]. */
  private final char[] text;

  private final int[] ends;

  /** Open addressing: item numbers by the hash of their id, 0 = free; a power of two, at least half of it free. */
  private final int[] table;

  @Nullable private final Words titles;
  @Nullable private final Words categories;

  /** Without words for people. */
  Items(ByteBuffer json, int size) throws BundleException {
    this(json, size, null, null);
  }

  /**
   * @param json a list of texts by number; that of 0, padding, is empty
   */
  Items(ByteBuffer json, int size, @Nullable Words titles, @Nullable Words categories) throws BundleException {
    this.titles = titles;
    this.categories = categories;
    Reader reader = new Reader(json, size);
    text = Arrays.copyOf(reader.text, reader.end);
    ends = reader.ends;
    table = new int[Integer.highestOneBit(Math.max(size, 1)) * 4];
    for (int id = 1; id <= size; id++) {
      enter(id);
    }
  }

  /** Items of the catalogue, without padding. */
  public int size() {
    return ends.length - 1;
  }

  /** The owner's id of an item. */
  public String name(int id) {
    requireItem(id);
    return new String(text, ends[id - 1], ends[id] - ends[id - 1]);
  }

  /** What people call an item: one line, at most 200 characters; "" where the bundle does not say. */
  public String title(int id) {
    requireItem(id);
    return titles == null ? "" : titles.of(id);
  }

  /** What an item is among ("Drama, War"): one line, at most 200 characters; "" where the bundle does not say. */
  public String category(int id) {
    requireItem(id);
    return categories == null ? "" : categories.of(id);
  }

  /** The item with this id of the owner's; 0 = it is not in the catalogue. */
  public int id(String name) {
    int mask = table.length - 1;
    for (int at = spread(name.hashCode()) & mask; table[at] != 0; at = (at + 1) & mask) {
      if (isCalled(table[at], name)) {
        return table[at];
      }
    }
    return 0;
  }

  /** The numbers of {@code names} into {@code ids}, from 0 to its new limit; of those that the catalogue does not have, the names. */
  void ids(List<String> names, IntBuffer ids, List<String> unknown) {
    ids.clear();
    for (String name : names) {
      int id = id(name);
      if (id == 0) {
        unknown.add(name);
      } else {
        ids.put(id);
      }
    }
    ids.flip();
  }

  private void requireItem(int id) {
    if (id < 1 || id > size()) {
      throw new IndexOutOfBoundsException("item " + id + " is not one of 1 to " + size());
    }
  }

  private boolean isCalled(int id, String name) {
    int start = ends[id - 1];
    if (ends[id] - start != name.length()) {
      return false;
    }
    for (int i = 0; i < name.length(); i++) {
      if (text[start + i] != name.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  private void enter(int id) throws BundleException {
    int hash = 0; // String.hashCode
    for (int i = ends[id - 1]; i < ends[id]; i++) {
      hash = 31 * hash + text[i];
    }
    int mask = table.length - 1;
    int at = spread(hash) & mask;
    for (; table[at] != 0; at = (at + 1) & mask) {
      int other = table[at];
      if (Arrays.equals(
          Arrays.copyOfRange(text, ends[other - 1], ends[other]), Arrays.copyOfRange(text, ends[id - 1], ends[id]))) {
        throw new BundleException("items.json: items " + other + " and " + id + " have the same id; make the bundle anew");
      }
    }
    table[at] = id;
  }

  private static int spread(int hash) {
    return hash ^ (hash >>> 16);
  }

  /** JSON's list of texts, unescaped where it lies. */
  private static final class Reader {
    final char[] text;
    final int[] ends;
    private int at;
    private int end;

    Reader(ByteBuffer json, int size) throws BundleException {
      try {
        text = Json.decoded(json).toCharArray();
      } catch (CharacterCodingException notUtf8) {
        throw new BundleException("items.json is not UTF-8; make the bundle anew");
      }
      ends = new int[size + 1];
      expect('[');
      for (int id = 0; id <= size; id++) {
        if (id > 0) {
          expect(',');
        }
        int start = end;
        readText();
        ends[id] = end;
        if (end == start != (id == 0)) {
          throw new BundleException("items.json: the id of item " + id + (id == 0 ? " is not" : " is") + " empty; make the bundle anew");
        }
      }
      expect(']');
      skipBlanks();
      if (at != text.length) {
        throw notTheList();
      }
    }

    private void readText() throws BundleException {
      expect('"');
      for (char next = take(); next != '"'; next = take()) {
        if (next < 0x20) {
          throw notTheList();
        }
        text[end++] = next == '\\' ? escaped() : next; // never past what was read
      }
    }

    private char escaped() throws BundleException {
      char kind = take();
      int which = "\"\\/bfnrt".indexOf(kind);
      if (which >= 0) {
        return "\"\\/\b\f\n\r\t".charAt(which);
      }
      if (kind != 'u') {
        throw notTheList();
      }
      int value = 0;
      for (int i = 0; i < 4; i++) {
        int digit = "0123456789abcdef".indexOf(Character.toLowerCase(take()));
        if (digit < 0) {
          throw notTheList();
        }
        value = value << 4 | digit;
      }
      return (char) value;
    }

    private void expect(char wanted) throws BundleException {
      skipBlanks();
      if (take() != wanted) {
        throw notTheList();
      }
    }

    private void skipBlanks() {
      while (at < text.length && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) {
        at++;
      }
    }

    private char take() throws BundleException {
      if (at == text.length) {
        throw notTheList();
      }
      return text[at++];
    }

    private BundleException notTheList() {
      return new BundleException("items.json is not a list of " + ends.length + " item ids; make the bundle anew");
    }
  }
}
