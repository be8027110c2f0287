package io.chordkit.demo.logic;

/** Bytes as digits: 0-9 a-f, two for a byte. */
public final class Hexadecimal {
  private static final String DIGITS = "0123456789abcdef";

  private Hexadecimal() {}

  public static String of(byte[] bytes) {
    StringBuilder text = new StringBuilder(2 * bytes.length);
    for (byte each : bytes) {
      text.append(DIGITS.charAt(each >> 4 & 15)).append(DIGITS.charAt(each & 15));
    }
    return text.toString();
  }

  /**
   * @param text an even number of digits, also A-F
   */
  static byte[] parse(String text) {
    byte[] bytes = new byte[text.length() / 2];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
    }
    return bytes;
  }
}
