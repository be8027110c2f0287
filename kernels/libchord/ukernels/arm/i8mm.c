/*
 * Armv8.6 int8 matrix product (smmla): 2 rows x 8 inputs times 8 inputs x 2 channels in one instruction.
 *
 *   panel block:  ch0,ch1 | ch2,ch3 | ... | ch14,ch15, each pair   ch0 k0..k7 | ch1 k0..k7 | ch0 k8..k15 | ch1 k8..k15 | ...
 *
 * An accumulator holds [r0c0 r0c1 r1c0 r1c1] of two rows and two channels. At a depth of 64 four rows of activations stay in
 * registers, in pairs, and a tile is 4 rows x 8 channels; otherwise it is 4 rows x 16 channels.
 */
#if defined(__aarch64__)
#include "gemm.h"
#include "pack.h"

#define CHORD_I8MM __attribute__((target("arch=armv8.2-a+dotprod+i8mm")))

/* Sixteen inputs of two rows, as the two left operands: [upper k0..k7, lower k0..k7] and [upper k8..k15, lower k8..k15]. */
CHORD_INLINE void join(int8x16_t upper, int8x16_t lower, int8x16_t left[2]) {
  const int64x2_t a = vreinterpretq_s64_s8(upper), b = vreinterpretq_s64_s8(lower);
  left[0] = vreinterpretq_s8_s64(vzip1q_s64(a, b));
  left[1] = vreinterpretq_s8_s64(vzip2q_s64(a, b));
}

/* The accumulators of `quarters` times four channels, row by row: [channel / 4][row]. */
CHORD_INLINE void split(size_t rows, size_t quarters, int32x4_t sum[][2], int32x4_t own[][4]) {
  for (size_t j = 0; j < quarters; j++)
    for (size_t i = 0; i < rows; i++) {
      const int64x2_t even = vreinterpretq_s64_s32(sum[2 * j][i / 2]), odd = vreinterpretq_s64_s32(sum[2 * j + 1][i / 2]);
      own[j][i] = vreinterpretq_s32_s64(i % 2 ? vzip2q_s64(even, odd) : vzip1q_s64(even, odd));
    }
}

CHORD_I8MM CHORD_INLINE void tile64(const chord_gemm *args, size_t row, size_t rows) {
  const size_t pairs = (rows + 1) / 2;
  int8x16_t rows64[4][4], left[2][8];
  chord_load64(args, row, rows, rows64);
  for (size_t i = 0; i < pairs; i++)
    for (size_t k = 0; k < 4; k++) join(rows64[2 * i][k], rows64[2 * i + 1][k], left[i] + 2 * k);
  const int8_t *panel = args->panel;
  const float32x4_t a_scale = chord_row_scales(args, row, rows);
  for (size_t channel = 0; channel < args->blocks * CHORD_LANES; channel += 8) {
    int32x4_t sum[4][2], own[2][4];
    for (size_t c = 0; c < 4; c++, panel += 2 * 64) {
      for (size_t i = 0; i < pairs; i++) sum[c][i] = vdupq_n_s32(0);
      for (size_t k = 0; k < 8; k++) {
        const int8x16_t right = vld1q_s8(panel + 16 * k);
        for (size_t i = 0; i < pairs; i++) sum[c][i] = vmmlaq_s32(sum[c][i], left[i][k], right);
      }
    }
    split(rows, 2, sum, own);
    chord_finish(args, a_scale, row, channel, rows, 2, own);
  }
}

