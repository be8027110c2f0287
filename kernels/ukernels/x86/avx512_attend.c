/* Attention in floats, AVX-512. Sums over inputs and over keys run in order, one chain an output, so any vector width agrees. */
#if defined(__x86_64__)
#include "avx512.h"

/* keys [rows][stride] -> out [width][padded], columns past `rows` zero. */
CHORD_AVX512_INLINE void transpose_keys(const float *keys, size_t rows, size_t stride, size_t width, size_t padded, float *out) {
  for (size_t t = 0; t < padded; t += 16)
    for (size_t c = 0; c < width; c += 16) {
      __m512i r[16];
      const __mmask16 columns = (__mmask16)(width - c >= 16 ? 0xFFFF : (1u << (width - c)) - 1);
      CHORD_UNROLL for (size_t i = 0; i < 16; i++)
        r[i] = t + i < rows ? _mm512_maskz_loadu_epi32(columns, keys + (t + i) * stride + c) : _mm512_setzero_si512();
      transpose16(r);
      CHORD_UNROLL for (size_t i = 0; i < 16; i++)
        if (columns >> i & 1) _mm512_store_si512(out + (c + i) * padded + t, r[i]);
    }
}

/* scores[q][0 .. 16 * vectors) = query q . keys, for `queries` x `vectors` registers of sums. */
CHORD_AVX512_INLINE void score_tile(const size_t queries, const size_t vectors, const float *q, size_t q_stride, size_t width,
                                    const float *keys, size_t padded, float *scores) {
  __m512 sums[8][2];
  CHORD_UNROLL for (size_t i = 0; i < queries; i++)
    CHORD_UNROLL for (size_t j = 0; j < vectors; j++) sums[i][j] = _mm512_setzero_ps();
  for (size_t c = 0; c < width; c++) {
    __m512 k[2];
    CHORD_UNROLL for (size_t j = 0; j < vectors; j++) k[j] = _mm512_load_ps(keys + c * padded + 16 * j);
    CHORD_UNROLL for (size_t i = 0; i < queries; i++) {
      const __m512 one = _mm512_set1_ps(q[i * q_stride + c]);
      CHORD_UNROLL for (size_t j = 0; j < vectors; j++) sums[i][j] = _mm512_fmadd_ps(one, k[j], sums[i][j]);
    }
  }
  CHORD_UNROLL for (size_t i = 0; i < queries; i++)
    CHORD_UNROLL for (size_t j = 0; j < vectors; j++) _mm512_store_ps(scores + i * padded + 16 * j, sums[i][j]);
}

/* In place: p = exp(s - max), zero from `count` to the next multiple of 16; returns 1 / sum. */
CHORD_AVX512_INLINE float softmax(float *s, size_t count) {
  const size_t whole = (count - 1) / 16 * 16;
  const __mmask16 rest = (__mmask16)(0xFFFFu >> (16 - (count - whole)));
  const __m512 tail = _mm512_load_ps(s + whole);
  __m512 most = _mm512_mask_mov_ps(_mm512_set1_ps(-3e38f), rest, tail);
  for (size_t t = 0; t < whole; t += 16) most = _mm512_max_ps(most, _mm512_load_ps(s + t));
  most = _mm512_set1_ps(max512(most));
  __m512 sums = _mm512_setzero_ps();
  for (size_t t = 0; t < whole; t += 16) {
    const __m512 p = exp512(_mm512_sub_ps(_mm512_load_ps(s + t), most));
    _mm512_store_ps(s + t, p);
    sums = _mm512_add_ps(sums, p);
  }
  const __m512 p = _mm512_maskz_mov_ps(rest, exp512(_mm512_sub_ps(tail, most)));
  _mm512_store_ps(s + whole, p);
  return 1.0f / fold512(_mm512_add_ps(sums, p));
}

