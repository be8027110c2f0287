/* AVX-VNNI: the matrix product with vpdpbusd on 256 bits; all else as AVX2. */
#if defined(__x86_64__)
#include "avx2.h"

#define GEMM_TARGET __attribute__((target("avx2,fma,avxvnni")))
#define GEMM_NAME chord_gemm_qa8_c8__avxvnni
#define GEMM_PART CHORD_CODE_PART(avxvnni)
#define GEMM_ROWS 6
#define GROUP_TYPE __m256i
#define GROUP(a) broadcast4(a)
#define START(j) _mm256_loadu_si256((const __m256i *)(args->correction + 16 * block + 8 * j))

/* Inline assembly for gcc, for the reason that avx512vnni.c gives. */
static inline __attribute__((always_inline)) GEMM_TARGET __m256i dot(__m256i sum, __m256i a, __m256i w) {
#if defined(__clang__)
  return _mm256_dpbusd_avx_epi32(sum, a, w);
#else
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(w));
  return sum;
#endif
}
#define DOT dot

#include "avx2_gemm.h"

CHORD_CODE_DECLARE(avxvnni)
CHORD_CODE_DECLARE(avx2_rows)

const chord_ukernels chord_ukernels_avxvnni = {
    .code = {CHORD_CODE(avxvnni), CHORD_CODE(avx2_rows), CHORD_CODE(avx2_rows)},
    .depth_group = 4,
    .zero = 128,
    .expand_c8 = chord_expand_c8__avx2,
    .derive_rows = chord_derive_rows__avx2,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__avx2,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__avxvnni,
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
