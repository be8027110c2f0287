/*
 * Attention. Four queries at a time against sixteen keys (scores: lane = key, so keys are interleaved once a head), then the
 * same four against sixteen columns of the values. A block of four queries looks at the keys of its own and earlier blocks,
 * so only the last vector of four keys needs the causal mask.
 */
#if defined(__aarch64__)
#include "common.h"

enum { QUERIES = 4 };

/* Keys of one head, four keys side by side: out[t / 4][c][t % 4]. The last key stands in for those behind it. */
static void interleave_keys(const float *k, size_t stride, size_t rows, size_t width, float *out) {
  for (size_t t = 0; t < rows; t += 4) {
    const float *row[4];
    for (size_t j = 0; j < 4; j++) row[j] = k + (t + j < rows ? t + j : rows - 1) * stride;
    size_t c = 0;
    for (; c + 4 <= width; c += 4, out += 16) {
      const float32x4x4_t four = {{vld1q_f32(row[0] + c), vld1q_f32(row[1] + c), vld1q_f32(row[2] + c), vld1q_f32(row[3] + c)}};
      vst4q_f32(out, four);
    }
    for (; c < width; c++, out += 4)
      for (size_t j = 0; j < 4; j++) out[j] = row[j][c];
  }
}

/* Scores of four queries against `vectors` vectors of four keys: one chain over the width for each. */
CHORD_INLINE void score_keys(size_t vectors, const float *const q[QUERIES], size_t width, const float *keys, float *p, size_t p_stride) {
  float32x4_t sum[QUERIES][4];
  for (size_t i = 0; i < QUERIES; i++)
    for (size_t v = 0; v < vectors; v++) sum[i][v] = vdupq_n_f32(0.0f);
  /* Three pointers at most, so that each key is within the reach of a load of a pair. */
  const float *third = keys + 8 * width, *fourth = keys + 12 * width;
  size_t c = 0;
  for (; c + 4 <= width; c += 4, keys += 16, third += 16, fourth += 16) {
    if (vectors > 2) __asm__("" : "+r"(third));
    if (vectors > 3) __asm__("" : "+r"(fourth));
    float32x4_t query[QUERIES];
    for (size_t i = 0; i < QUERIES; i++) query[i] = vld1q_f32(q[i] + c);
    for (size_t v = 0; v < vectors; v++) {
      const float *four = v == 3 ? fourth : v == 2 ? third : keys + v * 4 * width;
      const float32x4_t key[4] = {vld1q_f32(four), vld1q_f32(four + 4), vld1q_f32(four + 8), vld1q_f32(four + 12)};
      for (size_t i = 0; i < QUERIES; i++) sum[i][v] = vfmaq_laneq_f32(sum[i][v], key[0], query[i], 0);
      for (size_t i = 0; i < QUERIES; i++) sum[i][v] = vfmaq_laneq_f32(sum[i][v], key[1], query[i], 1);
      for (size_t i = 0; i < QUERIES; i++) sum[i][v] = vfmaq_laneq_f32(sum[i][v], key[2], query[i], 2);
      for (size_t i = 0; i < QUERIES; i++) sum[i][v] = vfmaq_laneq_f32(sum[i][v], key[3], query[i], 3);
    }
  }
  for (; c < width; c++, keys += 4)
    for (size_t v = 0; v < vectors; v++) {
      const float32x4_t key = vld1q_f32(keys + v * 4 * width);
      for (size_t i = 0; i < QUERIES; i++) sum[i][v] = vfmaq_n_f32(sum[i][v], key, q[i][c]);
    }
  for (size_t i = 0; i < QUERIES; i++)
    for (size_t v = 0; v < vectors; v++) vst1q_f32(p + i * p_stride + 4 * v, sum[i][v]);
}

