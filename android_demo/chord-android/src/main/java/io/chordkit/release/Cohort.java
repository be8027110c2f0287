package io.chordkit.release;

import io.chordkit.annotation.Nullable;
import java.util.Arrays;
import java.util.List;

/** Which phones a release is for; what it does not name is not asked. */
final class Cohort {
  private static final int MOST_NAMES = 32;

  @Nullable private final long[] from;
  @Nullable private final long[] below;
  private final List<String> abis;
  private final List<String> runtimes;
  private final List<String> devices;

  Cohort(Fields fields) throws ReleaseException {
    fields.only("app", "abi", "runtime", "device");
    Fields app = fields.has("app") ? fields.object("app").only("from", "below") : null;
    from = app == null ? null : version(app, "from");
    below = app == null ? null : version(app, "below");
    boolean empty = from != null && below != null && PhoneFacts.compare(from, below) >= 0;
    if (empty || (app != null && from == null && below == null)) {
      throw fields.problem("app", "a range of versions");
    }
    abis = names(fields, "abi");
    runtimes = names(fields, "runtime");
    devices = names(fields, "device");
  }

  boolean matches(PhoneFacts phone) {
    long[] version = PhoneFacts.parts(phone.app);
    return version != null
        && (from == null || PhoneFacts.compare(version, from) >= 0)
        && (below == null || PhoneFacts.compare(version, below) < 0)
        && holdsOne(abis, phone.abi)
        && holdsOne(runtimes, phone.runtimes)
        && holdsOne(devices, phone.device);
  }

  private static boolean holdsOne(List<String> wanted, String... has) {
    for (String each : has) {
      if (wanted.contains(each)) {
        return true;
      }
    }
    return wanted.isEmpty();
  }

  @Nullable
  private static long[] version(Fields app, String bound) throws ReleaseException {
    if (!app.has(bound)) {
      return null;
    }
    long[] parts = PhoneFacts.parts(app.text(bound, PhoneFacts.VERSION));
    if (parts == null) {
      throw app.problem(bound, "a version of an app");
    }
    return parts;
  }

  private static List<String> names(Fields fields, String which) throws ReleaseException {
    String[] names = fields.has(which) ? fields.texts(which, PhoneFacts.WORD) : new String[0];
    if (fields.has(which) && (names.length == 0 || names.length > MOST_NAMES)) {
      throw fields.problem(which, "a list of 1 to " + MOST_NAMES + " names");
    }
    return Arrays.asList(names);
  }
}
