package io.chordkit.demo.logic;

import io.chordkit.Bundle;
import io.chordkit.ChordException;
import io.chordkit.Engine;
import io.chordkit.annotation.Nullable;
import io.chordkit.trust.Ed25519Verifier;
import io.chordkit.trust.TrustedKeys;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Map;

/**
 * One launch of a benchmark: a bundle is verified, a strategy adopted, all test vectors are scored, and only then is anything timed. What
 * chordkit's own runner does ({@code kernels/libchord/tools/runner}), by way of Java, so that the two can be compared.
 */
public final class Benchmark {
  private static final int BLOCK_SAMPLES = 1 << 16;
  private static final double SHORTEST_SAMPLE = 10000;

  /** Most samples and blocks that are recorded; of a longer run the rest is left out, evenly over its time. */
  private static final int MOST_SAMPLES = 2000000;

  private static final int MOST_BLOCKS = 150000;

  private final BenchmarkRequest request;
  private final Progress progress;
  private final long[] block = new long[BLOCK_SAMPLES];
  private final Samples samples = new Samples();

  private Benchmark(BenchmarkRequest request, Progress progress) {
    this.request = request;
    this.progress = progress;
  }

  /**
   * Does what an intent asks for. With a run's name in it the answer is in {@code folder} afterwards: {@code RUN.f32} and {@code
   * RUN.jsonl}, or {@code RUN.error} with one sentence.
   *
   * @param extras the intent's, by {@link BenchmarkRequest#EXTRAS}
   * @param verifier null = there is none, and every bundle is refused
   * @throws ChordException something was refused
   * @throws IOException the folder cannot be read or written
   * @throws InterruptedException the thread was interrupted, since nobody waits any more
   */
  public static BenchmarkResult run(
      File folder, Map<String, ?> extras, DeviceFacts device, @Nullable Ed25519Verifier verifier, Progress progress)
      throws ChordException, IOException, InterruptedException {
    String run = BenchmarkRequest.runOf(extras);
    BenchmarkFiles files = run == null ? null : new BenchmarkFiles(folder, run);
    try {
      BenchmarkRequest request = BenchmarkRequest.of(extras);
      return new Benchmark(request, progress).run(folder, files, device, verifier);
    } catch (ChordException | IOException | InterruptedException | RuntimeException | Error problem) {
      if (files != null) {
        files.unfinishedRecords().delete();
        files.writeError(Failure.sentence(problem));
      }
      throw problem;
    }
  }

  private BenchmarkResult run(File folder, @Nullable BenchmarkFiles files, DeviceFacts device, @Nullable Ed25519Verifier verifier)
      throws ChordException, IOException, InterruptedException {
    ByteBuffer data = BenchmarkFiles.read(folder, request.bundle);
    String digest = sha256(data.duplicate());
    Bundle bundle = Bundle.open(data, new TrustedKeys(request.key()), verifier, 0);
    byte[] strategy = request.strategy == null ? null : bundle.strategy(request.strategy);
    byte[] user = request.user == null ? null : bundle.userVector(request.user);
    long start = System.nanoTime();
    Engine engine = bundle.engine();
    long load = System.nanoTime() - start;
    BenchmarkRecords records = files == null ? null : new BenchmarkRecords(files.unfinishedRecords());
    BenchmarkResult result;
    try {
      if (records != null) {
        String strategyDigest = strategy == null ? null : sha256(ByteBuffer.wrap(strategy));
        records.start(device, engine.variant(), request.mode());
        records.app(request.run, device, digest, bundle.counter(), Hexadecimal.of(bundle.fingerprint()), request, strategyDigest);
        records.load(load);
      }
      result = run(bundle, engine, strategy, user, load, files, records);
    } finally {
      engine.close();
      if (records != null) {
        records.close();
      }
    }
    if (files != null) {
      files.finishRecords();
    }
    return result;
  }

