package io.chordkit.release;

import io.chordkit.annotation.Nullable;

/**
 * What a phone says of itself in the header of a request for a strategy: which release it runs or could not run, and nothing of its user
 * (docs/release.md). The channel stops a release that too many phones cannot run.
 */
public final class PhoneReport {
  /** The name of the header that has it. */
  public static final String HEADER = "Chord-Report";

  /** The name of the header of the answer: the number of a release that is worth a look. */
  public static final String HINT = "Chord-Release";

  /** What the self-check said. */
  public enum Check {
    PASSED("passed"),
    FAILED("failed"),
    /** Nothing that was not reported before. */
    NONE("none");

    final String word;

    Check(String word) {
      this.word = word;
    }
  }

  private final long release;
  private final Check check;
  private long counter = -1;
  @Nullable private String runtime;
  @Nullable private PhoneFacts phone;

  /**
   * @param release the number of the release in use, or of the one whose check failed; 0 = none of a channel
   */
  public PhoneReport(long release, Check check) {
    if (release < 0 || release > CanonicalJson.LARGEST) {
      throw new IllegalArgumentException(release + " is no number of a release");
    }
    this.release = release;
    this.check = check;
  }

  /** The counter of that release's bundle. */
  public PhoneReport counter(long value) {
    counter = value;
    return this;
  }

  /** What ran the check: {@code native}. */
  public PhoneReport runtime(String value) {
    if (!PhoneFacts.WORD.matcher(value).matches()) {
      throw new IllegalArgumentException("'" + value + "' is no name of a runtime");
    }
    runtime = value;
    return this;
  }

  /** The ABI and the version of the app. */
  public PhoneReport phone(PhoneFacts value) {
    phone = value;
    return this;
  }

  public long release() {
    return release;
  }

  public Check check() {
    return check;
  }

  /** The value of the header, or of the field {@code report} of a request in JSON: ASCII, at most 256 bytes. */
  public String header() {
    StringBuilder line = new StringBuilder("release=").append(release);
    if (counter >= 0) {
      line.append(",counter=").append(counter);
    }
    if (runtime != null) {
      line.append(",runtime=").append(runtime);
    }
    if (phone != null) {
      line.append(",abi=").append(phone.abi).append(",app=").append(phone.app);
    }
    return line.append(",check=").append(check.word).toString();
  }
}
