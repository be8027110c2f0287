package io.chordkit.trust;

import org.bouncycastle.math.ec.rfc8032.Ed25519;

/** Ed25519 of BouncyCastle (org.bouncycastle:bcprov-jdk15to18 or later), for platforms that have none: Android before API 33. */
public final class BouncyCastleEd25519 extends StrictEd25519 {
  @Override
  protected boolean verifyStrict(byte[] key, byte[] signature, byte[] message) {
    return Ed25519.verify(signature, 0, key, 0, message, 0, message.length);
  }
}
