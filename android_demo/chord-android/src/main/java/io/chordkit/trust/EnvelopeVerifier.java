package io.chordkit.trust;

import io.chordkit.annotation.Nullable;

/** Opens signed envelopes of strategies and user vectors (docs/formats.md). */
public final class EnvelopeVerifier {
  private final TrustedKeys keys;
  @Nullable private final Ed25519Verifier verifier;

  /**
   * @param verifier null = there is none, and every envelope is refused with {@link VerificationException.NoVerifier}
   */
  public EnvelopeVerifier(TrustedKeys keys, @Nullable Ed25519Verifier verifier) {
    this.keys = keys;
    this.verifier = verifier;
  }

  /** Checks structure, key, signature, and then serial, times, subject and payload. {@code data} is copied first. */
  public VerifiedEnvelope open(byte[] data, EnvelopeTerms terms) throws VerificationException {
    byte[] own = data.clone();
    long[] numbers = new long[7];
    byte[] ids = new byte[16];
    Object[] results = new Object[1];
    int status =
        NativeVerifier.openEnvelope(
            own,
            keys.keys,
            keys.revoked,
            verifier,
            terms.subject,
            terms.fingerprint,
            terms.minimumSerial,
            terms.now,
            terms.latestSeen,
            numbers,
            ids,
            results);
    VerificationException.throwUnlessOk(status, (String) results[0]);
    return new VerifiedEnvelope(own, numbers, ids);
  }
}