/* The same for four rows of `count`, count + 1, ... scores, all of which end in the same vector. */
CHORD_AVX512_INLINE void softmax4(float *s, size_t stride, size_t count, float inverse[4]) {
  const size_t whole = (count - 1) / 16 * 16;
  const unsigned rest = 0xFFFFu >> (16 - (count - whole));
  __m512 most[4], sums[4];
  CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
    most[i] = _mm512_mask_loadu_ps(_mm512_set1_ps(-3e38f), (__mmask16)(((rest + 1) << i) - 1), s + i * stride + whole);
    for (size_t t = 0; t < whole; t += 16) most[i] = _mm512_max_ps(most[i], _mm512_load_ps(s + i * stride + t));
  }
  const __m512 rows = max_rows(most[0], most[1], most[2], most[3]);
  CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
    const __m512 top = _mm512_permutexvar_ps(_mm512_set1_epi32(4 * (int)i), rows);
    __m512 sum = _mm512_setzero_ps();
    for (size_t t = 0; t < whole; t += 16) {
      const __m512 p = exp512(_mm512_sub_ps(_mm512_load_ps(s + i * stride + t), top));
      _mm512_store_ps(s + i * stride + t, p);
      sum = _mm512_add_ps(sum, p);
    }
    const __m512 p = _mm512_maskz_mov_ps((__mmask16)(((rest + 1) << i) - 1), exp512(_mm512_sub_ps(_mm512_load_ps(s + i * stride + whole), top)));
    _mm512_store_ps(s + i * stride + whole, p);
    sums[i] = _mm512_add_ps(sum, p);
  }
  _mm_storeu_ps(inverse, _mm_div_ps(_mm_set1_ps(1.0f), gather_rows(fold_rows(sums[0], sums[1], sums[2], sums[3]))));
}

/* out[q][0 .. 16 * vectors) = inverse[q] * sum over t of p[q][t] values[t]. */
CHORD_AVX512_INLINE void value_tile(const size_t queries, const size_t vectors, const float *p, size_t padded, size_t keys,
                                    const float *values, size_t stride, const float *inverse, float *out, size_t out_stride, __mmask16 last) {
  __m512 sums[4][4];
  CHORD_UNROLL for (size_t i = 0; i < queries; i++)
    CHORD_UNROLL for (size_t j = 0; j < vectors; j++) sums[i][j] = _mm512_setzero_ps();
  for (size_t t = 0; t < keys; t++) {
    __m512 v[4];
    CHORD_UNROLL for (size_t j = 0; j < vectors; j++)
      v[j] = j + 1 < vectors ? _mm512_loadu_ps(values + t * stride + 16 * j) : _mm512_maskz_loadu_ps(last, values + t * stride + 16 * j);
    CHORD_UNROLL for (size_t i = 0; i < queries; i++) {
      const __m512 one = _mm512_set1_ps(p[i * padded + t]);
      CHORD_UNROLL for (size_t j = 0; j < vectors; j++) sums[i][j] = _mm512_fmadd_ps(one, v[j], sums[i][j]);
    }
  }
  CHORD_UNROLL for (size_t i = 0; i < queries; i++)
    CHORD_UNROLL for (size_t j = 0; j < vectors; j++)
      _mm512_mask_storeu_ps(out + i * out_stride + 16 * j, j + 1 < vectors ? 0xFFFF : last,
                            _mm512_mul_ps(sums[i][j], _mm512_set1_ps(inverse[i])));
}

/* All columns of a head for 1..4 queries. */
CHORD_AVX512_INLINE void value_columns(const size_t queries, const float *p, size_t padded, size_t keys, const float *values, size_t stride,
                                       size_t width, const float *inverse, float *out, size_t out_stride) {
  size_t c = 0;
  for (; c + 64 <= width; c += 64) value_tile(queries, 4, p, padded, keys, values + c, stride, inverse, out + c, out_stride, 0xFFFF);
  for (; c + 32 <= width; c += 32) value_tile(queries, 2, p, padded, keys, values + c, stride, inverse, out + c, out_stride, 0xFFFF);
  for (; c < width; c += 16) {
    const __mmask16 last = (__mmask16)(width - c >= 16 ? 0xFFFF : (1u << (width - c)) - 1);
    value_tile(queries, 1, p, padded, keys, values + c, stride, inverse, out + c, out_stride, last);
  }
}

