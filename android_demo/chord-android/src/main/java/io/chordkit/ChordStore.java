package io.chordkit;

import io.chordkit.annotation.Nullable;
import io.chordkit.release.PhoneFacts;
import io.chordkit.release.PhoneReport;
import io.chordkit.release.Release;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import io.chordkit.trust.VerificationException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * What an app keeps on its disk (docs/trust.md): the bundle in use, the one before, the envelopes in use, what was learned of each subject, and
 * the counters and serials below which nothing is accepted any more. A kill at any moment leaves the old or the new, never neither.
 *
 * <pre>
 * ChordStore store = new ChordStore(new File(context.getNoBackupFilesDir(), "chord"), keys, verifier,
 *     new ChordStore.Options().shipped(Assets.bundle(context.getAssets(), "shop.chord")));
 * try (ChordStore.Session session = store.open(user)) {
 *   session.adopt(envelope);
 *   new Recommender(session.scorer(), session.bundle().items()).rerank(history, candidates);
 * }
 * </pre>
 *
 * <p>Any thread, any number of processes: they wait for each other. The folder must be one that only the app writes to, and that no backup
 * brings back: counters that come from a backup are older ones.
 */
public final class ChordStore {
  /** A start alone keeps the time only so often: it is no reason to write to the disk every time. */
  private static final long CLOCK_STEP_S = 3600;

  /** Where the bundle that ships with the app is. */
  public interface Shipped {
    /** Opens and verifies it; {@code minimum} is the lowest counter. */
    Bundle open(TrustedKeys keys, @Nullable Ed25519Verifier verifier, long minimum) throws ChordException, IOException;
  }

  /** Which bundle a session has. */
  public enum Source {
    /** The one that was installed last, or that a rollback went back to. */
    CURRENT,
    /** The one before, because the last cannot be opened. */
    PREVIOUS,
    /** The one that ships with the app: it is newer than what was installed, or nothing else can be opened. */
    SHIPPED
  }

  /** How a store works; what is not said is as written here. */
  public static final class Options {
    @Nullable Shipped shipped;
    long minimumCounter;
    int longestBundle = 256 << 20;
    boolean selfCheck = true;

    /** The bundle that ships with the app; none. */
    public Options shipped(Shipped value) {
      shipped = value;
      return this;
    }

    /** The lowest counter of all, that of the day the app was built; 0 = any. */
    public Options minimumCounter(long value) {
      minimumCounter = value;
      return this;
    }

    /** More bytes are not installed; 256 MiB. The folder holds two bundles, and a third while one is installed. */
    public Options longestBundle(int value) {
      longestBundle = value;
      return this;
    }

    /** Whether a bundle is installed only if this phone computes its test vectors as its maker did ({@link SelfCheck}); yes. */
    public Options selfCheck(boolean value) {
      selfCheck = value;
      return this;
    }
  }

  private final StoreFolder folder;
  private final Options options;
  private final StoredBundles bundles;
  private final StoredEnvelopes envelopes;
  private final StoredAdapters adapters;
  private final StoredReleases releases;

  /**
   * @param folder is made where it is not there: one of the app's own, without backup ({@code Context.getNoBackupFilesDir})
   * @param keys whose signatures are accepted, less those revoked
   * @param verifier the arithmetic of Ed25519; null = nothing is accepted
   */
  public ChordStore(File folder, TrustedKeys keys, @Nullable Ed25519Verifier verifier, Options options) {
    this(folder, keys, verifier, options, new Disk());
  }

  ChordStore(File folder, TrustedKeys keys, @Nullable Ed25519Verifier verifier, Options options, Disk disk) {
    this.folder = new StoreFolder(folder, disk);
    this.options = options;
    this.bundles = new StoredBundles(this.folder, keys, verifier, options);
    this.envelopes = new StoredEnvelopes(this.folder, keys, verifier);
    this.adapters = new StoredAdapters(this.folder);
    this.releases = new StoredReleases(this.folder, bundles, keys, verifier, options);
  }

