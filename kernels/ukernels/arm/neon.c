/*
 * Armv8.0: no dot product. Sixteen products of one channel are two multiplications into eight int16 sums (2 * 127 * 127 fits)
 * and one pairwise addition into four int32 sums, so a panel holds sixteen inputs of a channel side by side:
 *
 *   panel line:  ch0 k0..k15 | ch1 k0..k15 | ... | ch15 k0..k15      (depth_group = 16)
 *
 * A tile is 4 rows x 4 channels: 16 accumulators, each with four partial sums that are added at the end.
 */
#if defined(__aarch64__)
#include "gemm.h"

CHORD_INLINE void tile(const chord_gemm *args, size_t row, size_t block, size_t rows) {
  const int8_t *a[4];
  for (size_t i = 0; i < rows; i++) a[i] = (const int8_t *)(args->a + (row + i) * args->a_stride);
#pragma GCC unroll 1
  for (size_t quarter = 0; quarter < 4; quarter++) {
    const int8_t *panel = args->panel + block * CHORD_LANES * args->depth + quarter * 64;
    int32x4_t partial[4][4];
    for (size_t i = 0; i < rows; i++)
      for (size_t c = 0; c < 4; c++) partial[i][c] = vdupq_n_s32(0);
    for (size_t k = 0; k < args->depth; k += 16, panel += 16 * CHORD_LANES) {
      int8x16_t left[4], right[4];
      for (size_t i = 0; i < rows; i++) left[i] = vld1q_s8(a[i] + k);
      for (size_t c = 0; c < 4; c++) right[c] = vld1q_s8(panel + 16 * c);
      for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < 4; c++) {
          int16x8_t products = vmull_s8(vget_low_s8(left[i]), vget_low_s8(right[c]));
          products = vmlal_high_s8(products, left[i], right[c]);
          partial[i][c] = vpadalq_s16(partial[i][c], products);
        }
    }
    const size_t channel = block * CHORD_LANES + 4 * quarter;
    const float32x4_t scale = vld1q_f32(args->scale + channel), bias = vld1q_f32(args->bias + channel);
    for (size_t i = 0; i < rows; i++) {
      const int32x4_t sum = vpaddq_s32(vpaddq_s32(partial[i][0], partial[i][1]), vpaddq_s32(partial[i][2], partial[i][3]));
      float32x4_t y = chord_rescale(sum, scale, args->a_scale[row + i], bias);
      if (args->relu) y = vmaxq_f32(y, vdupq_n_f32(0.0f));
      vst1q_f32(args->out + (row + i) * args->out_stride + channel, y);
    }
  }
}

static void chord_gemm_qa8_c8__neon(const chord_gemm *args) { CHORD_GEMM_WALK(tile, args); }

static void chord_expand_c8__neon(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  for (size_t c = 0; c < CHORD_LANES; c++) {
    const chord_rule rule = chord_rule_of(channels, c);
    for (size_t k = 0; k < channels->depth; k += 16) vst1q_s8(panel + k * CHORD_LANES + 16 * c, chord_derive16(channels->rows[c] + k, rule));
    correction[c] = 0;
  }
  chord_select_scales__neon(channels, scale);
}

const chord_ukernels chord_ukernels_neon = {
    .depth_group = 16,
    .expand_c8 = chord_expand_c8__neon,
    .derive_rows = chord_derive_rows__neon,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__neon,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__neon,
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
