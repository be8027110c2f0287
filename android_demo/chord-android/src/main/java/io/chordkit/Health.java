package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32;

/**
 * How a phone fares, for its operator, without a word of what its user did (docs/flow.md): counts of what happened since the last report, which
 * tells of each only how many bits it has. An app that asked for consent sends a report now and then; this class sends nothing. Any thread.
 */
public final class Health {
  private static final int LARGEST = 31;
  private static final int HEADER = 16;

  /** What is counted, in the order of the record. */
  public enum Count {
    /** That the stream took in. */
    CLICKS,
    /** Of these, those on what stood among the ten best. */
    HITS,
    /** Clicks on items that the catalogue does not have. */
    UNKNOWN,
    /** Sent to the cloud. */
    REQUESTS,
    /** Adopted. */
    STRATEGIES,
    /** Sets of other people's samples taken in. */
    SAMPLES,
    /** Answers that a check kept out. */
    REFUSED,
    /** Attempts to learn. */
    TRAININGS,
    /** Of these, those that the gate let in. */
    ADOPTED,
    /** Adapters that later clicks spoke against. */
    UNDONE,
    /** Most clicks that a strategy or an adapter was old when a new one came. */
    STALE,
    /** Of the longest training. */
    MILLISECONDS
  }

  private static final Count[] COUNTS = Count.values();

  private final long[] values = new long[COUNTS.length];

  /** Counts one more, or some. */
  public synchronized void add(Count what, long more) {
    values[what.ordinal()] += more;
  }

  /** For what is a largest value, not a sum: {@link Count#STALE} and {@link Count#MILLISECONDS}. */
  public synchronized void atLeast(Count what, long value) {
    values[what.ordinal()] = Math.max(values[what.ordinal()], value);
  }

  /** Counts an attempt to learn, its outcome and its time. */
  public synchronized void learned(Personalisation made) {
    add(Count.TRAININGS, 1);
    add(Count.ADOPTED, made.adapter() == null ? 0 : 1);
    atLeast(Count.MILLISECONDS, Math.round(made.milliseconds()));
  }

  /** The record of 32 bytes (CHRH, version 1) of what was counted, which begins anew. */
  public synchronized byte[] report(Engine engine) {
    ByteBuffer record = ByteBuffer.allocate(HEADER + COUNTS.length + 4).order(ByteOrder.LITTLE_ENDIAN);
    record.put(new byte[] {'C', 'H', 'R', 'H', 1, 0, 0, 0}).put(engine.fingerprint());
    // A part is never more than its whole: who reads the record drops one where it is.
    part(Count.HITS, Count.CLICKS);
    part(Count.ADOPTED, Count.TRAININGS);
    for (int i = 0; i < COUNTS.length; i++) {
      record.put((byte) Math.min(LARGEST, Long.SIZE - Long.numberOfLeadingZeros(Math.max(0, values[i]))));
      values[i] = 0;
    }
    CRC32 crc = new CRC32();
    crc.update(record.array(), 0, record.position());
    return record.putInt((int) crc.getValue()).array();
  }

  private void part(Count part, Count whole) {
    values[part.ordinal()] = Math.min(values[part.ordinal()], values[whole.ordinal()]);
  }
}
