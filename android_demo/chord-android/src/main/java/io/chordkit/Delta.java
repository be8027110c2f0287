package io.chordkit;

import static java.util.Objects.requireNonNull;

import io.chordkit.annotation.Nullable;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.zip.CRC32;

/**
 * A difference between two bundles (CHRX, docs/delta.md): from the file that is there to the one that is wanted, byte for byte, so that the signature
 * of the bundle is what it was. It is a stranger's until the bundle that comes of it was opened with a key. Any thread.
 */
public final class Delta {
  private static final int BASE_DIGEST = 8;
  private static final int BASE_SIZE = 40;
  private static final int RESULT_DIGEST = 44;
  private static final int RESULT_SIZE = 76;
  private static final int SEGMENTS = 80;
  private static final int TABLE_BYTES = 84;
  private static final int STREAM_BYTES = 88;
  private static final int HEADER = 92;
  private static final int CHECKSUM = 4;
  private static final int DIGEST = 32;
  private static final int MOST_SEGMENTS = 1 << 20;
  private static final long MOST_BYTES = (1L << 32) - 2;

  private final ByteBuffer data;
  private final long baseSize;
  private final long resultSize;
  private final int table;

  private Delta(ByteBuffer data, long largest) throws DeltaException {
    this.data = data;
    require(data.limit() >= HEADER + CHECKSUM, "length", "its bytes cannot hold a header and a checksum");
    require(data.getInt(0) == ('C' | 'H' << 8 | 'R' << 16 | 'X' << 24), "magic", "the data does not begin with CHRX");
    require(data.get(4) == 1, "version", "it is of a later one than this app reads");
    require(data.getInt(4) == 1, "reserved", "not all are zero");
    baseSize = unsigned(BASE_SIZE);
    resultSize = unsigned(RESULT_SIZE);
    boolean allowed = baseSize <= MOST_BYTES && resultSize <= Math.min(largest, MOST_BYTES) && unsigned(SEGMENTS) <= MOST_SEGMENTS;
    require(allowed, "sizes", "a file of " + baseSize + " bytes, its result of " + resultSize + " or their segments are more than are allowed");
    require(HEADER + unsigned(TABLE_BYTES) + unsigned(STREAM_BYTES) + CHECKSUM == data.limit(), "length", "it is not what its header announces");
    table = (int) unsigned(TABLE_BYTES);
    require(crc(part(0, data.limit() - CHECKSUM)) == unsigned(data.limit() - CHECKSUM), "CRC", "the checksum does not match, the bytes are damaged");
    for (DeltaSegments each = segments(); each.next(); ) {
      // Each is checked on the way, before anything is written.
    }
  }

  /**
   * Checks a difference: all of it, but for what it inflates to.
   *
   * @param file from position to limit; read in place whenever it is applied
   * @param largest bytes of the result that are allowed, such as the length that signed metadata say
   */
  public static Delta read(ByteBuffer file, long largest) throws DeltaException {
    return new Delta(file.slice().order(ByteOrder.LITTLE_ENDIAN), largest);
  }

  /** SHA-256 of the file that it is applied to. */
  public byte[] base() {
    return bytes(BASE_DIGEST, DIGEST);
  }

  /** Bytes of that file. */
  public long baseSize() {
    return baseSize;
  }

  /** SHA-256 of the file that comes of it. */
  public byte[] result() {
    return bytes(RESULT_DIGEST, DIGEST);
  }

  /** Bytes of that file. */
  public long resultSize() {
    return resultSize;
  }

  /**
   * Writes the result, in pieces of at most 16,384 bytes. What was written counts only if this returns: then it had the promised size and SHA-256.
   *
   * @param base the file that is there, from position to limit
   * @param out written from its position on, and read back where the result says something again; neither forced nor closed
   * @throws DeltaException it is for another file, which is found before anything is written; or the result is not what was promised
   * @throws IOException as {@code out} throws it
   */
  public void apply(ByteBuffer base, FileChannel out) throws DeltaException, IOException {
    apply(base, Channels.newOutputStream(out), out, out.position());
  }

  /**
   * The same into what cannot be read back.
   *
   * @throws DeltaException also where the result says something again, as it does for a bundle that has the model's numbers more than once
   */
  public void apply(ByteBuffer base, OutputStream out) throws DeltaException, IOException {
    apply(base, out, null, 0);
  }

  private void apply(ByteBuffer base, OutputStream out, @Nullable FileChannel back, long from) throws DeltaException, IOException {
    ByteBuffer under = base.slice();
    boolean same = under.limit() == baseSize && Arrays.equals(sha256(under), base());
    require(same, "base", "it is for another file of " + baseSize + " bytes");
    int begin = HEADER + table;
    byte[] block = new byte[DeltaSegments.BLOCK];
    MessageDigest digest = sha256();
    try (DeltaStream stream = new DeltaStream(part(begin, data.limit() - CHECKSUM - begin))) {
      for (DeltaSegments each = segments(); each.next(); ) {
        for (int start = 0; start < each.length(); start += DeltaSegments.BLOCK) {
          int length = Math.min(DeltaSegments.BLOCK, each.length() - start);
          if (each.isAgain()) {
            require(back != null, "segments", "the result says something again, and cannot be read back here");
            readBack(requireNonNull(back), from + each.base() + start, ByteBuffer.wrap(block, 0, length));
          } else if (each.hasBase()) {
            under.position(each.base() + start);
            under.get(block, 0, length);
          } else {
            Arrays.fill(block, 0, length, (byte) 0);
          }
          if (each.isCoded()) {
            stream.add(block, length, each.word(), each.bits());
          }
          digest.update(block, 0, length);
          out.write(block, 0, length);
        }
      }
      stream.requireEnd();
    }
    require(Arrays.equals(digest.digest(), result()), "result", "it is not the file that was promised");
  }

  private static void readBack(FileChannel back, long from, ByteBuffer into) throws IOException {
    for (long at = from; into.hasRemaining(); ) {
      int read = back.read(into, at);
      if (read < 0) {
        throw new EOFException("the result became shorter while it was written");
      }
      at += read;
    }
  }

  static void require(boolean right, String check, String why) throws DeltaException {
    if (!right) {
      throw new DeltaException(check, why);
    }
  }

  private DeltaSegments segments() {
    return new DeltaSegments(part(HEADER, table), data.getInt(SEGMENTS), baseSize, resultSize);
  }

  private ByteBuffer part(int from, int length) {
    ByteBuffer view = data.duplicate();
    view.limit(from + length);
    view.position(from);
    return view.slice();
  }

  private byte[] bytes(int from, int length) {
    byte[] found = new byte[length];
    part(from, length).get(found);
    return found;
  }

  private long unsigned(int offset) {
    return data.getInt(offset) & 0xFFFFFFFFL;
  }

  /** Piece by piece, as Android before API 26 has it. */
  private static long crc(ByteBuffer data) {
    CRC32 crc = new CRC32();
    byte[] piece = new byte[DeltaSegments.BLOCK];
    while (data.hasRemaining()) {
      int length = Math.min(piece.length, data.remaining());
      data.get(piece, 0, length);
      crc.update(piece, 0, length);
    }
    return crc.getValue();
  }

  private static byte[] sha256(ByteBuffer data) {
    MessageDigest digest = sha256();
    digest.update(data.duplicate());
    return digest.digest();
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException impossible) { // every Java has it
      throw new IllegalStateException(impossible);
    }
  }
}
