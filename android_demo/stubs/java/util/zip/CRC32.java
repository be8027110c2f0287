package java.util.zip;

import java.nio.ByteBuffer;

public class CRC32 {
  /** API 26. */
  public native void update(ByteBuffer buffer);
}
