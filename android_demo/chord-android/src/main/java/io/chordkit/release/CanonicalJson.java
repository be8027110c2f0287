package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads canonical JSON of printable ASCII and nothing else: each value has one spelling, so that what is signed is what is read. No spaces,
 * names in ascending order, whole numbers, and in texts no escape but those of the quote and of the backslash.
 */
final class CanonicalJson {
  /** Largest number, and largest negative one: what every reader of JSON counts exactly. */
  static final long LARGEST = (1L << 53) - 1;

  private static final int DEEPEST = 32;
  private static final int DIGITS = 16;

  private final String data;
  private final String where;
  private int at;
  private int depth;

  /**
   * @param where begins every sentence: the file
   */
  CanonicalJson(byte[] data, String where) throws ReleaseException {
    this.data = new String(data, StandardCharsets.US_ASCII);
    this.where = where;
    for (byte each : data) {
      if (each < ' ' || each > '~') {
        throw problem("a byte is not printable ASCII");
      }
    }
  }

  /** Bytes that were read. */
  int position() {
    return at;
  }

  /** Reads exactly these characters. */
  void expect(String wanted) throws ReleaseException {
    if (!data.startsWith(wanted, at)) {
      throw problem("'" + wanted + "' was expected");
    }
    at += wanted.length();
  }

  void expectEnd() throws ReleaseException {
    if (at != data.length()) {
      throw problem("something follows its end");
    }
  }

  /** A map, a list, a text, a {@link Long}, a {@link Boolean}, or null. */
  @Nullable
  Object value() throws ReleaseException {
    switch (peek()) {
      case '{':
        return object();
      case '[':
        return list();
      case '"':
        return text();
      case 't':
        expect("true");
        return true;
      case 'f':
        expect("false");
        return false;
      case 'n':
        expect("null");
        return null;
      default:
        return number();
    }
  }

  private Map<String, Object> object() throws ReleaseException {
    Map<String, Object> all = new LinkedHashMap<String, Object>();
    descend();
    String before = null;
    while (peek() != '}') {
      expect(before == null ? "" : ",");
      String name = text();
      if (before != null && before.compareTo(name) >= 0) {
        throw problem("the names of an object are not in ascending order");
      }
      before = name;
      expect(":");
      all.put(name, value());
    }
    ascend();
    return all;
  }

  private List<Object> list() throws ReleaseException {
    List<Object> all = new ArrayList<Object>();
    descend();
    while (peek() != ']') {
      expect(all.isEmpty() ? "" : ",");
      all.add(value());
    }
    ascend();
    return all;
  }

  private void descend() throws ReleaseException {
    at++;
    if (++depth > DEEPEST) {
      throw problem("it is nested deeper than " + DEEPEST);
    }
  }

  private void ascend() {
    at++;
    depth--;
  }

  private String text() throws ReleaseException {
    expect("\"");
    StringBuilder text = new StringBuilder();
    while (peek() != '"') {
      if (peek() == '\\') {
        at++;
        if (peek() != '"' && peek() != '\\') {
          throw problem("a text has an escape that it does not need");
        }
      }
      text.append(peek());
      at++;
    }
    at++;
    return text.toString();
  }

  private Long number() throws ReleaseException {
    int start = at;
    at += peek() == '-' ? 1 : 0;
    while (at < data.length() && Character.isDigit(data.charAt(at)) && at - start <= DIGITS) {
      at++;
    }
    String digits = data.substring(start, at);
    long value = digits.matches("0|-?[1-9][0-9]*") ? Long.parseLong(digits) : Long.MAX_VALUE;
    if (Math.abs(value) > LARGEST) {
      throw problem("a value, or a whole number of at most 2^53 - 1 in its shortest spelling, was expected");
    }
    return value;
  }

  private char peek() throws ReleaseException {
    if (at >= data.length()) {
      throw problem("it ends too early");
    }
    return data.charAt(at);
  }

  private ReleaseException problem(String what) {
    return new ReleaseException.NotCanonical(where + ": it is not canonical JSON: " + what + " at byte " + at + "; ask a mirror of the channel");
  }
}
