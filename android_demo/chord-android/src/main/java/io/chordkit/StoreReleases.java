package io.chordkit;

import io.chordkit.annotation.Nullable;
import io.chordkit.release.Killed;
import io.chordkit.release.PhoneReport;
import java.util.ArrayList;
import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** What a {@link ChordStore} keeps of a release channel; a part of {@link StoreState}. */
final class StoreReleases {
  private static final int MOST_CHECKS = 16;
  private static final int MOST_FAILED = 64;

  /** What a self-check said, and was not reported yet. */
  static final class Checked {
    final long release;
    final long counter;
    final boolean passed;

    Checked(long release, long counter, boolean passed) {
      this.release = release;
      this.counter = counter;
      this.passed = passed;
    }

    PhoneReport.Check word() {
      return passed ? PhoneReport.Check.PASSED : PhoneReport.Check.FAILED;
    }
  }

  /** Of the newest release that was adopted; it goes down only where a channel recovers from a thief of its keys. */
  long number;

  /** Which phone this is when a stage is drawn; it leaves the phone in no form. Hexadecimal. */
  @Nullable String installId;

  /** A bundle that is there, and not in use yet. */
  @Nullable StoreState.Slot prepared;

  /** How often its check was begun. */
  long attempts;

  /** Releases that this phone cannot run; the newest last. */
  final List<Long> failed = new ArrayList<Long>();

  /** The oldest first. */
  final List<Checked> checks = new ArrayList<Checked>();

  final List<Killed> killed = new ArrayList<Killed>();

  byte[] installId() {
    String digits = String.valueOf(installId);
    byte[] bytes = new byte[digits.length() / 2];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) Integer.parseInt(digits.substring(2 * i, 2 * i + 2), 16);
    }
    return bytes;
  }

  void add(Checked checked) {
    checks.add(checked);
    if (checks.size() > MOST_CHECKS) {
      checks.remove(0);
    }
  }

  void fail(long release, long counter) {
    failed.add(release);
    if (failed.size() > MOST_FAILED) {
      failed.remove(0);
    }
    prepared = null;
    add(new Checked(release, counter, false));
  }

  /** A check that was reported is not told again; false = it is none of those that are left. */
  boolean reported(PhoneReport report) {
    for (Checked each : checks) {
      if (each.release == report.release() && each.word() == report.check()) {
        return checks.remove(each);
      }
    }
    return false;
  }

  /** Numbers that a thief of the channel's keys may have used up count no more. */
  void recover(boolean stolen) {
    if (stolen) {
      number = 0;
      failed.clear();
    }
  }

  /** Whether an envelope is of a family that is killed. */
  boolean isKilled(String fingerprint, String key, long serial) {
    for (Killed each : killed) {
      if (each.holds(fingerprint, key, serial)) {
        return true;
      }
    }
    return false;
  }

  JSONObject toJson() throws JSONException {
    JSONObject all = new JSONObject().put("number", number).put("attempts", attempts);
    all.put("install_id", installId == null ? JSONObject.NULL : installId).put("prepared", StoreState.of(prepared));
    JSONArray reports = new JSONArray();
    for (Checked each : checks) {
      reports.put(new JSONObject().put("release", each.release).put("counter", each.counter).put("passed", each.passed));
    }
    JSONArray families = new JSONArray();
    for (Killed each : killed) {
      JSONObject one = new JSONObject().put("fingerprint", each.fingerprint()).put("from", each.from()).put("to", each.to());
      families.put(one.put("key", each.key() == null ? JSONObject.NULL : each.key()));
    }
    return all.put("failed", new JSONArray(failed)).put("checks", reports).put("killed", families);
  }

  void read(Json all) throws BundleException {
    number = all.count("number");
    attempts = all.count("attempts");
    installId = all.textOrNull("install_id");
    prepared = StoreState.slot(all.objectOrNull("prepared"));
    for (long each : all.counts("failed")) {
      failed.add(each);
    }
    for (Json each : all.objects("checks")) {
      checks.add(new Checked(each.count("release"), each.count("counter"), each.flag("passed", false)));
    }
    for (Json each : all.objects("killed")) {
      killed.add(new Killed(each.text("fingerprint"), each.textOrNull("key"), each.count("from"), each.count("to")));
    }
  }
}
