import io.chordkit.demo.logic.Benchmark;
import io.chordkit.demo.logic.DeviceFacts;
import io.chordkit.demo.logic.Progress;
import io.chordkit.demo.logic.Verifiers;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Scanner;

/** The demo app's benchmark as a process: what the activity does with an intent, whose extras are given as {@code am} takes them. */
public final class BenchmarkProcess {
  private BenchmarkProcess() {}

  /**
   * @param words a folder, and then {@code --es NAME TEXT} and {@code --ei NAME NUMBER}
   */
  public static void main(String[] words) throws Exception {
    Map<String, Object> extras = new HashMap<String, Object>();
    for (int i = 1; i + 2 < words.length; i += 3) {
      extras.put(words[i + 1], words[i].equals("--ei") ? (Object) Integer.valueOf(words[i + 2]) : words[i + 2]);
    }
    int processors = Runtime.getRuntime().availableProcessors();
    DeviceFacts facts =
        new DeviceFacts("io.chordkit.demo", "test", "arm64-v8a", 0, 1, false, false, DeviceFacts.processors(status(), processors));
    Benchmark.run(new File(words[0]), extras, facts, Verifiers.best(), Progress.SILENT);
  }

  private static String status() throws IOException {
    try (Scanner text = new Scanner(new FileInputStream("/proc/self/status"), "US-ASCII").useDelimiter("\\A")) {
      return text.hasNext() ? text.next() : "";
    }
  }
}
