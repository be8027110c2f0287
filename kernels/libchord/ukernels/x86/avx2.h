/* Helpers of the AVX2 kernels. Sixteen lanes are two registers: `lanes`. */
#ifndef CHORD_AVX2_H
#define CHORD_AVX2_H

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "../constants.h"
#include "../ukernels.h"

#define CHORD_AVX2 __attribute__((target("avx2,fma")))
#define CHORD_AVX2_HOT CHORD_AVX2 CHORD_CODE_PART(avx2_rows)
#define CHORD_AVX2_INLINE static inline __attribute__((always_inline)) CHORD_AVX2
#define CHORD_UNROLL _Pragma("GCC unroll 16")

typedef struct lanes {
  __m256 low, high;
} lanes;

CHORD_AVX2_INLINE lanes lanes_load(const float *x) { return (lanes){_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
CHORD_AVX2_INLINE lanes lanes_set1(float x) { return (lanes){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
CHORD_AVX2_INLINE lanes lanes_add(lanes a, lanes b) { return (lanes){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
CHORD_AVX2_INLINE lanes lanes_sub(lanes a, lanes b) { return (lanes){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
CHORD_AVX2_INLINE lanes lanes_mul(lanes a, lanes b) { return (lanes){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
CHORD_AVX2_INLINE lanes lanes_max(lanes a, lanes b) { return (lanes){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }

/* The larger of two that are not below zero. As integers, because then what is not a number is larger than all numbers, and stays. */
CHORD_AVX2_INLINE __m256 larger256(__m256 a, __m256 b) {
  return _mm256_castsi256_ps(_mm256_max_epu32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
CHORD_AVX2_INLINE __m128 larger128(__m128 a, __m128 b) {
  return _mm_castsi128_ps(_mm_max_epu32(_mm_castps_si128(a), _mm_castps_si128(b)));
}
CHORD_AVX2_INLINE lanes lanes_larger(lanes a, lanes b) { return (lanes){larger256(a.low, b.low), larger256(a.high, b.high)}; }
CHORD_AVX2_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) {
  return (lanes){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
CHORD_AVX2_INLINE lanes lanes_abs(lanes a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return (lanes){_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
CHORD_AVX2_INLINE void lanes_store(float *out, lanes a) {
  _mm256_storeu_ps(out, a.low);
  _mm256_storeu_ps(out + 8, a.high);
}

/* All bits in the first `count` lanes. */
typedef struct lane_mask {
  __m256i low, high;
} lane_mask;

CHORD_AVX2_INLINE lane_mask first_lanes(size_t count) {
  const __m256i n = _mm256_set1_epi32(count < 16 ? (int)count : 16), index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return (lane_mask){_mm256_cmpgt_epi32(n, index), _mm256_cmpgt_epi32(n, _mm256_add_epi32(index, _mm256_set1_epi32(8)))};
}

CHORD_AVX2_INLINE lanes lanes_load_first(const float *x, lane_mask m) {
  return (lanes){_mm256_maskload_ps(x, m.low), _mm256_maskload_ps(x + 8, m.high)};
}

CHORD_AVX2_INLINE void lanes_store_first(float *out, lanes a, lane_mask m) {
  _mm256_maskstore_ps(out, m.low, a.low);
  _mm256_maskstore_ps(out + 8, m.high, a.high);
}

/* `a` in the masked lanes, `b` in the others. */
CHORD_AVX2_INLINE lanes lanes_select(lane_mask m, lanes a, lanes b) {
  return (lanes){_mm256_blendv_ps(b.low, a.low, _mm256_castsi256_ps(m.low)), _mm256_blendv_ps(b.high, a.high, _mm256_castsi256_ps(m.high))};
}

/* 16 -> 8 -> 4 -> 2 -> 1, as ukernels.h defines it. */
CHORD_AVX2_INLINE float lanes_fold(lanes a) {
  const __m256 half = _mm256_add_ps(a.low, a.high);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

CHORD_AVX2_INLINE float lanes_most(lanes a) {
  const __m256 half = _mm256_max_ps(a.low, a.high);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}

/* lanes_fold of four rows, side by side. */
CHORD_AVX2_INLINE __m128 fold_rows(lanes a, lanes b, lanes c, lanes d) {
  const __m256 e = _mm256_add_ps(a.low, a.high), f = _mm256_add_ps(b.low, b.high), g = _mm256_add_ps(c.low, c.high), h = _mm256_add_ps(d.low, d.high);
  const __m256 ef = _mm256_add_ps(_mm256_permute2f128_ps(e, f, 0x20), _mm256_permute2f128_ps(e, f, 0x31));
  const __m256 gh = _mm256_add_ps(_mm256_permute2f128_ps(g, h, 0x20), _mm256_permute2f128_ps(g, h, 0x31));
  const __m256 twos = _mm256_add_ps(_mm256_shuffle_ps(ef, gh, 0x44), _mm256_shuffle_ps(ef, gh, 0xEE));
  const __m256 ones = _mm256_add_ps(twos, _mm256_permute_ps(twos, 0xB1));
  return _mm_blend_ps(_mm256_castps256_ps128(ones), _mm256_extractf128_ps(ones, 1), 0xA);
}

/* lanes_largest of four rows; of each the larger half is given. */
CHORD_AVX2_INLINE __m128 largest_rows(__m256 e, __m256 f, __m256 g, __m256 h) {
  const __m256 ef = larger256(_mm256_permute2f128_ps(e, f, 0x20), _mm256_permute2f128_ps(e, f, 0x31));
  const __m256 gh = larger256(_mm256_permute2f128_ps(g, h, 0x20), _mm256_permute2f128_ps(g, h, 0x31));
  const __m256 twos = larger256(_mm256_shuffle_ps(ef, gh, 0x44), _mm256_shuffle_ps(ef, gh, 0xEE));
  const __m256 ones = larger256(twos, _mm256_permute_ps(twos, 0xB1));
  return _mm_blend_ps(_mm256_castps256_ps128(ones), _mm256_extractf128_ps(ones, 1), 0xA);
}

/* The largest of sixteen that are not below zero, or what is not a number. */
CHORD_AVX2_INLINE float lanes_largest(lanes a) {
  const __m256 half = larger256(a.low, a.high);
  __m128 q = larger128(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  q = larger128(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(larger128(q, _mm_movehdup_ps(q)));
}

CHORD_AVX2_INLINE __m256 exp256(__m256 x) {
  x = _mm256_max_ps(_mm256_set1_ps(CHORD_EXP_LOW), x); /* in this order what is not a number stays none */
  const __m256 round = _mm256_set1_ps(CHORD_ROUND), one = _mm256_set1_ps(1.0f);
  const __m256 n = _mm256_sub_ps(_mm256_fmadd_ps(x, _mm256_set1_ps(CHORD_LOG2E), round), round);
  const __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(CHORD_LN2), x);
  __m256 p = _mm256_set1_ps(CHORD_EXP_P6);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CHORD_EXP_P5));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CHORD_EXP_P4));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CHORD_EXP_P3));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CHORD_EXP_P2));
  p = _mm256_fmadd_ps(p, r, one);
  p = _mm256_fmadd_ps(p, r, one);
  const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

/* 2^x, x <= 0, clamped at -92. */
CHORD_AVX2_INLINE __m256 exp2_256(__m256 x) {
  x = _mm256_max_ps(_mm256_set1_ps(CHORD_EXP2_LOW), x); /* in this order what is not a number stays none */
  const __m256 round = _mm256_set1_ps(CHORD_ROUND), shifted = _mm256_add_ps(x, round), n = _mm256_sub_ps(shifted, round);
  const __m256 r = _mm256_sub_ps(x, n);
  __m256 p = _mm256_set1_ps(CHORD_EXP2_P4);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CHORD_EXP2_P3));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CHORD_EXP2_P2));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(CHORD_EXP2_P1));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  /* The integer stands in the low bits of `shifted`: added to the exponent it multiplies, exactly. Masked lanes may overflow. */
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(shifted), 23)));
}

CHORD_AVX2_INLINE lanes lanes_exp2(lanes a) { return (lanes){exp2_256(a.low), exp2_256(a.high)}; }
CHORD_AVX2_INLINE lanes lanes_exp(lanes a) { return (lanes){exp256(a.low), exp256(a.high)}; }

/* Sixteen int8 codes of a table row, from element i on. */
CHORD_AVX2_INLINE __m128i table16(const chord_table *table, size_t dim, size_t row, size_t i) {
  if (table->bits == 8) return _mm_loadu_si128((const __m128i *)(table->codes + row * dim + i));
  const __m128i packed = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(table->codes + row * (dim / 2) + i / 2)));
  const __m128i nibbles = _mm_and_si128(_mm_or_si128(packed, _mm_slli_epi16(packed, 4)), _mm_set1_epi8(15));
  return _mm_sub_epi8(_mm_xor_si128(nibbles, _mm_set1_epi8(8)), _mm_set1_epi8(8));
}

CHORD_AVX2_INLINE lanes lanes_of_codes(__m128i codes) {
  return (lanes){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)))};
}

