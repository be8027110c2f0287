package io.chordkit;

import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.channels.FileChannel;

/** The folder of files that the tests read; tests/android/material.py makes it and says what is in it. */
public final class Material {
  private Material() {}

  /** A file of the folder that the system property {@code chord.test.folder} names. */
  public static File file(String name) {
    String folder = System.getProperty("chord.test.folder");
    if (folder == null) {
      throw new AssertionError(
          "-Dchord.test.folder names no folder; `python -m tests.android.material FOLDER` makes one");
    }
    return new File(folder, name);
  }

  /** The names of what lies in a folder, without their endings; those of one ending only, where one is given. */
  public static String[] names(String folder, String ending) {
    String[] found = file(folder).list();
    if (found == null) {
      throw new AssertionError(file(folder) + " is no folder");
    }
    java.util.ArrayList<String> names = new java.util.ArrayList<String>();
    for (String name : found) {
      if (name.endsWith(ending)) {
        names.add(name.substring(0, name.length() - ending.length()));
      }
    }
    if (names.isEmpty()) {
      throw new AssertionError(file(folder) + " has nothing that ends in " + ending);
    }
    java.util.Collections.sort(names);
    return names.toArray(new String[0]);
  }

  /** All of a file, mapped: direct and native. */
  public static ByteBuffer map(String name) throws IOException {
    FileInputStream stream = new FileInputStream(file(name));
    try {
      FileChannel channel = stream.getChannel();
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size()).order(ByteOrder.nativeOrder());
    } finally {
      stream.close();
    }
  }

  public static byte[] bytes(String name) throws IOException {
    File file = file(name);
    byte[] data = new byte[(int) file.length()];
    FileInputStream stream = new FileInputStream(file);
    try {
      new java.io.DataInputStream(stream).readFully(data);
    } finally {
      stream.close();
    }
    return data;
  }

  public static String text(String name) throws IOException {
    return new String(bytes(name), "UTF-8");
  }

  /** A direct copy of bytes. */
  public static ByteBuffer direct(byte[] data) {
    ByteBuffer copy = ByteBuffer.allocateDirect(data.length).order(ByteOrder.nativeOrder());
    copy.put(data);
    copy.flip();
    return copy;
  }

  public static IntBuffer ids(String name) throws IOException {
    return direct(bytes(name)).asIntBuffer();
  }

  /** The numbers of a file of floats. */
  public static float[] values(String name) throws IOException {
    return values(direct(bytes(name)).asFloatBuffer());
  }

  /** What lies between position and limit, which stay. */
  public static float[] values(FloatBuffer buffer) {
    float[] values = new float[buffer.remaining()];
    buffer.duplicate().get(values);
    return values;
  }

  /** The bits of floats, so that equal means equal. */
  public static int[] bits(float[] values) {
    int[] bits = new int[values.length];
    for (int i = 0; i < bits.length; i++) {
      bits[i] = Float.floatToRawIntBits(values[i]);
    }
    return bits;
  }

  public static int[] values(IntBuffer buffer) {
    int[] values = new int[buffer.remaining()];
    buffer.duplicate().get(values);
    return values;
  }
}
