package io.chordkit.demo.logic;

import io.chordkit.annotation.Nullable;
import java.util.List;

/** One person of the demo's data. */
public final class DemoUser {
  public final String name;

  /** Whom the envelope is for; also the name of the strategy where the bundle has it. */
  public final String subject;

  /** The owner's ids, oldest first. */
  public final List<String> history;

  /** The owner's ids. */
  public final List<String> candidates;

  /** What the user really took next: one of the candidates. */
  public final String taken;

  private final byte[] envelope;
  @Nullable private final byte[] samples;

  DemoUser(
      String name,
      String subject,
      List<String> history,
      List<String> candidates,
      String taken,
      byte[] envelope,
      @Nullable byte[] samples) {
    this.name = name;
    this.subject = subject;
    this.history = history;
    this.candidates = candidates;
    this.taken = taken;
    this.envelope = envelope;
    this.samples = samples;
  }

  /** The user's strategy in a signed envelope (CHRE), as the cloud would send it. */
  public byte[] envelope() {
    return envelope.clone();
  }

  /** Samples of others that are like this user (CHRS), as the cloud would send them; null = there are none. */
  @Nullable
  public byte[] samples() {
    return samples == null ? null : samples.clone();
  }
}
