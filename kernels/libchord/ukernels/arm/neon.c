/*
 * Armv8.0: no dot product. Sixteen products of one channel are two multiplications into eight int16 sums (2 * 127 * 127 fits)
 * and one pairwise addition into four int32 sums, so a panel holds each channel's inputs side by side:
 *
 *   panel block:  ch0 k0..k(depth-1) | ch1 k0..k(depth-1) | ... | ch15 k0..k(depth-1)      (depth_group = 16)
 *
 * A tile is 4 rows x 4 channels. Up to a depth of 64 the activations of four rows stay in registers (neon_tile.h), channel after channel; at 64
 * narrow channels cost less: a product with an int4 or int2 code is at most 7 * 127, and eight of them fit an int16 sum, so they widen once
 * instead of four times (a bit of every fourth `correction` says which do). Deeper products keep 16 accumulators of four partial sums.
 */
#if defined(__aarch64__)
#include "gemm.h"
#include "neon_tile.h"
#include "pack.h"

/* Products of one row and one channel, depth 64: eight int16 sums of a narrow one, else four. */
CHORD_INLINE int16x8_t narrow_dot64(const int8x16_t left[4], const int8_t *panel) {
  const int8x16x4_t right = vld1q_s8_x4(panel);
  int16x8_t sum = vmlal_high_s8(vmull_s8(vget_low_s8(left[0]), vget_low_s8(right.val[0])), left[0], right.val[0]);
  for (int k = 1; k < 4; k++)
    sum = vmlal_high_s8(vmlal_s8(sum, vget_low_s8(left[k]), vget_low_s8(right.val[k])), left[k], right.val[k]);
  return sum;
}

CHORD_INLINE int32x4_t dot64(const int8x16_t left[4], const int8_t *panel, uint32_t narrow) {
  if (narrow) return vpaddlq_s16(narrow_dot64(left, panel));
  const int8x16x4_t right = vld1q_s8_x4(panel);
  int32x4_t sum = vdupq_n_s32(0);
  for (int k = 0; k < 4; k++) {
    const int16x8_t two = vmlal_high_s8(vmull_s8(vget_low_s8(left[k]), vget_low_s8(right.val[k])), left[k], right.val[k]);
    sum = k ? vpadalq_s16(sum, two) : vpaddlq_s16(two);
  }
  return sum;
}

/* One row of 64 inputs by all channels. */
static void row64(const chord_gemm *args, size_t row) {
  int8x16_t left[4];
  for (size_t k = 0; k < 4; k++) left[k] = vld1q_s8((const int8_t *)(args->a + row * args->a_stride) + 16 * k);
  const int8_t *panel = args->panel;
  const float a_scale = args->a_scale[row];
  float *out = args->out + row * args->out_stride;
  for (size_t channel = 0; channel < args->blocks * CHORD_LANES; channel += 4, panel += 4 * 64) {
    const uint32_t narrow = (uint32_t)args->correction[channel];
    int32x4_t sum;
    if (narrow == 15) {
      const int16x8_t low = vpaddq_s16(narrow_dot64(left, panel), narrow_dot64(left, panel + 64));
      sum = vpaddlq_s16(vpaddq_s16(low, vpaddq_s16(narrow_dot64(left, panel + 128), narrow_dot64(left, panel + 192))));
    } else {
      const int32x4_t low = vpaddq_s32(dot64(left, panel, narrow & 1), dot64(left, panel + 64, narrow & 2));
      sum = vpaddq_s32(low, vpaddq_s32(dot64(left, panel + 128, narrow & 4), dot64(left, panel + 192, narrow & 8)));
    }
    float32x4_t y = chord_rescale(sum, vld1q_f32(args->scale + channel), a_scale, vld1q_f32(args->bias + channel));
    if (args->relu) y = vmaxq_f32(y, vdupq_n_f32(0.0f));
    vst1q_f32(out + channel, y);
  }
}

CHORD_INLINE void tile(const chord_gemm *args, size_t row, size_t rows) {
  const int8_t *a[4];
  for (size_t i = 0; i < rows; i++) a[i] = (const int8_t *)(args->a + (row + i) * args->a_stride);
#pragma GCC unroll 1
  for (size_t channel = 0; channel < CHORD_LANES; channel += 4) {
    const int8_t *panel = args->panel + channel * args->panel_depth;
    int32x4_t partial[4][4], sum[1][4];
    for (size_t i = 0; i < rows; i++)
      for (size_t c = 0; c < 4; c++) partial[i][c] = vdupq_n_s32(0);
    for (size_t k = 0; k < args->depth; k += 16) {
      int8x16_t left[4], right[4];
      for (size_t i = 0; i < rows; i++) left[i] = vld1q_s8(a[i] + k);
      for (size_t c = 0; c < 4; c++) right[c] = vld1q_s8(panel + c * args->panel_depth + k);
      for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < 4; c++) {
          int16x8_t products = vmull_s8(vget_low_s8(left[i]), vget_low_s8(right[c]));
          products = vmlal_high_s8(products, left[i], right[c]);
          partial[i][c] = vpadalq_s16(partial[i][c], products);
        }
    }
    for (size_t i = 0; i < rows; i++)
      sum[0][i] = vpaddq_s32(vpaddq_s32(partial[i][0], partial[i][1]), vpaddq_s32(partial[i][2], partial[i][3]));
    chord_finish(args, chord_row_scales(args, row, rows), row, channel, rows, 1, sum);
  }
}

