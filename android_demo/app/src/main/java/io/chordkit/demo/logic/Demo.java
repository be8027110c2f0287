package io.chordkit.demo.logic;

import static java.util.Objects.requireNonNull;

import io.chordkit.Bundle;
import io.chordkit.ChordException;
import io.chordkit.ChordStore;
import io.chordkit.ClickStream;
import io.chordkit.Engine;
import io.chordkit.Learning;
import io.chordkit.Personalisation;
import io.chordkit.Recommender;
import io.chordkit.Samples;
import io.chordkit.Scored;
import io.chordkit.Scorer;
import io.chordkit.SelfCheck;
import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.EnvelopeTerms;
import io.chordkit.trust.EnvelopeVerifier;
import io.chordkit.trust.TrustedKeys;
import io.chordkit.trust.VerifiedEnvelope;
import java.io.Closeable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The bundle in use with two engines over it, one with the strategy of the user who was picked and one with that for everybody. One thread
 * at a time.
 */
public final class Demo implements Closeable {
  private static final int ADOPTIONS = 20;

  private final ChordStore store;
  private final TrustedKeys keys;
  @Nullable private final Ed25519Verifier verifier;
  private final DemoUsers users;
  @Nullable private ChordStore.Session personal;
  @Nullable private ChordStore.Session shared;
  @Nullable private DemoUser picked;
  @Nullable private Adoption forUser;
  @Nullable private Adoption forEverybody;

  /**
   * @param store with the bundle that {@code users} came with
   * @param keys whose envelopes are accepted
   * @param verifier null = there is none, and everything is refused
   */
  public Demo(ChordStore store, TrustedKeys keys, @Nullable Ed25519Verifier verifier, DemoUsers users) {
    this.store = store;
    this.keys = keys;
    this.verifier = verifier;
    this.users = users;
  }

  /**
   * Adopts a user's strategy and reranks the user's candidates with it, and with everybody's.
   *
   * @throws ChordException the bundle, an envelope or the user's items are refused
   * @throws IOException the store cannot be read or written
   */
  public Lists pick(DemoUser user) throws ChordException, IOException {
    close();
    ChordStore.Session own = store.open(subject(user.subject));
    personal = own;
    if (!Arrays.equals(own.bundle().fingerprint(), users.fingerprint())) {
      throw new DemoException(
          "demo_users.json: its strategies are for the backbone "
              + Hexadecimal.of(users.fingerprint())
              + ", the bundle has "
              + Hexadecimal.of(own.bundle().fingerprint())
              + "; take both from one `chordkit demo`");
    }
    ChordStore.Session everybody = store.open(subject(DemoUsers.EVERYBODY));
    shared = everybody;
    forUser = adopt(own, user.envelope(), user.subject);
    forEverybody = adopt(everybody, users.shared(), DemoUsers.EVERYBODY);
    picked = user;
    return lists(null);
  }

  /**
   * Learns from the clicks of the user who was picked, and from the samples that came with them; what is not worth having is not kept. The
   * list is ranked with what is in use then.
   *
   * @throws ChordException the samples are refused, or it could not be learned from them
   * @throws IOException what was learned could not be kept
   */
  public Lists learn() throws ChordException, IOException {
    ChordStore.Session session = own();
    ClickStream clicks = new ClickStream(session.bundle().items());
    clicks.addAll(user().history);
    byte[] sent = user().samples();
    Samples samples = sent == null ? null : Samples.read(session.engine(), sent);
    return lists(session.personalise(clicks, samples, new Learning(session.bundle())));
  }

  /** Leaves what was learned last for what was before. */
  public Lists undo() throws ChordException, IOException {
    own().undo();
    return lists(null);
  }

  /** Forgets all that was learned of the user who was picked. */
  public Lists unlearn() throws ChordException, IOException {
    own().unlearn();
    return lists(null);
  }

  /** The rerank of the user who was picked, with the own strategy, to be timed on this thread. */
  public Call rerank() throws ChordException {
    return new UserCall(own().scorer(), own().bundle().items(), user());
  }

  /** Whether this device computes what the bundle's maker computed, over the bundle's test vectors. */
  public SelfCheck selfCheck() throws ChordException {
    return SelfCheck.of(own().bundle());
  }

  /** Closes both engines; a user can be picked again. */
  @Override
  public void close() {
    picked = null;
    if (personal != null) {
      personal.close();
      personal = null;
    }
    if (shared != null) {
      shared.close();
      shared = null;
    }
  }

  private Adoption adopt(ChordStore.Session session, byte[] envelope, String subject) throws ChordException, IOException {
    long start = System.nanoTime();
    session.adopt(envelope);
    long whole = System.nanoTime() - start;
    byte[] strategy = payload(session.bundle(), envelope, subject);
    Engine engine = session.engine();
    StrategyPicture picture = StrategyPicture.of(session.bundle().manifest(), engine.widths(strategy));
    long[] nanoseconds = new long[ADOPTIONS];
    for (int i = 0; i < ADOPTIONS; i++) {
      long begin = System.nanoTime();
      engine.adopt(strategy);
      nanoseconds[i] = System.nanoTime() - begin;
    }
    return new Adoption(envelope.length, strategy.length, new Latency(nanoseconds), whole, picture);
  }

  /** What is in an envelope that the store has accepted a moment ago. */
  private byte[] payload(Bundle bundle, byte[] envelope, String subject) throws ChordException {
    EnvelopeTerms terms = new EnvelopeTerms().subject(subject(subject)).fingerprint(bundle.fingerprint());
    VerifiedEnvelope opened = new EnvelopeVerifier(keys, verifier).open(envelope, terms.now(System.currentTimeMillis() / 1000));
    return opened.payload();
  }

  private Lists lists(@Nullable Personalisation attempt) throws ChordException {
    ChordStore.Session own = own();
    DemoUser user = user();
    List<String> now = ranked(own, own.scorer(), user);
    Comparison change = new Comparison(now, ranked(own, own.engine(), user), user.taken);
    ChordStore.Session everybody = requireNonNull(shared);
    return new Lists(
        user,
        own.bundle().items(),
        new Comparison(now, ranked(everybody, everybody.engine(), user), user.taken),
        new Learned(attempt, own.scorer().adapter() != null, change),
        requireNonNull(forUser),
        requireNonNull(forEverybody),
        own.engine().variant(),
        own.bundle().counter(),
        own.engine().channels(),
        new ArrayList<String>(own.remarks()));
  }

  private ChordStore.Session own() {
    ChordStore.Session session = personal;
    if (session == null || picked == null) {
      throw new IllegalStateException("no user was picked");
    }
    return session;
  }

  private DemoUser user() {
    return requireNonNull(picked);
  }

  private static byte[] subject(String name) {
    return name.getBytes(StandardCharsets.UTF_8);
  }

  private static List<String> ranked(ChordStore.Session session, Scorer scorer, DemoUser user) throws ChordException {
    List<String> ids = new ArrayList<String>();
    for (Scored item : new Recommender(scorer, session.bundle().items()).rerank(user.history, user.candidates)) {
      ids.add(item.name());
    }
    return ids;
  }
}
