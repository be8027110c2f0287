/* Attention in floats, AVX2. Sums over inputs and over keys run in order, one chain an output, so any vector width agrees. */
#if defined(__x86_64__)
#include "avx2.h"

/* keys [rows][stride] -> out [width][padded], columns past `rows` zero. */
CHORD_AVX2_INLINE void transpose_keys(const float *keys, size_t rows, size_t stride, size_t width, size_t padded, float *out) {
  for (size_t t = 0; t < padded; t += 8)
    for (size_t c = 0; c < width; c += 8) {
      const size_t columns = width - c < 8 ? width - c : 8;
      const __m256i mask = first_lanes(columns).low;
      __m256 r[8], s[8];
      CHORD_UNROLL for (size_t i = 0; i < 8; i++)
        r[i] = t + i < rows ? _mm256_maskload_ps(keys + (t + i) * stride + c, mask) : _mm256_setzero_ps();
      CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
        s[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        s[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
      }
      CHORD_UNROLL for (size_t i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0xEE);
        r[4 * i + 2] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0xEE);
      }
      CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
        s[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        s[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
      }
      CHORD_UNROLL for (size_t i = 0; i < 8; i++)
        if (i < columns) _mm256_storeu_ps(out + (c + i) * padded + t, s[i]);
    }
}

/* scores[q][0..16) = query q . keys. */
CHORD_AVX2_INLINE void score_tile(const size_t queries, const float *q, size_t q_stride, size_t width, const float *keys, size_t padded,
                                  float *scores) {
  lanes sums[4];
  CHORD_UNROLL for (size_t i = 0; i < queries; i++) sums[i] = lanes_set1(0.0f);
  for (size_t c = 0; c < width; c++) {
    const lanes k = lanes_load(keys + c * padded);
    CHORD_UNROLL for (size_t i = 0; i < queries; i++) sums[i] = lanes_fma(lanes_set1(q[i * q_stride + c]), k, sums[i]);
  }
  CHORD_UNROLL for (size_t i = 0; i < queries; i++) lanes_store(scores + i * padded, sums[i]);
}

/* In place: p = exp(s - max), zero from `count` to the next multiple of 16; returns 1 / sum. */
CHORD_AVX2_INLINE float softmax(float *s, size_t count) {
  const size_t whole = (count - 1) / 16 * 16;
  const lane_mask rest = first_lanes(count - whole);
  const lanes tail = lanes_load(s + whole);
  lanes most = lanes_select(rest, tail, lanes_set1(-3e38f));
  for (size_t t = 0; t < whole; t += 16) most = lanes_max(most, lanes_load(s + t));
  most = lanes_set1(lanes_most(most));
  lanes sums = lanes_set1(0.0f);
  for (size_t t = 0; t < whole; t += 16) {
    const lanes p = lanes_exp(lanes_sub(lanes_load(s + t), most));
    lanes_store(s + t, p);
    sums = lanes_add(sums, p);
  }
  const lanes p = lanes_select(rest, lanes_exp(lanes_sub(tail, most)), lanes_set1(0.0f));
  lanes_store(s + whole, p);
  return 1.0f / lanes_fold(lanes_add(sums, p));
}

/* out[q][0..columns) = inverse[q] * sum over t of p[q][t] values[t], at most 16 columns. */
CHORD_AVX2_INLINE void value_tile(const size_t queries, const float *p, size_t padded, size_t keys, const float *values, size_t stride,
                                  size_t columns, const float *inverse, float *out, size_t out_stride) {
  lanes sums[4];
  CHORD_UNROLL for (size_t i = 0; i < queries; i++) sums[i] = lanes_set1(0.0f);
  if (columns >= 16) {
    for (size_t t = 0; t < keys; t++) {
      const lanes v = lanes_load(values + t * stride);
      CHORD_UNROLL for (size_t i = 0; i < queries; i++) sums[i] = lanes_fma(lanes_set1(p[i * padded + t]), v, sums[i]);
    }
    CHORD_UNROLL for (size_t i = 0; i < queries; i++) lanes_store(out + i * out_stride, lanes_mul(sums[i], lanes_set1(inverse[i])));
    return;
  }
  const lane_mask mask = first_lanes(columns);
  for (size_t t = 0; t < keys; t++) {
    const lanes v = lanes_load_first(values + t * stride, mask);
    CHORD_UNROLL for (size_t i = 0; i < queries; i++) sums[i] = lanes_fma(lanes_set1(p[i * padded + t]), v, sums[i]);
  }
  CHORD_UNROLL for (size_t i = 0; i < queries; i++)
    lanes_store_first(out + i * out_stride, lanes_mul(sums[i], lanes_set1(inverse[i])), mask);
}

