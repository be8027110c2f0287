package io.chordkit.demo.logic;

import io.chordkit.annotation.Nullable;
import java.util.Map;
import java.util.regex.Pattern;

/** What a benchmark intent asks for. Anybody with a shell can send one, so nothing in it is taken on trust. */
public final class BenchmarkRequest {
  /** Names of all extras that are looked at. */
  public static final String[] EXTRAS = {
    "bundle", "key", "run", "strategy", "user", "mode", "iterations", "least_ms", "most_ms", "block_ms", "adoptions"
  };

  private static final Pattern FILE = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}");
  private static final Pattern KEY = Pattern.compile("[0-9a-fA-F]{64}");
  private static final Pattern RUN = Pattern.compile("[0-9a-f]{8,32}");
  private static final int LONGEST_NAME = 200;

  /** A file in the app's folder for benchmarks, by its name alone. */
  public final String bundle;

  /** Names the files of the answer; null = the numbers are for the screen only. */
  @Nullable public final String run;

  /** A strategy of the bundle; null = none, which is 8 bits everywhere. */
  @Nullable public final String strategy;

  /** A user vector of the bundle; null = none. */
  @Nullable public final String user;

  /** With 64 MB of something else read before each call. */
  public final boolean cold;

  /** Fewest samples. */
  public final int iterations;

  public final int leastMilliseconds;
  public final int mostMilliseconds;
  public final int blockMilliseconds;

  /** How often the strategy is adopted. */
  public final int adoptions;

  private final byte[] key;

  private BenchmarkRequest(Map<String, ?> extras, @Nullable String run) throws DemoException {
    this.run = run;
    bundle = matching(extras, "bundle", FILE, "a file name without a path, 1 to 100 of A-Z a-z 0-9 _ . -");
    key = Hexadecimal.parse(matching(extras, "key", KEY, "64 hexadecimal digits: the public key that signed the bundle"));
    strategy = name(extras, "strategy");
    user = name(extras, "user");
    String mode = extras.get("mode") == null ? "saturated" : text(extras, "mode", "saturated or cold");
    if (!mode.equals("saturated") && !mode.equals("cold")) {
      throw refused("mode", "saturated or cold");
    }
    cold = mode.equals("cold");
    iterations = number(extras, "iterations", 1, 1000000, 1000);
    leastMilliseconds = number(extras, "least_ms", 0, 3600000, 0);
    mostMilliseconds = number(extras, "most_ms", 1, 3600000, 60000);
    blockMilliseconds = number(extras, "block_ms", 1, 10000, 10);
    adoptions = number(extras, "adoptions", 1, 10000, 20);
    if (strategy == null && extras.get("adoptions") != null) {
      throw refused("adoptions", "left out where no strategy is named");
    }
  }

  /**
   * Where the answer goes: looked at before anything else, since a refusal goes there as well.
   *
   * @return null = nowhere, for there is no such extra
   * @throws DemoException it is no name of a run, so that there is no file to write the refusal to either
   */
  @Nullable
  public static String runOf(Map<String, ?> extras) throws DemoException {
    return extras.get("run") == null ? null : matching(extras, "run", RUN, "8 to 32 of 0-9 a-f");
  }

  /**
   * @param extras values by name, null or absent = not given
   * @throws DemoException an extra is of another type or beyond its limits
   */
  public static BenchmarkRequest of(Map<String, ?> extras) throws DemoException {
    return new BenchmarkRequest(extras, runOf(extras));
  }

  /** The public key that must have signed the bundle, 32 bytes. */
  public byte[] key() {
    return key.clone();
  }

  public String mode() {
    return cold ? "cold" : "saturated";
  }

  @Nullable
  private static String name(Map<String, ?> extras, String extra) throws DemoException {
    if (extras.get(extra) == null) {
      return null;
    }
    String wanted = "a name of 1 to " + LONGEST_NAME + " characters";
    String name = text(extras, extra, wanted);
    if (name.isEmpty() || name.length() > LONGEST_NAME) {
      throw refused(extra, wanted);
    }
    return name;
  }

  private static String matching(Map<String, ?> extras, String extra, Pattern pattern, String wanted) throws DemoException {
    String value = text(extras, extra, wanted);
    if (!pattern.matcher(value).matches()) {
      throw refused(extra, wanted);
    }
    return value;
  }

  private static String text(Map<String, ?> extras, String extra, String wanted) throws DemoException {
    Object value = extras.get(extra);
    if (!(value instanceof String)) {
      throw refused(extra, wanted + " (--es)");
    }
    return (String) value;
  }

  private static int number(Map<String, ?> extras, String extra, int low, int high, int missing) throws DemoException {
    Object value = extras.get(extra);
    if (value == null) {
      return missing;
    }
    if (!(value instanceof Integer) || (Integer) value < low || (Integer) value > high) {
      throw refused(extra, "a whole number of " + low + " to " + high + " (--ei)");
    }
    return (Integer) value;
  }

  private static DemoException refused(String extra, String wanted) {
    return new DemoException("extra " + extra + ": it must be " + wanted);
  }
}
