package io.chordkit;

import io.chordkit.annotation.Nullable;
import io.chordkit.release.KeptChannel;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.channels.OverlappingFileLockException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;

/** The files of a {@link ChordStore}. One state file, replaced whole, says which of the others are in use; a file that it does not name goes. */
final class StoreFolder {
  private static final String STATE = "state";
  private static final String LOCK = "lock";
  private static final String PART = ".part";
  private static final String BUNDLE = "bundle-";
  private static final String ENVELOPE = "envelope-";
  private static final String ADAPTER = "adapter-";

  /** A bundle that is not in use yet; where the state is lost it is not taken for one that was. */
  private static final String RELEASE = "release-";

  private static final String CHANNEL = "channel";
  private static final String UPDATE = "update";
  private static final String DOWNLOAD = "download";
  private static final int LONGEST_STATE = 1 << 20;

  /** A file lock is the process's, not the thread's. */
  private static final ReentrantLock THREADS = new ReentrantLock();

  private final File folder;
  private final Disk disk;
  @Nullable private RandomAccessFile held;

  StoreFolder(File folder, Disk disk) {
    this.folder = folder;
    this.disk = disk;
  }

  /** Waits until no other thread and no other process is at it; {@link #unlock} has to follow. */
  void lock() throws IOException {
    THREADS.lock();
    try {
      if (!folder.isDirectory() && !folder.mkdirs()) {
        throw new IOException(folder + ": cannot be made; give a folder in the app's own files");
      }
      held = new RandomAccessFile(new File(folder, LOCK), "rw");
      held.getChannel().lock();
    } catch (IOException | RuntimeException error) {
      unlock();
      throw error;
    }
  }

  void unlock() throws IOException {
    try {
      if (held != null) {
        held.close(); // and the lock with it
      }
    } finally {
      held = null;
      THREADS.unlock();
    }
  }

  boolean hasState() {
    return new File(folder, STATE).exists();
  }

  /**
   * @throws BundleException it is damaged
   * @throws IOException it cannot be read
   */
  StoreState read() throws BundleException, IOException {
    return hasState() ? StoreState.parse(Disk.read(new File(folder, STATE), LONGEST_STATE)) : new StoreState();
  }

  /** From here on {@code state} holds, and what it does not name is deleted. */
  void write(StoreState state) throws IOException {
    byte[] data = state.toBytes();
    File part = new File(folder, STATE + PART);
    disk.write(part, new ByteArrayInputStream(data), LONGEST_STATE);
    disk.rename(part, new File(folder, STATE));
    clean(state);
  }

  /** Deletes what no state names: what is left of an installation that was killed, and what another took the place of. */
  void clean(StoreState state) {
    Set<String> used = new HashSet<String>(state.files());
    for (String name : names()) {
      boolean ours = name.startsWith(BUNDLE) || name.startsWith(ENVELOPE) || name.startsWith(ADAPTER) || name.startsWith(RELEASE);
      if ((ours || name.endsWith(PART)) && !used.contains(name)) {
        delete(new File(folder, name));
      }
    }
  }

  /** A stream as a file that is complete, and not yet in its place. */
  File receive(InputStream from, long longest) throws IOException {
    File part = new File(folder, "new" + PART);
    disk.write(part, from, longest);
    return part;
  }

  /** Gives a received bundle its place; nothing refers to it until a state does. */
  String placeBundle(File part, StoreState state) throws IOException {
    return place(part, BUNDLE + state.next++);
  }

  String placeEnvelope(byte[] data, StoreState state) throws IOException {
    return place(receive(new ByteArrayInputStream(data), data.length), ENVELOPE + state.next++);
  }

  String placeAdapter(byte[] data, StoreState state) throws IOException {
    return place(receive(new ByteArrayInputStream(data), data.length), ADAPTER + state.next++);
  }

  String placeRelease(File part, StoreState state) throws IOException {
    return place(part, RELEASE + state.next++);
  }

  /** What was verified last of a channel; null = nothing, or it cannot be read. */
  @Nullable
  KeptChannel channel() {
    try {
      return KeptChannel.parse(Disk.read(new File(folder, CHANNEL), KeptChannel.MOST_BYTES));
    } catch (IOException unreadable) {
      return null;
    }
  }

  void keepChannel(KeptChannel kept) throws IOException {
    KeptChannel before = channel();
    if (before != null && Arrays.equals(before.toBytes(), kept.toBytes())) {
      return;
    }
    place(receive(new ByteArrayInputStream(kept.toBytes()), KeptChannel.MOST_BYTES), CHANNEL);
  }

  /**
   * Holds the updates of this folder until it is closed: only one at a time fetches.
   *
   * @throws IOException another one is under way
   */
  RandomAccessFile alone() throws IOException {
    lock(); // makes the folder
    unlock();
    RandomAccessFile file = new RandomAccessFile(new File(folder, UPDATE), "rw");
    boolean ours = false;
    try {
      ours = file.getChannel().tryLock() != null;
    } catch (OverlappingFileLockException thisProcess) {
      ours = false;
    } finally {
      if (!ours) {
        file.close();
      }
    }
    if (!ours) {
      throw new IOException("another look at the channel is under way; wait for it");
    }
    return file;
  }

  /** Where an update puts what it fetches; of the one that is under way. */
  File download(String ending) {
    return new File(folder, DOWNLOAD + ending);
  }

  void delete(File file) {
    try {
      disk.delete(file);
    } catch (IOException stays) {
      // The next cleaning finds it.
    }
  }

  File file(String name) {
    return new File(folder, name);
  }

  String[] bundles() {
    return named(BUNDLE);
  }

  String[] envelopes() {
    return named(ENVELOPE);
  }

  /** The number in the name of a file. */
  static long number(String name) {
    try {
      return Long.parseLong(name.substring(name.indexOf('-') + 1));
    } catch (NumberFormatException notOurs) {
      return 0;
    }
  }

  private String place(File part, String name) throws IOException {
    disk.rename(part, new File(folder, name));
    return name;
  }

  private String[] named(String prefix) {
    Set<String> found = new HashSet<String>();
    for (String name : names()) {
      if (name.startsWith(prefix) && !name.endsWith(PART)) {
        found.add(name);
      }
    }
    return found.toArray(new String[0]);
  }

  private String[] names() {
    String[] names = folder.list();
    return names == null ? new String[0] : names;
  }
}
