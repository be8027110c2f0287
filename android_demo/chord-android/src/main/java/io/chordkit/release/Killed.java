package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.util.Objects;

/** Strategies and user vectors that no phone may use any more: of one backbone, by their serial, and by the key that signed them. */
public final class Killed {
  private final String fingerprint;
  @Nullable private final String key;
  private final long from;
  private final long to;

  /**
   * @param fingerprint 16 digits
   * @param key 16 digits; null = whichever
   * @param from the lowest serial
   * @param to the highest serial
   */
  public Killed(String fingerprint, @Nullable String key, long from, long to) {
    this.fingerprint = fingerprint;
    this.key = key;
    this.from = from;
    this.to = to;
  }

  static Killed parse(Fields fields) throws ReleaseException {
    fields.only("fingerprint", "key", "from", "to");
    String key = fields.has("key") ? fields.text("key", Fields.IDENTIFIER) : null;
    long from = fields.whole("from", 1, CanonicalJson.LARGEST);
    return new Killed(fields.text("fingerprint", Fields.IDENTIFIER), key, from, fields.whole("to", from, CanonicalJson.LARGEST));
  }

  public String fingerprint() {
    return fingerprint;
  }

  @Nullable
  public String key() {
    return key;
  }

  public long from() {
    return from;
  }

  public long to() {
    return to;
  }

  /** Whether an envelope for this backbone, signed by this key, with this serial, is one of them. */
  public boolean holds(String itsFingerprint, String itsKey, long serial) {
    return fingerprint.equals(itsFingerprint) && (key == null || key.equals(itsKey)) && from <= serial && serial <= to;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    Killed same = other instanceof Killed ? (Killed) other : null;
    return same != null && fingerprint.equals(same.fingerprint) && Objects.equals(key, same.key) && from == same.from && to == same.to;
  }

  @Override
  public int hashCode() {
    return fingerprint.hashCode() + Long.valueOf(from).hashCode();
  }
}
