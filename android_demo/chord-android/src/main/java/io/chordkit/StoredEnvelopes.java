package io.chordkit;

import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.EnvelopeTerms;
import io.chordkit.trust.EnvelopeVerifier;
import io.chordkit.trust.TrustedKeys;
import io.chordkit.trust.VerificationException;
import io.chordkit.trust.VerifiedEnvelope;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The strategies and user vectors of a {@link ChordStore}: verified with what was kept before, given to an engine, kept for the next start. */
final class StoredEnvelopes {
  static final int LONGEST = 1 << 20;

  /** Whose envelopes stay on the disk, and for how many backbones each; of others the serials alone stay. */
  private static final int MOST_SUBJECTS = 16;

  private static final int MOST_BACKBONES = 2;
  private static final int LETTER = 3; // of the magic, that tells CHRU from CHRD

  private final StoreFolder folder;
  private final EnvelopeVerifier verifier;

  StoredEnvelopes(StoreFolder folder, TrustedKeys keys, @Nullable Ed25519Verifier verifier) {
    this.folder = folder;
    this.verifier = new EnvelopeVerifier(keys, verifier);
  }

  /** Verifies one, gives it to the engine, and places its file; what {@code state} says then holds once the state is written. */
  void adopt(byte[] envelope, byte[] subject, Engine engine, StoreState state) throws ChordException, IOException {
    VerifiedEnvelope verified = verifier.open(envelope, terms(state, subject, engine, 1));
    if (isKilled(verified, state)) {
      throw new StoreException("the channel has withdrawn the " + kind(verified) + " with serial " + verified.serial() + "; ask for another one");
    }
    StoreState.Line line = state.findOrAdd(Hex.of(verified.subject()), kind(verified));
    if (verified.serial() < line.serial) {
      verifier.open(envelope, terms(state, subject, engine, line.serial)); // refuses, in its own words
    }
    give(verified, engine);
    keep(state, line, verified, envelope);
  }

  /**
   * Gives an engine what was kept for its backbone, as far as it still may be used.
   *
   * @return whether {@code state} changed: what the channel has withdrawn goes
   */
  boolean apply(StoreState state, byte[] subject, Engine engine, List<String> remarks) {
    boolean changed = false;
    for (String kind : StoreState.KINDS) {
      StoreState.Line line = state.find(Hex.of(subject), kind);
      if (line == null || line.kept.isEmpty()) {
        continue;
      }
      StoreState.Kept kept = line.keptFor(Hex.of(engine.fingerprint()));
      if (kept == null) {
        remarks.add("the kept " + kind + " is for another backbone and not in use; ask for one for " + Hex.of(engine.fingerprint()));
        continue;
      }
      try {
        byte[] envelope = Disk.read(folder.file(kept.file), LONGEST);
        VerifiedEnvelope verified = verifier.open(envelope, terms(state, subject, engine, kept.serial));
        if (isKilled(verified, state)) {
          changed |= line.kept.remove(kept);
          remarks.add("the kept " + kind + " with serial " + kept.serial + " is no longer in use: the channel has withdrawn it; ask for another one");
          continue;
        }
        state.latestSeen = Math.max(state.latestSeen, verified.latestSeen());
        give(verified, engine);
      } catch (VerificationException | EngineException | IOException error) {
        remarks.add("the kept " + kind + " with serial " + kept.serial + " is not in use: " + error.getMessage());
      }
    }
    return changed;
  }

  private static boolean isKilled(VerifiedEnvelope verified, StoreState state) {
    return state.releases.isKilled(Hex.of(verified.fingerprint()), Hex.of(verified.keyId()), verified.serial());
  }

  /** Of the files that are there, those that may be used today, as if each had just been adopted. */
  void recover(StoreState state) {
    for (String name : folder.envelopes()) {
      state.next = Math.max(state.next, StoreFolder.number(name) + 1);
      try {
        VerifiedEnvelope verified = verifier.open(Disk.read(folder.file(name), LONGEST), new EnvelopeTerms().now(now()));
        StoreState.Line line = state.findOrAdd(Hex.of(verified.subject()), kind(verified));
        StoreState.Kept same = line.keptFor(Hex.of(verified.fingerprint()));
        if (same == null || same.serial <= verified.serial()) {
          line.replace(new StoreState.Kept(name, Hex.of(verified.fingerprint()), verified.serial()), MOST_BACKBONES);
        }
        line.serial = Math.max(line.serial, verified.serial());
      } catch (VerificationException | IOException unusable) {
        continue;
      }
    }
  }

  private void keep(StoreState state, StoreState.Line line, VerifiedEnvelope verified, byte[] envelope) throws IOException {
    String file = folder.placeEnvelope(envelope, state);
    line.replace(new StoreState.Kept(file, Hex.of(verified.fingerprint()), verified.serial()), MOST_BACKBONES);
    line.serial = Math.max(line.serial, verified.serial());
    state.latestSeen = Math.max(state.latestSeen, verified.latestSeen());
    state.lines.remove(line);
    state.lines.add(line); // the newest last
    for (StoreState.Line old : new ArrayList<StoreState.Line>(state.lines).subList(0, Math.max(0, state.lines.size() - StoreState.KINDS.length * MOST_SUBJECTS))) {
      old.kept.clear();
    }
  }

  private static EnvelopeTerms terms(StoreState state, byte[] subject, Engine engine, long minimumSerial) {
    EnvelopeTerms terms = new EnvelopeTerms().subject(subject).fingerprint(engine.fingerprint()).minimumSerial(minimumSerial);
    return terms.now(now()).latestSeen(state.latestSeen);
  }

  private static long now() {
    return System.currentTimeMillis() / 1000;
  }

  private static String kind(VerifiedEnvelope verified) {
    return verified.payload()[LETTER] == 'U' ? StoreState.USER_VECTOR : StoreState.STRATEGY;
  }

  private static void give(VerifiedEnvelope verified, Engine engine) throws EngineException {
    if (kind(verified).equals(StoreState.USER_VECTOR)) {
      engine.adoptUser(verified.payload());
    } else {
      engine.adopt(verified.payload());
    }
  }
}
