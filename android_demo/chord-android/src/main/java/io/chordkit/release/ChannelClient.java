package io.chordkit.release;

import static java.util.Objects.requireNonNull;

import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;

/**
 * Follows a channel: from a root that is trusted to what it offers now, as section 5.3 of The Update Framework's specification has it, without
 * delegations.
 */
public final class ChannelClient {
  /** Bytes of a root; of the others below. */
  static final int MOST_ROOT = 65536;

  static final int MOST_TIMESTAMP = 16384;
  static final int MOST_SNAPSHOT = 65536;
  static final int MOST_TARGETS = 2097152;

  /** New roots in one update; further ones come with the next. */
  static final int MOST_ROOTS = 32;

  @Nullable private final Ed25519Verifier verifier;
  private Root root;
  @Nullable private SignedFile timestamp;
  @Nullable private SignedFile snapshot;
  @Nullable private SignedFile targets;
  private boolean recovered;

  /**
   * @param shipped a root that the app came with
   * @param kept what {@link #kept} gave the last time; null = nothing. A root in it that is older than the shipped one is not used
   * @param verifier the arithmetic of Ed25519; null = nothing is accepted
   * @throws ReleaseException the shipped root, or what was kept, is damaged
   */
  public ChannelClient(byte[] shipped, @Nullable KeptChannel kept, @Nullable Ed25519Verifier verifier) throws ReleaseException {
    this.verifier = verifier;
    this.root = ownRoot(shipped);
    if (kept == null) {
      return;
    }
    Root newer = ownRoot(kept.root);
    root = newer.file.version >= root.file.version ? newer : root;
    if (kept.timestamp.length > 0) {
      timestamp = SignedFile.parse("timestamp", kept.timestamp);
      snapshot = SignedFile.parse("snapshot", kept.snapshot);
      targets = SignedFile.parse("targets", kept.targets);
    }
  }

  /** What the phone keeps for the next time, after what was refused too: roots that were followed stay. */
  public KeptChannel kept() {
    return new KeptChannel(root.file.data, data(timestamp), data(snapshot), data(targets));
  }

  private static byte[] data(@Nullable SignedFile file) {
    return file == null ? new byte[0] : file.data;
  }

  /**
   * Reads what the channel offers now.
   *
   * @param now the clock, in seconds since 1970 UTC
   * @throws ReleaseException the mirror's files are refused; nothing has changed but that roots which follow on each other are trusted, and
   *     another mirror may have better ones
   * @throws IOException the mirror cannot be reached; likewise
   */
  public Targets refresh(Mirror mirror, long now) throws ReleaseException, IOException {
    followRoots(mirror);
    root.file.requireNotExpired(now);
    SignedFile newTimestamp = timestamp(mirror);
    newTimestamp.requireNotExpired(now);
    SignedFile newSnapshot = below(mirror, newTimestamp, MOST_SNAPSHOT, snapshot);
    newSnapshot.requireNotExpired(now);
    SignedFile newTargets = below(mirror, newSnapshot, MOST_TARGETS, targets);
    newTargets.requireNotExpired(now);
    recovered = targets != null && stillTrusted(targets) == null;
    timestamp = newTimestamp;
    snapshot = newSnapshot;
    targets = newTargets;
    return new Targets(newTargets);
  }

  /**
   * Whether the files that were kept before the last {@link #refresh} are of keys for targets that root no longer names. Then a thief may have
   * given out release numbers as well: the number that the phone keeps counts no more.
   */
  public boolean recovered() {
    return recovered;
  }

  private void followRoots(Mirror mirror) throws ReleaseException, IOException {
    for (int i = 0; i < MOST_ROOTS; i++) {
      long next = root.file.version + 1;
      byte[] data = read(mirror, "metadata/" + next + ".root.json", MOST_ROOT);
      if (data == null) {
        break;
      }
      Root found = new Root(SignedFile.parse("root", data));
      root.requireSigned(found.file, verifier);
      found.requireSigned(found.file, verifier);
      if (found.file.version != next) {
        throw new ReleaseException.WrongVersion("root.json: it has version " + found.file.version + " and not " + next + "; ask another mirror");
      }
      root = found;
    }
  }