/* `queries` (8, 4, 2 or 1) rows from `first` on, of one head. */
CHORD_AVX512_INLINE void query_tile(const size_t queries, const chord_attend *args, const size_t dim, size_t first, size_t head,
                                    const float *keys, float *scores, size_t padded) {
  const size_t width = dim / args->heads, stride = 3 * dim, column = head * width;
  const float *q = args->qkv + first * stride + column;
  const size_t count = first + queries;
  size_t t = 0;
  for (; t + 16 < count; t += 32) score_tile(queries, 2, q, stride, width, keys + t, padded, scores + t);
  if (t < count) score_tile(queries, 1, q, stride, width, keys + t, padded, scores + t);
  float inverse[8];
  if (queries >= 4)
    CHORD_UNROLL for (size_t i = 0; i < queries; i += 4) softmax4(scores + i * padded, padded, first + i + 1, inverse + i);
  else
    CHORD_UNROLL for (size_t i = 0; i < queries; i++) inverse[i] = softmax(scores + i * padded, first + i + 1);
  const float *values = args->qkv + 2 * dim + column;
  float *out = args->out + first * dim + column;
  const size_t part = queries < 4 ? queries : 4;
  for (size_t i = 0; i < queries; i += part)
    value_columns(part, scores + i * padded, padded, first + i + part, values, stride, width, inverse + i, out + i * dim, dim);
}

/* With a constant `dim` the rows of a tile are at constant distances, which leaves registers to gcc. */
CHORD_AVX512_INLINE void attend(const chord_attend *args, const size_t dim) {
  const size_t width = dim / args->heads, padded = chord_round_up(args->rows, 16);
  float *keys = args->work, *scores = keys + width * padded;
  for (size_t head = 0; head < args->heads; head++) {
    transpose_keys(args->qkv + dim + head * width, args->rows, 3 * dim, width, padded, keys);
    size_t first = 0;
    for (; first + 8 <= args->rows; first += 8) query_tile(8, args, dim, first, head, keys, scores, padded);
    if (args->rows & 4) query_tile(4, args, dim, first, head, keys, scores, padded), first += 4;
    if (args->rows & 2) query_tile(2, args, dim, first, head, keys, scores, padded), first += 2;
    if (args->rows & 1) query_tile(1, args, dim, first, head, keys, scores, padded);
  }
}

CHORD_AVX512 void chord_attend_f32__avx512(const chord_attend *arguments) {
  /* A copy of its own: a vector store may alias anything, so the fields would be read again after each one. */
  const chord_attend copy = *arguments, *const args = &copy;
  if (args->dim == 64)
    attend(args, 64);
  else
    attend(args, args->dim);
}

CHORD_AVX512_INLINE void mix_columns(size_t rows, size_t dim, const size_t vectors, const float *p, const float *x, float factor, float *out) {
  __m512 sums[4][4];
  CHORD_UNROLL for (size_t i = 0; i < 4; i++)
    CHORD_UNROLL for (size_t j = 0; j < vectors; j++) sums[i][j] = _mm512_setzero_ps();
  size_t t = 0;
  for (; t + 4 <= rows; t += 4)
    CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
      const __m512 one = _mm512_set1_ps(p[t + i]);
      CHORD_UNROLL for (size_t j = 0; j < vectors; j++)
        sums[i][j] = _mm512_fmadd_ps(one, _mm512_loadu_ps(x + (t + i) * dim + 16 * j), sums[i][j]);
    }
  CHORD_UNROLL for (size_t i = 0; i < 3; i++)
    if (t + i < rows) {
      const __m512 one = _mm512_set1_ps(p[t + i]);
      CHORD_UNROLL for (size_t j = 0; j < vectors; j++)
        sums[i][j] = _mm512_fmadd_ps(one, _mm512_loadu_ps(x + (t + i) * dim + 16 * j), sums[i][j]);
    }
  CHORD_UNROLL for (size_t j = 0; j < vectors; j++)
    _mm512_storeu_ps(out + 16 * j, _mm512_mul_ps(_mm512_add_ps(_mm512_add_ps(sums[0][j], sums[1][j]), _mm512_add_ps(sums[2][j], sums[3][j])),
                                                 _mm512_set1_ps(factor)));
}

