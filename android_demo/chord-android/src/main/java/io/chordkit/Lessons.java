package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/** Items of which some are to be learned from what stood before them, and where the frozen model stands before each. */
final class Lessons {
  final IntBuffer items;
  final IntBuffer lessons;
  @Nullable FloatBuffer states;

  private Lessons(IntBuffer items, IntBuffer lessons) {
    this.items = items;
    this.lessons = lessons;
  }

  /** The newest {@code most} clicks that have one before them. */
  static Lessons own(IntBuffer clicks, int most) {
    int room = Math.max(0, Math.min(most, clicks.limit() - 1));
    IntBuffer lessons = Buffers.intsOf(Math.max(1, 2 * room));
    lessons.limit(2 * (room == 0 ? 0 : NativeLearning.ownLessons(clicks.limit(), room, lessons)));
    return new Lessons(clicks, lessons);
  }

  static Lessons outside(Samples samples) {
    return new Lessons(samples.items(), samples.lessons());
  }

  int count() {
    return lessons.limit() / 2;
  }

  /** Asks the frozen model, under the strategy and the user vector of {@code session}. */
  void ask(EngineSessions.Session session, int dim) throws LearningException {
    FloatBuffer room = Buffers.floatsOf(Math.max(1, count() * dim));
    Object[] sentence = new Object[1];
    int status = NativeLearning.states(session.handle, items, items.limit(), lessons, count(), room, sentence);
    LearningException.throwUnlessOk(status, sentence[0]);
    states = room;
  }
}
