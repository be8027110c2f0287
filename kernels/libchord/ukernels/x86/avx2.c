/*
 * AVX2 without VNNI: vpmaddubsw adds two products in 16 saturating bits. |activation| times (weight with the activation's sign) never
 * exceeds 2 * 127 * 127 = 32258, so nothing saturates and the sums are exact.
 */
#if defined(__x86_64__)
#include "avx2.h"

#define GEMM_TARGET CHORD_AVX2
#define GEMM_NAME chord_gemm_qa8_c8__avx2
#define GEMM_PART CHORD_CODE_PART(avx2)
#define GEMM_ROWS 4

typedef struct signed_group {
  __m256i code, magnitude;
} signed_group;
#define GROUP_TYPE signed_group
#define GROUP(a) group_of(a)
/* Activations are stored with 128 added, as the other x86 variants have them; here they are signed again, without correction. */
#define START(j) _mm256_setzero_si256()
#define DOT dot

CHORD_AVX2_INLINE signed_group group_of(const uint8_t *a) {
  int32_t group;
  memcpy(&group, a, 4);
  const __m256i code = _mm256_xor_si256(_mm256_set1_epi32(group), _mm256_set1_epi8(-128));
  return (signed_group){code, _mm256_abs_epi8(code)};
}

CHORD_AVX2_INLINE __m256i dot(__m256i sum, signed_group a, __m256i w) {
  const __m256i pairs = _mm256_maddubs_epi16(a.magnitude, _mm256_sign_epi8(w, a.code));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "avx2_gemm.h"

/* Codes of 32 inputs of one channel; ratio 0 and keep -1 for int8, ratio 0 and keep 0 for off. */
CHORD_AVX2_INLINE __m256i derive32(__m256i codes, __m256i ratio, __m256i least, __m256i most, __m256i keep) {
  const __m256i low = _mm256_mulhrs_epi16(_mm256_srai_epi16(_mm256_unpacklo_epi8(codes, codes), 8), ratio);
  const __m256i high = _mm256_mulhrs_epi16(_mm256_srai_epi16(_mm256_unpackhi_epi8(codes, codes), 8), ratio);
  const __m256i derived = _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(low, high), least), most);
  return _mm256_or_si256(derived, _mm256_and_si256(codes, keep));
}

/* out[0..count) of one channel, count a multiple of 16 up to 64. */
CHORD_AVX2_INLINE void derive_part(const chord_channels *channels, size_t c, size_t start, size_t count, int8_t *out) {
  static const int8_t leasts[4] = {0, -2, -7, 0}, mosts[4] = {0, 1, 7, 0};
  const uint8_t width = channels->widths[c];
  const int16_t ratios[4] = {0, channels->ratios2[c], channels->ratios4[c], 0};
  const __m256i ratio = _mm256_set1_epi16(ratios[width]), least = _mm256_set1_epi8(leasts[width]), most = _mm256_set1_epi8(mosts[width]);
  const __m256i keep = _mm256_set1_epi8(width == 3 ? -1 : 0);
  const int8_t *row = channels->rows[c] + start;
  size_t i = 0;
  for (; i + 32 <= count; i += 32)
    _mm256_storeu_si256((__m256i *)(out + i), derive32(_mm256_loadu_si256((const __m256i *)(row + i)), ratio, least, most, keep));
  if (i < count) {
    const __m256i codes = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(row + i)));
    _mm_storeu_si128((__m128i *)(out + i), _mm256_castsi256_si128(derive32(codes, ratio, least, most, keep)));
  }
}

static void select_scales(const chord_channels *channels, float *scale) {
  for (size_t c = 0; c < CHORD_LANES; c++) {
    const float choices[4] = {1.0f, channels->scales2[c], channels->scales4[c], channels->scales8[c]};
    scale[c] = choices[channels->widths[c]];
  }
}

