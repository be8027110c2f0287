package io.chordkit;

/** What scores may differ by from their reference; errors are relative to the spread of the reference's scores (docs/parity.md). */
final class Tolerance {
  /** Of 8-bit activations: chordkit.export.parity.tolerance.INT8_ACTIVATION_TOLERANCE. */
  static final Tolerance INT8_ACTIVATIONS = new Tolerance(0.02, 0.16, 0.99);

  /** For which number of histories a tolerance is stated. */
  private static final int MANY = 1000;

  final double relativeRmsError;
  final double maxRelativeError;
  final double topOverlap;

  Tolerance(double relativeRmsError, double maxRelativeError, double topOverlap) {
    this.relativeRmsError = relativeRmsError;
    this.maxRelativeError = maxRelativeError;
    this.topOverlap = topOverlap;
  }

  /** Of fewer histories one lawful swap weighs more: the overlap gets three standard deviations of its missing places. */
  Tolerance forFew(int histories) {
    if (histories >= MANY) {
      return this;
    }
    double missing = 1 - topOverlap;
    return new Tolerance(relativeRmsError, maxRelativeError, 1 - missing - 3 * Math.sqrt(missing / (10 * histories)));
  }
}
