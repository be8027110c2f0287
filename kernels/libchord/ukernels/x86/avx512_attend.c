/* Attention, AVX-512: what lies before and between its two products, and the last position's, which is in floats. */
#if defined(__x86_64__)
#include "../spread.h"
#include "avx512.h"

/* Sixteen 32-bit elements (64 codes) of a row of activations as signed codes; zeros where `present` says so. */
CHORD_AVX512_INLINE __m512i signed_codes(const uint8_t *a, __mmask16 present) {
  return _mm512_maskz_xor_epi32(present, _mm512_maskz_loadu_epi32(present, a), _mm512_set1_epi8(-128));
}

CHORD_AVX512_HOT void chord_pack_rows_qa8_c8__avx512(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, int32_t *correction) {
  __m512i sums = _mm512_setzero_si512();
  for (size_t start = 0; start < depth; start += 64) {
    const size_t lines = depth - start < 64 ? (depth - start) / 4 : 16;
    const __mmask16 present = (__mmask16)(0xFFFFu >> (16 - lines));
    __m512i r[16];
    CHORD_UNROLL for (size_t i = 0; i < 16; i++)
      r[i] = signed_codes(a + (i < rows ? i : 0) * depth + start, i < rows ? present : 0);
    transpose16(r);
    CHORD_UNROLL for (size_t line = 0; line < 16; line++) {
      if (line >= lines) break;
      sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(-128), r[line]);
      _mm512_store_si512(panel + (start / 4 + line) * 64, r[line]);
    }
  }
  _mm512_storeu_si512(correction, _mm512_sub_epi32(_mm512_setzero_si512(), sums));
}

/* The codes of weights are not below zero, so they are stored without 128 and need no correction. */
CHORD_AVX512_HOT void chord_pack_columns_qa8_c8__avx512(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel, size_t panel_depth,
                                                    int32_t *correction) {
  memset(correction, 0, depth * sizeof(int32_t));
  const size_t block_bytes = 16 * panel_depth;
  panel += 16 * first;
  for (size_t start = 0; start < depth; start += 64, panel += 4 * block_bytes) {
    const size_t columns = depth - start < 64 ? depth - start : 64;
    const __mmask16 present = (__mmask16)(0xFFFFu >> (16 - columns / 4));
    for (size_t group = 0; group < 4; group++) {
      __m512i r[4];
      CHORD_UNROLL for (size_t i = 0; i < 4; i++)
        r[i] = 4 * group + i < rows ? signed_codes(a + (4 * group + i) * depth + start, present) : _mm512_setzero_si512();
      const __m512i low01 = _mm512_unpacklo_epi8(r[0], r[1]), high01 = _mm512_unpackhi_epi8(r[0], r[1]);
      const __m512i low23 = _mm512_unpacklo_epi8(r[2], r[3]), high23 = _mm512_unpackhi_epi8(r[2], r[3]);
      /* a[j]: columns 4 j .. 4 j + 3 of each 128-bit lane, four positions each. A block is a lane. */
      const __m512i a0 = _mm512_unpacklo_epi16(low01, low23), a1 = _mm512_unpackhi_epi16(low01, low23);
      const __m512i a2 = _mm512_unpacklo_epi16(high01, high23), a3 = _mm512_unpackhi_epi16(high01, high23);
      const __m512i x0 = _mm512_shuffle_i32x4(a0, a1, 0x44), x1 = _mm512_shuffle_i32x4(a0, a1, 0xEE);
      const __m512i y0 = _mm512_shuffle_i32x4(a2, a3, 0x44), y1 = _mm512_shuffle_i32x4(a2, a3, 0xEE);
      int8_t *line = panel + 64 * group;
      _mm512_store_si512(line, _mm512_shuffle_i32x4(x0, y0, 0x88));
      if (columns > 16) _mm512_store_si512(line + block_bytes, _mm512_shuffle_i32x4(x0, y0, 0xDD));
      if (columns > 32) _mm512_store_si512(line + 2 * block_bytes, _mm512_shuffle_i32x4(x1, y1, 0x88));
      if (columns > 48) _mm512_store_si512(line + 3 * block_bytes, _mm512_shuffle_i32x4(x1, y1, 0xDD));
    }
  }
}

