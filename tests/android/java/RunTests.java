import java.io.PrintStream;
import java.util.HashMap;
import java.util.Map;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs JUnit classes and says of each test what became of it, in lines that Python reads. */
public final class RunTests extends RunListener {
  private static final long LIMIT_NS = 1000000000 * Long.getLong("chord.test.limit", 300);

  private final PrintStream out = System.out;
  private final Map<Description, Failure> failures = new HashMap<Description, Failure>();
  private volatile Description running;
  private volatile long started;

  public static void main(String[] names) throws Exception {
    final RunTests listener = new RunTests();
    Thread watch =
        new Thread("watch") {
          @Override
          public void run() {
            listener.watch();
          }
        };
    watch.setDaemon(true);
    watch.start();
    JUnitCore core = new JUnitCore();
    core.addListener(listener);
    for (String name : names) {
      core.run(Class.forName(name));
    }
    // Threads that a failed test has left must not keep the virtual machine alive.
    Runtime.getRuntime().halt(0);
  }

  /** A test that waits for ever is told as one that fails, with what all threads wait in. */
  private void watch() {
    while (true) {
      try {
        Thread.sleep(200);
      } catch (InterruptedException stopped) {
        return;
      }
      Description test = running;
      if (test != null && System.nanoTime() - started > LIMIT_NS) {
        StringBuilder words = new StringBuilder("does not end");
        for (Map.Entry<Thread, StackTraceElement[]> thread : Thread.getAllStackTraces().entrySet()) {
          words.append("\n").append(thread.getKey().getName());
          for (StackTraceElement element : thread.getValue()) {
            words.append("\n\tat ").append(element);
          }
        }
        say("failed", test, words.toString());
        Runtime.getRuntime().halt(4);
      }
    }
  }

  @Override
  public void testStarted(Description test) {
    started = System.nanoTime();
    running = test;
    say("started", test, "");
  }

  @Override
  public void testFailure(Failure failure) {
    failures.put(failure.getDescription(), failure);
    if (failure.getDescription().getMethodName() == null) {
      say("failed", failure.getDescription(), failure.getTrimmedTrace());
    }
  }

  @Override
  public void testAssumptionFailure(Failure failure) {
    failures.put(failure.getDescription(), failure);
  }

  @Override
  public void testIgnored(Description test) {
    say("failed", test, "is ignored");
  }

  @Override
  public void testFinished(Description test) {
    running = null;
    Failure failure = failures.get(test);
    String seconds = String.valueOf((System.nanoTime() - started) / 1000000 / 1000.0);
    say(failure == null ? "passed" : "failed", test, failure == null ? seconds : failure.getTrimmedTrace());
  }

  private void say(String what, Description test, String words) {
    String line = words.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t");
    out.println("@" + what + "\t" + test.getClassName() + "\t" + test.getMethodName() + "\t" + line);
    out.flush();
  }
}
