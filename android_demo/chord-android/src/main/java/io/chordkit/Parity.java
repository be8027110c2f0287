package io.chordkit;

/** What the maker of a bundle measured of an artifact against its reference, and what it was allowed (docs/parity.md). */
final class Parity {
  final long histories;
  final double maxAbsError;
  final double relativeRmsError;
  final Tolerance tolerance;

  Parity(Json report) throws BundleException {
    histories = report.count("n");
    maxAbsError = report.number("max_abs_error");
    relativeRmsError = report.number("relative_rms_error");
    Json allowed = report.object("tolerance");
    tolerance =
        new Tolerance(allowed.number("relative_rms_error"), allowed.number("max_relative_error"), allowed.number("top10_overlap"));
  }
}