/* In place: p = 2^(s - max), zero from `count` to the next multiple of 16; returns 1 / sum. */
CHORD_AVX512_INLINE float softmax(float *s, size_t count) {
  const size_t whole = (count - 1) / 16 * 16;
  const __mmask16 rest = (__mmask16)(0xFFFFu >> (16 - (count - whole)));
  const __m512 tail = _mm512_load_ps(s + whole);
  __m512 most = _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), rest, tail);
  for (size_t t = 0; t < whole; t += 16) most = _mm512_max_ps(most, _mm512_load_ps(s + t));
  most = _mm512_set1_ps(max512(most));
  __m512 sums = _mm512_setzero_ps();
  for (size_t t = 0; t < whole; t += 16) {
    const __m512 p = exp2_512(_mm512_sub_ps(_mm512_load_ps(s + t), most));
    _mm512_store_ps(s + t, p);
    sums = _mm512_add_ps(sums, p);
  }
  const __m512 p = _mm512_maskz_mov_ps(rest, exp2_512(_mm512_sub_ps(tail, most)));
  _mm512_store_ps(s + whole, p);
  return 1.0f / fold512(_mm512_add_ps(sums, p));
}

/*
 * `count` (4 or 1) rows of scores from `first` on, all of which end in the same vector, the one at `whole`. Their weights replace the
 * scores; codes and scales are made of them in the end.
 */
CHORD_AVX512_INLINE void softmax_codes(const size_t count, const chord_softmax *args, size_t row) {
  const size_t whole = args->first, stride = args->stride;
  float *s = args->scores + row * stride;
  const float *value_scale = args->value_scale;
  const unsigned rest = (2u << row) - 1;
  __m512 most[4], sums[4];
  CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
    const size_t own = i < count ? i : 0;
    most[i] = _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), (__mmask16)(((rest + 1) << own) - 1), s + own * stride + whole);
    if (i < count)
      for (size_t t = 0; t < whole; t += 16) most[i] = _mm512_max_ps(most[i], _mm512_loadu_ps(s + i * stride + t));
  }
  const __m512 tops = max_rows(most[0], most[1], most[2], most[3]);
  CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
    sums[i] = most[i] = _mm512_setzero_ps();
    if (i >= count) continue;
    const __m512 top = _mm512_permutexvar_ps(_mm512_set1_epi32(4 * (int)i), tops);
    for (size_t t = 0; t < whole; t += 16) {
      const __m512 p = exp2_512(_mm512_sub_ps(_mm512_loadu_ps(s + i * stride + t), top)), w = _mm512_mul_ps(p, _mm512_loadu_ps(value_scale + t));
      _mm512_storeu_ps(s + i * stride + t, w);
      sums[i] = _mm512_add_ps(sums[i], p);
      most[i] = larger512(most[i], w);
    }
    const __mmask16 present = (__mmask16)(((rest + 1) << i) - 1);
    const __m512 p = _mm512_maskz_mov_ps(present, exp2_512(_mm512_sub_ps(_mm512_loadu_ps(s + i * stride + whole), top)));
    const __m512 w = _mm512_mul_ps(p, _mm512_loadu_ps(value_scale + whole));
    _mm512_storeu_ps(s + i * stride + whole, w);
    sums[i] = _mm512_add_ps(sums[i], p);
    most[i] = larger512(most[i], w);
  }
  float scales[4];
  const __m128 inverse = activation_scales(larger_rows(most[0], most[1], most[2], most[3]), 4, scales);
  const __m128 of_sums = _mm_div_ps(_mm_set1_ps(1.0f), gather_rows(fold_rows(sums[0], sums[1], sums[2], sums[3])));
  _mm_mask_storeu_ps(args->p_scale + row, (__mmask8)((1u << count) - 1), _mm_mul_ps(_mm_loadu_ps(scales), of_sums));
  CHORD_UNROLL for (size_t i = 0; i < count; i++) {
    const __m512 factor = SPREAD_ROW(inverse, (int)i);
    for (size_t t = 0; t <= whole; t += 16) {
      const __m512 rounded = _mm512_fmadd_ps(_mm512_loadu_ps(s + i * stride + t), factor, _mm512_set1_ps(CHORD_ROUND));
      _mm_storeu_si128((__m128i *)(args->p + (row + i) * stride + t), _mm512_cvtepi32_epi8(_mm512_castps_si512(rounded)));
    }
  }
}

