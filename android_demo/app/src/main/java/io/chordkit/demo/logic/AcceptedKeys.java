package io.chordkit.demo.logic;

import io.chordkit.trust.TrustedKeys;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** The asset {@code trusted_keys}: whose signatures this app accepts, 32 bytes a key, one after the other. */
public final class AcceptedKeys {
  /** No larger file is read. */
  public static final int MOST_BYTES = 16 * 32;

  private static final int KEY = 32;

  private AcceptedKeys() {}

  public static TrustedKeys parse(byte[] bytes) throws DemoException {
    if (bytes.length == 0 || bytes.length > MOST_BYTES || bytes.length % KEY != 0) {
      throw new DemoException(
          "trusted_keys: " + bytes.length + " bytes are not 1 to 16 keys of 32 bytes; build the app with the bundle's public key");
    }
    List<byte[]> keys = new ArrayList<byte[]>();
    for (int i = 0; i < bytes.length; i += KEY) {
      keys.add(Arrays.copyOfRange(bytes, i, i + KEY));
    }
    return new TrustedKeys(keys, Collections.<byte[]>emptyList());
  }
}
