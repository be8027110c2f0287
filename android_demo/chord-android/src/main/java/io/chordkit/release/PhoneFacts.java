package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What a release may ask of a phone: the version of the app, its ABI and runtimes, and a class of devices. */
public final class PhoneFacts {
  /** As {@code Chord-Report} and a cohort write names. */
  static final Pattern WORD = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,31}");

  private static final String PART = "(0|[1-9][0-9]{0,9})";
  static final Pattern VERSION = Pattern.compile(PART + "(?:\\." + PART + ")?(?:\\." + PART + ")?(?:\\." + PART + ")?");

  final String app;
  final String abi;
  final String device;
  final String[] runtimes;

  /**
   * @param app version of the app: up to four whole numbers between dots, {@code 3.4.0}
   * @param abi {@code Build.SUPPORTED_ABIS[0]}
   * @param device the class of this device, as your releases name it: {@code small}, {@code medium}, {@code large}
   * @param runtimes that the app has: {@code native}, and what else there is
   * @throws IllegalArgumentException one of them is not possible
   */
  public PhoneFacts(String app, String abi, String device, String... runtimes) {
    this.app = app;
    this.abi = word(abi);
    this.device = word(device);
    this.runtimes = runtimes.clone();
    for (String runtime : runtimes) {
      word(runtime);
    }
    if (parts(app) == null) {
      throw new IllegalArgumentException("'" + app + "' is no version of an app; give up to four whole numbers between dots, such as 3.4.0");
    }
  }

  public String app() {
    return app;
  }

  public String abi() {
    return abi;
  }

  private static String word(String text) {
    if (!WORD.matcher(text).matches()) {
      throw new IllegalArgumentException("'" + text + "' is no name; use up to 32 letters, digits, '.', '_' and '-'");
    }
    return text;
  }

  /** The four numbers of a version, those that are missing 0; null = it is none. */
  @Nullable
  static long[] parts(String version) {
    Matcher found = VERSION.matcher(version);
    if (!found.matches()) {
      return null;
    }
    long[] parts = new long[4];
    for (int i = 0; i < parts.length; i++) {
      parts[i] = found.group(i + 1) == null ? 0 : Long.parseLong(found.group(i + 1));
      if (parts[i] > Integer.MAX_VALUE) {
        return null;
      }
    }
    return parts;
  }

  static int compare(long[] one, long[] two) {
    for (int i = 0; i < one.length; i++) {
      if (one[i] != two[i]) {
        return one[i] < two[i] ? -1 : 1;
      }
    }
    return 0;
  }
}