CHORD_AVX512_HOT void chord_softmax_f32_qa8__avx512(const chord_softmax *arguments) {
  const chord_softmax copy = *arguments, *const args = &copy;
  size_t row = 0;
  for (; row + 4 <= args->rows; row += 4) softmax_codes(4, args, row);
  for (; row < args->rows; row++) softmax_codes(1, args, row);
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

static CHORD_AVX512_HOT CHORD_NOINLINE void mix(size_t rows, size_t dim, const float *p, const float *x, float factor, float *out) {
  size_t c = 0;
  for (; c + 64 <= dim; c += 64) mix_columns(rows, dim, 4, p, x + c, factor, out + c);
  for (; c < dim; c += 16) mix_columns(rows, dim, 1, p, x + c, factor, out + c);
}

CHORD_AVX512_HOT void chord_mix_rows_f32__avx512(size_t rows, size_t dim, const float *p, const float *x, float *out) {
  mix(rows, dim, p, x, 1.0f, out);
}

CHORD_AVX512_INLINE void last_scores(size_t rows, const size_t dim, const float *probe, const float *x, float *scores) {
  for (size_t t = 0; t < rows; t += 16) {
    __m512 sums[16];
    for (size_t i = 0; i < 16; i++) {
      sums[i] = _mm512_setzero_ps();
      /* Rows past the end repeat the last one: their scores are never used. */
      const float *row = x + (t + i < rows ? t + i : rows - 1) * dim;
      CHORD_UNROLL_4 for (size_t c = 0; c < dim; c += 16)
        sums[i] = _mm512_fmadd_ps(_mm512_loadu_ps(probe + c), _mm512_loadu_ps(row + c), sums[i]);
    }
    _mm512_storeu_ps(scores + t, fold16_512(sums));
  }
}

CHORD_AVX512_WIDE void last_scores_any(size_t rows, size_t dim, const float *probe, const float *x, float *scores) {
  last_scores(rows, dim, probe, x, scores);
}

CHORD_AVX512_HOT void chord_attend_last_f32__avx512(const chord_attend_last *args) {
  const size_t dim = args->dim;
  for (size_t head = 0; head < args->heads; head++) {
    const float *probe = args->probe + head * dim;
    if (dim == 64)
      last_scores(args->rows, 64, probe, args->x, args->work);
    else
      last_scores_any(args->rows, dim, probe, args->x, args->work);
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

CHORD_AVX512_HOT void chord_combine_rows_f32__avx512(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out) {
  size_t k = 0;
  for (; k + 64 <= dim; k += 64) combine_columns(count, 4, x, codes + k, stride, out + k);
  for (; k < dim; k += 16) combine_columns(count, 1, x, codes + k, stride, out + k);
}

CHORD_AVX512_INLINE void spread(const chord_spread args) {
  for (size_t c = 0; c < args.dim; c += 16) {
    const int32_t next = args.places[c], first = next < 0 ? ~next : next;
    const __m512i places = _mm512_loadu_si512(args.places + c), from = _mm512_sub_epi32(places, _mm512_set1_epi32(first));
    const __mmask16 there = _mm512_cmpge_epi32_mask(places, _mm512_setzero_si512());
    const __m512 fill = _mm512_loadu_ps(args.fill + c);
    const float *x = args.x + first;
    float *out = args.out + c;
    for (size_t row = 0; row < args.rows; row++, x += args.x_stride, out += args.out_stride)
      _mm512_storeu_ps(out, _mm512_mask_permutexvar_ps(fill, there, from, _mm512_loadu_ps(x)));
  }
}

CHORD_AVX512 void chord_spread_f32__avx512(const chord_spread *args) {
  CHORD_SPREAD_SOME_ROWS(args, spread)
}
#endif
