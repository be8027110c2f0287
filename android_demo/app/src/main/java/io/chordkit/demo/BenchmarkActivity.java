package io.chordkit.demo;

import android.app.Activity;
import android.os.Bundle;
import android.os.Handler;
import android.os.Looper;
import android.view.ViewGroup;
import android.widget.ProgressBar;
import android.widget.TextView;
import io.chordkit.annotation.Nullable;
import io.chordkit.demo.logic.Benchmark;
import io.chordkit.demo.logic.BenchmarkRequest;
import io.chordkit.demo.logic.BenchmarkResult;
import io.chordkit.demo.logic.DeviceFacts;
import io.chordkit.demo.logic.Failure;
import io.chordkit.demo.logic.Progress;
import io.chordkit.demo.logic.Verifiers;
import java.io.File;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;

/**
 * A benchmark that {@code adb shell am start -n io.chordkit.demo/.BenchmarkActivity --es bundle NAME ...} asks for (README): measures once
 * on a thread of its own, writes what it found into the app's folder of external media, and shows it.
 */
public final class BenchmarkActivity extends Activity {
  private static final String FOLDER = "chordkit";

  private final Handler main = new Handler(Looper.getMainLooper());
  private Texts texts;
  private Rows rows;
  @Nullable private Thread thread;

  @Override
  protected void onCreate(@Nullable Bundle state) {
    super.onCreate(state);
    setContentView(R.layout.activity_benchmark);
    texts = new Texts(getResources());
    rows = new Rows(getLayoutInflater(), texts);
    if (state != null) {
      // The system ended the process and brings the screen back; the run was this intent's only one.
      end(texts.of(R.string.benchmark_interrupted));
      return;
    }
    final Map<String, Object> extras = extras();
    say(texts.of(R.string.benchmark_running));
    final DeviceFacts facts = Device.facts(this);
    final int before = Device.thermalStatus(this);
    thread =
        new Thread("benchmark") {
          @Override
          public void run() {
            measure(extras, facts, before);
          }
        };
    thread.start();
  }

  @Override
  protected void onDestroy() {
    if (thread != null) {
      thread.interrupt();
    }
    super.onDestroy();
  }

  /** On the benchmark's own thread. */
  private void measure(Map<String, Object> extras, DeviceFacts facts, final int before) {
    try {
      final File folder = folder();
      final BenchmarkResult result = Benchmark.run(folder, extras, facts, Verifiers.best(), new Bar());
      main.post(
          new Runnable() {
            @Override
            public void run() {
              show(result, folder, before);
            }
          });
    } catch (InterruptedException stopped) {
      said(texts.of(R.string.benchmark_interrupted));
    } catch (Exception | LinkageError | OutOfMemoryError problem) {
      said(Failure.sentence(problem));
    }
  }

  private void said(final String sentence) {
    main.post(
        new Runnable() {
          @Override
          public void run() {
            end(sentence);
          }
        });
  }

  /** Where the shell can write and read as well. */
  private File folder() throws IOException {
    File[] media = getExternalMediaDirs();
    if (media.length == 0 || media[0] == null) {
      throw new IOException("this device has no folder for the app's external media now; unlock it, or insert its card, and start again");
    }
    return new File(media[0], FOLDER);
  }

  /** Those that the benchmark looks at. One that cannot be unpacked is of a type that it refuses by its name. */
  private Map<String, Object> extras() {
    Map<String, Object> extras = new HashMap<String, Object>();
    for (String name : BenchmarkRequest.EXTRAS) {
      try {
        Bundle given = getIntent().getExtras();
        Object value = given == null ? null : given.get(name);
        if (value != null) {
          extras.put(name, value);
        }
      } catch (RuntimeException unreadable) {
        extras.put(name, unreadable);
      }
    }
    return extras;
  }

  private void show(BenchmarkResult result, File folder, int before) {
    String run = result.request.run;
    String file = run == null ? "" : new File(folder, run + ".jsonl").getPath();
    end(run == null ? texts.of(R.string.benchmark_ended_unwritten) : texts.of(R.string.benchmark_ended, file));
    ViewGroup facts = (ViewGroup) findViewById(R.id.benchmark_facts);
    String name = texts.of(result.request.cold ? R.string.cold : R.string.warm);
    rows.fact(facts, name, texts.percentiles(result.latency), texts.percentilesSaid(result.latency));
    rows.fact(facts, R.string.benchmark_samples, texts.numbers.whole(result.latency.calls()));
    rows.time(facts, R.string.benchmark_load, result.load);
    if (result.adoption != null) {
      rows.time(facts, R.string.benchmark_adoption, result.adoption.percentile(50));
    }
    rows.time(facts, R.string.benchmark_first, result.first);
    rows.fact(facts, R.string.benchmark_warm_up, texts.counted(R.plurals.calls, result.warmUp.calls()));
    rows.fact(facts, R.string.device_kernels, result.variant);
    rows.fact(facts, R.string.thermal_before, texts.thermal(before));
    rows.fact(facts, R.string.thermal_after, texts.thermal(Device.thermalStatus(this)));
  }

  private void end(String sentence) {
    say(sentence);
    Rows.show(findViewById(R.id.benchmark_progress), false);
  }

  private void say(String words) {
    ((TextView) findViewById(R.id.benchmark_status)).setText(words);
  }

  /** Moves the bar a hundred times, and not at every block. */
  private final class Bar implements Progress {
    private static final int STEPS = 100;
    private int shown = -1;

    @Override
    public void at(int done, int total) {
      final int step = (int) ((long) done * STEPS / total);
      if (step == shown) {
        return;
      }
      shown = step;
      main.post(
          new Runnable() {
            @Override
            public void run() {
              ((ProgressBar) findViewById(R.id.benchmark_progress)).setProgress(step);
            }
          });
    }
  }
}
