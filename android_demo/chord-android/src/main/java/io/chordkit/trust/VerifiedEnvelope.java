package io.chordkit.trust;

import java.util.Arrays;

/** An envelope that was accepted: signed by an accepted key, and meant for here and now. */
public final class VerifiedEnvelope {
  private final byte[] data;
  private final long[] numbers;
  private final byte[] ids;

  VerifiedEnvelope(byte[] data, long[] numbers, byte[] ids) {
    this.data = data;
    this.numbers = numbers;
    this.ids = ids;
  }

  /** A whole strategy (CHRD) or user vector (CHRU), for the engine, which checks what is inside. */
  public byte[] payload() {
    return Arrays.copyOfRange(data, (int) numbers[5], (int) (numbers[5] + numbers[6]));
  }

  /** Whom it is for; may be empty. */
  public byte[] subject() {
    return Arrays.copyOfRange(data, 40, 40 + (int) numbers[4]);
  }

  /** To be kept when the payload is adopted, and given as the lowest that is accepted from then on. */
  public long serial() {
    return numbers[0];
  }

  /** Seconds since 1970 UTC; 0 = always. */
  public long notBefore() {
    return numbers[1];
  }

  /** Seconds since 1970 UTC; 0 = never. */
  public long expires() {
    return numbers[2];
  }

  /** The latest time that is known now, to be kept and given the next time; 0 = no clock was given. */
  public long latestSeen() {
    return numbers[3];
  }

  /** The 8 bytes of the backbone that the payload names. */
  public byte[] fingerprint() {
    return Arrays.copyOf(ids, 8);
  }

  /** Identifier of the key that signed, 8 bytes. */
  public byte[] keyId() {
    return Arrays.copyOfRange(ids, 8, 16);
  }
}
