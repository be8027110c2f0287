package java.lang;

public final class Math {
  /** API 24. */
  public static native int multiplyExact(int x, int y);
}
