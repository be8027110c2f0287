package io.chordkit;

import io.chordkit.trust.PlatformEd25519;
import io.chordkit.trust.TrustedKeys;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;

/** The bundles of tests/android/store_material.py, with the keys they are signed with. */
final class Shop {
  static final byte[] SUBJECT = {'p', 'h', 'o', 'n', 'e', ' ', '7'};

  private Shop() {}

  static TrustedKeys keys() throws IOException {
    return new TrustedKeys(Material.bytes("key.raw"));
  }

  static PlatformEd25519 verifier() {
    return new PlatformEd25519();
  }

  static Bundle bundle(String name) throws ChordException, IOException {
    return Bundle.map(Material.file(name + ".chord"), keys(), verifier(), 0);
  }

  static InputStream stream(String name) throws IOException {
    return new ByteArrayInputStream(Material.bytes(name));
  }
}
