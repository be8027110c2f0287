package io.chordkit;

import io.chordkit.annotation.Nullable;
import io.chordkit.release.Killed;
import io.chordkit.release.PhoneReport;
import io.chordkit.release.Release;
import io.chordkit.release.TargetFile;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.List;

/** Releases of a channel in a {@link ChordStore}: received, proven, checked on this phone, and then made the bundle in use. */
final class StoredReleases {
  /** A check that ends the process so often is one that failed. */
  private static final int MOST_ATTEMPTS = 3;

  final StoreFolder folder;
  @Nullable final Ed25519Verifier verifier;
  private final StoredBundles bundles;
  private final TrustedKeys keys;
  private final ChordStore.Options options;

  StoredReleases(
      StoreFolder folder, StoredBundles bundles, TrustedKeys keys, @Nullable Ed25519Verifier verifier, ChordStore.Options options) {
    this.folder = folder;
    this.bundles = bundles;
    this.keys = keys;
    this.verifier = verifier;
    this.options = options;
  }

  /**
   * Keeps what the channel has withdrawn, and chooses once who this phone is.
   *
   * @param recovered whether numbers of before count no more ({@link io.chordkit.release.ChannelClient#recovered})
   */
  StoreReleases follow(List<Killed> killed, boolean recovered, StoreState state) throws IOException {
    StoreReleases known = state.releases;
    boolean same = known.installId != null && known.killed.equals(killed) && !recovered;
    if (known.installId == null) {
      byte[] chosen = new byte[Release.INSTALL_ID_BYTES];
      new SecureRandom().nextBytes(chosen);
      known.installId = Hex.of(chosen);
    }
    if (!same) {
      known.recover(recovered);
      known.killed.clear();
      known.killed.addAll(killed);
      folder.write(state);
    }
    return known;
  }

  /** Whether the bundle in use is the release's: then its number is all that is new, and is kept. */
  boolean renumber(Release release, StoreState state) throws IOException {
    StoreState.Slot used = state.current;
    if (used == null || bundles.shippedCovers(state) || !holds(used, release)) {
      return false;
    }
    state.current = new StoreState.Slot(used.file, used.counter, release.number());
    adopted(release, state);
    folder.write(state);
    return true;
  }

  /** Files that hold a release's bundle already, or that a difference may start from. */
  List<ByteBuffer> bases(ChordStore store) throws IOException {
    folder.lock();
    try {
      return bundles.bases(store.state());
    } finally {
      folder.unlock();
    }
  }

  /** Before anything of it is fetched. */
  void requireRoom(Release release) throws IOException {
    if (release.file().length() > options.longestBundle) {
      throw new IOException(release.file().name() + ": is longer than the " + options.longestBundle + " bytes that are allowed");
    }
  }

  /** Whether the release's bundle is here already, whole: a preparation that was not ended by a commit. */
  boolean holds(Release release, StoreState state) throws IOException {
    StoreState.Slot slot = state.releases.prepared;
    return slot != null && slot.release == release.number() && holds(slot, release);
  }

  private boolean holds(StoreState.Slot slot, Release release) throws IOException {
    File file = folder.file(slot.file);
    return file.isFile() && TargetFile.sha256(Bundle.mapped(file)).equals(release.file().sha256());
  }

  /** Puts a bundle beside the others, as one that is prepared. */
  void receive(Release release, InputStream from, StoreState state) throws ChordException, IOException {
    requireWanted(release, state);
    File part = folder.receive(from, Math.min(release.file().length(), options.longestBundle));
    boolean kept = false;
    try {
      release.file().require(Bundle.mapped(part));
      StoreState.Slot slot = new StoreState.Slot(folder.placeRelease(part, state), release.counter(), release.number());
      state.releases.prepared = slot;
      state.releases.attempts = 0;
      folder.write(state);
      kept = true;
    } finally {
      if (!kept) {
        folder.delete(part);
      }
    }
  }

  /**
   * Opens the bundle that {@link #receive} put there, and holds it against its own test vectors. A phone that cannot run it remembers that.
   *
   * @throws ChordException why it cannot run it
   */
  Bundle check(Release release, StoreState state) throws ChordException, IOException {
    requireWanted(release, state);
    StoreState.Slot slot = state.releases.prepared;
    if (slot == null) {
      throw new StoreException("release " + release.number() + " is not in the store; prepare it with its bundle");
    }
    state.releases.attempts++;
    folder.write(state);
    try {
      if (state.releases.attempts > MOST_ATTEMPTS) {
        throw new StoreException("the check of release " + release.number() + " ended the process " + MOST_ATTEMPTS + " times; wait for another release");
      }
      Bundle bundle = Bundle.map(folder.file(slot.file), keys, verifier, Math.max(release.counter(), options.minimumCounter));
      if (bundle.counter() != release.counter() || !Hex.of(bundle.fingerprint()).equals(release.fingerprint())) {
        throw new StoreException("the bundle of release " + release.number() + " has another counter or backbone than the channel says; publish it anew");
      }
      bundle.engine().close();
      if (options.selfCheck) {
        SelfCheck.of(bundle).require();
      }
      state.releases.attempts = 0;
      folder.write(state);
      return bundle;
    } catch (ChordException unusable) {
      state.releases.fail(release.number(), release.counter());
      folder.write(state);
      throw unusable;
    }
  }

  /** Lets {@code state} say that the prepared bundle is the one in use. */
  void use(Release release, StoreState state) throws ChordException, IOException {
    StoreState.Slot slot = state.releases.prepared;
    if (slot == null || slot.release != release.number()) {
      throw new StoreException("release " + release.number() + " is no longer the one that is prepared; prepare it again");
    }
    long left = state.current == null ? 0 : state.current.counter;
    String file = folder.placeBundle(folder.file(slot.file), state);
    bundles.replace(state, new StoreState.Slot(file, slot.counter, slot.release));
    state.minimum = left > release.counter() ? Math.max(state.minimum, left + 1) : state.minimum; // what is taken back comes from nowhere else
    state.releases.prepared = null;
    state.releases.add(new StoreReleases.Checked(release.number(), release.counter(), true));
    adopted(release, state);
  }

  private void adopted(Release release, StoreState state) {
    long shipped = bundles.shippedCounter();
    state.minimum = shipped > release.counter() ? Math.max(state.minimum, shipped + 1) : state.minimum; // or it would be in use again
    state.releases.number = Math.max(state.releases.number, release.number());
  }

  /** The oldest check that nobody was told, else what is in use. */
  PhoneReport report(StoreState state) {
    List<StoreReleases.Checked> checks = state.releases.checks;
    StoreState.Slot used = state.current;
    PhoneReport report;
    if (!checks.isEmpty()) {
      report = new PhoneReport(checks.get(0).release, checks.get(0).word()).counter(checks.get(0).counter);
    } else if (used != null && !bundles.shippedCovers(state)) {
      report = new PhoneReport(used.release, PhoneReport.Check.NONE).counter(used.counter);
    } else {
      report = new PhoneReport(0, PhoneReport.Check.NONE);
    }
    return report.runtime("native");
  }

  private static void requireWanted(Release release, StoreState state) throws StoreException {
    if (state.releases.failed.contains(release.number())) {
      throw new StoreException("release " + release.number() + " was tried, and this phone cannot run it; wait for another one");
    }
    if (release.number() <= state.releases.number) {
      throw new StoreException("release " + release.number() + " is not newer than " + state.releases.number + ", which this phone had");
    }
  }
}
