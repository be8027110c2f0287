/*
 * Attention. Four queries at a time against sixteen keys (scores: lane = key, so keys are transposed once a head), then the
 * same four against sixteen columns of the values. A block of four queries looks at the keys of its own and earlier blocks,
 * so only the last vector of four keys needs the causal mask.
 */
#if defined(__aarch64__)
#include "common.h"

enum { QUERIES = 4 };

/* keys of one head: out[c][t], t < padded, zeros from `rows` on. */
static void transpose_keys(const float *k, size_t stride, size_t rows, size_t padded, size_t width, float *out) {
  for (size_t t = 0; t < padded; t += 4) {
    const float *row[4];
    for (size_t j = 0; j < 4; j++) row[j] = k + (t + j < rows ? t + j : rows - 1) * stride;
    size_t c = 0;
    for (; c + 4 <= width; c += 4) {
      const float32x4_t a = vld1q_f32(row[0] + c), b = vld1q_f32(row[1] + c), d = vld1q_f32(row[2] + c), e = vld1q_f32(row[3] + c);
      const float64x2_t ab0 = vreinterpretq_f64_f32(vtrn1q_f32(a, b)), ab1 = vreinterpretq_f64_f32(vtrn2q_f32(a, b));
      const float64x2_t de0 = vreinterpretq_f64_f32(vtrn1q_f32(d, e)), de1 = vreinterpretq_f64_f32(vtrn2q_f32(d, e));
      vst1q_f32(out + c * padded + t, vreinterpretq_f32_f64(vtrn1q_f64(ab0, de0)));
      vst1q_f32(out + (c + 1) * padded + t, vreinterpretq_f32_f64(vtrn1q_f64(ab1, de1)));
      vst1q_f32(out + (c + 2) * padded + t, vreinterpretq_f32_f64(vtrn2q_f64(ab0, de0)));
      vst1q_f32(out + (c + 3) * padded + t, vreinterpretq_f32_f64(vtrn2q_f64(ab1, de1)));
    }
    for (; c < width; c++)
      for (size_t j = 0; j < 4; j++) out[c * padded + t + j] = row[j][c];
  }
}

/* Scores of four queries against `vectors` vectors of four keys: one chain over the width for each. */
CHORD_INLINE void score_keys(size_t vectors, const float *const q[QUERIES], size_t width, const float *keys, size_t padded, float *p,
                             size_t p_stride) {
  float32x4_t sum[QUERIES][4];
  for (size_t i = 0; i < QUERIES; i++)
    for (size_t v = 0; v < vectors; v++) sum[i][v] = vdupq_n_f32(0.0f);
  size_t c = 0;
#define CHORD_SCORE_STEP(lane)                                                                       \
  do {                                                                                               \
    float32x4_t key[4];                                                                              \
    for (size_t v = 0; v < vectors; v++) key[v] = vld1q_f32(keys + 4 * v);                           \
    for (size_t i = 0; i < QUERIES; i++)                                                             \
      for (size_t v = 0; v < vectors; v++) sum[i][v] = vfmaq_laneq_f32(sum[i][v], key[v], query[i], lane); \
    keys += padded;                                                                                  \
  } while (0)
  for (; c + 4 <= width; c += 4) {
    float32x4_t query[QUERIES];
    for (size_t i = 0; i < QUERIES; i++) query[i] = vld1q_f32(q[i] + c);
    CHORD_SCORE_STEP(0);
    CHORD_SCORE_STEP(1);
    CHORD_SCORE_STEP(2);
    CHORD_SCORE_STEP(3);
  }
  for (; c < width; c++) {
    float32x4_t query[QUERIES];
    for (size_t i = 0; i < QUERIES; i++) query[i] = vdupq_n_f32(q[i][c]);
    CHORD_SCORE_STEP(0);
  }
#undef CHORD_SCORE_STEP
  for (size_t i = 0; i < QUERIES; i++)
    for (size_t v = 0; v < vectors; v++) vst1q_f32(p + i * p_stride + 4 * v, sum[i][v]);
}