CHORD_I8MM CHORD_INLINE void tile(const chord_gemm *args, size_t row, size_t rows) {
  const size_t pairs = (rows + 1) / 2;
  const int8_t *panel = args->panel, *a[4];
  for (size_t i = 0; i < 4; i++) a[i] = (const int8_t *)(args->a + (row + (i < rows ? i : rows - 1)) * args->a_stride);
  int32x4_t sum[8][2], own[4][4];
  for (size_t c = 0; c < 8; c++)
    for (size_t i = 0; i < pairs; i++) sum[c][i] = vdupq_n_s32(0);
  for (size_t k = 0; k < args->depth; k += 16, panel += 32) {
    int8x16_t left[2][2];
    for (size_t i = 0; i < pairs; i++) join(vld1q_s8(a[2 * i] + k), vld1q_s8(a[2 * i + 1] + k), left[i]);
    for (size_t c = 0; c < 8; c++) {
      const int8_t *pair = panel + 2 * c * args->panel_depth;
      const int8x16_t right[2] = {vld1q_s8(pair), vld1q_s8(pair + 16)};
      for (size_t i = 0; i < pairs; i++) sum[c][i] = vmmlaq_s32(vmmlaq_s32(sum[c][i], left[i][0], right[0]), left[i][1], right[1]);
    }
  }
  split(rows, 4, sum, own);
  chord_finish(args, chord_row_scales(args, row, rows), row, 0, rows, 4, own);
}

CHORD_CODE_PART(i8mm) CHORD_I8MM static void chord_gemm_qa8_c8__i8mm(const chord_gemm *args) { CHORD_GEMM_WALK(tile64, tile, args); }

static void chord_expand_c8__i8mm(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  for (size_t c = 0; c < CHORD_LANES; c += 2) {
    const chord_rule even = chord_rule_of(channels, c), odd = chord_rule_of(channels, c + 1);
    for (size_t k = 0; k < channels->depth; k += 16, panel += 32) {
      const int64x2x2_t codes = {{vreinterpretq_s64_s8(chord_derive16(channels->rows[c] + k, even)),
                                  vreinterpretq_s64_s8(chord_derive16(channels->rows[c + 1] + k, odd))}};
      vst2q_s64((int64_t *)(void *)panel, codes); /* eight codes of the even channel, eight of the odd one, ... */
    }
    correction[c] = correction[c + 1] = 0;
  }
  chord_select_scales__neon(channels, scale);
}

/* Eight codes of the even channel of a pair, eight of the odd one, ... */
CHORD_INLINE void store16(int8_t *panel, size_t panel_depth, size_t k, const int8x16_t codes[16]) {
  for (size_t c = 0; c < 16; c += 2) {
    const int64x2x2_t pair = {{vreinterpretq_s64_s8(codes[c]), vreinterpretq_s64_s8(codes[c + 1])}};
    vst2q_s64((int64_t *)(void *)(panel + c * panel_depth + 2 * k), pair);
  }
}

CHORD_PACK_OPERATIONS(i8mm)

CHORD_CODE_DECLARE(i8mm)
CHORD_CODE_DECLARE(arm)

const chord_ukernels chord_ukernels_i8mm = {
    .code = {CHORD_CODE(i8mm), CHORD_CODE(arm), CHORD_CODE(arm)},
    .depth_group = 8,
    .expand_c8 = chord_expand_c8__i8mm,
    .derive_rows = chord_derive_rows__neon,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__neon,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__i8mm,
    .gemm_qa8_c4 = chord_gemm_qa8_c4__dotprod, /* packed lines group four inputs, as sdot does */
    .gemm_qa8_c2 = chord_gemm_qa8_c2__dotprod,
    .norm_f32 = chord_norm_f32__neon,
    .gelu_f32 = chord_gelu_f32__neon,
    .embed_e_f32 = chord_embed_e_f32__neon,
    .gather_e_qa8 = chord_gather_e_qa8__neon,
    .pack_rows_qa8_c8 = chord_pack_rows_qa8_c8__i8mm,
    .pack_columns_qa8_c8 = chord_pack_columns_qa8_c8__i8mm,
    .softmax_f32_qa8 = chord_softmax_f32_qa8__neon,
    .attend_last_f32 = chord_attend_last_f32__neon,
    .mix_rows_f32 = chord_mix_rows_f32__neon,
    .combine_rows_f32 = chord_combine_rows_f32__neon,
    .spread_f32 = chord_spread_f32__neon,
    .score_q16_e = chord_score_q16_e__neon,
};
#else
typedef int chord_not_this_architecture; /* ISO C wants a declaration in every file */
#endif
