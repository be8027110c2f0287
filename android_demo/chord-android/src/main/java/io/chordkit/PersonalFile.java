package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * One user's model (CHRP, docs/formats.md), for a device without the master: {@code Engine.open(PersonalFile.read(file).master())} gives, bit
 * for bit, the scores of the user's strategy on the master that it was made from.
 */
public final class PersonalFile {
  private final ByteBuffer master;
  private final byte[] madeFrom;

  private PersonalFile(ByteBuffer master, byte[] madeFrom) {
    this.master = master;
    this.madeFrom = madeFrom;
  }

  /**
   * Checks a file and expands it in memory of its own.
   *
   * @param file direct, from position to limit; not needed any more once this returns
   * @throws EngineException.BadMaster it is damaged, or of a later version
   * @throws OutOfMemoryError it expands into more than this device has
   */
  public static PersonalFile read(ByteBuffer file) throws EngineException {
    if (!file.isDirect()) {
      throw new IllegalArgumentException("file: the buffer is not direct; map the file, or copy it into ByteBuffer.allocateDirect");
    }
    long[] bytes = new long[1];
    byte[] madeFrom = new byte[8];
    Object[] sentence = new Object[1];
    int status = NativePersonal.query(file, file.position(), file.remaining(), bytes, madeFrom, sentence);
    EngineException.throwUnlessOk(status, (String) sentence[0]);
    if (bytes[0] > Integer.MAX_VALUE) {
      throw new OutOfMemoryError("the master of this file needs " + bytes[0] + " bytes");
    }
    ByteBuffer master = ByteBuffer.allocateDirect((int) bytes[0]).order(ByteOrder.nativeOrder());
    status = NativePersonal.expand(file, file.position(), file.remaining(), master, sentence);
    EngineException.throwUnlessOk(status, (String) sentence[0]);
    return new PersonalFile(master, madeFrom);
  }

  /** The master that it expands into, which no strategy or user vector for the first one fits: for {@link Engine#open}. */
  public ByteBuffer master() {
    return master.asReadOnlyBuffer().order(ByteOrder.nativeOrder());
  }

  /** The fingerprint of the master that it was made from. */
  public byte[] madeFrom() {
    return madeFrom.clone();
  }
}
