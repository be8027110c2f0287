/* Constants and polynomial coefficients that every variant shares, so that their floats agree bit for bit. */
#ifndef CHORD_CONSTANTS_H
#define CHORD_CONSTANTS_H

/* A row whose largest magnitude is below this is a row of zeros: 127 / max|x| would not be a number that can be multiplied. */
#define CHORD_SMALLEST_MAX 1e-30f

/* 1.5 * 2^23: fma(x, factor, this) - this is x * factor rounded once, to the nearest integer (ties to even), for |x * factor| < 2^22. */
#define CHORD_ROUND 12582912.0f

/*
 * exp(x) for x <= 0, for GELU, clamped below at -64 (smaller ones would only make denormals, which are slow): x = n ln2 + r, |r| <= ln2 / 2, a
 * Taylor polynomial of degree 6 in r, times 2^n. One product reduces the argument, so the relative error grows with |x|: below
 * 2e-7 + 4e-8 |x|, and the absolute error stays below 2e-7.
 */
#define CHORD_EXP_LOW -64.0f
#define CHORD_LOG2E 1.44269504f
#define CHORD_LN2 0.69314718f
#define CHORD_EXP_P6 1.3888889e-3f
#define CHORD_EXP_P5 8.3333333e-3f
#define CHORD_EXP_P4 4.1666667e-2f
#define CHORD_EXP_P3 1.6666667e-1f
#define CHORD_EXP_P2 0.5f

/*
 * 2^x for x <= 0, clamped below at -92, for the softmax (log2 e is folded into the queries): x = n + r, |r| <= 1/2, a minimax polynomial
 * of degree 4 in r that is exactly 1 at 0, times 2^n. Relative error below 3e-6; the weights are then rounded to 8 bits.
 */
#define CHORD_EXP2_LOW -92.0f
#define CHORD_EXP2_P4 9.582853e-3f
#define CHORD_EXP2_P3 5.5906426e-2f
#define CHORD_EXP2_P2 2.4024099e-1f
#define CHORD_EXP2_P1 6.9312418e-1f

/*
 * erf(x) for the exact GELU (Abramowitz and Stegun 7.1.26): 1 - (a1 t + ... + a5 t^5) exp(-x^2), t = 1 / (1 + p |x|),
 * absolute error below 5e-7 in fp32.
 */
#define CHORD_ERF_P 0.3275911f
#define CHORD_ERF_A1 0.254829592f
#define CHORD_ERF_A2 -0.284496736f
#define CHORD_ERF_A3 1.421413741f
#define CHORD_ERF_A4 -1.453152027f
#define CHORD_ERF_A5 1.061405429f
#define CHORD_SQRT_HALF 0.70710678f

#endif
