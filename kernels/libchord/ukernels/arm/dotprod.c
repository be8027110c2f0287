/*
 * Armv8.2 dot product (sdot): four products of each of four channels in one instruction.
 *
 *   panel block:  ch0..ch3 | ch4..ch7 | ch8..ch11 | ch12..ch15, each quarter   ch0 k0..k3 | .. | ch3 k0..k3 | ch0 k4..k7 | ...
 *
 * An activation register holds 16 inputs of a row, and sdot takes four of them by index. At a depth of 64 four rows of
 * activations stay in registers and a tile is 4 rows x 8 channels; otherwise it is 4 rows x 16 channels.
 */
#if defined(__aarch64__)
#include "gemm.h"
#include "pack.h"

#define CHORD_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))

/* Adds sixteen inputs of `rows` rows to the sums of one quarter: four rows by four channels. */
CHORD_DOTPROD CHORD_INLINE void dot16(size_t rows, const int8x16_t left[4], const int8_t *quarter, int32x4_t sum[4]) {
  const int8x16_t right[4] = {vld1q_s8(quarter), vld1q_s8(quarter + 16), vld1q_s8(quarter + 32), vld1q_s8(quarter + 48)};
  for (size_t i = 0; i < rows; i++) sum[i] = vdotq_laneq_s32(sum[i], right[0], left[i], 0);
  for (size_t i = 0; i < rows; i++) sum[i] = vdotq_laneq_s32(sum[i], right[1], left[i], 1);
  for (size_t i = 0; i < rows; i++) sum[i] = vdotq_laneq_s32(sum[i], right[2], left[i], 2);
  for (size_t i = 0; i < rows; i++) sum[i] = vdotq_laneq_s32(sum[i], right[3], left[i], 3);
}

/* Says that the activations may have changed. Otherwise clang copies each of their 64 words to a register of its own, once,
 * and spills them all, instead of letting sdot pick them by index. */
CHORD_INLINE void pin64(int8x16_t left[4][4]) {
  for (int i = 0; i < 4; i++) __asm__("" : "+w"(left[i][0]), "+w"(left[i][1]), "+w"(left[i][2]), "+w"(left[i][3]));
}

CHORD_DOTPROD CHORD_INLINE void tile64(const chord_gemm *args, size_t row, size_t rows) {
  int8x16_t left[4][4];
  chord_load64(args, row, rows, left);
  const int8_t *panel = args->panel;
  const float32x4_t a_scale = chord_row_scales(args, row, rows);
  for (size_t channel = 0; channel < args->blocks * CHORD_LANES; channel += 8, panel += 8 * 64) {
    int32x4_t sum[2][4];
    for (size_t j = 0; j < 2; j++)
      for (size_t i = 0; i < 4; i++) sum[j][i] = vdupq_n_s32(0);
    pin64(left);
    for (size_t k = 0; k < 4; k++) {
      const int8x16_t part[4] = {left[0][k], left[1][k], left[2][k], left[3][k]};
      dot16(rows, part, panel + 64 * k, sum[0]);
      dot16(rows, part, panel + 4 * 64 + 64 * k, sum[1]);
    }
    chord_finish(args, a_scale, row, channel, rows, 2, sum);
  }
}

CHORD_DOTPROD CHORD_INLINE void tile(const chord_gemm *args, size_t row, size_t rows) {
  const int8_t *panel = args->panel, *a[4];
  for (size_t i = 0; i < rows; i++) a[i] = (const int8_t *)(args->a + (row + i) * args->a_stride);
  int32x4_t sum[4][4];
  for (size_t j = 0; j < 4; j++)
    for (size_t i = 0; i < rows; i++) sum[j][i] = vdupq_n_s32(0);
  for (size_t k = 0; k < args->depth; k += 16, panel += 64) {
    int8x16_t left[4];
    for (size_t i = 0; i < rows; i++) left[i] = vld1q_s8(a[i] + k);
    for (size_t j = 0; j < 4; j++) dot16(rows, left, panel + 4 * j * args->panel_depth, sum[j]);
  }
  chord_finish(args, chord_row_scales(args, row, rows), row, 0, rows, 4, sum);
}

CHORD_CODE_PART(dotprod) CHORD_DOTPROD static void chord_gemm_qa8_c8__dotprod(const chord_gemm *args) { CHORD_GEMM_WALK(tile64, tile, args); }

/*
 * Packed weights. Shifts and masks turn a line into vectors of codes + 2^(bits - 1), four channels by four inputs each, as sdot
 * wants them; the offset comes off at the end, times the sum of the activations. A tile is 4 rows x 8 channels, half a block.
 */
