package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;

/** Scratch memory of the inferences of an {@link Engine}: as many as ever ran at once. The model is given back when it is closed and none runs. */
final class EngineSessions {
  /** Scratch of one inference; it keeps the user vector that it was last given. */
  static final class Session {
    final long handle;
    @Nullable private byte[] user;
    @Nullable private FloatBuffer hidden;
    @Nullable private Session next;

    private Session(long handle) {
      this.handle = handle;
    }

    /** Room for a hidden state. */
    FloatBuffer hidden(int dim) {
      FloatBuffer room = hidden;
      if (room == null) {
        room = Buffers.floatsOf(dim);
        hidden = room;
      }
      return room;
    }

    void adoptUser(@Nullable byte[] vector) throws EngineException {
      Object[] sentence = new Object[1];
      EngineException.throwUnlessOk(NativeEngine.adoptUser(handle, vector, sentence), (String) sentence[0]);
      user = vector;
    }
  }

  private final long model;

  /** Read in place by native code, so it must live as long. */
  @Nullable private ByteBuffer master;

  @Nullable private Session idle;
  private int running;
  private boolean closed;

  EngineSessions(long model, ByteBuffer master) {
    this.model = model;
    this.master = master;
  }

  /** One for this thread, until {@link #giveBack}; with whatever user vector it had. */
  Session take() {
    synchronized (this) {
      if (closed) {
        throw new IllegalStateException("the engine is closed; open another one");
      }
      running++;
      Session session = idle;
      if (session != null) {
        idle = session.next;
        session.next = null;
        return session;
      }
    }
    long handle = NativeEngine.openSession(model);
    if (handle == 0) {
      synchronized (this) {
        running--;
        freeWhenUnused();
      }
      throw new OutOfMemoryError("there is no memory for another inference at the same time");
    }
    return new Session(handle);
  }

  /** The same, with the user vector of {@code wanted}. */
  Session take(Inputs wanted) throws EngineException {
    Session session = take();
    if (session.user != wanted.user) {
      boolean ready = false;
      try {
        session.adoptUser(wanted.user);
        ready = true;
      } finally {
        if (!ready) {
          giveBack(session);
        }
      }
    }
    return session;
  }

  synchronized void giveBack(Session session) {
    running--;
    session.next = idle;
    idle = session;
    freeWhenUnused();
  }

  synchronized void close() {
    closed = true;
    freeWhenUnused();
  }

  /** Under the lock. */
  private void freeWhenUnused() {
    if (!closed) {
      return;
    }
    for (; idle != null; idle = idle.next) {
      NativeEngine.closeSession(idle.handle);
    }
    if (running == 0 && master != null) {
      NativeEngine.closeModel(model);
      master = null;
    }
  }
}
