package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;

/** What an engine's answers depend on besides its weights and the history. An adapter is good for those that it was trained under. */
final class Inputs {
  static final Inputs NONE = new Inputs(null, null);

  private static final int DIGEST = 8; // bytes of SHA-256 that stand for the whole, as in CHRA

  /** Wire bytes; null = 8 bits everywhere. */
  @Nullable private final byte[] strategy;

  /** Wire bytes; null = none. */
  @Nullable final byte[] user;

  private Inputs(@Nullable byte[] strategy, @Nullable byte[] user) {
    this.strategy = strategy;
    this.user = user;
  }

  /** This one where it is the same strategy. */
  Inputs withStrategy(byte[] wire) {
    return Arrays.equals(strategy, wire) ? this : new Inputs(wire.clone(), user);
  }

  /** This one where it is the same vector. */
  Inputs withUser(@Nullable byte[] wire) {
    return Arrays.equals(user, wire) ? this : new Inputs(strategy, wire == null ? null : wire.clone());
  }

  /** 8 bytes; zeros = no strategy. */
  byte[] strategyDigest() {
    return digest(strategy);
  }

  /** The same for the same inputs, and hardly for others. */
  String name() {
    return Hex.of(digest(strategy)) + Hex.of(digest(user));
  }

  boolean same(Inputs other) {
    return this == other || (Arrays.equals(strategy, other.strategy) && Arrays.equals(user, other.user));
  }

  private static byte[] digest(@Nullable byte[] wire) {
    if (wire == null) {
      return new byte[DIGEST];
    }
    try {
      return Arrays.copyOf(MessageDigest.getInstance("SHA-256").digest(wire), DIGEST);
    } catch (NoSuchAlgorithmException impossible) { // every Java has it
      throw new IllegalStateException(impossible);
    }
  }
}
