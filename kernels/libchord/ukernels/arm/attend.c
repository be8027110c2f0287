/*
 * Attention: the softmax between its two products, and the last position's, which is in floats. Armv8.0.
 */
#if defined(__aarch64__)
#include "common.h"
#include "softmax.h"

/* p = 2^(s - max) over `count` scores (a multiple of 4); `last` holds all ones where the last four count. Returns 1 / sum. */
static float softmax(float *s, size_t count, uint32x4_t last) {
  const float32x4_t lowest = vdupq_n_f32(-__builtin_inff());
  float32x4_t most = vbslq_f32(last, vld1q_f32(s + count - 4), lowest);
  size_t t = 0;
  for (; t + 16 < count; t += 16)
    most = vmaxq_f32(most, vmaxq_f32(vmaxq_f32(vld1q_f32(s + t), vld1q_f32(s + t + 4)), vmaxq_f32(vld1q_f32(s + t + 8), vld1q_f32(s + t + 12))));
  for (; t + 4 < count; t += 4) most = vmaxq_f32(most, vld1q_f32(s + t));
  most = vdupq_n_f32(vmaxvq_f32(most));
  const float32x4_t zero = vdupq_n_f32(0.0f);
  float32x4_t sums[4] = {zero, zero, zero, zero};
  for (t = 0; t + 16 < count; t += 16)
    for (size_t j = 0; j < 4; j++) {
      const float32x4_t e = chord_exp2(vsubq_f32(vld1q_f32(s + t + 4 * j), most));
      vst1q_f32(s + t + 4 * j, e);
      sums[j] = vaddq_f32(sums[j], e);
    }
  for (size_t j = 0; j < 4; j++) {
    if (t + 4 * j >= count) break;
    float32x4_t e = chord_exp2(vsubq_f32(vld1q_f32(s + t + 4 * j), most));
    if (t + 4 * j + 4 == count) e = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(e), last));
    vst1q_f32(s + t + 4 * j, e);
    sums[j] = vaddq_f32(sums[j], e);
  }
  return 1.0f / chord_fold(sums[0], sums[1], sums[2], sums[3]);
}

CHORD_CODE_PART(arm) void chord_softmax_f32_qa8__neon(const chord_softmax *args) {
  static const uint32_t mask[32] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
  if (args->rows) chord_softmax_rows(args, mask + 15);
}

CHORD_CODE_PART(arm) void chord_mix_rows_f32__neon(size_t rows, size_t dim, const float *p, const float *x, float *out) {
  for (size_t c = 0; c < dim; c += 16) {
    float32x4_t sums[4][4];
    for (int chain = 0; chain < 4; chain++)
      for (int j = 0; j < 4; j++) sums[chain][j] = vdupq_n_f32(0.0f);
    const float *row = x + c;
    size_t t = 0;
    for (; t + 4 <= rows; t += 4)
      for (size_t chain = 0; chain < 4; chain++, row += dim)
        for (size_t j = 0; j < 4; j++) sums[chain][j] = vfmaq_n_f32(sums[chain][j], vld1q_f32(row + 4 * j), p[t + chain]);
    for (size_t chain = 0; chain < 4; chain++, row += dim) {
      if (t + chain >= rows) break;
      for (size_t j = 0; j < 4; j++) sums[chain][j] = vfmaq_n_f32(sums[chain][j], vld1q_f32(row + 4 * j), p[t + chain]);
    }
    for (int j = 0; j < 4; j++)
      vst1q_f32(out + c + 4 * j, vaddq_f32(vaddq_f32(sums[0][j], sums[1][j]), vaddq_f32(sums[2][j], sums[3][j])));
  }
}

/* s[t] = probe . x[t]; a probe of 64 stays in registers. */
static void products64(size_t rows, const float *probe, const float *x, float *s) {
  const float32x4_t zero = vdupq_n_f32(0.0f);
  float32x4_t held[16];
  for (size_t i = 0; i < 16; i++) held[i] = vld1q_f32(probe + 4 * i);
  for (size_t t = 0; t < rows; t++, x += 64) {
    float32x4_t sums[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < 16; i++) sums[i % 4] = vfmaq_f32(sums[i % 4], held[i], vld1q_f32(x + 4 * i));
    s[t] = chord_fold(sums[0], sums[1], sums[2], sums[3]);
  }
}

static void products(size_t dim, size_t rows, const float *probe, const float *x, float *s) {
  const float32x4_t zero = vdupq_n_f32(0.0f);
  for (size_t t = 0; t < rows; t++, x += dim) {
    float32x4_t sums[4] = {zero, zero, zero, zero};
    for (size_t c = 0; c < dim; c += 16)
      for (size_t j = 0; j < 4; j++) sums[j] = vfmaq_f32(sums[j], vld1q_f32(probe + c + 4 * j), vld1q_f32(x + c + 4 * j));
    s[t] = chord_fold(sums[0], sums[1], sums[2], sums[3]);
  }
}

CHORD_CODE_PART(arm) void chord_attend_last_f32__neon(const chord_attend_last *args) {
  const size_t dim = args->dim, rows = args->rows, padded = chord_round_up(rows, 4);
  static const uint32_t part[4][4] = {{~0u, ~0u, ~0u, ~0u}, {~0u, 0, 0, 0}, {~0u, ~0u, 0, 0}, {~0u, ~0u, ~0u, 0}};
  float *p = args->work;
  for (size_t head = 0; head < args->heads; head++) {
    const float *probe = args->probe + head * dim;
    if (dim == 64)
      products64(rows, probe, args->x, p);
    else
      products(dim, rows, probe, args->x, p);
    for (size_t t = rows; t < padded; t++) p[t] = p[rows - 1];
    const float inverse = softmax(p, padded, vld1q_u32(part[rows % 4]));
    float *out = args->out + head * dim;
    chord_mix_rows_f32__neon(rows, dim, p, args->x, out);
    for (size_t c = 0; c < dim; c += 4) vst1q_f32(out + c, vmulq_n_f32(vld1q_f32(out + c), inverse));
  }
}
#else
typedef int chord_not_this_architecture; /* ISO C wants a declaration in every file */
#endif
