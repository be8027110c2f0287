package io.chordkit;

import static java.util.Objects.requireNonNull;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/**
 * A backbone in the native engine. Every method may be called from any number of threads at once; none but {@link #open} allocates in Java
 * once as many threads have called as ever call at once.
 *
 * <p>{@link #close} waits for nobody: calls under way finish, later ones throw {@link IllegalStateException}.
 */
public final class Engine implements Scorer, Searcher {
  private static final int ADOPT_ATTEMPTS = 20;
  private static final int MOST_POOLS = 64;

  /** All else that is wrong with a buffer was seen before native code is asked, which alone knows where it lies. */
  private static final String NOT_ALIGNED = "a buffer does not begin at a multiple of 4 bytes; Buffers makes one that does";

  private final EngineSessions sessions;
  private final long model;
  private final String architecture;
  private final String variant;
  private final int items;
  private final int maxLength;
  private final int dim;
  private final int channels;
  private final byte[] fingerprint;

  /** Held while a strategy or a user vector changes: the last that native code took is the one that is told. */
  private final Object adopting = new Object();

  private volatile Inputs inputs = Inputs.NONE;

  private Engine(ByteBuffer master, long model, int[] numbers, byte[] fingerprint, String architecture, String variant) {
    this.sessions = new EngineSessions(model, master);
    this.model = model;
    this.architecture = architecture;
    this.variant = variant;
    this.items = numbers[0];
    this.maxLength = numbers[1];
    this.dim = numbers[2];
    this.channels = numbers[3];
    this.fingerprint = fingerprint;
  }

  /** As {@link #open(ByteBuffer, String)}, with the fastest kernels that this CPU has. */
  public static Engine open(ByteBuffer master) throws EngineException {
    return open(master, null);
  }

  /**
   * Checks master weights and makes them ready: all channels at 8 bits, no user vector.
   *
   * @param master master weights (`master.chrm` of a bundle), direct, from position to limit; read in place, so they must stay as they are
   *     until {@link #close}
   * @param variant name of a kernel variant; null = the fastest one that this CPU supports
   * @throws EngineException.BadMaster they are damaged, or describe a model that the engine cannot run
   */
  public static Engine open(ByteBuffer master, @Nullable String variant) throws EngineException {
    if (!master.isDirect()) {
      throw new IllegalArgumentException("master: the buffer is not direct; map the file, or copy it into ByteBuffer.allocateDirect");
    }
    long[] handle = new long[1];
    int[] numbers = new int[4];
    byte[] fingerprint = new byte[8];
    Object[] texts = new Object[2];
    int status =
        NativeEngine.openModel(master, master.position(), master.remaining(), variant, handle, numbers, fingerprint, texts);
    EngineException.throwUnlessOk(status, (String) texts[0]);
    return new Engine(master, handle[0], numbers, fingerprint, (String) texts[0], (String) texts[1]);
  }

  /** Its name in master weights: `sasrec`, `caser`. */
  public String architecture() {
    return architecture;
  }

  /** Name of the kernels in use. */
  public String variant() {
    return variant;
  }

  /** Largest item id. */
  public int items() {
    return items;
  }

  /** Slots of a history; longer ones keep their end. */
  public int maxLength() {
    return maxLength;
  }

  /** Width of the hidden state. */
  public int dim() {
    return dim;
  }

  /** Length of a strategy. */
  public int channels() {
    return channels;
  }

  /** The 8 bytes that every strategy and user vector for these weights carries. */
  public byte[] fingerprint() {
    return fingerprint.clone();
  }

  /**
   * Checks a strategy and makes it the one in use. Calls under way finish with the one before, and never wait.
   *
   * @param strategy its wire form (CHRD): of a signed bundle, or {@link io.chordkit.trust.VerifiedEnvelope#payload}
   * @throws EngineException.BadStrategy it is damaged, or belongs to another backbone; the one in use stays
   */
  public void adopt(byte[] strategy) throws EngineException {
    requireNonNull(strategy, "strategy");
    EngineSessions.Session session = sessions.take();
    try {
      synchronized (adopting) {
        Object[] sentence = new Object[1];
        int status = NativeEngine.adopt(model, strategy, sentence);
        for (int attempt = 1; status == NativeEngine.BUSY && attempt < ADOPT_ATTEMPTS; attempt++) {
          Thread.yield();
          status = NativeEngine.adopt(model, strategy, sentence);
        }
        EngineException.throwUnlessOk(status, (String) sentence[0]);
        inputs = inputs.withStrategy(strategy);
      }
    } finally {
      sessions.giveBack(session);
    }
  }

  /**
   * Checks a user vector and makes it a second input of all calls that begin from now on.
   *
   * @param vector its wire form (CHRU); null = none
   * @throws EngineException.BadUserVector it is damaged, or belongs to another backbone; the one in use stays
   */
  public void adoptUser(@Nullable byte[] vector) throws EngineException {
    EngineSessions.Session session = sessions.take();
    try {
      synchronized (adopting) {
        Inputs wanted = inputs.withUser(vector);
        session.adoptUser(wanted.user);
        inputs = wanted;
      }
    } finally {
      sessions.giveBack(session);
    }
  }

  /** The width (0 = off, 2, 4, 8) of every channel of a strategy, which is checked and not adopted; throws as {@link #adopt}. */
  public byte[] widths(byte[] strategy) throws EngineException {
    requireNonNull(strategy, "strategy");
    byte[] widths = new byte[channels];
    EngineSessions.Session session = sessions.take();
    try {
      Object[] sentence = new Object[1];
      EngineException.throwUnlessOk(NativeEngine.check(model, strategy, widths, sentence), (String) sentence[0]);
    } finally {
      sessions.giveBack(session);
    }
    return widths;
  }

