package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * One user's model (CHRP, docs/formats.md), for a device without the master: its {@link #engine} gives, bit for bit, the scores of the user's
 * strategy on the master that it was made from.
 */
public final class PersonalFile {
  private final Engine engine;
  private final byte[] madeFrom;

  private PersonalFile(Engine engine, byte[] madeFrom) {
    this.engine = engine;
    this.madeFrom = madeFrom;
  }

  /**
   * Checks a file, expands it in memory of its own, and opens that.
   *
   * @param file direct, from position to limit; not needed any more once this returns
   * @throws EngineException.BadMaster it is damaged, of a later version, or describes a model that the engine cannot run
   * @throws OutOfMemoryError it expands into more than this device has
   */
  public static PersonalFile open(ByteBuffer file) throws EngineException {
    if (!file.isDirect()) {
      throw new IllegalArgumentException("file: the buffer is not direct; map the file, or copy it into ByteBuffer.allocateDirect");
    }
    long[] sizes = new long[2];
    byte[] madeFrom = new byte[8];
    Object[] sentence = new Object[1];
    int start = file.position();
    int bytes = file.remaining();
    int status = NativePersonal.query(file, start, bytes, sizes, madeFrom, sentence);
    EngineException.throwUnlessOk(status, (String) sentence[0]);
    if (sizes[0] > Integer.MAX_VALUE) {
      throw new OutOfMemoryError("the master of this file needs " + sizes[0] + " bytes");
    }
    ByteBuffer master = ByteBuffer.allocateDirect((int) sizes[0]).order(ByteOrder.nativeOrder());
    status = NativePersonal.expand(file, start, bytes, master, sentence);
    EngineException.throwUnlessOk(status, (String) sentence[0]);
    Engine engine = Engine.open(master);
    try {
      byte[] strategy = new byte[(int) sizes[1]];
      status = NativePersonal.strategy(file, start, bytes, engine.fingerprint(), strategy, sentence);
      EngineException.throwUnlessOk(status, (String) sentence[0]);
      engine.adopt(strategy);
    } catch (EngineException refused) {
      engine.close();
      throw refused;
    }
    return new PersonalFile(engine, madeFrom);
  }

  /** With the user's weights in use; to be closed by the caller. No strategy or user vector for the first master fits it. */
  public Engine engine() {
    return engine;
  }

  /** The fingerprint of the master that it was made from. */
  public byte[] madeFrom() {
    return madeFrom.clone();
  }
}