enum { BLOCKS = 4 }; /* whose biases are copied at a time */

/* At most BLOCKS blocks. */
static void some_blocks(const chord_gemm *args) {
  const chord_gemm all = *args; /* a copy: stores to `out` cannot change a local, so nothing is loaded twice */
  const size_t parts = all.depth / 16;
  const int whole = parts == 4 && all.panel_depth == 64;
  size_t row = 0;
  if (parts < 4 || whole) {
    float biases[BLOCKS * 4][4][4];
    for (size_t quad = 0; quad < 4 * all.blocks && all.rows > 1; quad++)
      for (size_t i = 0; i < 4; i++) vst1q_f32(biases[quad][i], vld1q_f32(all.bias + 4 * quad));
    for (; row + 4 <= all.rows; row += 4)
      switch (parts) {
        case 1: chord_neon_tile(&all, 1, row, 4, biases[0][0]); break;
        case 2: chord_neon_tile(&all, 2, row, 4, biases[0][0]); break;
        case 3: chord_neon_tile(&all, 3, row, 4, biases[0][0]); break;
        default: chord_neon_tile(&all, 4, row, 4, biases[0][0]); break;
      }
    if (whole && row + 2 <= all.rows) chord_neon_tile(&all, 4, row, 2, biases[0][0]), row += 2;
    if (whole && row < all.rows) row64(&all, row++);
  }
  chord_gemm one = all;
  for (size_t block = 0; block < all.blocks && row < all.rows; block++) {
    size_t next = row;
    for (; next + 4 <= all.rows; next += 4) tile(&one, next, 4);
    for (; next < all.rows; next++) tile(&one, next, 1);
    one.panel += CHORD_LANES * one.panel_depth;
    one.scale += CHORD_LANES;
    one.bias += CHORD_LANES;
    one.out += CHORD_LANES;
  }
}

CHORD_CODE_PART(neon) static void chord_gemm_qa8_c8__neon(const chord_gemm *args) {
  chord_gemm some = *args;
  for (size_t left = args->blocks; left; left -= some.blocks) {
    some.blocks = left < BLOCKS ? left : BLOCKS;
    some_blocks(&some);
    some.panel += some.blocks * CHORD_LANES * some.panel_depth;
    some.correction += some.blocks * CHORD_LANES;
    some.scale += some.blocks * CHORD_LANES;
    some.bias += some.blocks * CHORD_LANES;
    some.out += some.blocks * CHORD_LANES;
  }
}

/* Bit c of the first of every four corrections says that channel c of them is narrower than int8. */
static void chord_expand_c8__neon(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  chord_derive_rows__neon(channels, panel, scale);
  for (size_t c = 0; c < CHORD_LANES; c++) correction[c] = 0;
  for (size_t c = 0; c < CHORD_LANES; c++) correction[c / 4 * 4] |= (channels->widths[c] != 3) << c % 4;
}

/* Channel by channel. */
CHORD_INLINE void store16(int8_t *panel, size_t panel_depth, size_t k, const int8x16_t codes[16]) {
  for (size_t c = 0; c < 16; c++) vst1q_s8(panel + c * panel_depth + k, codes[c]);
}

CHORD_PACK_OPERATIONS(neon)

CHORD_CODE_DECLARE(neon)
CHORD_CODE_DECLARE(arm)

const chord_ukernels chord_ukernels_neon = {
    .code = {CHORD_CODE(neon), CHORD_CODE(arm), CHORD_CODE(arm)},
    .depth_group = 16,
    .expand_c8 = chord_expand_c8__neon,
    .derive_rows = chord_derive_rows__neon,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__neon,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__neon,
    .norm_f32 = chord_norm_f32__neon,
    .gelu_f32 = chord_gelu_f32__neon,
    .embed_e_f32 = chord_embed_e_f32__neon,
    .gather_e_qa8 = chord_gather_e_qa8__neon,
    .pack_rows_qa8_c8 = chord_pack_rows_qa8_c8__neon,
    .pack_columns_qa8_c8 = chord_pack_columns_qa8_c8__neon,
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
