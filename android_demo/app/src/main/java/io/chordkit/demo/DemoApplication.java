package io.chordkit.demo;

import android.app.Application;
import io.chordkit.annotation.Nullable;

/** Keeps the main screen's work while a screen that is turned is made anew. */
public final class DemoApplication extends Application {
  @Nullable private DemoWork work;

  /** Begun when it is first asked for, or again after it was closed. */
  DemoWork work() {
    if (work == null) {
      work = new DemoWork(this);
    }
    return work;
  }

  void closeWork() {
    if (work != null) {
      work.close();
      work = null;
    }
  }
}
