/*
 * Armv8.6 int8 matrix product (smmla): 2 rows x 8 inputs times 8 inputs x 2 channels in one instruction.
 *
 *   panel line:  ch0 k0..k7 | ch1 k0..k7 | ... | ch15 k0..k7       (depth_group = 8, two cache lines)
 *
 * A tile is 4 rows x 16 channels: 16 accumulators, each holding [r0c0 r0c1 r1c0 r1c1] of two rows and two channels.
 */
#if defined(__aarch64__)
#include "gemm.h"

#define CHORD_I8MM __attribute__((target("arch=armv8.2-a+dotprod+i8mm")))

/* A single row stands in for both of its pair: the upper half of the accumulators is then not looked at. */
CHORD_I8MM CHORD_INLINE void tile(const chord_gemm *args, size_t row, size_t block, size_t rows) {
  const size_t pairs = (rows + 1) / 2;
  const int8_t *panel = args->panel + block * CHORD_LANES * args->depth;
  const int8_t *a[4];
  for (size_t i = 0; i < 2 * pairs; i++) a[i] = (const int8_t *)(args->a + (row + (i < rows ? i : rows - 1)) * args->a_stride);
  int32x4_t sum[2][8];
  for (size_t i = 0; i < pairs; i++)
    for (size_t c = 0; c < 8; c++) sum[i][c] = vdupq_n_s32(0);
  for (size_t k = 0; k < args->depth; k += 16) {
    int64x2_t left[2][2];
    for (size_t i = 0; i < pairs; i++) {
      const int64x2_t upper = vreinterpretq_s64_s8(vld1q_s8(a[2 * i] + k)), lower = vreinterpretq_s64_s8(vld1q_s8(a[2 * i + 1] + k));
      left[i][0] = vzip1q_s64(upper, lower);
      left[i][1] = vzip2q_s64(upper, lower);
    }
    for (size_t half = 0; half < 2; half++, panel += 128)
      for (size_t c = 0; c < 8; c++) {
        const int8x16_t right = vld1q_s8(panel + 16 * c);
        for (size_t i = 0; i < pairs; i++) sum[i][c] = vmmlaq_s32(sum[i][c], vreinterpretq_s8_s64(left[i][half]), right);
      }
  }
  int32x4_t own[4][4];
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < 4; j++) {
      const int64x2_t even = vreinterpretq_s64_s32(sum[i / 2][2 * j]), odd = vreinterpretq_s64_s32(sum[i / 2][2 * j + 1]);
      own[i][j] = vreinterpretq_s32_s64(i % 2 ? vzip2q_s64(even, odd) : vzip1q_s64(even, odd));
    }
  chord_finish(args, row, block * CHORD_LANES, rows, own);
}

CHORD_I8MM static void chord_gemm_qa8_c8__i8mm(const chord_gemm *args) { CHORD_GEMM_WALK(tile, args); }

static void chord_expand_c8__i8mm(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  for (size_t pair = 0; pair < 8; pair++) {
    const chord_rule even = chord_rule_of(channels, 2 * pair), odd = chord_rule_of(channels, 2 * pair + 1);
    for (size_t k = 0; k < channels->depth; k += 16) {
      const int64x2_t a = vreinterpretq_s64_s8(chord_derive16(channels->rows[2 * pair] + k, even));
      const int64x2_t b = vreinterpretq_s64_s8(chord_derive16(channels->rows[2 * pair + 1] + k, odd));
      vst1q_s8(panel + k * CHORD_LANES + 16 * pair, vreinterpretq_s8_s64(vzip1q_s64(a, b)));
      vst1q_s8(panel + (k + 8) * CHORD_LANES + 16 * pair, vreinterpretq_s8_s64(vzip2q_s64(a, b)));
    }
    correction[2 * pair] = correction[2 * pair + 1] = 0;
  }
  chord_select_scales__neon(channels, scale);
}

const chord_ukernels chord_ukernels_i8mm = {
    .depth_group = 8,
    .expand_c8 = chord_expand_c8__i8mm,
    .derive_rows = chord_derive_rows__neon,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__neon,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__i8mm,
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
