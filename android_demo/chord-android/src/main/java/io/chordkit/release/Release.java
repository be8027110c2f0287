package io.chordkit.release;

import java.security.MessageDigest;
import java.util.regex.Pattern;

/** One bundle under one number, as the channel signed it. */
public final class Release {
  /** Of a phone: 16 random bytes that it chose once. */
  public static final int INSTALL_ID_BYTES = 16;

  private static final int ALL_BASIS_POINTS = 10000;
  private static final Pattern SALT = Pattern.compile("[0-9a-f]{32}");

  private final long number;
  private final long counter;
  private final String fingerprint;
  private final TargetFile file;
  private final byte[] salt;
  private final long basisPoints;
  private final Cohort cohort;

  Release(Fields fields, TargetFile file) throws ReleaseException {
    fields.only("release", "counter", "fingerprint", "bundle", "stage", "cohort", "rollback_of");
    this.file = file.named(TargetFile.BUNDLE, fields);
    number = fields.whole("release", 1, CanonicalJson.LARGEST);
    counter = fields.whole("counter", 0, CanonicalJson.LARGEST);
    fingerprint = fields.text("fingerprint", Fields.IDENTIFIER);
    if (!fields.text("bundle", Fields.DIGEST).equals(file.sha256)) {
      throw fields.problem("bundle", "the hash of its target");
    }
    Fields stage = fields.object("stage").only("salt", "basis_points");
    salt = Hexadecimal.bytes(stage.text("salt", SALT));
    basisPoints = stage.whole("basis_points", 0, ALL_BASIS_POINTS);
    cohort = new Cohort(fields.has("cohort") ? fields.object("cohort") : Fields.NONE);
    if (fields.has("rollback_of")) {
      fields.whole("rollback_of", 1, number - 1);
    }
  }

  /** It grows by one with every publication and every rollback. */
  public long number() {
    return number;
  }

  /** The counter that the bundle must have; it may be lower than that of the bundle in use, since the channel says so. */
  public long counter() {
    return counter;
  }

  /** The 16 digits of the bundle's backbone. */
  public String fingerprint() {
    return fingerprint;
  }

  /** The bundle's file on a mirror. */
  public TargetFile file() {
    return file;
  }

  /** Whether it is for such a phone, and its stage holds this one. */
  boolean isFor(PhoneFacts phone, byte[] installId) {
    return cohort.matches(phone) && holds(installId);
  }

  private boolean holds(byte[] installId) {
    MessageDigest digest = Hexadecimal.sha256();
    digest.update(salt);
    byte[] hash = digest.digest(installId);
    long drawn = (hash[0] & 0xffL) << 24 | (hash[1] & 0xffL) << 16 | (hash[2] & 0xffL) << 8 | (hash[3] & 0xffL);
    return (drawn * ALL_BASIS_POINTS) >> 32 < basisPoints;
  }
}