/* p = exp(s - max) over `count` scores (a multiple of 4); `last` holds all ones where the last four count. Returns 1 / sum. */
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
      const float32x4_t e = chord_exp(vsubq_f32(vld1q_f32(s + t + 4 * j), most));
      vst1q_f32(s + t + 4 * j, e);
      sums[j] = vaddq_f32(sums[j], e);
    }
  for (size_t j = 0; j < 4; j++) {
    if (t + 4 * j >= count) break;
    float32x4_t e = chord_exp(vsubq_f32(vld1q_f32(s + t + 4 * j), most));
    if (t + 4 * j + 4 == count) e = vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(e), last));
    vst1q_f32(s + t + 4 * j, e);
    sums[j] = vaddq_f32(sums[j], e);
  }
  return 1.0f / chord_fold(sums[0], sums[1], sums[2], sums[3]);
}

/* out[i][c] = inverse[i] * sum over t < count of p[i][t] v[t][c], one chain; `columns` vectors of four columns. */
CHORD_INLINE void mix_values(size_t columns, size_t count, const float *p, size_t p_stride, const float *v, size_t stride,
                             const float inverse[QUERIES], float32x4_t out[QUERIES][4]) {
  for (size_t i = 0; i < QUERIES; i++)
    for (size_t j = 0; j < columns; j++) out[i][j] = vdupq_n_f32(0.0f);
#define CHORD_MIX_STEP(row, lane)                                                                             \
  do {                                                                                                        \
    for (size_t j = 0; j < columns; j++) {                                                                    \
      const float32x4_t value = vld1q_f32((row) + 4 * j);                                                     \
      for (size_t i = 0; i < QUERIES; i++) out[i][j] = vfmaq_laneq_f32(out[i][j], value, weight[i], lane);    \
    }                                                                                                         \
  } while (0)
  /* Two pointers, so that all four rows are within the reach of a load of a pair. */
  const float *upper = v, *lower = v + 2 * stride;
  size_t t = 0;
  for (; t + 4 <= count; t += 4, upper += 4 * stride, lower += 4 * stride) {
    __asm__("" : "+r"(lower));
    float32x4_t weight[QUERIES];
    for (size_t i = 0; i < QUERIES; i++) weight[i] = vld1q_f32(p + i * p_stride + t);
    CHORD_MIX_STEP(upper, 0);
    CHORD_MIX_STEP(upper + stride, 1);
    CHORD_MIX_STEP(lower, 2);
    CHORD_MIX_STEP(lower + stride, 3);
  }
  for (; t < count; t++, upper += stride) {
    float32x4_t weight[QUERIES];
    for (size_t i = 0; i < QUERIES; i++) weight[i] = vdupq_n_f32(p[i * p_stride + t]);
    CHORD_MIX_STEP(upper, 0);
  }
#undef CHORD_MIX_STEP
  for (size_t i = 0; i < QUERIES; i++)
    for (size_t j = 0; j < columns; j++) out[i][j] = vmulq_n_f32(out[i][j], inverse[i]);
}