CHORD_AVX2 void chord_expand_c8__avx2(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  const __m256i ones = _mm256_set1_epi8(1);
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (size_t start = 0; start < channels->depth; start += 64) {
    const size_t count = channels->depth - start < 64 ? channels->depth - start : 64;
    _Alignas(32) int8_t codes[16][64];
    for (size_t c = 0; c < 16; c++) derive_part(channels, c, start, count, codes[c]);
    /* Eight channels by eight groups of four inputs at a time, as 32-bit elements. */
    for (size_t half = 0; half < 2; half++)
      for (size_t at = 0; at < count; at += 32) {
        __m256i r[8], s[8];
        CHORD_UNROLL for (size_t i = 0; i < 8; i++) r[i] = _mm256_load_si256((const __m256i *)(codes[8 * half + i] + at));
        CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
          s[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
          s[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        CHORD_UNROLL for (size_t i = 0; i < 2; i++) {
          r[4 * i] = _mm256_unpacklo_epi64(s[4 * i], s[4 * i + 2]);
          r[4 * i + 1] = _mm256_unpackhi_epi64(s[4 * i], s[4 * i + 2]);
          r[4 * i + 2] = _mm256_unpacklo_epi64(s[4 * i + 1], s[4 * i + 3]);
          r[4 * i + 3] = _mm256_unpackhi_epi64(s[4 * i + 1], s[4 * i + 3]);
        }
        CHORD_UNROLL for (size_t i = 0; i < 8; i++) {
          if (at + 4 * i >= count) break;
          const __m256i line = i < 4 ? _mm256_permute2x128_si256(r[i % 4], r[4 + i % 4], 0x20)
                                       : _mm256_permute2x128_si256(r[i % 4], r[4 + i % 4], 0x31);
          sums[half] = _mm256_add_epi32(sums[half], _mm256_madd_epi16(_mm256_maddubs_epi16(ones, line), _mm256_set1_epi16(1)));
          _mm256_storeu_si256((__m256i *)(panel + (start + at + 4 * i) * 16 + 32 * half), line);
        }
      }
  }
  for (size_t half = 0; half < 2; half++)
    _mm256_storeu_si256((__m256i *)(correction + 8 * half), _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), sums[half]), 7));
  select_scales(channels, scale);
}

CHORD_AVX2 void chord_derive_rows__avx2(const chord_channels *channels, int8_t *out, float *scale) {
  for (size_t c = 0; c < CHORD_LANES; c++)
    for (size_t start = 0; start < channels->depth; start += 64)
      derive_part(channels, c, start, channels->depth - start < 64 ? channels->depth - start : 64, out + c * channels->depth + start);
  select_scales(channels, scale);
}

CHORD_CODE_DECLARE(avx2)
CHORD_CODE_DECLARE(avx2_rows)

const chord_ukernels chord_ukernels_avx2 = {
    .code = {CHORD_CODE(avx2), CHORD_CODE(avx2_rows), CHORD_CODE(avx2_rows)},
    .depth_group = 4,
    .zero = 128,
    .expand_c8 = chord_expand_c8__avx2,
    .derive_rows = chord_derive_rows__avx2,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__avx2,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__avx2,
    .norm_f32 = chord_norm_f32__avx2,
    .gelu_f32 = chord_gelu_f32__avx2,
    .embed_e_f32 = chord_embed_e_f32__avx2,
    .gather_e_qa8 = chord_gather_e_qa8__avx2,
    .pack_rows_qa8_c8 = chord_pack_rows_qa8_c8__avx2,
    .pack_columns_qa8_c8 = chord_pack_columns_qa8_c8__avx2,
    .softmax_f32_qa8 = chord_softmax_f32_qa8__avx2,
    .attend_last_f32 = chord_attend_last_f32__avx2,
    .mix_rows_f32 = chord_mix_rows_f32__avx2,
    .combine_rows_f32 = chord_combine_rows_f32__avx2,
    .spread_f32 = chord_spread_f32__avx2,
    .score_q16_e = chord_score_q16_e__avx2,
};
#endif
