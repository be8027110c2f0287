package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.io.IOException;
import java.util.List;

/**
 * The adapters of a {@link ChordStore}: of each subject and backbone the one in use and the one before. They were trained here and are not
 * signed: the state alone says whose they are, so that where it is lost they go with it.
 */
final class StoredAdapters {
  private static final int LONGEST = 1 << 20;

  /** Of so many subjects and backbones; then the oldest go. */
  private static final int MOST = 32;

  private final StoreFolder folder;

  StoredAdapters(StoreFolder folder) {
    this.folder = folder;
  }

  /** The one in use for what the engine has now; null = none. */
  @Nullable
  Adapter current(StoreState state, byte[] subject, Engine engine, List<String> remarks) {
    StoreState.Trained trained = find(state, subject, engine);
    if (trained == null || trained.current == null) {
      return null;
    }
    if (!trained.inputs.equals(engine.inputs().name())) {
      remarks.add("what this phone learned is for another strategy or user vector and not in use; it can learn again");
      return null;
    }
    try {
      return Adapter.read(engine, Disk.read(folder.file(trained.current), LONGEST), trained.temperature);
    } catch (LearningException | IOException error) {
      remarks.add("what this phone learned is not in use: " + error.getMessage());
      return null;
    }
  }

  /** Puts one in the place of the one in use, which becomes the one before; what {@code state} says then holds once it is written. */
  void keep(StoreState state, byte[] subject, Engine engine, Adapter adapter) throws IOException {
    StoreState.Trained before = find(state, subject, engine);
    String name = adapter.inputs().name();
    StoreState.Trained now = new StoreState.Trained(Hex.of(subject), Hex.of(engine.fingerprint()), name, adapter.temperature());
    // Scores of another temperature are not moved in the same way: there is no way back to it.
    if (before != null && before.inputs.equals(name) && before.temperature == now.temperature) {
      now.previous = before.current;
    }
    now.current = folder.placeAdapter(adapter.bytes(), state);
    state.adapters.remove(before);
    state.adapters.add(now);
    while (state.adapters.size() > MOST) {
      state.adapters.remove(0);
    }
  }

  /** Back to the one before; from there, to the frozen model. */
  void undo(StoreState state, byte[] subject, Engine engine) {
    StoreState.Trained trained = find(state, subject, engine);
    if (trained != null) {
      trained.current = trained.previous;
      trained.previous = null;
      if (trained.current == null) {
        state.adapters.remove(trained);
      }
    }
  }

  /** All of a subject, of all backbones. */
  void forget(StoreState state, byte[] subject) {
    for (int i = state.adapters.size() - 1; i >= 0; i--) {
      if (state.adapters.get(i).subject.equals(Hex.of(subject))) {
        state.adapters.remove(i);
      }
    }
  }

  /** Those that were trained under what the engine no longer has. */
  void forgetOutdated(StoreState state, byte[] subject, Engine engine) {
    StoreState.Trained trained = find(state, subject, engine);
    if (trained != null && !trained.inputs.equals(engine.inputs().name())) {
      state.adapters.remove(trained);
    }
  }

  @Nullable
  private static StoreState.Trained find(StoreState state, byte[] subject, Engine engine) {
    return state.trained(Hex.of(subject), Hex.of(engine.fingerprint()));
  }
}
