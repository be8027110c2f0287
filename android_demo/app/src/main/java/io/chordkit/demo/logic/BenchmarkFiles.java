package io.chordkit.demo.logic;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;

/** The files of one run: they have their names when they are whole, and not before. */
final class BenchmarkFiles {
  /** Larger bundles are not for phones. */
  private static final long LARGEST_BUNDLE = 512L << 20;

  private final File folder;
  private final String run;

  BenchmarkFiles(File folder, String run) {
    this.folder = folder;
    this.run = run;
  }

  File records() {
    return new File(folder, run + ".jsonl");
  }

  /** Where the records are written until they are whole. */
  File unfinishedRecords() {
    return unfinished(records());
  }

  void finishRecords() throws IOException {
    rename(unfinishedRecords(), records());
  }

  /** Float32, little-endian, without a head. */
  void writeScores(float[] scores) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(4 * scores.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(scores);
    write(new File(folder, run + ".f32"), bytes.array());
  }

  void writeError(String sentence) throws IOException {
    write(new File(folder, run + ".error"), sentence.getBytes(StandardCharsets.UTF_8));
  }

  /**
   * A copy in memory, which nobody can change: others may write to the folder.
   *
   * @param name a plain file name
   */
  static ByteBuffer read(File folder, String name) throws IOException {
    File file = new File(folder, name);
    if (!file.isFile()) {
      throw new IOException(file + ": there is no such file; push the bundle there");
    }
    FileInputStream stream = new FileInputStream(file);
    try {
      FileChannel channel = stream.getChannel();
      long size = channel.size();
      if (size > LARGEST_BUNDLE) {
        throw new IOException(file + ": has " + size + " bytes, more than the " + LARGEST_BUNDLE + " that are read");
      }
      ByteBuffer data = ByteBuffer.allocateDirect((int) size);
      while (data.hasRemaining() && channel.read(data) >= 0) {
        // on to the end
      }
      data.flip();
      return data;
    } finally {
      stream.close();
    }
  }

  private void write(File file, byte[] bytes) throws IOException {
    File part = unfinished(file);
    FileOutputStream stream = new FileOutputStream(part);
    try {
      stream.write(bytes);
      stream.getFD().sync();
    } finally {
      stream.close();
    }
    rename(part, file);
  }

  private static File unfinished(File file) {
    return new File(file.getPath() + ".part");
  }

  private static void rename(File from, File to) throws IOException {
    if (!from.renameTo(to)) {
      throw new IOException(to + ": cannot be written");
    }
  }
}
