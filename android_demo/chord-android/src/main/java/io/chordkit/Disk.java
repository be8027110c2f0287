package io.chordkit;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.StandardOpenOption;

/** Files that are there whole or not at all, after a kill or a loss of power at any moment: written beside, synced, renamed, the folder synced. */
class Disk {
  private static final int CHUNK = 1 << 16;

  /** Called before every step that changes the disk; tests end the process here. */
  void step(String what) throws IOException {}

  /**
   * Writes a file beside its place; where that fails nothing stays, since the disk may be full.
   *
   * @param longest more bytes are refused
   */
  final void write(File part, InputStream from, long longest) throws IOException {
    step("create " + part.getName());
    try (FileOutputStream stream = new FileOutputStream(part)) {
      byte[] chunk = new byte[CHUNK];
      long written = 0;
      for (int read = from.read(chunk); read >= 0; read = from.read(chunk)) {
        written += read;
        if (written > longest) {
          throw new IOException("it is longer than the " + longest + " bytes that are allowed");
        }
        step("write " + part.getName());
        stream.write(chunk, 0, read);
      }
      step("sync " + part.getName());
      stream.getFD().sync();
    } catch (IOException error) {
      part.delete();
      throw error;
    }
  }

  /** Puts a written file into its place, over what is there. */
  final void rename(File part, File place) throws IOException {
    step("rename " + place.getName());
    if (!part.renameTo(place)) {
      throw new IOException(place + ": cannot be replaced; is its folder the app's own?");
    }
    step("sync folder after " + place.getName());
    try (FileChannel folder = FileChannel.open(place.getParentFile().toPath(), StandardOpenOption.READ)) {
      folder.force(true);
    } catch (IOException notOnThisFileSystem) {
      // Then the rename lasts when the file system says so; it is in order with the rest anyway.
    }
  }

  /** A file that stays is found again the next time. */
  final void delete(File file) throws IOException {
    step("delete " + file.getName());
    file.delete();
  }

  static byte[] read(File file, int longest) throws IOException {
    try (FileInputStream stream = new FileInputStream(file)) {
      long size = file.length();
      if (size > longest) {
        throw new IOException(file + ": has " + size + " bytes, and " + longest + " are allowed");
      }
      byte[] data = new byte[(int) size];
      int filled = 0;
      for (int read = 0; filled < data.length && read >= 0; filled += Math.max(read, 0)) {
        read = stream.read(data, filled, data.length - filled);
      }
      if (filled != data.length) {
        throw new IOException(file + ": became shorter while it was read");
      }
      return data;
    }
  }
}