  /**
   * Opens the newest bundle that can be opened, and applies what was kept for {@code subject}: the installed one, else the one before, else the
   * one that ships with the app; that one first where its counter is higher. What went wrong on the way is in {@link Session#remarks}.
   *
   * @param subject whose strategies and user vectors: the subject of their envelopes, at most 24 bytes
   * @throws StoreException none can be opened; the sentence has every reason
   */
  public Session open(byte[] subject) throws ChordException, IOException {
    folder.lock();
    try {
      List<String> remarks = new ArrayList<String>();
      return opened(read(remarks), subject, remarks);
    } finally {
      folder.unlock();
    }
  }

  /**
   * Verifies a bundle and makes it the one in use, or changes nothing: it is written beside the others, opened with the counter that was
   * kept, opened by the engine, and held against its own test vectors, before anything refers to it. One that is in use already is not
   * installed again.
   *
   * @param bundle read to its end, not closed, while others wait for the store: a file or bytes rather than a connection
   * @return a session on it; those before go on with theirs until they are closed
   * @throws VerificationException it is damaged, not signed by an accepted key, or older than what was installed
   * @throws SelfCheck.Failed this phone computes something else
   * @throws IOException it cannot be read or kept
   */
  public Session install(InputStream bundle, byte[] subject) throws ChordException, IOException {
    folder.lock();
    try {
      List<String> remarks = new ArrayList<String>();
      StoreState state = read(remarks);
      folder.clean(state);
      File part = folder.receive(bundle, options.longestBundle);
      boolean kept = false;
      try {
        if (bundles.install(part, state)) {
          folder.write(state);
          kept = true;
        }
      } finally {
        if (!kept) {
          folder.delete(part);
        }
      }
      return opened(state, subject, remarks);
    } finally {
      folder.unlock();
    }
  }

  /**
   * Leaves the bundle in use for the one before, or for the one that ships with the app: for a release that turns out bad although it is
   * rightly signed. No counter goes down, and what was left is not installed again: its successor needs a higher one. (Bundles that are
   * never counted, with 0, can be.)
   *
   * @throws StoreException there is none to go back to; nothing has changed
   */
  public Session rollback(byte[] subject) throws ChordException, IOException {
    folder.lock();
    try {
      List<String> remarks = new ArrayList<String>();
      StoreState state = read(remarks);
      StoredBundles.Opened left = bundles.choose(state, new ArrayList<String>());
      left.engine.close();
      long counter = left.bundle.counter();
      if (left.source != Source.SHIPPED) {
        state.current = left.source == Source.CURRENT ? state.previous : null;
        state.previous = null;
      }
      state.minimum = counter == 0 ? state.minimum : Math.max(state.minimum, counter + 1);
      StoredBundles.Opened next = bundles.chooseOrNull(state, new ArrayList<String>());
      if (next != null) {
        next.engine.close();
      }
      boolean same = next != null && next.source == left.source && next.source == Source.SHIPPED;
      if (next == null || same || (counter != 0 && next.bundle.counter() == counter)) {
        throw new StoreException("there is no other bundle to go back to; install a newer one");
      }
      folder.write(state);
      return opened(state, subject, remarks);
    } finally {
      folder.unlock();
    }
  }

  /**
   * Makes a release of a channel ready, beside what is in use: its bundle is held against the hash that the channel signed, opened with the
   * release's counter, which may be lower than the one in use, and held against its own test vectors. {@link Updater} calls this.
   *
   * @param bundle read to its end, not closed; a file rather than a connection
   * @throws ChordException the bundle is refused, or this phone computes something else: it remembers that, and does not try it again
   * @throws IOException it cannot be read or kept
   */
  public Prepared prepare(Release release, InputStream bundle) throws ChordException, IOException {
    folder.lock();
    try {
      StoreState state = read(new ArrayList<String>());
      folder.clean(state);
      releases.receive(release, bundle, state);
      return new Prepared(this, release, releases.check(release, state));
    } finally {
      folder.unlock();
    }
  }

  /** The same of a release whose bundle is here already; null = it is not. */
  @Nullable
  Prepared preparedBefore(Release release) throws ChordException, IOException {
    folder.lock();
    try {
      StoreState state = read(new ArrayList<String>());
      return releases.holds(release, state) ? new Prepared(this, release, releases.check(release, state)) : null;
    } finally {
      folder.unlock();
    }
  }

