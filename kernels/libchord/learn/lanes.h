/* Four floats at a time, by the vector extensions of gcc and clang. Sums are taken in 16 lanes, as everywhere in the engine. */
#ifndef CHORD_LEARN_LANES_H
#define CHORD_LEARN_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#define CHORD_ALWAYS static inline __attribute__((always_inline))

typedef float chord_quad __attribute__((vector_size(16)));
typedef int32_t chord_quad_bits __attribute__((vector_size(16)));

CHORD_ALWAYS chord_quad chord_load(const float *from) {
  chord_quad x;
  memcpy(&x, from, sizeof x);
  return x;
}

CHORD_ALWAYS void chord_store(float *to, chord_quad x) { memcpy(to, &x, sizeof x); }

CHORD_ALWAYS chord_quad chord_all(float x) { return (chord_quad){x, x, x, x}; }

/* a b + c, fused where that is one instruction. */
CHORD_ALWAYS chord_quad chord_fused(chord_quad a, chord_quad b, chord_quad c) {
#if defined(__aarch64__)
  return vfmaq_f32(c, a, b);
#else
  return a * b + c;
#endif
}

CHORD_ALWAYS chord_quad chord_least(chord_quad a, chord_quad b) { /* b where either is no number */
#if defined(__aarch64__)
  return vminnmq_f32(a, b);
#else
  const chord_quad_bits less = a < b;
  return (chord_quad)(((chord_quad_bits)a & less) | ((chord_quad_bits)b & ~less));
#endif
}

CHORD_ALWAYS chord_quad chord_most(chord_quad a, chord_quad b) {
#if defined(__aarch64__)
  return vmaxnmq_f32(a, b);
#else
  const chord_quad_bits more = a > b;
  return (chord_quad)(((chord_quad_bits)a & more) | ((chord_quad_bits)b & ~more));
#endif
}

/* The largest of the four. */
CHORD_ALWAYS float chord_most_of(chord_quad x) {
  const float left = x[0] > x[1] ? x[0] : x[1], right = x[2] > x[3] ? x[2] : x[3];
  return left > right ? left : right;
}

CHORD_ALWAYS float chord_fold4(const chord_quad lanes[4]) {
  const chord_quad four = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

/* `count` is a multiple of 16. */
CHORD_ALWAYS float chord_dot(size_t count, const float *a, const float *b) {
  chord_quad lanes[4] = {{0}, {0}, {0}, {0}};
  for (size_t i = 0; i < count; i += 16)
    for (size_t q = 0; q < 4; q++) lanes[q] = chord_fused(chord_load(a + i + 4 * q), chord_load(b + i + 4 * q), lanes[q]);
  return chord_fold4(lanes);
}

/* Four rows, `stride` floats apart, times one. */
CHORD_ALWAYS void chord_dot_rows(size_t count, const float *rows, size_t stride, const float *b, float dots[4]) {
  chord_quad lanes[4][4] = {{{0}}};
  for (size_t i = 0; i < count; i += 16)
    for (size_t q = 0; q < 4; q++) {
      const chord_quad right = chord_load(b + i + 4 * q);
      for (size_t r = 0; r < 4; r++) lanes[r][q] = chord_fused(chord_load(rows + r * stride + i + 4 * q), right, lanes[r][q]);
    }
  for (size_t r = 0; r < 4; r++) dots[r] = chord_fold4(lanes[r]);
}

#define CHORD_LOG2E_F 1.44269504f
#define CHORD_LARGEST_POWER 126.0f

/* 2^x, clamped to 2^-126 .. 2^126: a minimax polynomial of degree 5, relative error below 2e-7. */
CHORD_ALWAYS chord_quad chord_powers(chord_quad x) {
  const chord_quad round = chord_all(12582912.0f); /* 1.5 * 2^23: what is added to it is rounded, and stands in its low bits */
  x = chord_least(chord_most(x, chord_all(-CHORD_LARGEST_POWER)), chord_all(CHORD_LARGEST_POWER));
  const chord_quad shifted = x + round, r = x - (shifted - round);
  chord_quad p = chord_fused(chord_all(1.32647e-3f), r, chord_all(9.67151e-3f));
  p = chord_fused(p, r, chord_all(5.550734e-2f));
  p = chord_fused(p, r, chord_all(2.4022242e-1f));
  p = chord_fused(p, r, chord_all(6.9314698e-1f));
  p = chord_fused(p, r, chord_all(1.0f));
  return (chord_quad)((chord_quad_bits)p + ((chord_quad_bits)shifted << 23));
}

CHORD_ALWAYS float chord_power(float x) { return chord_powers(chord_all(x))[0]; }

#endif
