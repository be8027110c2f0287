package io.chordkit.trust;

import io.chordkit.annotation.Nullable;

/** What an envelope must be to be accepted. What is not said is not compared, but for the times: without a clock they are refused. */
public final class EnvelopeTerms {
  @Nullable byte[] subject;
  @Nullable byte[] fingerprint;
  long minimumSerial = 1;
  long now;
  long latestSeen;

  /** Whom it must be for, at most 24 bytes. */
  public EnvelopeTerms subject(byte[] value) {
    subject = value.clone();
    return this;
  }

  /** The 8 bytes of the backbone in use: {@link VerifiedBundle#fingerprint}. */
  public EnvelopeTerms fingerprint(byte[] value) {
    if (value.length != 8) {
      throw new IllegalArgumentException("a fingerprint has 8 bytes, not " + value.length);
    }
    fingerprint = value.clone();
    return this;
  }

  /** The serial of the newest envelope that was adopted before. */
  public EnvelopeTerms minimumSerial(long value) {
    minimumSerial = notNegative(value);
    return this;
  }

  /** The clock, in seconds since 1970 UTC: {@code System.currentTimeMillis() / 1000}. */
  public EnvelopeTerms now(long seconds) {
    now = notNegative(seconds);
    return this;
  }

  /** The latest time known from before ({@link VerifiedEnvelope#latestSeen}): the later of the two counts as now. */
  public EnvelopeTerms latestSeen(long seconds) {
    latestSeen = notNegative(seconds);
    return this;
  }

  private static long notNegative(long value) {
    if (value < 0) {
      throw new IllegalArgumentException(value + " is below 0");
    }
    return value;
  }
}
