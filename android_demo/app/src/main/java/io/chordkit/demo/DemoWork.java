package io.chordkit.demo;

import android.content.Context;
import android.os.Handler;
import android.os.Looper;
import io.chordkit.SelfCheck;
import io.chordkit.annotation.Nullable;
import io.chordkit.demo.logic.Demo;
import io.chordkit.demo.logic.DemoUser;
import io.chordkit.demo.logic.DemoUsers;
import io.chordkit.demo.logic.Failure;
import io.chordkit.demo.logic.Latency;
import io.chordkit.demo.logic.LatencyTest;
import io.chordkit.demo.logic.Lists;
import io.chordkit.demo.logic.Progress;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * What the main screen shows, and the one thread that works for it. It outlives a screen that is turned. Fields are read and written on the
 * main thread alone.
 */
final class DemoWork {
  /** Calls that are timed, warm and again cold. */
  static final int CALLS = 1000;

  /** What is under way. */
  enum Doing {
    NOTHING,
    PICKING,
    WARM,
    COLD,
    CHECKING,
    LEARNING
  }

  /** Shows it. */
  interface Screen {
    /** Something is there, or is gone. */
    void refresh();

    /** {@link #done} has grown. */
    void progress();
  }

  Doing doing = Doing.NOTHING;
  int done;
  @Nullable DemoUsers people;
  @Nullable DemoUser picked;
  @Nullable Lists lists;
  @Nullable Latency warm;
  @Nullable Latency cold;
  int thermalBefore = Device.UNKNOWN;
  int thermalAfter = Device.UNKNOWN;
  @Nullable SelfCheck check;
  @Nullable String problem;

  private final Context context;
  private final Handler main = new Handler(Looper.getMainLooper());
  private final ExecutorService worker = Executors.newSingleThreadExecutor();
  @Nullable private Screen screen;
  @Nullable private Future<?> task;

  /** Number of the job that was started last. */
  private int started;

  /** The worker's alone. */
  @Nullable private Demo demo;

  /**
   * @param context of the application
   */
  DemoWork(Context context) {
    this.context = context;
    start(Doing.PICKING, new Opening());
  }

  void attach(Screen screen) {
    this.screen = screen;
  }

  /** A screen that is made anew may come before the old one goes. */
  void detach(Screen screen) {
    if (this.screen == screen) {
      this.screen = null;
    }
  }

  void pick(DemoUser user) {
    picked = user;
    lists = null;
    warm = null;
    cold = null;
    check = null;
    start(Doing.PICKING, new Picking(user));
  }

  void measure() {
    start(Doing.WARM, new Measuring());
  }

  /** What the person's own list is made with. */
  enum Change {
    LEARN,
    UNDO,
    UNLEARN
  }

  void change(Change what) {
    start(Doing.LEARNING, new Changing(what));
  }

  void check() {
    start(Doing.CHECKING, new Checking());
  }

  /** Ends the measuring that is under way. */
  void stop() {
    interrupt();
    started++;
    doing = Doing.NOTHING;
    refresh();
  }

  /** Ends all of it. */
  void close() {
    screen = null;
    interrupt();
    worker.execute(
        new Runnable() {
          @Override
          public void run() {
            if (demo != null) {
              demo.close();
            }
          }
        });
    worker.shutdown();
  }

  private void start(Doing what, Job job) {
    interrupt();
    doing = what;
    done = 0;
    problem = null;
    job.number = ++started;
    task = worker.submit(job);
    refresh();
  }

  /** Nothing but measuring: what writes to the disk goes on to its end, and nobody looks at what comes of it. */
  private void interrupt() {
    if (task != null && (doing == Doing.WARM || doing == Doing.COLD)) {
      task.cancel(true);
    }
  }

  private void refresh() {
    if (screen != null) {
      screen.refresh();
    }
  }

  /** Something that the worker does, and what then is different on the main thread. */
  private abstract class Job implements Runnable {
    int number;

    abstract void work() throws Exception;

    /** On the main thread, when it went well. */
    abstract void show();

    @Override
    public final void run() {
      String went;
      try {
        work();
        went = null;
      } catch (InterruptedException stopped) {
        went = "";
      } catch (Exception | LinkageError | OutOfMemoryError problem) {
        went = Failure.sentence(problem);
      }
      final String sentence = went;
      onMain(
          new Runnable() {
            @Override
            public void run() {
              doing = Doing.NOTHING;
              done = 0;
              if (sentence == null) {
                show();
              } else if (!sentence.isEmpty()) {
                problem = sentence;
              }
            }
          });
    }

    /** Not if another job was started since: what the screen shows is that one's. */
    final void onMain(final Runnable change) {
      main.post(
          new Runnable() {
            @Override
            public void run() {
              if (number == started) {
                change.run();
                refresh();
              }
            }
          });
    }
  }

  private final class Opening extends Job {
    @Nullable private DemoUsers read;

    @Override
    void work() throws Exception {
      read = DemoAssets.people(context);
      demo = DemoAssets.demo(context, read);
    }

    @Override
    void show() {
      people = read;
    }
  }

  private final class Picking extends Job {
    private final DemoUser user;
    @Nullable private Lists made;

    Picking(DemoUser user) {
      this.user = user;
    }

    @Override
    void work() throws Exception {
      made = opened().pick(user);
    }

    @Override
    void show() {
      lists = made;
    }
  }

  private final class Measuring extends Job implements Progress {
    private int before;
    private int after;
    @Nullable private Latency measuredWarm;
    @Nullable private Latency measuredCold;

    @Override
    void work() throws Exception {
      before = Device.thermalStatus(context);
      measuredWarm = LatencyTest.warm(opened().rerank(), CALLS, this);
      onMain(
          new Runnable() {
            @Override
            public void run() {
              doing = Doing.COLD;
              done = 0;
            }
          });
      measuredCold = LatencyTest.cold(opened().rerank(), CALLS, this);
      after = Device.thermalStatus(context);
    }

    @Override
    public void at(final int calls, int all) {
      main.post(
          new Runnable() {
            @Override
            public void run() {
              if (number == started && screen != null) {
                done = calls;
                screen.progress();
              }
            }
          });
    }

    @Override
    void show() {
      warm = measuredWarm;
      cold = measuredCold;
      thermalBefore = before;
      thermalAfter = after;
    }
  }

  /** Learning takes a moment, so that it is this thread's, and reranks of the screen wait for it: an app's own would not. */
  private final class Changing extends Job {
    private final Change what;
    @Nullable private Lists made;

    Changing(Change what) {
      this.what = what;
    }

    @Override
    void work() throws Exception {
      switch (what) {
        case LEARN:
          made = opened().learn();
          break;
        case UNDO:
          made = opened().undo();
          break;
        default:
          made = opened().unlearn();
      }
    }

    @Override
    void show() {
      lists = made;
    }
  }

  private final class Checking extends Job {
    @Nullable private SelfCheck made;

    @Override
    void work() throws Exception {
      made = opened().selfCheck();
    }

    @Override
    void show() {
      check = made;
    }
  }

  private Demo opened() {
    if (demo == null) {
      throw new IllegalStateException("the app's assets could not be opened");
    }
    return demo;
  }
}
