/* Helpers of the AVX-512 kernels. */
#ifndef CHORD_AVX512_H
#define CHORD_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "../constants.h"
#include "../ukernels.h"

#define CHORD_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define CHORD_AVX512_HOT CHORD_AVX512 CHORD_CODE_PART(avx512)
#define CHORD_AVX512_64 static CHORD_AVX512 CHORD_CODE_PART(avx512_64) CHORD_NOINLINE
#define CHORD_AVX512_WIDE static CHORD_AVX512 CHORD_CODE_PART(avx512_wide) CHORD_NOINLINE
#define CHORD_AVX512_INLINE static inline __attribute__((always_inline)) CHORD_AVX512

/* A loop over registers: both compilers must unroll it fully, else gcc keeps the array of accumulators in memory. */
#define CHORD_UNROLL _Pragma("GCC unroll 16")
/* The same for loops that are also compiled for any length. */
#define CHORD_UNROLL_4 _Pragma("GCC unroll 4")
#define CHORD_NOINLINE __attribute__((noinline))

/* 16 -> 8 -> 4 -> 2 -> 1, as ukernels.h defines it. */
CHORD_AVX512_INLINE float fold512(__m512 x) {
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

CHORD_AVX512_INLINE float max512(__m512 x) {
  const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

/* The larger of two that are not below zero. As integers, because then what is not a number is larger than all numbers, and stays. */
CHORD_AVX512_INLINE __m512 larger512(__m512 a, __m512 b) {
  return _mm512_castsi512_ps(_mm512_max_epu32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}

CHORD_AVX512_INLINE float largest512(__m512 x) {
  const __m256i half = _mm256_max_epu32(_mm512_castsi512_si256(_mm512_castps_si512(x)), _mm512_extracti32x8_epi32(_mm512_castps_si512(x), 1));
  __m128i q = _mm_max_epu32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  q = _mm_max_epu32(q, _mm_unpackhi_epi64(q, q));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epu32(q, _mm_shuffle_epi32(q, 0x55))));
}

/* fold512 of sixteen vectors at once: out[i] = fold512(x[i]). */
CHORD_AVX512_INLINE __m512 fold16_512(const __m512 x[16]) {
  __m512 a[8], b[4], c[2];
  CHORD_UNROLL for (int i = 0; i < 8; i++)
    a[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0x44), _mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0xEE));
  CHORD_UNROLL for (int i = 0; i < 4; i++)
    b[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0x88), _mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0xDD));
  CHORD_UNROLL for (int i = 0; i < 2; i++)
    c[i] = _mm512_add_ps(_mm512_shuffle_ps(b[2 * i], b[2 * i + 1], 0x44), _mm512_shuffle_ps(b[2 * i], b[2 * i + 1], 0xEE));
  const __m512 d = _mm512_add_ps(_mm512_shuffle_ps(c[0], c[1], 0x88), _mm512_shuffle_ps(c[0], c[1], 0xDD));
  /* Vector 4 j + l lies in element j of 128-bit lane l. */
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), d);
}

CHORD_AVX512_INLINE __m512i fold16_epi32_512(const __m512i x[16]) {
  __m512i a[8], b[4], c[2];
  CHORD_UNROLL for (int i = 0; i < 8; i++)
    a[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(x[2 * i], x[2 * i + 1], 0x44), _mm512_shuffle_i32x4(x[2 * i], x[2 * i + 1], 0xEE));
  CHORD_UNROLL for (int i = 0; i < 4; i++)
    b[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(a[2 * i], a[2 * i + 1], 0x88), _mm512_shuffle_i32x4(a[2 * i], a[2 * i + 1], 0xDD));
  CHORD_UNROLL for (int i = 0; i < 2; i++)
    c[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(b[2 * i], b[2 * i + 1]), _mm512_unpackhi_epi64(b[2 * i], b[2 * i + 1]));
  const __m512 even = _mm512_shuffle_ps(_mm512_castsi512_ps(c[0]), _mm512_castsi512_ps(c[1]), 0x88);
  const __m512 odd = _mm512_shuffle_ps(_mm512_castsi512_ps(c[0]), _mm512_castsi512_ps(c[1]), 0xDD);
  const __m512i d = _mm512_add_epi32(_mm512_castps_si512(even), _mm512_castps_si512(odd));
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), d);
}

