package android.os;

public final class PowerManager {
  PowerManager() {}

  /** API 29. */
  public native int getCurrentThermalStatus();
}