  /** All that changes with a release, by one write of the state. */
  Session commit(Prepared prepared, byte[] subject, byte[][] sealed) throws ChordException, IOException {
    folder.lock();
    try {
      List<String> remarks = new ArrayList<String>();
      StoreState state = read(remarks);
      envelopes.apply(state, subject, prepared.engine(), new ArrayList<String>());
      for (byte[] envelope : sealed) {
        envelopes.adopt(envelope, subject, prepared.engine(), state);
      }
      adapters.forgetOutdated(state, subject, prepared.engine());
      releases.use(prepared.release(), state);
      folder.write(state);
      return opened(state, subject, remarks);
    } finally {
      folder.unlock();
    }
  }

  /** The number of the newest release that was adopted, 0 = none: a hint of the server ({@link PhoneReport#HINT}) above it is worth a look. */
  public long release() throws IOException {
    folder.lock();
    try {
      return state().releases.number;
    } finally {
      folder.unlock();
    }
  }

  /**
   * What this phone says of itself in its next request for a strategy: a self-check that was not reported yet, else what it runs.
   * {@link #reported} follows when the server has answered 200.
   */
  public PhoneReport report(PhoneFacts phone) throws IOException {
    folder.lock();
    try {
      return releases.report(read(new ArrayList<String>())).phone(phone);
    } finally {
      folder.unlock();
    }
  }

  /** A report has arrived: its self-check is not told again. */
  public void reported(PhoneReport report) throws IOException {
    folder.lock();
    try {
      StoreState state = read(new ArrayList<String>());
      if (state.releases.reported(report)) {
        folder.write(state);
      }
    } finally {
      folder.unlock();
    }
  }

  /** What {@link Updater} works with. */
  StoredReleases releases() {
    return releases;
  }

  /** The state as it is, or as it can be made anew; under the folder's lock. */
  StoreState state() {
    return read(new ArrayList<String>());
  }

  /**
   * Deletes the strategies and user vectors of a subject, and what was learned of it: it left, or took its consent back. Of it stay the
   * serials, with its identifier, so that nothing old can be brought back. Sessions that are open go on with what they have.
   */
  public void forget(byte[] subject) throws IOException {
    folder.lock();
    try {
      StoreState state = read(new ArrayList<String>());
      for (String kind : StoreState.KINDS) {
        StoreState.Line line = state.find(Hex.of(subject), kind);
        if (line != null) {
          line.kept.clear();
        }
      }
      adapters.forget(state, subject);
      folder.write(state);
    } finally {
      folder.unlock();
    }
  }

  /** A bundle in use, its engine, and what was applied to it. */
  public final class Session implements AutoCloseable {
    private final Bundle bundle;
    private final Engine engine;
    private final PersonalScorer scorer;
    private final Source source;
    private final byte[] subject;
    private final List<String> remarks;

    private Session(StoredBundles.Opened opened, byte[] subject, List<String> remarks) {
      this.bundle = opened.bundle;
      this.engine = opened.engine;
      this.scorer = new PersonalScorer(opened.engine);
      this.source = opened.source;
      this.subject = subject.clone();
      this.remarks = remarks;
    }

    public Bundle bundle() {
      return bundle;
    }

    /** With the kept strategy and user vector of the subject, where there are any. Closed by {@link #close}. */
    public Engine engine() {
      return engine;
    }

    /** The same with what this phone learned of the subject, where it is worth having: what to rank with. */
    public PersonalScorer scorer() {
      return scorer;
    }

    public Source source() {
      return source;
    }

    /** What is not as it should be, a sentence each: a bundle that could not be opened, a strategy that was not applied. Usually empty. */
    public List<String> remarks() {
      return Collections.unmodifiableList(remarks);
    }

    /**
     * Verifies an envelope, gives what is in it to the engine, and keeps it for the next start.
     *
     * @throws VerificationException it is damaged, not signed by an accepted key, not for this subject or backbone, older than the one in use,
     *     or not good now; nothing has changed
     * @throws EngineException the engine refuses what is in it; nothing has changed
     * @throws IOException the engine has it, and it could not be kept: the next start has the one before
     */
    public void adopt(byte[] envelope) throws ChordException, IOException {
      folder.lock();
      try {
        StoreState state = read(new ArrayList<String>());
        envelopes.adopt(envelope, subject, engine, state);
        adapters.forgetOutdated(state, subject, engine);
        folder.write(state);
        show(state);
      } finally {
        folder.unlock();
      }
    }