/* `queries` (4, 2 or 1) rows from `first` on, of one head. */
CHORD_AVX2_INLINE void query_tile(const size_t queries, const chord_attend *args, size_t first, size_t head, const float *keys,
                                  float *scores, size_t padded) {
  const size_t dim = args->dim, width = dim / args->heads, stride = 3 * dim, column = head * width;
  const float *q = args->qkv + first * stride + column, *values = args->qkv + 2 * dim + column;
  for (size_t t = 0; t < first + queries; t += 16) score_tile(queries, q, stride, width, keys + t, padded, scores + t);
  float inverse[4];
  CHORD_UNROLL for (size_t i = 0; i < queries; i++) inverse[i] = softmax(scores + i * padded, first + i + 1);
  for (size_t c = 0; c < width; c += 16)
    value_tile(queries, scores, padded, first + queries, values + c, stride, width - c, inverse, args->out + first * dim + column + c, dim);
}

CHORD_AVX2 void chord_attend_f32__avx2(const chord_attend *args) {
  const size_t dim = args->dim, width = dim / args->heads, padded = chord_round_up(args->rows, 16);
  float *keys = args->work, *scores = keys + width * padded;
  for (size_t head = 0; head < args->heads; head++) {
    transpose_keys(args->qkv + dim + head * width, args->rows, 3 * dim, width, padded, keys);
    size_t first = 0;
    for (; first + 4 <= args->rows; first += 4) query_tile(4, args, first, head, keys, scores, padded);
    if (args->rows & 2) query_tile(2, args, first, head, keys, scores, padded), first += 2;
    if (args->rows & 1) query_tile(1, args, first, head, keys, scores, padded);
  }
}

CHORD_AVX2_INLINE void mix(size_t rows, size_t dim, const float *p, const float *x, float factor, float *out) {
  for (size_t c = 0; c < dim; c += 16) {
    lanes sums[4];
    CHORD_UNROLL for (size_t i = 0; i < 4; i++) sums[i] = lanes_set1(0.0f);
    size_t t = 0;
    for (; t + 4 <= rows; t += 4)
      CHORD_UNROLL for (size_t i = 0; i < 4; i++)
        sums[i] = lanes_fma(lanes_set1(p[t + i]), lanes_load(x + (t + i) * dim + c), sums[i]);
    CHORD_UNROLL for (size_t i = 0; i < 3; i++)
      if (t + i < rows) sums[i] = lanes_fma(lanes_set1(p[t + i]), lanes_load(x + (t + i) * dim + c), sums[i]);
    lanes_store(out + c, lanes_mul(lanes_add(lanes_add(sums[0], sums[1]), lanes_add(sums[2], sums[3])), lanes_set1(factor)));
  }
}

CHORD_AVX2 void chord_mix_rows_f32__avx2(size_t rows, size_t dim, const float *p, const float *x, float *out) {
  mix(rows, dim, p, x, 1.0f, out);
}

CHORD_AVX2 void chord_attend_last_f32__avx2(const chord_attend_last *args) {
  const size_t dim = args->dim;
  for (size_t head = 0; head < args->heads; head++) {
    const float *probe = args->probe + head * dim;
    for (size_t t = 0; t < args->rows; t++) {
      lanes sums = lanes_set1(0.0f);
      for (size_t c = 0; c < dim; c += 16) sums = lanes_fma(lanes_load(probe + c), lanes_load(args->x + t * dim + c), sums);
      args->work[t] = lanes_fold(sums);
    }
    const float inverse = softmax(args->work, args->rows);
    mix(args->rows, dim, args->work, args->x, inverse, args->out + head * dim);
  }
}

CHORD_AVX2 void chord_combine_rows_f32__avx2(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out) {
  for (size_t k = 0; k < dim; k += 16) {
    lanes sums[4];
    CHORD_UNROLL for (size_t i = 0; i < 4; i++) sums[i] = lanes_set1(0.0f);
    for (size_t c = 0; c < count; c += 4)
      CHORD_UNROLL for (size_t i = 0; i < 4; i++)
        if (c + i < count) {
          const __m128i row = _mm_loadu_si128((const __m128i *)(codes + (c + i) * stride + k));
          sums[i] = lanes_fma(lanes_set1(x[c + i]), lanes_of_codes(row), sums[i]);
        }
    lanes_store(out + k, lanes_add(lanes_add(sums[0], sums[1]), lanes_add(sums[2], sums[3])));
  }
}
#endif
