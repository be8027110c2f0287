package io.chordkit.trust;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;

/** Opens bundles (docs/bundle.md) that an accepted key signed and that are not older than the app wants. */
public final class BundleVerifier {
  private final TrustedKeys keys;
  @Nullable private final Ed25519Verifier verifier;

  /**
   * @param verifier null = there is none, and every bundle is refused with {@link VerificationException.NoVerifier}
   */
  public BundleVerifier(TrustedKeys keys, @Nullable Ed25519Verifier verifier) {
    this.keys = keys;
    this.verifier = verifier;
  }

  /**
   * Checks a whole bundle, down to the SHA-256 of every member.
   *
   * @param data a direct buffer, from its position to its limit: a mapped file, or a copy. It must stay as it is while the bundle is used;
   *     a file that somebody else can write to is to be copied first.
   * @param minimum the lowest counter that is accepted: that of the bundle in use; 0 = any
   */
  public VerifiedBundle open(ByteBuffer data, long minimum) throws VerificationException {
    if (!data.isDirect() || minimum < 0) {
      throw new IllegalArgumentException("the buffer is not direct, or the lowest counter is below 0");
    }
    long[] numbers = new long[2];
    byte[] ids = new byte[16];
    Object[] results = new Object[2];
    // An empty file that is mapped has no address.
    ByteBuffer view = data.hasRemaining() ? data.slice() : ByteBuffer.allocateDirect(1);
    int status =
        NativeVerifier.openBundle(view, data.remaining(), keys.keys, keys.revoked, verifier, minimum, numbers, ids, results);
    VerificationException.throwUnlessOk(status, (String) (status == 0 ? null : results[0]));
    return new VerifiedBundle(view, (int) numbers[0], numbers[1], ids, (String[]) results[0], (long[]) results[1]);
  }
}