  /**
   * As {@link Scorer#rerank}. The history of the call before is not read again, until a strategy or a user vector is adopted: a further page of
   * candidates costs their scores only.
   */
  @Override
  public void rerank(IntBuffer history, IntBuffer candidates, FloatBuffer scores) throws EngineException {
    Buffers.check("history", history);
    Buffers.check("candidates", candidates);
    int count = candidates.remaining();
    Buffers.checkRoom("scores", scores, count);
    EngineSessions.Session session = sessions.take(inputs);
    int status;
    try {
      status =
          NativeEngine.rerank(
              session.handle,
              history,
              history.position(),
              history.remaining(),
              candidates,
              candidates.position(),
              count,
              scores,
              scores.position());
    } finally {
      sessions.giveBack(session);
    }
    throwUnlessOk(status);
  }

  /**
   * The hidden state after a history, which candidates are scored against: for {@link #score}.
   *
   * @param hidden room for {@link #dim} numbers
   */
  public void hidden(IntBuffer history, FloatBuffer hidden) throws EngineException {
    Buffers.check("history", history);
    Buffers.checkRoom("hidden", hidden, dim);
    EngineSessions.Session session = sessions.take(inputs);
    int status;
    try {
      status =
          NativeEngine.hidden(session.handle, history, history.position(), history.remaining(), hidden, hidden.position());
    } finally {
      sessions.giveBack(session);
    }
    throwUnlessOk(status);
  }

  /**
   * Scores of further candidates, page after page, for a hidden state: bit for bit those of {@link #rerank}, without reading the history again.
   *
   * @param hidden {@link #dim} numbers from {@link #hidden}
   */
  public void score(FloatBuffer hidden, IntBuffer candidates, FloatBuffer scores) throws EngineException {
    Buffers.check("hidden", hidden, dim);
    Buffers.check("candidates", candidates);
    int count = candidates.remaining();
    Buffers.checkRoom("scores", scores, count);
    EngineSessions.Session session = sessions.take();
    int status;
    try {
      status =
          NativeEngine.score(
              session.handle, hidden, hidden.position(), candidates, candidates.position(), count, scores, scores.position());
    } finally {
      sessions.giveBack(session);
    }
    throwUnlessOk(status);
  }

  /**
   * The {@code k} best items of the whole catalogue, best first, ties by lower id.
   *
   * @param excludeHistory leave out the items of the history
   * @param items room for {@code k} ids
   * @param scores room for {@code k} scores
   * @return how many were found: less than {@code k} only where the catalogue ends
   */
  @Override
  public int topK(IntBuffer history, int k, boolean excludeHistory, IntBuffer items, FloatBuffer scores) throws EngineException {
    checkSearch(history, k, items, scores);
    EngineSessions.Session session = sessions.take(inputs);
    int found;
    try {
      found =
          NativeEngine.topK(
              session.handle,
              history,
              history.position(),
              history.remaining(),
              k,
              excludeHistory,
              items,
              items.position(),
              scores,
              scores.position());
    } finally {
      sessions.giveBack(session);
    }
    if (found < 0) {
      throwUnlessOk(-found);
    }
    return found;
  }

  /**
   * The pooled profile, which the cloud makes strategies from, and which tells the latest items (docs/privacy.md): the mean embedding of the last {@code pools[0]}, {@code
   * pools[1]}, ... items, and log(1 + number of items) / 4.
   *
   * @param history any length; all empty = a new user
   * @param pools ascending, from 1 on; those that the hypernetwork was trained with: 5, 25, 200
   * @param profile room for {@code pools.length * dim + 1} numbers
   */
  public void profile(IntBuffer history, int[] pools, FloatBuffer profile) throws EngineException {
    Buffers.check("history", history);
    int before = 0;
    for (int pool : pools) {
      if (pool <= before) {
        throw new IllegalArgumentException("pools: " + pool + " is not above " + before + "; give ascending numbers from 1 on");
      }
      before = pool;
    }
    if (pools.length == 0 || pools.length > MOST_POOLS) {
      throw new IllegalArgumentException("pools: " + pools.length + " were given; give 1 to " + MOST_POOLS);
    }
    Buffers.checkRoom("profile", profile, pools.length * dim + 1);
    EngineSessions.Session session = sessions.take();
    int status;
    try {
      status =
          NativeEngine.profile(model, history, history.position(), history.remaining(), pools, profile, profile.position());
    } finally {
      sessions.giveBack(session);
    }
    throwUnlessOk(status);
  }

  EngineSessions sessions() {
    return sessions;
  }

  /** Native; good while a session is held. */
  long model() {
    return model;
  }

  /** The strategy and the user vector of calls that begin now. */
  Inputs inputs() {
    return inputs;
  }

  @Override
  public void close() {
    sessions.close();
  }

  static void checkSearch(IntBuffer history, int k, IntBuffer items, FloatBuffer scores) {
    Buffers.check("history", history);
    if (k < 1) {
      throw new IllegalArgumentException("k: " + k + " is not possible, ask for at least one item");
    }
    Buffers.checkRoom("items", items, k);
    Buffers.checkRoom("scores", scores, k);
  }

  static void throwUnlessOk(int status) throws EngineException {
    if (status != NativeEngine.OK) {
      EngineException.throwUnlessOk(status, status == NativeEngine.BAD_ARGUMENT ? NOT_ALIGNED : NativeEngine.statusText(status));
    }
  }
}
