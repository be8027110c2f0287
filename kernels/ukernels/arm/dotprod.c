/*
 * Armv8.2 dot product (sdot): four products of each of four channels in one instruction.
 *
 *   panel line:  ch0 k0..k3 | ch1 k0..k3 | ... | ch15 k0..k3       (depth_group = 4, one cache line)
 *
 * A tile is 4 rows x 16 channels: 16 accumulators; an activation register holds 16 inputs of a row, and sdot takes four of
 * them by index.
 */
#if defined(__aarch64__)
#include "gemm.h"

#define CHORD_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))

CHORD_DOTPROD CHORD_INLINE void tile(const chord_gemm *args, size_t row, size_t block, size_t rows) {
  const int8_t *panel = args->panel + block * CHORD_LANES * args->depth;
  const int8_t *a[4];
  for (size_t i = 0; i < rows; i++) a[i] = (const int8_t *)(args->a + (row + i) * args->a_stride);
  int32x4_t sum[4][4];
  for (size_t i = 0; i < rows; i++)
    for (size_t c = 0; c < 4; c++) sum[i][c] = vdupq_n_s32(0);
#define CHORD_DOT_STEP(lane)                                                                            \
  do {                                                                                                  \
    int8x16_t right[4];                                                                                 \
    for (size_t c = 0; c < 4; c++) right[c] = vld1q_s8(panel + 16 * c);                                 \
    for (size_t i = 0; i < rows; i++)                                                                   \
      for (size_t c = 0; c < 4; c++) sum[i][c] = vdotq_laneq_s32(sum[i][c], right[c], left[i], lane);   \
    panel += 64;                                                                                        \
  } while (0)
  for (size_t k = 0; k < args->depth; k += 16) {
    int8x16_t left[4];
    for (size_t i = 0; i < rows; i++) left[i] = vld1q_s8(a[i] + k);
    CHORD_DOT_STEP(0);
    CHORD_DOT_STEP(1);
    CHORD_DOT_STEP(2);
    CHORD_DOT_STEP(3);
  }
#undef CHORD_DOT_STEP
  chord_finish(args, row, block * CHORD_LANES, rows, sum);
}

CHORD_DOTPROD static void chord_gemm_qa8_c8__dotprod(const chord_gemm *args) { CHORD_GEMM_WALK(tile, args); }

/* Four channels of sixteen codes each, as four lines' quarters: a 4 x 4 transposition of words. */
CHORD_INLINE void store_quarter(const int8x16_t codes[4], int8_t *panel) {
  const int32x4_t a = vreinterpretq_s32_s8(codes[0]), b = vreinterpretq_s32_s8(codes[1]);
  const int32x4_t c = vreinterpretq_s32_s8(codes[2]), d = vreinterpretq_s32_s8(codes[3]);
  const int64x2_t ab0 = vreinterpretq_s64_s32(vtrn1q_s32(a, b)), ab1 = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
  const int64x2_t cd0 = vreinterpretq_s64_s32(vtrn1q_s32(c, d)), cd1 = vreinterpretq_s64_s32(vtrn2q_s32(c, d));
  vst1q_s8(panel, vreinterpretq_s8_s64(vtrn1q_s64(ab0, cd0)));
  vst1q_s8(panel + 64, vreinterpretq_s8_s64(vtrn1q_s64(ab1, cd1)));
  vst1q_s8(panel + 128, vreinterpretq_s8_s64(vtrn2q_s64(ab0, cd0)));
  vst1q_s8(panel + 192, vreinterpretq_s8_s64(vtrn2q_s64(ab1, cd1)));
}

static void chord_expand_c8__dotprod(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  for (size_t quarter = 0; quarter < 4; quarter++) {
    chord_rule rule[4];
    for (size_t c = 0; c < 4; c++) rule[c] = chord_rule_of(channels, 4 * quarter + c);
    for (size_t k = 0; k < channels->depth; k += 16) {
      int8x16_t codes[4];
      for (size_t c = 0; c < 4; c++) codes[c] = chord_derive16(channels->rows[4 * quarter + c] + k, rule[c]);
      store_quarter(codes, panel + k * CHORD_LANES + 16 * quarter);
    }
    vst1q_s32(correction + 4 * quarter, vdupq_n_s32(0));
  }
  chord_select_scales__neon(channels, scale);
}

const chord_ukernels chord_ukernels_dotprod = {
    .depth_group = 4,
    .expand_c8 = chord_expand_c8__dotprod,
    .derive_rows = chord_derive_rows__neon,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__neon,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__dotprod,
    .norm_f32 = chord_norm_f32__neon,
    .gelu_f32 = chord_gelu_f32__neon,
    .embed_e_f32 = chord_embed_e_f32__neon,
    .gather_e_qa8 = chord_gather_e_qa8__neon,
    .attend_f32 = chord_attend_f32__neon,
    .attend_last_f32 = chord_attend_last_f32__neon,
    .mix_rows_f32 = chord_mix_rows_f32__neon,
    .combine_rows_f32 = chord_combine_rows_f32__neon,
    .score_q16_e = chord_score_q16_e__neon,
};
#else
typedef int chord_not_this_architecture; /* ISO C wants a declaration in every file */
#endif
