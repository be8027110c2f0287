package io.chordkit.demo.logic;

/** A strategy that came in an envelope and is in use. */
public final class Adoption {
  /** What travels. */
  public final int envelopeBytes;

  /** What is in it. */
  public final int strategyBytes;

  /** The engine alone, some times over. */
  public final Latency engine;

  /** Microseconds from the envelope to the strategy in use and kept: signature, engine, disk. */
  public final double whole;

  public final StrategyPicture picture;

  Adoption(int envelopeBytes, int strategyBytes, Latency engine, long whole, StrategyPicture picture) {
    this.envelopeBytes = envelopeBytes;
    this.strategyBytes = strategyBytes;
    this.engine = engine;
    this.whole = whole / 1000.0;
    this.picture = picture;
  }
}
