/* The no-harm gate's judgement of paired log likelihoods, as chordkit/coda/gate.py defines it. */
#include <math.h>

#include "internal.h"

/* Quantile of Student's t at 95 %, one-sided, by the Cornish-Fisher expansion around the normal one. */
static double student_quantile(double freedom) {
  const double z = 1.6448536269514722, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
  return z + (z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * freedom * freedom * freedom);
}

chord_verdict chord_weigh(const double *before, const double *after, size_t count) {
  chord_verdict verdict = {count, 0.0, 0.0, -INFINITY};
  double gain = 0.0, squares = 0.0;
  bool finite = true, any = false;
  for (size_t i = 0; i < count; i++) {
    const double difference = after[i] - before[i];
    verdict.before += before[i] / (double)count;
    verdict.after += after[i] / (double)count;
    gain += difference / (double)count;
    finite = finite && difference >= -1e300 && difference <= 1e300;
    any = any || difference != 0.0;
  }
  if (count < CHORD_FEWEST_LESSONS || !finite || !any) return verdict;
  for (size_t i = 0; i < count; i++) squares += (after[i] - before[i] - gain) * (after[i] - before[i] - gain);
  const double error = sqrt(squares / (double)(count - 1)) / sqrt((double)count);
  verdict.low = gain - student_quantile((double)(count - 1)) * error;
  return verdict;
}
