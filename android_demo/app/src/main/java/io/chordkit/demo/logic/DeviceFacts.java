package io.chordkit.demo.logic;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What only the device knows of itself and of the app. */
public final class DeviceFacts {
  private static final Pattern ALLOWED =
      Pattern.compile("(?m)^Cpus_allowed_list:\\s*([0-9]{1,4}(?:-[0-9]{1,4})?(?:,[0-9]{1,4}(?:-[0-9]{1,4})?)*)$");

  /** The application id. */
  public final String application;

  public final String appVersion;

  /** Of the native code that runs: arm64-v8a. */
  public final String abi;

  /** API level; 0 = no Android. */
  public final int sdk;

  public final int process;

  /** Such an app is slower, since every call into native code is checked. */
  public final boolean debuggable;

  /** Whether the app asked for a performance that the device can keep up. */
  public final boolean sustained;

  /** Processors that the app may use, ascending. */
  public final List<Integer> processors;

  public DeviceFacts(
      String application,
      String appVersion,
      String abi,
      int sdk,
      int process,
      boolean debuggable,
      boolean sustained,
      List<Integer> processors) {
    this.application = application;
    this.appVersion = appVersion;
    this.abi = abi;
    this.sdk = sdk;
    this.process = process;
    this.debuggable = debuggable;
    this.sustained = sustained;
    this.processors = Collections.unmodifiableList(new ArrayList<Integer>(processors));
  }

  /**
   * The processors that this process may use.
   *
   * @param status of /proc/self/status; "" = it could not be read
   * @param available how many there are, for when it does not say
   */
  public static List<Integer> processors(String status, int available) {
    List<Integer> all = new ArrayList<Integer>();
    Matcher line = ALLOWED.matcher(status);
    if (line.find()) {
      for (String range : line.group(1).split(",")) {
        int dash = range.indexOf('-');
        int first = Integer.parseInt(dash < 0 ? range : range.substring(0, dash));
        int last = Integer.parseInt(range.substring(dash + 1));
        for (int cpu = first; cpu <= last; cpu++) {
          all.add(cpu);
        }
      }
    }
    if (all.isEmpty()) {
      for (int cpu = 0; cpu < available; cpu++) {
        all.add(cpu);
      }
    }
    return all;
  }
}
