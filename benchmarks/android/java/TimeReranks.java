import io.chordkit.Engine;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.channels.FileChannel;
import java.util.Arrays;

/**
 * Times {@code Engine.rerank} and counts its instructions: {@code TimeReranks FOLDER SHORT_CALLS CALLS}. FOLDER holds master.chrm,
 * strategy.chrd, histories.i32 (two of a length, taken in turns, as the engine knows the last one) and candidates.i32, and takes
 * scores.f32.
 */
public final class TimeReranks {
  static {
    System.loadLibrary("instruction_counter");
  }

  /** @return negative = this system lets nothing be counted */
  private static native int openCounter();

  private static native void startCounter(int counter);

  private static native long stopCounter(int counter);

  public static void main(String[] arguments) throws Exception {
    String folder = arguments[0] + "/";
    int warm = Integer.parseInt(arguments[1]);
    int calls = Integer.parseInt(arguments[2]);
    byte[] strategy = new byte[(int) new java.io.File(folder + "strategy.chrd").length()];
    map(folder + "strategy.chrd").get(strategy);
    IntBuffer history = map(folder + "histories.i32").asIntBuffer();
    IntBuffer candidates = map(folder + "candidates.i32").asIntBuffer();
    ByteBuffer bytes = ByteBuffer.allocateDirect(4 * candidates.remaining()).order(ByteOrder.nativeOrder());
    FloatBuffer scores = bytes.asFloatBuffer();
    int slots = history.limit() / 2;
    int count = candidates.limit() / 2;

    Engine engine = Engine.open(map(folder + "master.chrm"));
    engine.adopt(strategy);
    // Short calls make the virtual machine compile the Java side, which is the same for all histories. Buffers of other classes would make
    // it compile for those.
    candidates.limit(1);
    run(engine, history, 1, candidates, scores, warm);
    candidates.limit(count);
    run(engine, history, slots, candidates, scores, 30);
    long[] times = new long[calls];
    for (int i = 0; i < calls; i++) {
      long start = System.nanoTime();
      rerank(engine, history, slots, candidates, scores, i);
      times[i] = System.nanoTime() - start;
    }
    say("us", times);

    int counter = openCounter();
    run(counter, engine, history, slots, candidates, scores, calls); // to find what the loop itself needs
    long two = run(counter, engine, history, slots, candidates, scores, 2 * calls);
    long once = run(counter, engine, history, slots, candidates, scores, calls);
    System.out.println("instructions " + (counter < 0 ? "null" : String.valueOf((two - once) / (double) calls)));

    for (int i = 0; i < calls; i++) {
      long start = System.nanoTime();
      engine.adopt(strategy);
      times[i] = System.nanoTime() - start;
    }
    say("adopt_us", times);
    System.out.println("variant " + engine.variant());
    for (int row = 0; row < 2; row++) {
      scores.position(row * count);
      rerank(engine, history, slots, candidates, scores, row);
    }
    RandomAccessFile file = new RandomAccessFile(folder + "scores.f32", "rw");
    file.getChannel().write(bytes);
    file.close();
    engine.close();
  }

  private static void rerank(Engine engine, IntBuffer histories, int slots, IntBuffer candidates, FloatBuffer scores, int turn)
      throws Exception {
    int end = histories.capacity() / (2 - turn % 2);
    histories.limit(end);
    histories.position(end - slots);
    engine.rerank(histories, candidates, scores);
  }

  private static void run(Engine engine, IntBuffer histories, int slots, IntBuffer candidates, FloatBuffer scores, int calls)
      throws Exception {
    for (int i = 0; i < calls; i++) {
      rerank(engine, histories, slots, candidates, scores, i);
    }
  }

  private static long run(
      int counter, Engine engine, IntBuffer histories, int slots, IntBuffer candidates, FloatBuffer scores, int calls) throws Exception {
    startCounter(counter);
    run(engine, histories, slots, candidates, scores, calls);
    return stopCounter(counter);
  }

  private static void say(String name, long[] nanoseconds) {
    Arrays.sort(nanoseconds);
    int last = nanoseconds.length - 1;
    System.out.println(name + " " + nanoseconds[last / 2] / 1e3);
    System.out.println(name + "_p90 " + nanoseconds[last * 9 / 10] / 1e3);
  }

  private static ByteBuffer map(String path) throws Exception {
    RandomAccessFile file = new RandomAccessFile(path, "r");
    ByteBuffer mapped = file.getChannel().map(FileChannel.MapMode.READ_ONLY, 0, file.length());
    file.close();
    return mapped.order(ByteOrder.nativeOrder());
  }
}
