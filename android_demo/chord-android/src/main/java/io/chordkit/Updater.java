package io.chordkit;

import static java.util.Objects.requireNonNull;

import io.chordkit.annotation.Nullable;
import io.chordkit.release.ChannelClient;
import io.chordkit.release.Difference;
import io.chordkit.release.KeptChannel;
import io.chordkit.release.Mirror;
import io.chordkit.release.PhoneFacts;
import io.chordkit.release.Release;
import io.chordkit.release.ReleaseException;
import io.chordkit.release.TargetFile;
import io.chordkit.release.Targets;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.util.List;

/**
 * Looks at a release channel (docs/release.md) and makes ready what is new in it. Whatever mirrors give, and whenever the process ends, the
 * bundle in use goes on.
 *
 * <pre>
 * Updater updater = new Updater(store, root, phone, new HttpsMirror("https://cdn.example/shop"));
 * try (Prepared next = updater.look(System.currentTimeMillis() / 1000)) {
 *   ChordStore.Session session = next == null ? store.open(user) : next.commit(user, envelopeFor(next));
 * }
 * </pre>
 */
public final class Updater {
  private final ChordStore store;
  private final StoreFolder folder;
  private final byte[] root;
  private final PhoneFacts phone;
  private final Mirror[] mirrors;

  /**
   * @param root of the channel, as it ships with the app
   * @param mirrors the first that has something acceptable is believed; of a bundle any
   */
  public Updater(ChordStore store, byte[] root, PhoneFacts phone, Mirror... mirrors) {
    if (mirrors.length == 0) {
      throw new IllegalArgumentException("there is no mirror to look at; give at least one");
    }
    this.store = store;
    this.folder = store.releases().folder;
    this.root = root.clone();
    this.phone = phone;
    this.mirrors = mirrors.clone();
  }

  /**
   * Follows the channel to the newest release for this phone, and makes it ready: of a bundle that is here already, of a difference, or of the
   * whole file. On the network, and so for a thread in the background; others can use the store meanwhile.
   *
   * @param now the clock, in seconds since 1970 UTC
   * @return null = there is nothing newer
   * @throws ReleaseException what every mirror gives is refused
   * @throws ChordException this phone cannot run the release, which it remembers
   * @throws IOException no mirror can be reached, another look is under way, or the disk is full
   */
  @Nullable
  public Prepared look(long now) throws ChordException, IOException {
    RandomAccessFile alone = folder.alone();
    try {
      Targets offered = refreshed(now);
      Release release = chosen(offered);
      return release == null ? null : prepared(release, offered);
    } finally {
      alone.close();
    }
  }

  private Targets refreshed(long now) throws ChordException, IOException {
    ChannelClient client = client();
    ReleaseException refused = null;
    IOException unreachable = null;
    Targets offered = null;
    for (int i = 0; i < mirrors.length && offered == null; i++) {
      try {
        offered = client.refresh(mirrors[i], now);
      } catch (ReleaseException error) {
        refused = refused == null ? error : refused;
      } catch (IOException error) {
        unreachable = unreachable == null ? error : unreachable;
      }
    }
    folder.lock();
    try {
      if (offered != null) {
        store.releases().follow(offered.killed(), client.recovered(), store.state());
      }
      folder.keepChannel(client.kept()); // after what came of it: a kill between the two asks for both again
    } finally {
      folder.unlock();
    }
    if (offered == null) {
      throwFirst(refused, unreachable);
    }
    return requireNonNull(offered);
  }

  /** From what was kept; where that is damaged, from the root that ships with the app. */
  private ChannelClient client() throws ReleaseException {
    KeptChannel kept = folder.channel();
    try {
      return new ChannelClient(root, kept, store.releases().verifier);
    } catch (ReleaseException damaged) {
      return new ChannelClient(root, null, store.releases().verifier);
    }
  }

  @Nullable
  private Release chosen(Targets offered) throws IOException {
    folder.lock();
    try {
      StoreState state = store.state();
      StoreReleases known = store.releases().follow(offered.killed(), false, state); // the state may have been lost since
      Release newest = offered.choose(phone, known.installId(), known.number, known.failed);
      return newest == null || store.releases().renumber(newest, state) ? null : newest;
    } finally {
      folder.unlock();
    }
  }

  private Prepared prepared(Release release, Targets offered) throws ChordException, IOException {
    Prepared before = store.preparedBefore(release);
    if (before != null) {
      return before;
    }
    File file = folder.download(".chord");
    try {
      obtain(release, offered, file);
      try (InputStream stream = new FileInputStream(file)) {
        return store.prepare(release, stream);
      }
    } finally {
      file.delete();
    }
  }

  private void obtain(Release release, Targets offered, File file) throws ChordException, IOException {
    store.releases().requireRoom(release);
    List<ByteBuffer> bases = store.releases().bases(store);
    for (ByteBuffer base : bases) {
      if (TargetFile.sha256(base).equals(release.file().sha256())) {
        write(base, file);
        return;
      }
    }
    for (Difference difference : offered.differencesTo(release)) {
      for (ByteBuffer base : bases) {
        if (TargetFile.sha256(base).equals(difference.base()) && apply(difference, base, release, file)) {
          return;
        }
      }
    }
    fetch(release.file(), file);
  }

  /** Whether the difference made the bundle; where it did not there is still the whole file. */
  private boolean apply(Difference difference, ByteBuffer base, Release release, File file) throws IOException {
    File given = folder.download(".chordd");
    try {
      fetch(difference.file(), given);
      try (RandomAccessFile made = new RandomAccessFile(file, "rw")) {
        made.setLength(0);
        Delta.read(Bundle.mapped(given), release.file().length()).apply(base, made.getChannel());
      }
      release.file().require(Bundle.mapped(file));
      return true;
    } catch (ChordException | IOException unusable) {
      return false;
    } finally {
      given.delete();
    }
  }

  /** A whole file, from the first mirror that has it as it was signed. */
  private void fetch(TargetFile wanted, File file) throws ChordException, IOException {
    ReleaseException refused = null;
    IOException unreachable = null;
    for (Mirror mirror : mirrors) {
      try (OutputStream stream = new FileOutputStream(file)) {
        wanted.fetch(mirror, stream);
        return;
      } catch (ReleaseException error) {
        refused = refused == null ? error : refused;
      } catch (IOException error) {
        unreachable = unreachable == null ? error : unreachable;
      }
    }
    throwFirst(refused, unreachable);
  }

  /** What mirrors gave says more than that one was not there. */
  private static void throwFirst(@Nullable ReleaseException refused, @Nullable IOException unreachable) throws ReleaseException, IOException {
    if (refused != null) {
      throw refused;
    }
    throw requireNonNull(unreachable);
  }

  private static void write(ByteBuffer data, File file) throws IOException {
    try (FileOutputStream stream = new FileOutputStream(file)) {
      ByteBuffer rest = data.duplicate();
      while (rest.hasRemaining()) {
        stream.getChannel().write(rest);
      }
    }
  }
}