/* fold512 of four vectors: 128-bit lane r is the sum of row r, in each of its elements. */
CHORD_AVX512_INLINE __m512 fold_rows(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  const __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
  const __m512 fours = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
  const __m512 twos = _mm512_add_ps(fours, _mm512_permute_ps(fours, 0x4E));
  return _mm512_add_ps(twos, _mm512_permute_ps(twos, 0xB1));
}

CHORD_AVX512_INLINE __m512 max_rows(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  const __m512 cd = _mm512_max_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
  const __m512 fours = _mm512_max_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
  const __m512 twos = _mm512_max_ps(fours, _mm512_permute_ps(fours, 0x4E));
  return _mm512_max_ps(twos, _mm512_permute_ps(twos, 0xB1));
}

/* The same for what is not below zero, where what is not a number stays. */
CHORD_AVX512_INLINE __m512 larger_rows(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = larger512(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  const __m512 cd = larger512(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
  const __m512 fours = larger512(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
  const __m512 twos = larger512(fours, _mm512_permute_ps(fours, 0x4E));
  return larger512(twos, _mm512_permute_ps(twos, 0xB1));
}

/* Element 0 of each 128-bit lane, side by side: four rows in a short vector, for the slow divisions and roots. */
CHORD_AVX512_INLINE __m128 gather_rows(__m512 lanes) {
  return _mm512_castps512_ps128(_mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12), lanes));
}

/* Row r of a short vector, sixteen times. */
#define SPREAD_ROW(rows, r) _mm512_permutexvar_ps(_mm512_set1_epi32(r), _mm512_castps128_ps512(rows))

/* exp of x <= 0, clamped at -64; see constants.h. */
CHORD_AVX512_INLINE __m512 exp512(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(CHORD_EXP_LOW), x); /* in this order what is not a number stays none */
  const __m512 round = _mm512_set1_ps(CHORD_ROUND), one = _mm512_set1_ps(1.0f);
  const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(CHORD_LOG2E), round), round);
  const __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(CHORD_LN2), x);
  __m512 p = _mm512_set1_ps(CHORD_EXP_P6);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(CHORD_EXP_P5));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(CHORD_EXP_P4));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(CHORD_EXP_P3));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(CHORD_EXP_P2));
  p = _mm512_fmadd_ps(p, r, one);
  p = _mm512_fmadd_ps(p, r, one);
  /* Exact for the powers that occur, so equal to the product with 2^n. */
  return _mm512_scalef_ps(p, n);
}

/* 2^x, x <= 0, clamped at -92. */
CHORD_AVX512_INLINE __m512 exp2_512(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(CHORD_EXP2_LOW), x); /* in this order what is not a number stays none */
  const __m512 round = _mm512_set1_ps(CHORD_ROUND), shifted = _mm512_add_ps(x, round), n = _mm512_sub_ps(shifted, round);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(CHORD_EXP2_P4);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(CHORD_EXP2_P3));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(CHORD_EXP2_P2));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(CHORD_EXP2_P1));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  /* The integer stands in the low bits of `shifted`: added to the exponent it multiplies, exactly. Masked lanes may overflow. */
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(shifted), 23)));
}

/* max(y, 0) if asked for, where what is not a number stays, and -0 becomes 0: for each kind of float, keep (0, 1) or zero (8). From the lowest digit
 * on: quiet and signalling NaN, zero, one, -inf, inf, negative, positive. */
CHORD_AVX512_INLINE __m512 relu_if512(int asked, __m512 y) { return _mm512_fixupimm_ps(y, y, _mm512_set1_epi32(asked ? 0x18181811 : 0), 0); }

/* Rows of sixteen 32-bit elements to columns. */
CHORD_AVX512_INLINE void transpose16(__m512i r[16]) {
  __m512i t[16];
  CHORD_UNROLL for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  CHORD_UNROLL for (int i = 0; i < 4; i++) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  CHORD_UNROLL for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xDD);
    t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xDD);
  }
  CHORD_UNROLL for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xDD);
    r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xDD);
  }
}

/* Sixteen int8 codes of a table row, from element i on. */
CHORD_AVX512_INLINE __m128i table16(const chord_table *table, size_t dim, size_t row, size_t i) {
  if (table->bits == 8) return _mm_loadu_si128((const __m128i *)(table->codes + row * dim + i));
  const __m128i packed = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(table->codes + row * (dim / 2) + i / 2)));
  const __m128i nibbles = _mm_and_si128(_mm_or_si128(packed, _mm_slli_epi16(packed, 4)), _mm_set1_epi8(15));
  return _mm_sub_epi8(_mm_xor_si128(nibbles, _mm_set1_epi8(8)), _mm_set1_epi8(8));
}