  private SignedFile timestamp(Mirror mirror) throws ReleaseException, IOException {
    SignedFile found = trusted("timestamp", require(read(mirror, "metadata/timestamp.json", MOST_TIMESTAMP), "timestamp.json"));
    SignedFile before = stillTrusted(timestamp);
    if (before != null && found.version < before.version) {
      throw new ReleaseException.WrongVersion("timestamp.json: " + found.version + " is older than " + before.version + "; ask another mirror");
    }
    if (before != null && found.version == before.version) {
      return before;
    }
    requireNotOlder(before, found);
    return found;
  }

  /** The file that {@code above} names: the kept one, if it is that, else the mirror's. */
  private SignedFile below(Mirror mirror, SignedFile above, int most, @Nullable SignedFile kept) throws ReleaseException, IOException {
    SignedFile.Below wanted = requireNonNull(above.below);
    int length = wanted.length(most);
    byte[] data = kept != null && wanted.is(kept.data) ? kept.data : require(read(mirror, wanted.path(), length), wanted.path());
    wanted.require(data);
    SignedFile found = trusted(wanted.role, data);
    if (found.version != wanted.version) {
      throw new ReleaseException.WrongVersion(
          wanted.role + ".json: it has version " + found.version + " and not " + wanted.version + ", as was signed; ask another mirror");
    }
    requireNotOlder(stillTrusted(kept), found);
    return found;
  }

  /** What a file says of the one below it must not be older than what the one before said. */
  private static void requireNotOlder(@Nullable SignedFile before, SignedFile now) throws ReleaseException {
    if (before != null && before.below != null && now.below != null && now.below.version < before.below.version) {
      throw new ReleaseException.WrongVersion(
          now.below.role + ".json: " + now.below.version + " is older than " + before.below.version + ", which this phone has seen; ask another mirror");
    }
  }

  /** After a change of its keys a file of before counts no more: versions that a thief had raised do not stay. */
  @Nullable
  private SignedFile stillTrusted(@Nullable SignedFile file) {
    try {
      if (file != null) {
        root.requireSigned(file, verifier);
      }
      return file;
    } catch (ReleaseException foreign) {
      return null;
    }
  }

  private Root ownRoot(byte[] data) throws ReleaseException {
    Root own = new Root(SignedFile.parse("root", data));
    own.requireSigned(own.file, verifier);
    return own;
  }

  private SignedFile trusted(String role, byte[] data) throws ReleaseException {
    SignedFile file = SignedFile.parse(role, data);
    if (role.equals("targets")) {
      new Targets(file); // what it cannot be is said before who signed it
    }
    root.requireSigned(file, verifier);
    return file;
  }

  private static byte[] require(@Nullable byte[] data, String name) throws ReleaseException {
    if (data == null) {
      throw new ReleaseException.Missing(name + ": the mirror does not have it; ask another one");
    }
    return data;
  }

  /** All of a file of at most so many bytes; null = there is none. */
  @Nullable
  private static byte[] read(Mirror mirror, String path, int most) throws ReleaseException, IOException {
    try (InputStream stream = mirror.fetch(path, most)) {
      if (stream == null) {
        return null;
      }
      byte[] room = new byte[most + 1];
      int filled = 0;
      for (int count = 0; count >= 0 && filled < room.length; filled += Math.max(count, 0)) {
        count = stream.read(room, filled, room.length - filled);
      }
      if (filled > most) {
        throw new ReleaseException.WrongLength(path + ": it has more than " + most + " bytes; ask another mirror");
      }
      return Arrays.copyOf(room, filled);
    }
  }
}