    /**
     * Learns from the clicks of the subject, and keeps and uses what it learned if that is worth having; the one before stays for
     * {@link #undo}. Up to some hundred milliseconds: call it in the background, while reranks go on. Nothing leaves the phone.
     *
     * @param samples of others, from the cloud ({@link Samples#read}); null = the clicks alone
     * @throws LearningException another strategy was adopted meanwhile, or the model's answers are too large to learn from; nothing has changed
     * @throws IOException it could not be kept; nothing has changed
     */
    public Personalisation personalise(ClickStream clicks, @Nullable Samples samples, Learning how) throws ChordException, IOException {
      Personalisation made = Personalisation.of(engine, clicks, samples, how);
      Adapter adapter = made.adapter();
      if (adapter == null) {
        return made;
      }
      folder.lock();
      try {
        if (!adapter.inputs().same(engine.inputs())) {
          throw new LearningException.Superseded();
        }
        StoreState state = read(new ArrayList<String>());
        adapters.keep(state, subject, engine, adapter);
        folder.write(state);
        scorer.use(adapter);
        return made;
      } finally {
        folder.unlock();
      }
    }

    /**
     * Asks new clicks whether what is in use still helps, and leaves it for the one before, which is asked as well, where it does not: where
     * ten clicks or more did not become more probable by it.
     *
     * @param newer how many of the newest clicks came after it was learned
     * @return how often it was left: 0, 1, 2
     */
    public int review(ClickStream clicks, int newer) throws ChordException, IOException {
      int left = 0;
      for (Adapter used = scorer.adapter(); used != null && used.fails(engine, clicks, newer); used = scorer.adapter()) {
        undo();
        left++;
      }
      return left;
    }

    /** Leaves what was learned last for what was learned before; from there, for the model as it came. */
    public void undo() throws IOException {
      folder.lock();
      try {
        StoreState state = read(new ArrayList<String>());
        adapters.undo(state, subject, engine);
        folder.write(state);
        show(state);
      } finally {
        folder.unlock();
      }
    }

    /** Deletes all that was learned of the subject: the model is as it came, with the subject's strategy. */
    public void unlearn() throws IOException {
      folder.lock();
      try {
        StoreState state = read(new ArrayList<String>());
        adapters.forget(state, subject);
        scorer.use(null);
        folder.write(state);
      } finally {
        folder.unlock();
      }
    }

    private void show(StoreState state) {
      scorer.use(adapters.current(state, subject, engine, new ArrayList<String>()));
    }

    /** Closes the engine; calls under way finish. */
    @Override
    public void close() {
      engine.close();
    }
  }

  private Session opened(StoreState state, byte[] subject, List<String> remarks) throws StoreException {
    StoredBundles.Opened opened = bundles.choose(state, remarks);
    long seen = state.latestSeen;
    boolean withdrawn = envelopes.apply(state, subject, opened.engine, remarks);
    long minimum = opened.source == Source.SHIPPED ? opened.bundle.counter() : 0; // in use now, as an installed one is
    if (withdrawn || minimum > state.minimum || state.latestSeen >= seen + CLOCK_STEP_S) {
      state.minimum = Math.max(state.minimum, minimum);
      try {
        folder.write(state);
      } catch (IOException error) {
        remarks.add("the store's state could not be written: " + error.getMessage());
      }
    }
    Session session = new Session(opened, subject, remarks);
    session.scorer.use(adapters.current(state, subject, opened.engine, remarks));
    return session;
  }

  private StoreState read(List<String> remarks) {
    try {
      return folder.read();
    } catch (BundleException | IOException error) {
      remarks.add(error.getMessage() + "; it was made anew from the signed files that are there");
      StoreState state = new StoreState();
      bundles.recover(state);
      envelopes.recover(state);
      return state;
    }
  }
}