CHORD_AVX512_INLINE void mix(size_t rows, size_t dim, const float *p, const float *x, float factor, float *out) {
  size_t c = 0;
  for (; c + 64 <= dim; c += 64) mix_columns(rows, dim, 4, p, x + c, factor, out + c);
  for (; c < dim; c += 16) mix_columns(rows, dim, 1, p, x + c, factor, out + c);
}

CHORD_AVX512 void chord_mix_rows_f32__avx512(size_t rows, size_t dim, const float *p, const float *x, float *out) {
  mix(rows, dim, p, x, 1.0f, out);
}

CHORD_AVX512_INLINE void last_scores(size_t rows, const size_t dim, const float *probe, const float *x, float *scores) {
  for (size_t t = 0; t < rows; t += 16) {
    __m512 sums[16];
    for (size_t i = 0; i < 16; i++) {
      sums[i] = _mm512_setzero_ps();
      /* Rows past the end repeat the last one: their scores are never used. */
      const float *row = x + (t + i < rows ? t + i : rows - 1) * dim;
      CHORD_UNROLL for (size_t c = 0; c < dim; c += 16)
        sums[i] = _mm512_fmadd_ps(_mm512_loadu_ps(probe + c), _mm512_loadu_ps(row + c), sums[i]);
    }
    _mm512_storeu_ps(scores + t, fold16_512(sums));
  }
}

CHORD_AVX512 void chord_attend_last_f32__avx512(const chord_attend_last *args) {
  const size_t dim = args->dim;
  for (size_t head = 0; head < args->heads; head++) {
    const float *probe = args->probe + head * dim;
    if (dim == 64)
      last_scores(args->rows, 64, probe, args->x, args->work);
    else
      last_scores(args->rows, dim, probe, args->x, args->work);
    const float inverse = softmax(args->work, args->rows);
    mix(args->rows, dim, args->work, args->x, inverse, args->out + head * dim);
  }
}

CHORD_AVX512_INLINE void combine_columns(size_t count, const size_t vectors, const float *x, const int8_t *codes, size_t stride, float *out) {
  __m512 sums[4][4];
  CHORD_UNROLL for (size_t i = 0; i < 4; i++)
    CHORD_UNROLL for (size_t j = 0; j < vectors; j++) sums[i][j] = _mm512_setzero_ps();
  size_t c = 0;
  for (; c + 4 <= count; c += 4)
    CHORD_UNROLL for (size_t i = 0; i < 4; i++)
      CHORD_UNROLL for (size_t j = 0; j < vectors; j++) {
        const __m128i row = _mm_loadu_si128((const __m128i *)(codes + (c + i) * stride + 16 * j));
        sums[i][j] = _mm512_fmadd_ps(_mm512_set1_ps(x[c + i]), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(row)), sums[i][j]);
      }
  CHORD_UNROLL for (size_t i = 0; i < 3; i++)
    if (c + i < count)
      CHORD_UNROLL for (size_t j = 0; j < vectors; j++) {
        const __m128i row = _mm_loadu_si128((const __m128i *)(codes + (c + i) * stride + 16 * j));
        sums[i][j] = _mm512_fmadd_ps(_mm512_set1_ps(x[c + i]), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(row)), sums[i][j]);
      }
  CHORD_UNROLL for (size_t j = 0; j < vectors; j++)
    _mm512_storeu_ps(out + 16 * j, _mm512_add_ps(_mm512_add_ps(sums[0][j], sums[1][j]), _mm512_add_ps(sums[2][j], sums[3][j])));
}

CHORD_AVX512 void chord_combine_rows_f32__avx512(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out) {
  size_t k = 0;
  for (; k + 64 <= dim; k += 64) combine_columns(count, 4, x, codes + k, stride, out + k);
  for (; k < dim; k += 16) combine_columns(count, 1, x, codes + k, stride, out + k);
}
#endif
