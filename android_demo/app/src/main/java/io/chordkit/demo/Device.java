package io.chordkit.demo;

import android.content.Context;
import android.content.pm.ApplicationInfo;
import android.content.pm.PackageManager;
import android.os.Build;
import android.os.PowerManager;
import android.os.Process;
import io.chordkit.demo.logic.DeviceFacts;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/** What the framework knows of this device. */
final class Device {
  /** No {@link #thermalStatus} has this number. */
  static final int UNKNOWN = -1;

  private static final int MOST_STATUS_BYTES = 16384;

  private Device() {}

  /** 0 = none ... 6 = shutdown, or {@link #UNKNOWN} before Android 10. */
  static int thermalStatus(Context context) {
    if (Build.VERSION.SDK_INT < 29) {
      return UNKNOWN;
    }
    PowerManager power = (PowerManager) context.getSystemService(Context.POWER_SERVICE);
    return power.getCurrentThermalStatus();
  }

  static String model() {
    return Build.MANUFACTURER + " " + Build.MODEL;
  }

  /** That of the native code of this process. */
  static String abi() {
    String[] same = Process.is64Bit() ? Build.SUPPORTED_64_BIT_ABIS : Build.SUPPORTED_32_BIT_ABIS;
    return same.length == 0 ? "" : same[0];
  }

  static DeviceFacts facts(Context context) {
    String name = context.getPackageName();
    String version;
    try {
      version = context.getPackageManager().getPackageInfo(name, 0).versionName;
    } catch (PackageManager.NameNotFoundException impossible) {
      version = "";
    }
    boolean debuggable = (context.getApplicationInfo().flags & ApplicationInfo.FLAG_DEBUGGABLE) != 0;
    return new DeviceFacts(
        name,
        version == null ? "" : version,
        abi(),
        Build.VERSION.SDK_INT,
        Process.myPid(),
        debuggable,
        false,
        DeviceFacts.processors(status(), Runtime.getRuntime().availableProcessors()));
  }

  /** Of this process; "" where it cannot be read. */
  private static String status() {
    try (InputStream stream = new FileInputStream("/proc/self/status")) {
      return new String(DemoAssets.read(stream, MOST_STATUS_BYTES), StandardCharsets.UTF_8);
    } catch (IOException unreadable) {
      return "";
    }
  }
}
