package io.chordkit;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;

/** The user vectors of a bundle by their numbers, as rows of test vectors have them. */
final class TestUsers {
  private static final int SCALE = 20;
  private static final int CODES = 24;
  private static final int CRC_BYTES = 4;

  private final List<byte[]> wires = new ArrayList<byte[]>();

  TestUsers(Bundle bundle) throws BundleException {
    for (String name : bundle.userVectors()) {
      wires.add(bundle.userVector(name));
    }
  }

  /** Makes the vector of a row the engine's; zeros are nobody's. */
  void adopt(Engine engine, TestVectors vectors, int row) throws ChordException {
    FloatBuffer wanted = vectors.user(row);
    if (wanted == null || isZero(wanted)) {
      engine.adoptUser(null);
      return;
    }
    for (byte[] wire : wires) {
      if (isOf(wire, wanted)) {
        engine.adoptUser(wire);
        return;
      }
    }
    throw new BundleException("vectors.safetensors: users: row " + row + " is none of the bundle's user vectors; make the bundle anew");
  }

  private static boolean isZero(FloatBuffer values) {
    for (int i = 0; i < values.remaining(); i++) {
      if (values.get(i) != 0) {
        return false;
      }
    }
    return true;
  }

  /** Whether code * scale (docs/formats.md, CHRU) are these numbers. */
  private static boolean isOf(byte[] wire, FloatBuffer values) {
    if (wire.length != CODES + values.remaining() + CRC_BYTES) {
      return false;
    }
    float scale = ByteBuffer.wrap(wire).order(ByteOrder.LITTLE_ENDIAN).getFloat(SCALE);
    for (int i = 0; i < values.remaining(); i++) {
      if (wire[CODES + i] * scale != values.get(i)) {
        return false;
      }
    }
    return true;
  }
}