/* p = exp(s - max) over `count` scores (a multiple of 4); `last` holds all ones where the last four count. Returns 1 / sum. */
static float softmax(float *s, size_t count, uint32x4_t last) {
  const float32x4_t lowest = vdupq_n_f32(-__builtin_inff());
  float32x4_t most = lowest;
  for (size_t t = 0; t + 4 < count; t += 4) most = vmaxq_f32(most, vld1q_f32(s + t));
  most = vmaxq_f32(most, vbslq_f32(last, vld1q_f32(s + count - 4), lowest));
  most = vdupq_n_f32(vmaxvq_f32(most));
  const float32x4_t zero = vdupq_n_f32(0.0f);
  float32x4_t sums[4] = {zero, zero, zero, zero};
  size_t t = 0;
  for (; t + 16 < count; t += 16)
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
#define CHORD_MIX_STEP(lane)                                                                          \
  do {                                                                                                \
    float32x4_t value[4];                                                                             \
    for (size_t j = 0; j < columns; j++) value[j] = vld1q_f32(v + 4 * j);                             \
    for (size_t i = 0; i < QUERIES; i++)                                                              \
      for (size_t j = 0; j < columns; j++) out[i][j] = vfmaq_laneq_f32(out[i][j], value[j], weight[i], lane); \
    v += stride;                                                                                      \
  } while (0)
  size_t t = 0;
  for (; t + 4 <= count; t += 4) {
    float32x4_t weight[QUERIES];
    for (size_t i = 0; i < QUERIES; i++) weight[i] = vld1q_f32(p + i * p_stride + t);
    CHORD_MIX_STEP(0);
    CHORD_MIX_STEP(1);
    CHORD_MIX_STEP(2);
    CHORD_MIX_STEP(3);
  }
  for (; t < count; t++) {
    float32x4_t weight[QUERIES];
    for (size_t i = 0; i < QUERIES; i++) weight[i] = vdupq_n_f32(p[i * p_stride + t]);
    CHORD_MIX_STEP(0);
  }
#undef CHORD_MIX_STEP
  for (size_t i = 0; i < QUERIES; i++)
    for (size_t j = 0; j < columns; j++) out[i][j] = vmulq_n_f32(out[i][j], inverse[i]);
}

static void attend_block(const chord_attend *args, size_t head, size_t first, const float *keys, size_t padded, float *p) {
  const size_t dim = args->dim, width = dim / args->heads, stride = 3 * dim;
  const size_t live = args->rows - first < QUERIES ? args->rows - first : QUERIES, count = first + QUERIES;
  const float *q[QUERIES];
  for (size_t i = 0; i < QUERIES; i++) q[i] = args->qkv + (first + (i < live ? i : live - 1)) * stride + head * width;
  size_t t = 0;
  for (; t + 16 <= count; t += 16) score_keys(4, q, width, keys + t, padded, p + t, padded);
  switch ((count - t) / 4) {
    case 1: score_keys(1, q, width, keys + t, padded, p + t, padded); break;
    case 2: score_keys(2, q, width, keys + t, padded, p + t, padded); break;
    case 3: score_keys(3, q, width, keys + t, padded, p + t, padded); break;
    default: break;
  }
  static const uint32_t triangle[QUERIES][4] = {{~0u, 0, 0, 0}, {~0u, ~0u, 0, 0}, {~0u, ~0u, ~0u, 0}, {~0u, ~0u, ~0u, ~0u}};
  float inverse[QUERIES];
  for (size_t i = 0; i < QUERIES; i++) inverse[i] = softmax(p + i * padded, count, vld1q_u32(triangle[i]));
  const float *v = args->qkv + 2 * dim + head * width;
  float *out = args->out + first * dim + head * width;
  const size_t reach = count < args->rows ? count : args->rows;
  float32x4_t sums[QUERIES][4];
  size_t c = 0;
  for (; c + 16 <= width; c += 16) {
    mix_values(4, reach, p, padded, v + c, stride, inverse, sums);
    for (size_t i = 0; i < live; i++)
      for (size_t j = 0; j < 4; j++) vst1q_f32(out + i * dim + c + 4 * j, sums[i][j]);
  }
  for (; c + 4 <= width; c += 4) {
    mix_values(1, reach, p, padded, v + c, stride, inverse, sums);
    for (size_t i = 0; i < live; i++) vst1q_f32(out + i * dim + c, sums[i][0]);
  }
  for (; c < width; c++)
    for (size_t i = 0; i < live; i++) {
      float sum = 0.0f;
      for (t = 0; t < reach; t++) sum = __builtin_fmaf(p[i * padded + t], v[t * stride + c], sum);
      out[i * dim + c] = sum * inverse[i];
    }
}

void chord_attend_f32__neon(const chord_attend *args) {
  const size_t dim = args->dim, width = dim / args->heads, padded = chord_round_up(args->rows, 16);
  float *keys = args->work, *p = keys + padded * dim;
  for (size_t head = 0; head < args->heads; head++) {
    transpose_keys(args->qkv + dim + head * width, 3 * dim, args->rows, chord_round_up(args->rows, 4), width, keys);
    for (size_t first = 0; first < args->rows; first += QUERIES)
      attend_block(args, head, first, keys, chord_round_up(args->rows, 4), p);
  }
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
