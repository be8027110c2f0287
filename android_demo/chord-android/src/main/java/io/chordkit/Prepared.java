package io.chordkit;

import io.chordkit.release.Release;
import java.io.IOException;
import java.util.Arrays;

/**
 * A release that this phone can run and does not use yet: its engine makes the profile for its backbone, for which a server makes a strategy.
 * {@link #commit} then changes both at once. Without a commit it stays on the disk, and the next look at the channel finds it again.
 */
public final class Prepared implements AutoCloseable {
  private final ChordStore store;
  private final Release release;
  private final Bundle bundle;
  private final Engine engine;

  Prepared(ChordStore store, Release release, Bundle bundle) throws ChordException {
    this.store = store;
    this.release = release;
    this.bundle = bundle;
    this.engine = bundle.engine();
  }

  public Release release() {
    return release;
  }

  public Bundle bundle() {
    return bundle;
  }

  /** Over the new backbone, without a strategy. */
  public Engine engine() {
    return engine;
  }

  /** Whether strategies for the bundle in use are for this one's backbone too, so that none has to be asked for. */
  public boolean hasBackboneOf(Bundle other) {
    return Arrays.equals(bundle.fingerprint(), other.fingerprint());
  }

  /**
   * Makes the bundle the one in use, and adopts envelopes for its backbone, in one step: a kill at any moment leaves all of the old or all of
   * the new.
   *
   * @param subject as in {@link ChordStore#open}
   * @param envelopes a strategy, a user vector, or none
   * @return a session on it; those before go on with theirs until they are closed
   * @throws io.chordkit.trust.VerificationException an envelope is refused; nothing has changed
   * @throws StoreException another release was prepared or adopted since; likewise
   */
  public ChordStore.Session commit(byte[] subject, byte[]... envelopes) throws ChordException, IOException {
    return store.commit(this, subject, envelopes);
  }

  @Override
  public void close() {
    engine.close();
  }
}
