/* Constants and polynomial coefficients that every variant shares, so that their floats agree bit for bit. */
#ifndef CHORD_CONSTANTS_H
#define CHORD_CONSTANTS_H

/*
 * exp(x) for x <= 0, clamped below at -64 (smaller ones would only make denormals, which are slow):
 * x = n ln2 + r, |r| <= ln2 / 2; a polynomial of degree 6 in r, times 2^n. Error below 2 ulp on [-64, 0].
 */
#define CHORD_EXP_LOW -64.0f
#define CHORD_LOG2E 1.44269504f
#define CHORD_LN2_HIGH 0.693359375f
#define CHORD_LN2_LOW -2.12194440e-4f
#define CHORD_EXP_P0 1.9875691500e-4f
#define CHORD_EXP_P1 1.3981999507e-3f
#define CHORD_EXP_P2 8.3334519073e-3f
#define CHORD_EXP_P3 4.1665795894e-2f
#define CHORD_EXP_P4 1.6666665459e-1f
#define CHORD_EXP_P5 5.0000001201e-1f

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
