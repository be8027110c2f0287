package io.chordkit;

import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** The bundles of a {@link ChordStore}, and which of them is opened: the newest that can be. */
final class StoredBundles {
  private final StoreFolder folder;
  private final TrustedKeys keys;
  @Nullable private final Ed25519Verifier verifier;
  private final ChordStore.Options options;

  StoredBundles(StoreFolder folder, TrustedKeys keys, @Nullable Ed25519Verifier verifier, ChordStore.Options options) {
    this.folder = folder;
    this.keys = keys;
    this.verifier = verifier;
    this.options = options;
  }

  /** One in use, with its engine. */
  static final class Opened {
    final Bundle bundle;
    final Engine engine;
    final ChordStore.Source source;

    private Opened(Bundle bundle, ChordStore.Source source) throws ChordException {
      this.bundle = bundle;
      this.engine = bundle.engine();
      this.source = source;
    }
  }

  /**
   * The newest that can be opened; why others cannot be is added to {@code remarks}.
   *
   * @throws StoreException none can be
   */
  Opened choose(StoreState state, List<String> remarks) throws StoreException {
    Opened found = chooseOrNull(state, remarks);
    if (found == null) {
      throw new StoreException(remarks.isEmpty() ? "no bundle was installed, and none ships with the app" : joined(remarks));
    }
    return found;
  }

  @Nullable
  Opened chooseOrNull(StoreState state, List<String> remarks) {
    Bundle shipped = shipped(remarks);
    long installed = state.current == null ? -1 : state.current.counter;
    boolean newer = shipped != null && shipped.counter() > installed && shipped.counter() >= state.minimum;
    Opened found = newer ? withEngine(shipped, ChordStore.Source.SHIPPED, remarks) : null;
    found = found != null ? found : open(state.current, ChordStore.Source.CURRENT, remarks);
    found = found != null ? found : open(state.previous, ChordStore.Source.PREVIOUS, remarks);
    return found != null || shipped == null || newer ? found : withEngine(shipped, ChordStore.Source.SHIPPED, remarks);
  }

  @Nullable
  private Bundle shipped(List<String> remarks) {
    if (options.shipped == null) {
      return null;
    }
    try {
      return options.shipped.open(keys, verifier, options.minimumCounter);
    } catch (ChordException | IOException error) {
      remarks.add("the bundle that ships with the app cannot be opened: " + error.getMessage());
      return null;
    }
  }

  @Nullable
  private Opened open(@Nullable StoreState.Slot slot, ChordStore.Source source, List<String> remarks) {
    if (slot == null) {
      return null;
    }
    try {
      return withEngine(map(slot), source, remarks);
    } catch (ChordException | IOException error) {
      remarks.add(called(source) + " cannot be opened: " + error.getMessage());
      return null;
    }
  }

  @Nullable
  private static Opened withEngine(Bundle bundle, ChordStore.Source source, List<String> remarks) {
    try {
      return new Opened(bundle, source);
    } catch (ChordException error) {
      remarks.add(called(source) + " is not one for this engine: " + error.getMessage());
      return null;
    }
  }

  private static String called(ChordStore.Source source) {
    switch (source) {
      case CURRENT:
        return "the bundle that was installed last";
      case PREVIOUS:
        return "the bundle before";
      default:
        return "the bundle that ships with the app";
    }
  }

  /** A kept bundle may be below the lowest that is installed now, after a rollback; it is never below itself. */
  private Bundle map(StoreState.Slot slot) throws ChordException, IOException {
    return Bundle.map(folder.file(slot.file), keys, verifier, Math.max(slot.counter, options.minimumCounter));
  }

  /**
   * Verifies a received bundle and lets {@code state} say that it is the one in use.
   *
   * @return false = it is in use already; {@code part} was not moved
   */
  boolean install(File part, StoreState state) throws ChordException, IOException {
    Bundle received = Bundle.map(part, keys, verifier, Math.max(state.minimum, options.minimumCounter));
    received.engine().close();
    if (options.selfCheck) {
      SelfCheck.of(received).require();
    }
    if (isCurrent(state, part)) {
      return false;
    }
    replace(state, new StoreState.Slot(folder.placeBundle(part, state), received.counter()));
    return true;
  }

  /** Lets {@code state} say that another one is in use; the one before stays, if it is good. */
  void replace(StoreState state, StoreState.Slot newest) {
    boolean good = state.current != null && opens(state.current);
    state.previous = good ? state.current : state.previous;
    state.current = newest;
    state.minimum = Math.max(state.minimum, newest.counter);
  }

  /** Whether the bundle that ships with the app is in use rather than the one that was installed last. */
  boolean shippedCovers(StoreState state) {
    return state.current == null || (shippedCounter() > state.current.counter && shippedCounter() >= state.minimum);
  }

  /** Of the bundle that ships with the app; 0 = there is none. */
  long shippedCounter() {
    Bundle shipped = shipped(new ArrayList<String>());
    return shipped == null ? 0 : shipped.counter();
  }

  /** Whole files of bundles that a difference may start from: those that are installed, and the one that ships with the app. */
  List<ByteBuffer> bases(StoreState state) {
    List<ByteBuffer> found = new ArrayList<ByteBuffer>();
    for (StoreState.Slot slot : new StoreState.Slot[] {state.current, state.previous}) {
      try {
        if (slot != null) {
          found.add(Bundle.mapped(folder.file(slot.file)));
        }
      } catch (IOException gone) {
        continue;
      }
    }
    Bundle shipped = shipped(new ArrayList<String>());
    if (shipped != null) {
      found.add(shipped.file());
    }
    return found;
  }

  private boolean opens(StoreState.Slot slot) {
    try {
      map(slot);
      return true;
    } catch (ChordException | IOException broken) {
      return false;
    }
  }

  private boolean isCurrent(StoreState state, File part) throws IOException {
    if (state.current == null) {
      return false;
    }
    File file = folder.file(state.current.file);
    return file.length() == part.length() && Bundle.mapped(file).equals(Bundle.mapped(part));
  }

  /** What the signed files themselves say: the two newest. */
  void recover(StoreState state) {
    for (String name : folder.bundles()) {
      state.next = Math.max(state.next, StoreFolder.number(name) + 1);
      try {
        state.add(new StoreState.Slot(name, map(new StoreState.Slot(name, 0)).counter()));
      } catch (ChordException | IOException broken) {
        continue;
      }
    }
  }

  private static String joined(List<String> sentences) {
    StringBuilder all = new StringBuilder();
    for (String sentence : sentences) {
      all.append(all.length() == 0 ? "" : "; ").append(sentence);
    }
    return all.toString();
  }
}
