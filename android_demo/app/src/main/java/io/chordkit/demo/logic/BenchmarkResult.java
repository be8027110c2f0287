package io.chordkit.demo.logic;

import io.chordkit.annotation.Nullable;

/** What a benchmark found, for the screen. */
public final class BenchmarkResult {
  public final BenchmarkRequest request;

  /** Of the steady state. */
  public final Latency latency;

  /** Of the first and of all later adoptions; null = no strategy was named. */
  @Nullable public final Latency adoption;

  /** Microseconds from the verified bundle to an engine. */
  public final double load;

  /** Microseconds of the first rerank. */
  public final double first;

  public final WarmUp warmUp;

  /** Kernels in use. */
  public final String variant;

  BenchmarkResult(
      BenchmarkRequest request, Latency latency, @Nullable Latency adoption, long load, long first, WarmUp warmUp, String variant) {
    this.request = request;
    this.latency = latency;
    this.adoption = adoption;
    this.load = load / 1000.0;
    this.first = first / 1000.0;
    this.warmUp = warmUp;
    this.variant = variant;
  }
}
