package io.chordkit;

import io.chordkit.annotation.Nullable;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;

/** Scores of this device beside all references of the test vectors; {@link SelfCheck} says what is right. */
final class Comparison {
  private static final int TOP = 10;
  private static final double BEYOND_MEASURED = 2;

  private final TestVectors vectors;
  private final String reference;
  private final int columns;
  private final float[][] scores;

  Comparison(TestVectors vectors, String reference) {
    this.vectors = vectors;
    this.reference = reference;
    this.columns = vectors.candidates();
    this.scores = new float[vectors.count()][];
  }

  int rows() {
    return scores.length;
  }

  void score(int row, Scorer scorer) throws ChordException {
    FloatBuffer room = Buffers.floatsOf(columns);
    IntBuffer candidates = vectors.candidates(row);
    scorer.rerank(vectors.history(row), candidates, room);
    scores[row] = new float[columns];
    room.get(scores[row]);
  }

  /**
   * @param made what the maker measured; null = not told, and what 8-bit activations may do is allowed
   * @param repeats whether the maker's machine and this one should compute the same bits
   */
  SelfCheck.Result judged(@Nullable Parity made, boolean repeats) {
    List<String> reasons = new ArrayList<String>();
    double unit = spread();
    double[] own = distance(reference);
    double rms = own[0] / unit;
    double largest = own[1] / unit;
    double overlap = overlap();
    Tolerance tolerance = (made == null ? Tolerance.INT8_ACTIVATIONS : made.tolerance).forFew(rows());
    if (!(unit > 0)) {
      reasons.add("the reference's scores do not differ, so that nothing can be told from them");
    }
    limit(reasons, "relative_rms_error", rms, tolerance.relativeRmsError, "");
    limit(reasons, "max_relative_error", largest, tolerance.maxRelativeError, "");
    if (made != null && repeats) {
      String why = " (twice what the bundle's maker measured)";
      limit(reasons, "relative_rms_error", rms, BEYOND_MEASURED * made.relativeRmsError, why);
      limit(reasons, "max_abs_error", own[1], BEYOND_MEASURED * made.maxAbsError, why);
    }
    if (!(overlap >= tolerance.topOverlap)) {
      reasons.add("top10_overlap " + overlap + " is below " + tolerance.topOverlap);
    }
    for (String other : vectors.references()) {
      double there = other.equals(reference) ? Double.NaN : distance(other)[0];
      if (there < own[0] && there < between(other)) {
        reasons.add("the scores are nearer to those of " + other);
      }
    }
    return new SelfCheck.Result(reference, rows(), own[1], rms, overlap, reasons);
  }

  /** What is no number is above every limit. */
  private static void limit(List<String> reasons, String what, double value, double limit, String why) {
    if (!(value <= limit)) {
      reasons.add(what + " " + (float) value + " is above " + (float) limit + why);
    }
  }

  /** Root mean square and maximum of the differences to a reference. */
  private double[] distance(String other) {
    double squares = 0;
    double largest = 0;
    for (int row = 0; row < rows(); row++) {
      FloatBuffer wanted = vectors.scores(other, row);
      for (int i = 0; i < columns; i++) {
        double error = Math.abs((double) scores[row][i] - wanted.get(i));
        squares += error * error;
        largest = Math.max(largest, error); // no number stays none
      }
    }
    return new double[] {Math.sqrt(squares / rows() / columns), largest};
  }

  private double between(String other) {
    double squares = 0;
    for (int row = 0; row < rows(); row++) {
      FloatBuffer one = vectors.scores(reference, row);
      FloatBuffer two = vectors.scores(other, row);
      for (int i = 0; i < columns; i++) {
        double difference = (double) one.get(i) - two.get(i);
        squares += difference * difference;
      }
    }
    return Math.sqrt(squares / rows() / columns);
  }

  /** What the reference's scores of one history differ by; of different histories where each has one candidate. */
  private double spread() {
    double overall = 0;
    double squares = 0;
    for (int row = 0; row < rows(); row++) {
      overall += mean(row) / rows();
    }
    for (int row = 0; row < rows(); row++) {
      FloatBuffer wanted = vectors.scores(reference, row);
      double centre = columns > 1 ? mean(row) : overall;
      for (int i = 0; i < columns; i++) {
        squares += (wanted.get(i) - centre) * (wanted.get(i) - centre);
      }
    }
    return Math.sqrt(squares / rows() / columns);
  }

  private double mean(int row) {
    FloatBuffer wanted = vectors.scores(reference, row);
    double sum = 0;
    for (int i = 0; i < columns; i++) {
      sum += wanted.get(i);
    }
    return sum / columns;
  }

  private double overlap() {
    int k = Math.min(TOP, columns);
    int both = 0;
    float[] wanted = new float[columns];
    for (int row = 0; row < rows(); row++) {
      vectors.scores(reference, row).get(wanted);
      for (int i = 0; i < columns; i++) {
        both += isAmongBest(wanted, i, k) && isAmongBest(scores[row], i, k) ? 1 : 0;
      }
    }
    return (double) both / k / rows();
  }

  /** Among equal scores the first column comes first. */
  private static boolean isAmongBest(float[] all, int column, int k) {
    int better = 0;
    for (int i = 0; i < all.length && better < k; i++) {
      better += all[i] > all[column] || (all[i] == all[column] && i < column) ? 1 : 0;
    }
    return better < k;
  }
}
