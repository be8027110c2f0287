package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * Names or categories of items (docs/bundle.md), checked once and read where they lie: 100,000 take 0.4 MB and no object each. Any thread.
 */
final class Words {
  /** Characters of a text. */
  static final int LONGEST = 200;

  private static final int BETWEEN = 3; // quote, comma, quote

  private final ByteBuffer json;

  /** Text i lies from starts[i] on, and ends where the next one starts, less what is between. */
  private final int[] starts;

  /**
   * @param json a list of texts by number in its one spelling; that of 0, padding, is empty
   * @param member begins every sentence
   */
  Words(ByteBuffer json, int size, String member) throws BundleException {
    this.json = json.slice();
    if (this.json.limit() < (long) BETWEEN * (size + 1L)) { // before there is room for them
      throw notTheList(member, size);
    }
    starts = new int[size + 2];
    new Check(member).all();
  }

  /** That of an item, 0 to the number of items. */
  String of(int item) {
    String text = StandardCharsets.UTF_8.decode(view(item)).toString();
    if (text.indexOf('\\') < 0) {
      return text;
    }
    StringBuilder meant = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      if (text.charAt(i) == '\\') {
        i++;
      }
      meant.append(text.charAt(i));
    }
    return meant.toString();
  }

  private ByteBuffer view(int item) {
    ByteBuffer view = json.duplicate();
    view.limit(starts[item + 1] - BETWEEN);
    view.position(starts[item]);
    return view;
  }

  private static BundleException notTheList(String member, int size) {
    return new BundleException(member + " is not a list of " + (size + 1L) + " texts; make the bundle anew");
  }

  private final class Check {
    private final String member;
    private final CharsetDecoder decoder =
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);

    /** A text as it is written: of each character a pair of UTF-16 at most, or a backslash more. */
    private final CharBuffer written = CharBuffer.allocate(2 * LONGEST);

    private int at;

    Check(String member) {
      this.member = member;
    }

    void all() throws BundleException {
      int size = starts.length - 2;
      expect('[');
      for (int item = 0; item <= size; item++) {
        if (item > 0) {
          expect(',');
        }
        expect('"');
        starts[item] = at;
        for (int next = take(); next != '"'; next = take()) {
          if (next == '\\') {
            take();
          }
        }
        starts[item + 1] = at + BETWEEN - 1;
        text(item);
      }
      expect(']');
      if (at != json.limit()) {
        throw notTheList();
      }
    }

    private void text(int item) throws BundleException {
      decoder.reset();
      written.clear();
      ByteBuffer text = view(item);
      if (item == 0 && text.hasRemaining()) {
        throw new BundleException(member + ": its first entry, which is padding's, is not empty; make the bundle anew");
      }
      if (!decoder.decode(text, written, true).isUnderflow()) {
        throw refused(item);
      }
      written.flip();
      int count = 0;
      while (written.hasRemaining()) {
        char next = written.get();
        if (next == '\\') {
          char escaped = written.get();
          if (escaped != '"' && escaped != '\\') {
            throw refused(item);
          }
        }
        count += Character.isLowSurrogate(next) ? 0 : 1;
        if (count > LONGEST || isNotShown(next)) {
          throw refused(item);
        }
      }
    }

    /** What a screen or a terminal acts on: controls, separators of lines, marks that turn the direction of what follows. */
    private boolean isNotShown(char c) {
      return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    }

    private void expect(char wanted) throws BundleException {
      if (take() != wanted) {
        throw notTheList();
      }
    }

    private int take() throws BundleException {
      if (at == json.limit()) {
        throw notTheList();
      }
      return json.get(at++);
    }

    private BundleException notTheList() {
      return Words.notTheList(member, starts.length - 2);
    }

    private BundleException refused(int item) {
      return new BundleException(
          member + ": that of item " + item + " is not a text of at most " + LONGEST + " characters that are all shown; make the bundle anew");
    }
  }
}