/* Sixteen floats to the codes of activations (128 added), given 127 / max|x|. */
CHORD_AVX512_INLINE void store_qa8(uint8_t *a, __m512 x, __m512 inverse) {
  _mm_storeu_si128((__m128i *)a, _mm512_cvtepi32_epi8(_mm512_castps_si512(_mm512_fmadd_ps(x, inverse, _mm512_set1_ps(CHORD_ROUND + 128.0f)))));
}

/* Scale of a row with the largest magnitude `most`; returns 127 / most, or 0 for a row of zeros. */
CHORD_AVX512_INLINE float activation_scale(float most, float *scale) {
  *scale = fmaf(most, 0.0f, most * (1.0f / 127.0f));
  return most >= CHORD_SMALLEST_MAX ? 127.0f / most : 0.0f;
}

/* 127 / most for four rows (0 for a row of zeros), and their scales into the `count` rows from `a_scale` on. */
CHORD_AVX512_INLINE __m128 activation_scales(__m512 most, size_t count, float *a_scale) {
  const __m128 rows = gather_rows(most);
  _mm_mask_storeu_ps(a_scale, (__mmask8)((1u << count) - 1), _mm_fmadd_ps(rows, _mm_setzero_ps(), _mm_mul_ps(rows, _mm_set1_ps(1.0f / 127.0f))));
  return _mm_maskz_div_ps(_mm_cmp_ps_mask(rows, _mm_set1_ps(CHORD_SMALLEST_MAX), _CMP_GE_OQ), _mm_set1_ps(127.0f), rows);
}

/* The larger magnitude of two: vrangeps does both in one step. It passes over what is not a number, so it is only for rows that are none as a
 * whole: products with activations, and norms. LARGER4 is for all. */
#define LARGER4(v) \
  larger512(larger512(_mm512_abs_ps(v##0), _mm512_abs_ps(v##1)), larger512(_mm512_abs_ps(v##2), _mm512_abs_ps(v##3)))
#define ABS_MAX(a, b) _mm512_range_ps(a, b, 0x0B)
#define ABS_MAX4(v) ABS_MAX(ABS_MAX(v##0, v##1), ABS_MAX(v##2, v##3))

/* Sixty-four codes, `offset` (128 or 0) added: after the addition of CHORD_ROUND a code is the low half of each element. */
CHORD_AVX512_INLINE __m512i codes_of_64(const int offset, __m512 x0, __m512 x1, __m512 x2, __m512 x3, __m512 inverse) {
  const __m512 round = _mm512_set1_ps(CHORD_ROUND + (float)offset);
  const __m512i low_halves = _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i low = _mm512_permutex2var_epi16(_mm512_castps_si512(_mm512_fmadd_ps(x0, inverse, round)), low_halves,
                                                _mm512_castps_si512(_mm512_fmadd_ps(x1, inverse, round)));
  const __m512i high = _mm512_permutex2var_epi16(_mm512_castps_si512(_mm512_fmadd_ps(x2, inverse, round)), low_halves,
                                                 _mm512_castps_si512(_mm512_fmadd_ps(x3, inverse, round)));
  const __m512i bytes = offset ? _mm512_packus_epi16(low, high) : _mm512_packs_epi16(low, high);
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), bytes);
}

void chord_norm_f32__avx512(const chord_norm *args);
void chord_quantize_f32_qa8__avx512(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride, float *a_scale);
void chord_gelu_f32__avx512(size_t count, float *x);
void chord_embed_e_f32__avx512(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, const chord_table *positions,
                               const int32_t *slots, float *out);
void chord_gather_e_qa8__avx512(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, uint8_t *a, size_t a_stride,
                                float *a_scale);
void chord_pack_rows_qa8_c8__avx512(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, int32_t *correction);
void chord_pack_columns_qa8_c8__avx512(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel, size_t panel_depth,
                                       int32_t *correction);
void chord_softmax_f32_qa8__avx512(const chord_softmax *args);
void chord_attend_last_f32__avx512(const chord_attend_last *args);
void chord_mix_rows_f32__avx512(size_t rows, size_t dim, const float *p, const float *x, float *out);
void chord_combine_rows_f32__avx512(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out);
void chord_spread_f32__avx512(const chord_spread *arguments);
void chord_score_q16_e__avx512vnni(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items, const int32_t *ids,
                                   uint32_t first, float *scores);

#endif
