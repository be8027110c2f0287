package io.chordkit;

import java.nio.ByteBuffer;

/** The segments of a {@link Delta}, one after the other, each checked against base and result. */
final class DeltaSegments {
  static final int BLOCK = 16384;
  private static final int COPY = 0;
  private static final int LITERAL = 2;
  private static final int AGAIN = 3;
  private static final int LONGEST_NUMBER = 5;

  private final ByteBuffer table;
  private final int count;
  private final long baseSize;
  private final long resultSize;

  private int number;
  private int form;
  private long length;
  private long base;
  private long expected;
  private long total;

  DeltaSegments(ByteBuffer table, int count, long baseSize, long resultSize) {
    this.table = table;
    this.count = count;
    this.baseSize = baseSize;
    this.resultSize = resultSize;
  }

  /** Goes to the next; false behind the last. */
  boolean next() throws DeltaException {
    if (number == count) {
      require(!table.hasRemaining() && total == resultSize, "they do not make the whole result, or something follows them");
      return false;
    }
    require(table.hasRemaining(), "there are " + number + " and not " + count);
    form = table.get() & 255;
    boolean known = (form >> 2 & 3) <= 2 && form >> 4 <= 2 && (form <= AGAIN || isCoded());
    require(known, "number " + number + " is of the unknown form " + form);
    length = varint();
    if (isAgain()) {
      long distance = varint();
      base = total - distance;
      require(distance >= length && base >= 0, "number " + number + " says again what was not said");
    } else if (hasBase()) {
      long step = varint();
      base = expected + (step >> 1 ^ -(step & 1));
      expected = base + length;
      require(base >= 0 && expected <= baseSize, "number " + number + " is not inside of the base");
    }
    total += length;
    require(length > 0 && length % word() == 0 && total <= resultSize, "number " + number + " has no length of whole words inside of the result");
    require(total <= Integer.MAX_VALUE && expected <= Integer.MAX_VALUE, "number " + number + " ends behind what Java can read");
    number++;
    return true;
  }

  boolean hasBase() {
    return (form & 3) != LITERAL && !isAgain();
  }

  /** Then {@link #base} is where it begins in the result. */
  boolean isAgain() {
    return (form & 3) == AGAIN;
  }

  boolean isCoded() {
    return (form & 3) != COPY && !isAgain();
  }

  int length() {
    return (int) length;
  }

  int base() {
    return (int) base;
  }

  /** Bytes of a word. */
  int word() {
    return 1 << (form >> 2 & 3);
  }

  /** Of a plane. */
  int bits() {
    return 2 << (form >> 4);
  }

  private long varint() throws DeltaException {
    long value = 0;
    for (int index = 0; index < LONGEST_NUMBER && table.hasRemaining(); index++) {
      int next = table.get() & 255;
      value |= (next & 127L) << 7 * index;
      if (next < 128) {
        if (next == 0 && index > 0) {
          break;
        }
        return value;
      }
    }
    throw new DeltaException("segments", "a number ends outside of their table, or has more bytes than it needs");
  }

  private static void require(boolean right, String why) throws DeltaException {
    Delta.require(right, "segments", why);
  }
}