  private BenchmarkResult run(
      Bundle bundle,
      Engine engine,
      @Nullable byte[] strategy,
      @Nullable byte[] user,
      long load,
      @Nullable BenchmarkFiles files,
      @Nullable BenchmarkRecords records)
      throws ChordException, IOException, InterruptedException {
    long[] adoptions = strategy == null ? null : adopt(engine, strategy);
    engine.adoptUser(user);
    TestCalls calls = new TestCalls(engine, bundle.testVectors());
    long start = System.nanoTime();
    calls.run();
    long first = System.nanoTime() - start;
    float[] scores = calls.scores();
    if (files != null) {
      files.writeScores(scores);
    }
    WarmUp warmUp = WarmUp.of(calls);
    if (records != null) {
      if (adoptions != null) {
        records.adopt(adoptions);
      }
      records.first(first);
      records.checked(bundle.testVectors().count(), bundle.testVectors().candidates());
      records.warmUp(warmUp);
    }
    measure(calls, batchOf(warmUp), records);
    Latency adoption = adoptions == null ? null : new Latency(adoptions);
    return new BenchmarkResult(request, samples.latency(), adoption, load, first, warmUp, engine.variant());
  }

  private long[] adopt(Engine engine, byte[] strategy) throws ChordException, InterruptedException {
    long[] nanoseconds = new long[request.adoptions];
    for (int i = 0; i < nanoseconds.length; i++) {
      Interruption.check();
      long start = System.nanoTime();
      engine.adopt(strategy);
      nanoseconds[i] = System.nanoTime() - start;
    }
    return nanoseconds;
  }

  /** Calls of one sample: short ones are taken together, since reading the clock would be part of the time. */
  private int batchOf(WarmUp warmUp) {
    double mean = warmUp.lastMean();
    return request.cold || mean >= SHORTEST_SAMPLE ? 1 : (int) Math.ceil(SHORTEST_SAMPLE / Math.max(mean, 1));
  }

  private void measure(Call call, int batch, @Nullable BenchmarkRecords records) throws ChordException, IOException, InterruptedException {
    OtherMemory other = request.cold ? new OtherMemory() : null;
    long blockNanoseconds = request.blockMilliseconds * 1000000L;
    long begin = System.nanoTime();
    long now = begin;
    int blocks = 0;
    while (!isOver(now - begin)) {
      Interruption.check();
      progress.at(Math.min(samples.count(), request.iterations), request.iterations);
      // Writing the last block had the caches, where they count. What the file has no room for runs unrecorded as well.
      for (boolean unrecorded = other == null; unrecorded || isTooDense(blocks, now - begin); unrecorded = false) {
        sample(call, batch);
        now = System.nanoTime();
        if (isOver(now - begin)) {
          break;
        }
      }
      if (isOver(now - begin)) {
        break;
      }
      long start = now;
      int count = 0;
      do {
        if (other != null) {
          other.read();
        }
        block[count++] = sample(call, batch);
        now = System.nanoTime();
      } while (now - start < blockNanoseconds && count < BLOCK_SAMPLES);
      samples.add(block, count);
      blocks++;
      if (records != null) {
        records.block((start - begin) / 1e9, batch, block, count);
      }
    }
    if (samples.count() == 0) {
      throw new DemoException("extra most_ms: " + request.mostMilliseconds + " ms are too short for a single call");
    }
    if (records != null) {
      records.finish(samples.count(), (now - begin) / 1e9);
    }
  }

  private static long sample(Call call, int batch) throws ChordException {
    long start = System.nanoTime();
    for (int i = 0; i < batch; i++) {
      call.run();
    }
    return (System.nanoTime() - start + batch / 2) / batch;
  }

  private boolean isOver(long nanoseconds) {
    return nanoseconds >= request.mostMilliseconds * 1000000L
        || (samples.count() >= request.iterations && nanoseconds >= request.leastMilliseconds * 1000000L);
  }

  private boolean isTooDense(int blocks, long nanoseconds) {
    double share = nanoseconds / (request.mostMilliseconds * 1e6);
    return samples.count() > MOST_SAMPLES * share || blocks > MOST_BLOCKS * share;
  }

  private static String sha256(ByteBuffer data) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(data);
      return Hexadecimal.of(digest.digest());
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
