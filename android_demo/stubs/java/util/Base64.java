package java.util;

/** API 26. */
public class Base64 {
  Base64() {}

  public static native Decoder getDecoder();

  public static class Decoder {
    Decoder() {}

    public native byte[] decode(String src);
  }
}
