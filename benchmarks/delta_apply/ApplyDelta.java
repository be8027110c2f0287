import io.chordkit.Delta;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;

/** Prints the milliseconds of the processor that Java takes to apply a difference into a file: the first time, and the median of 200 later ones. */
public final class ApplyDelta {
  public static void main(String[] arguments) throws Exception {
    ByteBuffer base = ByteBuffer.wrap(Files.readAllBytes(Paths.get(arguments[0])));
    ByteBuffer data = ByteBuffer.wrap(Files.readAllBytes(Paths.get(arguments[1])));
    java.lang.management.ThreadMXBean clock = java.lang.management.ManagementFactory.getThreadMXBean();
    long[] taken = new long[400];
    try (RandomAccessFile out = new RandomAccessFile(arguments[2], "rw")) {
      for (int i = 0; i < taken.length; i++) {
        out.seek(0);
        long begun = clock.getCurrentThreadCpuTime();
        Delta.read(data, Long.MAX_VALUE).apply(base, out.getChannel());
        taken[i] = clock.getCurrentThreadCpuTime() - begun;
      }
    }
    long first = taken[0];
    long[] later = Arrays.copyOfRange(taken, 200, 400);
    Arrays.sort(later);
    System.out.printf("%.2f %.2f%n", first / 1e6, later[100] / 1e6);
  }
}
