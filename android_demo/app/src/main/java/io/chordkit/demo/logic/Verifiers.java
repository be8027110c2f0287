package io.chordkit.demo.logic;

import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.PlatformEd25519;

/** Which arithmetic of Ed25519 there is. */
public final class Verifiers {
  private static final String BOUNCY_CASTLE = "io.chordkit.trust.BouncyCastleEd25519";

  private Verifiers() {}

  /** The platform's (Android 13 on), else BouncyCastle's where the app was built with it, else null: then nothing is accepted. */
  @Nullable
  public static Ed25519Verifier best() {
    return PlatformEd25519.isAvailable() ? new PlatformEd25519() : named(BOUNCY_CASTLE);
  }

  /** By name, because an app that is built without BouncyCastle must start as well. */
  @Nullable
  static Ed25519Verifier named(String name) {
    try {
      return (Ed25519Verifier) Class.forName(name).getDeclaredConstructor().newInstance();
    } catch (ReflectiveOperationException | LinkageError absent) {
      return null;
    }
  }
}