CHORD_DOTPROD CHORD_INLINE void packed_tile(const chord_gemm *args, unsigned bits, size_t half, size_t row, size_t rows) {
  const size_t groups = 8 / bits, lines = 4 / groups; /* lines for sixteen inputs */
  const uint8x16_t mask = vdupq_n_u8((uint8_t)((1u << bits) - 1));
  const int8x16_t ones = vdupq_n_s8(1);
  const uint8_t *panel = (const uint8_t *)args->panel + 32 * half;
  const int8_t *a[4];
  for (size_t i = 0; i < rows; i++) a[i] = (const int8_t *)(args->a + (row + i) * args->a_stride);
  int32x4_t sum[2][4], total[4];
  for (size_t i = 0; i < rows; i++) sum[0][i] = sum[1][i] = total[i] = vdupq_n_s32(0);
  for (size_t k = 0; k < args->depth; k += 16) {
    int8x16_t left[4];
    for (size_t i = 0; i < rows; i++) {
      left[i] = vld1q_s8(a[i] + k);
      total[i] = vdotq_s32(total[i], left[i], ones);
    }
    for (size_t line = 0; line < lines; line++, panel += 64)
      for (size_t j = 0; j < 2; j++) {
        const uint8x16_t packed = vld1q_u8(panel + 16 * j);
        int8x16_t right[4];
        for (size_t g = 0; g < groups; g++) {
          const uint8x16_t low = vshlq_u8(packed, vdupq_n_s8((int8_t) - (int)(bits * g)));
          right[g] = vreinterpretq_s8_u8(g + 1 < groups ? vandq_u8(low, mask) : low);
        }
        for (size_t i = 0; i < rows; i++) {
          if (bits == 2) {
            sum[j][i] = vdotq_laneq_s32(sum[j][i], right[0], left[i], 0);
            sum[j][i] = vdotq_laneq_s32(sum[j][i], right[1], left[i], 1);
            sum[j][i] = vdotq_laneq_s32(sum[j][i], right[2], left[i], 2);
            sum[j][i] = vdotq_laneq_s32(sum[j][i], right[3], left[i], 3);
          } else if (line == 0) {
            sum[j][i] = vdotq_laneq_s32(sum[j][i], right[0], left[i], 0);
            sum[j][i] = vdotq_laneq_s32(sum[j][i], right[1], left[i], 1);
          } else {
            sum[j][i] = vdotq_laneq_s32(sum[j][i], right[0], left[i], 2);
            sum[j][i] = vdotq_laneq_s32(sum[j][i], right[1], left[i], 3);
          }
        }
      }
  }
  for (size_t i = 0; i < rows; i++) {
    const int32x4_t offset = vdupq_n_s32(vaddvq_s32(total[i]) * (1 << (bits - 1)));
    for (size_t j = 0; j < 2; j++) sum[j][i] = vsubq_s32(sum[j][i], offset);
  }
  chord_finish(args, chord_row_scales(args, row, rows), row, 8 * half, rows, 2, sum);
}

CHORD_DOTPROD CHORD_INLINE void packed(const chord_gemm *args, unsigned bits) {
  chord_gemm one = *args;
  for (size_t block = 0; block < args->blocks; block++) {
    for (size_t half = 0; half < 2; half++) {
      size_t row = 0;
      for (; row + 4 <= one.rows; row += 4) packed_tile(&one, bits, half, row, 4);
      for (; row < one.rows; row++) packed_tile(&one, bits, half, row, 1);
    }
    one.panel += chord_packed_block_bytes(one.depth, bits);
    one.scale += CHORD_LANES;
    one.bias += CHORD_LANES;
    one.out += CHORD_LANES;
  }
}

CHORD_DOTPROD void chord_gemm_qa8_c4__dotprod(const chord_gemm *args) { packed(args, 4); }
CHORD_DOTPROD void chord_gemm_qa8_c2__dotprod(const chord_gemm *args) { packed(args, 2); }

static void chord_expand_c8__dotprod(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  for (size_t quarter = 0; quarter < 4; quarter++) {
    chord_rule rule[4];
    for (size_t c = 0; c < 4; c++) rule[c] = chord_rule_of(channels, 4 * quarter + c);
    for (size_t k = 0; k < channels->depth; k += 16, panel += 64) {
      int32x4x4_t codes;
      for (size_t c = 0; c < 4; c++) codes.val[c] = vreinterpretq_s32_s8(chord_derive16(channels->rows[4 * quarter + c] + k, rule[c]));
      vst4q_s32((int32_t *)(void *)panel, codes); /* word by word: channel 0, 1, 2, 3, 0, ... */
    }
    vst1q_s32(correction + 4 * quarter, vdupq_n_s32(0));
  }
  chord_select_scales__neon(channels, scale);
}

/* Word by word: channel 0, 1, 2, 3, 0, ... of each quarter. */
CHORD_INLINE void store16(int8_t *panel, size_t panel_depth, size_t k, const int8x16_t codes[16]) {
  for (size_t quarter = 0; quarter < 4; quarter++) {
    int32x4x4_t words;
    for (size_t c = 0; c < 4; c++) words.val[c] = vreinterpretq_s32_s8(codes[4 * quarter + c]);
    vst4q_s32((int32_t *)(void *)(panel + 4 * quarter * panel_depth + 4 * k), words);
  }
}

CHORD_PACK_OPERATIONS(dotprod)

CHORD_CODE_DECLARE(dotprod)
CHORD_CODE_DECLARE(arm)

const chord_ukernels chord_ukernels_dotprod = {
    .code = {CHORD_CODE(dotprod), CHORD_CODE(arm), CHORD_CODE(arm)},
    .depth_group = 4,
    .expand_c8 = chord_expand_c8__dotprod,
    .derive_rows = chord_derive_rows__neon,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__neon,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__dotprod,
    .gemm_qa8_c4 = chord_gemm_qa8_c4__dotprod,
    .gemm_qa8_c2 = chord_gemm_qa8_c2__dotprod,
    .norm_f32 = chord_norm_f32__neon,
    .gelu_f32 = chord_gelu_f32__neon,
    .embed_e_f32 = chord_embed_e_f32__neon,
    .gather_e_qa8 = chord_gather_e_qa8__neon,
    .pack_rows_qa8_c8 = chord_pack_rows_qa8_c8__dotprod,
    .pack_columns_qa8_c8 = chord_pack_columns_qa8_c8__dotprod,
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
