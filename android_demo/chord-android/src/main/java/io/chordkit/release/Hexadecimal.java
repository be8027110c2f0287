package io.chordkit.release;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/** Bytes as a channel writes them, and their hash. */
final class Hexadecimal {
  private Hexadecimal() {}

  static byte[] bytes(String text) {
    byte[] all = new byte[text.length() / 2];
    for (int i = 0; i < all.length; i++) {
      all[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
    }
    return all;
  }

  static String of(byte[] bytes) {
    StringBuilder text = new StringBuilder(2 * bytes.length);
    for (byte each : bytes) {
      text.append(Character.forDigit(each >> 4 & 15, 16)).append(Character.forDigit(each & 15, 16));
    }
    return text.toString();
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException impossible) { // every Java has it
      throw new IllegalStateException(impossible);
    }
  }

  static String sha256(byte[] data) {
    return of(sha256().digest(data));
  }
}