/* One head's queries [first, first + 4). `width` is a constant for the widths that are common. */
CHORD_INLINE void attend_block(const float *qkv, size_t stride, size_t dim, size_t rows, size_t width, size_t first, const float *keys,
                               float *p, float *out) {
  static const uint32_t triangle[QUERIES][4] = {{~0u, 0, 0, 0}, {~0u, ~0u, 0, 0}, {~0u, ~0u, ~0u, 0}, {~0u, ~0u, ~0u, ~0u}};
  const size_t live = rows - first < QUERIES ? rows - first : QUERIES, count = first + QUERIES;
  const float *q[QUERIES];
  for (size_t i = 0; i < QUERIES; i++) q[i] = qkv + (first + (i < live ? i : live - 1)) * stride;
  size_t t = 0;
  for (; t + 16 <= count; t += 16) score_keys(4, q, width, keys + t * width, p + t, count);
  switch ((count - t) / 4) {
    case 1: score_keys(1, q, width, keys + t * width, p + t, count); break;
    case 2: score_keys(2, q, width, keys + t * width, p + t, count); break;
    case 3: score_keys(3, q, width, keys + t * width, p + t, count); break;
    default: break;
  }
  float inverse[QUERIES];
  for (size_t i = 0; i < QUERIES; i++) inverse[i] = softmax(p + i * count, count, vld1q_u32(triangle[i]));
  const float *v = qkv + 2 * dim;
  const size_t reach = count < rows ? count : rows;
  float32x4_t sums[QUERIES][4];
  size_t c = 0;
  out += first * dim;
  for (; c + 16 <= width; c += 16) {
    mix_values(4, reach, p, count, v + c, stride, inverse, sums);
    for (size_t i = 0; i < QUERIES && i < live; i++)
      for (size_t j = 0; j < 4; j++) vst1q_f32(out + i * dim + c + 4 * j, sums[i][j]);
  }
  for (; c + 4 <= width; c += 4) {
    mix_values(1, reach, p, count, v + c, stride, inverse, sums);
    for (size_t i = 0; i < QUERIES && i < live; i++) vst1q_f32(out + i * dim + c, sums[i][0]);
  }
  for (; c < width; c++)
    for (size_t i = 0; i < live; i++) {
      float sum = 0.0f;
      for (t = 0; t < reach; t++) sum = __builtin_fmaf(p[i * count + t], v[t * stride + c], sum);
      out[i * dim + c] = sum * inverse[i];
    }
}

CHORD_INLINE void attend(const float *qkv, size_t rows, size_t dim, size_t width, float *work, float *out) {
  float *keys = work, *p = work + chord_round_up(rows, 4) * width;
  for (size_t first_column = 0; first_column < dim; first_column += width, qkv += width, out += width) {
    interleave_keys(qkv + dim, 3 * dim, rows, width, keys);
    for (size_t first = 0; first < rows; first += QUERIES) attend_block(qkv, 3 * dim, dim, rows, width, first, keys, p, out);
  }
}

void chord_attend_f32__neon(const chord_attend *args) {
  if (args->dim == 64 && args->heads == 1)
    attend(args->qkv, args->rows, 64, 64, args->work, args->out);
  else
    attend(args->qkv, args->rows, args->dim, args->dim / args->heads, args->work, args->out);
}

void chord_mix_rows_f32__neon(size_t rows, size_t dim, const float *p, const float *x, float *out) {
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

void chord_attend_last_f32__neon(const chord_attend_last *args) {
  const size_t dim = args->dim, rows = args->rows, padded = chord_round_up(rows, 4);
  static const uint32_t part[4][4] = {{~0u, ~0u, ~0u, ~0u}, {~0u, 0, 0, 0}, {~0u, ~0u, 0, 0}, {~0u, ~0u, ~0u, 0}};
  float *p = args->work;
  for (size_t head = 0; head < args->heads; head++) {
    const float *probe = args->probe + head * dim;
    for (size_t t = 0; t < padded; t++) {
      const float *x = args->x + (t < rows ? t : rows - 1) * dim;
      const float32x4_t zero = vdupq_n_f32(0.0f);
      float32x4_t sums[4] = {zero, zero, zero, zero};
      for (size_t c = 0; c < dim; c += 16)
        for (size_t j = 0; j < 4; j++) sums[j] = vfmaq_f32(sums[j], vld1q_f32(probe + c + 4 * j), vld1q_f32(x + c + 4 * j));
      p[t] = chord_fold(sums[0], sums[1], sums[2], sums[3]);
    }
    const float inverse = softmax(p, padded, vld1q_u32(part[rows % 4]));
    float *out = args->out + head * dim;
    chord_mix_rows_f32__neon(rows, dim, p, args->x, out);
    for (size_t c = 0; c < dim; c += 4) vst1q_f32(out + c, vmulq_n_f32(vld1q_f32(out + c), inverse));
  }
}
#else
typedef int chord_not_this_architecture; /* ISO C wants a declaration in every file */
#endif
