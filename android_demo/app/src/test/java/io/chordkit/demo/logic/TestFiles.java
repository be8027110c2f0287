package io.chordkit.demo.logic;

import io.chordkit.trust.PlatformEd25519;
import io.chordkit.trust.TrustedKeys;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;

/** What tests/android/material.py has made, and folders that are the test's own. */
final class TestFiles {
  static final PlatformEd25519 ED25519 = new PlatformEd25519();

  private TestFiles() {}

  static File file(String name) {
    String folder = System.getProperty("chord.test.folder");
    if (folder == null) {
      throw new AssertionError("-Dchord.test.folder names no folder; `python -m tests.android.material FOLDER` makes one");
    }
    return new File(folder, name);
  }

  static byte[] bytes(File file) throws IOException {
    return Files.readAllBytes(file.toPath());
  }

  static byte[] bytes(String name) throws IOException {
    return bytes(file(name));
  }

  static String text(File file) throws IOException {
    return new String(bytes(file), StandardCharsets.UTF_8);
  }

  static String text(String name) throws IOException {
    return text(file(name));
  }

  static void write(File file, byte[] data) throws IOException {
    FileOutputStream stream = new FileOutputStream(file);
    try {
      stream.write(data);
    } finally {
      stream.close();
    }
  }

  static TrustedKeys keys() throws IOException {
    return new TrustedKeys(bytes("key.raw"));
  }

  /** Removes a folder of files and folders. */
  static void delete(File folder) throws IOException {
    File[] inside = folder.listFiles();
    if (inside != null) {
      for (File each : inside) {
        delete(each);
      }
    }
    Files.delete(folder.toPath());
  }
}
