import io.chordkit.MasterFile;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.Arrays;

/** Arguments: a master file, a strategy, what must come of them, a number. Prints us of the processor: the first opening and patching, then the least and the median. */
public final class TimePatches {
  private TimePatches() {}

  public static void main(String[] names) throws Exception {
    ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(new File(names[0]).toPath()));
    byte[] strategy = Files.readAllBytes(new File(names[1]).toPath());
    byte[] wanted = Files.readAllBytes(new File(names[2]).toPath());
    ThreadMXBean clock = ManagementFactory.getThreadMXBean();
    double[] us = new double[Integer.parseInt(names[3])];
    for (int i = 0; i < us.length; i++) {
      long began = clock.getCurrentThreadCpuTime();
      ByteBuffer result = MasterFile.read(file).patched(strategy);
      us[i] = (clock.getCurrentThreadCpuTime() - began) / 1e3;
      byte[] found = new byte[result.remaining()];
      result.get(found);
      if (!Arrays.equals(found, wanted)) {
        throw new AssertionError("another file than the exporter's");
      }
    }
    double first = us[0];
    Arrays.sort(us);
    System.out.println(first + " " + us[0] + " " + us[us.length / 2]);
  }
}