/* Sixteen floats to the codes of activations (128 added), given 127 / max|x|: after the addition a code is the low byte of each element. */
CHORD_AVX2_INLINE void store_qa8(uint8_t *a, lanes x, lanes inverse) {
  const lanes rounded = lanes_fma(x, inverse, lanes_set1(CHORD_ROUND + 128.0f));
  const __m256i byte = _mm256_set1_epi32(255);
  const __m256i words = _mm256_packus_epi32(_mm256_and_si256(_mm256_castps_si256(rounded.low), byte),
                                            _mm256_and_si256(_mm256_castps_si256(rounded.high), byte));
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
  _mm_storeu_si128((__m128i *)a, _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}

CHORD_AVX2_INLINE float activation_scale(float most, float *scale) {
  *scale = fmaf(most, 0.0f, most * (1.0f / 127.0f));
  return most >= CHORD_SMALLEST_MAX ? 127.0f / most : 0.0f;
}

/* 127 / most for four rows (0 for a row of zeros), and the scales of the first `count` of them. */
CHORD_AVX2_INLINE __m128 activation_scales(__m128 most, size_t count, float *scales) {
  const __m128 all = _mm_fmadd_ps(most, _mm_setzero_ps(), _mm_mul_ps(most, _mm_set1_ps(1.0f / 127.0f)));
  _mm_maskstore_ps(scales, _mm256_castsi256_si128(first_lanes(count).low), all);
  return _mm_and_ps(_mm_div_ps(_mm_set1_ps(127.0f), most), _mm_cmpge_ps(most, _mm_set1_ps(CHORD_SMALLEST_MAX)));
}

void chord_expand_c8__avx2(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale);
void chord_derive_rows__avx2(const chord_channels *channels, int8_t *out, float *scale);
void chord_quantize_f32_qa8__avx2(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride, float *a_scale);
void chord_norm_f32__avx2(const chord_norm *args);
void chord_gelu_f32__avx2(size_t count, float *x);
void chord_embed_e_f32__avx2(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, const chord_table *positions,
                             const int32_t *slots, float *out);
void chord_gather_e_qa8__avx2(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, uint8_t *a, size_t a_stride,
                              float *a_scale);
void chord_pack_rows_qa8_c8__avx2(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, int32_t *correction);
void chord_pack_columns_qa8_c8__avx2(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel, size_t panel_depth,
                                     int32_t *correction);
void chord_softmax_f32_qa8__avx2(const chord_softmax *args);
void chord_attend_last_f32__avx2(const chord_attend_last *args);
void chord_mix_rows_f32__avx2(size_t rows, size_t dim, const float *p, const float *x, float *out);
void chord_combine_rows_f32__avx2(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out);
void chord_spread_f32__avx2(const chord_spread *args);
void chord_score_q16_e__avx2(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items, const int32_t *ids,
                             uint32_t first, float *scores);

#endif
