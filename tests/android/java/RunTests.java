import java.io.PrintStream;
import java.util.HashMap;
import java.util.Map;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs JUnit classes and says of each test what became of it, in lines that Python reads. */
public final class RunTests extends RunListener {
  private final PrintStream out = System.out;
  private final Map<Description, Failure> failures = new HashMap<Description, Failure>();
  private long started;

  public static void main(String[] names) throws Exception {
    JUnitCore core = new JUnitCore();
    core.addListener(new RunTests());
    for (String name : names) {
      core.run(Class.forName(name));
    }
    // Threads that a failed test has left must not keep the virtual machine alive.
    Runtime.getRuntime().halt(0);
  }

  @Override
  public void testStarted(Description test) {
    started = System.nanoTime();
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
