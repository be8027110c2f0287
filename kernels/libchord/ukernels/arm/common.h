/* What the Arm variants share: the fold of sixteen lanes, exp, quantisation of sixteen floats, the functions without products. */
#ifndef CHORD_ARM_COMMON_H
#define CHORD_ARM_COMMON_H

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "../constants.h"
#include "../ukernels.h"

#define CHORD_INLINE static inline __attribute__((always_inline))

/* Sixteen partial sums to one: 16 -> 8 -> 4 -> 2 -> 1. */
CHORD_INLINE float chord_fold(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a, c), vaddq_f32(b, d));
  return vaddv_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
}

/*
 * exp(x), x <= 0. After the rounding constant is added, the integer stands in the low bits of the sum: a shift moves it to the
 * exponent, and adding it to that of the polynomial multiplies. The result is never a denormal, so nothing is rounded.
 */
CHORD_INLINE float32x4_t chord_exp(float32x4_t x) {
  const float32x4_t magic = vdupq_n_f32(CHORD_ROUND), one = vdupq_n_f32(1.0f);
  x = vmaxq_f32(x, vdupq_n_f32(CHORD_EXP_LOW));
  const float32x4_t shifted = vfmaq_f32(magic, x, vdupq_n_f32(CHORD_LOG2E));
  const float32x4_t r = vfmsq_f32(x, vsubq_f32(shifted, magic), vdupq_n_f32(CHORD_LN2));
  float32x4_t p = vfmaq_f32(vdupq_n_f32(CHORD_EXP_P5), r, vdupq_n_f32(CHORD_EXP_P6));
  p = vfmaq_f32(vdupq_n_f32(CHORD_EXP_P4), p, r);
  p = vfmaq_f32(vdupq_n_f32(CHORD_EXP_P3), p, r);
  p = vfmaq_f32(vdupq_n_f32(CHORD_EXP_P2), p, r);
  p = vfmaq_f32(one, p, r);
  p = vfmaq_f32(one, p, r);
  /* Unsigned, because lanes behind the causal mask hold scores above the maximum and may overflow before they are masked. */
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23)));
}

/* 2^x, x <= 0; the same shift. */
CHORD_INLINE float32x4_t chord_exp2(float32x4_t x) {
  const float32x4_t magic = vdupq_n_f32(CHORD_ROUND), one = vdupq_n_f32(1.0f);
  x = vmaxq_f32(x, vdupq_n_f32(CHORD_EXP2_LOW));
  const float32x4_t shifted = vaddq_f32(x, magic), r = vsubq_f32(x, vsubq_f32(shifted, magic));
  float32x4_t p = vfmaq_f32(vdupq_n_f32(CHORD_EXP2_P3), r, vdupq_n_f32(CHORD_EXP2_P4));
  p = vfmaq_f32(vdupq_n_f32(CHORD_EXP2_P2), p, r);
  p = vfmaq_f32(vdupq_n_f32(CHORD_EXP2_P1), p, r);
  p = vfmaq_f32(one, p, r);
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(vreinterpretq_u32_f32(shifted), 23)));
}

/* 127 / most, or 0 for a row of zeros. */
CHORD_INLINE float chord_inverse_of(float most) { return most >= CHORD_SMALLEST_MAX ? 127.0f / most : 0.0f; }
CHORD_INLINE float chord_scale_of(float most) { return fmaf(most, 0.0f, most * (1.0f / 127.0f)); }

/* Codes of sixteen floats: the rounded integers stand in the low bytes of fma(x, inverse, CHORD_ROUND). */
CHORD_INLINE void chord_store_codes(const float32x4_t x[4], float inverse, uint8_t *out) {
  int16x8_t half[2];
  for (int i = 0; i < 2; i++)
    half[i] = vuzp1q_s16(vreinterpretq_s16_f32(vfmaq_n_f32(vdupq_n_f32(CHORD_ROUND), x[2 * i], inverse)),
                         vreinterpretq_s16_f32(vfmaq_n_f32(vdupq_n_f32(CHORD_ROUND), x[2 * i + 1], inverse)));
  vst1q_u8(out, vuzp1q_u8(vreinterpretq_u8_s16(half[0]), vreinterpretq_u8_s16(half[1])));
}

/* Sixteen codes as floats. A table look-up puts each byte on top of a word, and the conversion divides by 2^24: both exact. */
CHORD_INLINE void chord_codes_to_f32(int8x16_t codes, float32x4_t out[4]) {
  static const uint32_t lanes[4] = {0x00ffffff, 0x01ffffff, 0x02ffffff, 0x03ffffff};
  const uint8x16_t first = vreinterpretq_u8_u32(vld1q_u32(lanes));
  const uint8x16_t step = vreinterpretq_u8_u32(vdupq_n_u32(0x04000000));
  uint8x16_t index = first;
  for (int i = 0; i < 4; i++, index = vaddq_u8(index, step))
    out[i] = vcvtq_n_f32_s32(vreinterpretq_s32_s8(vqtbl1q_s8(codes, index)), 24);
}

/* Eight bytes of int4 codes, low nibble first, as sixteen int8. */
CHORD_INLINE int8x16_t chord_nibbles(const uint8_t *packed) {
  const int8x8_t bytes = vreinterpret_s8_u8(vld1_u8(packed));
  const int8x8_t low = vshr_n_s8(vshl_n_s8(bytes, 4), 4), high = vshr_n_s8(bytes, 4);
  return vcombine_s8(vzip1_s8(low, high), vzip2_s8(low, high));
}

CHORD_INLINE const uint8_t *chord_table_row(const chord_table *table, size_t row, size_t dim) {
  return table->codes + row * (dim * table->bits / 8);
}

/* Sixteen codes of a table's row from element `first` on. */
CHORD_INLINE int8x16_t chord_table_codes(const uint8_t *row, uint32_t bits, size_t first) {
  return bits == 8 ? vld1q_s8((const int8_t *)row + first) : chord_nibbles(row + first / 2);
}

/*
 * How a channel's codes follow from the int8 ones: (code * ratio + 2^14) >> 15 is one sqrdmulh, then a clip. int8 takes part
 * with the ratio 32767, which gives every int8 code back, and off with 0.
 */
typedef struct chord_rule {
  int16_t ratio;
  int8_t low;
  int8_t high;
} chord_rule;

CHORD_INLINE chord_rule chord_rule_of(const chord_channels *channels, size_t c) {
  static const int8_t low[4] = {0, -2, -7, -128}, high[4] = {0, 1, 7, 127};
  const uint8_t width = channels->widths[c] & 3;
  const int16_t ratios[4] = {0, channels->ratios2[c], channels->ratios4[c], 32767};
  return (chord_rule){.ratio = ratios[width], .low = low[width], .high = high[width]};
}

CHORD_INLINE int8x16_t chord_derive16(const int8_t *row, chord_rule rule) {
  const int8x16_t codes = vld1q_s8(row);
  const int16x8_t low = vqrdmulhq_n_s16(vmovl_s8(vget_low_s8(codes)), rule.ratio);
  const int16x8_t high = vqrdmulhq_n_s16(vmovl_high_s8(codes), rule.ratio);
  const int8x16_t derived = vuzp1q_s8(vreinterpretq_s8_s16(low), vreinterpretq_s8_s16(high));
  return vminq_s8(vmaxq_s8(derived, vdupq_n_s8(rule.low)), vdupq_n_s8(rule.high));
}

/* y = fma(float(sum) * scale, a_scale, bias) of four channels. */
CHORD_INLINE float32x4_t chord_rescale(int32x4_t sum, float32x4_t scale, float a_scale, float32x4_t bias) {
  return vfmaq_n_f32(bias, vmulq_f32(vcvtq_f32_s32(sum), scale), a_scale);
}

void chord_select_scales__neon(const chord_channels *channels, float *scale);
void chord_derive_rows__neon(const chord_channels *channels, int8_t *out, float *scale);
void chord_quantize_f32_qa8__neon(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride, float *a_scale);
void chord_norm_f32__neon(const chord_norm *args);
void chord_gelu_f32__neon(size_t count, float *x);
void chord_embed_e_f32__neon(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, const chord_table *positions,
                             const int32_t *slots, float *out);
void chord_gather_e_qa8__neon(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, uint8_t *a, size_t a_stride,
                              float *a_scale);
void chord_softmax_f32_qa8__neon(const chord_softmax *args);
void chord_attend_last_f32__neon(const chord_attend_last *args);
void chord_mix_rows_f32__neon(size_t rows, size_t dim, const float *p, const float *x, float *out);
void chord_combine_rows_f32__neon(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out);
void chord_spread_f32__neon(const chord_spread *arguments);
void chord_score_q16_e__neon(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items, const int32_t *ids,
                             uint32_t first, float *scores);

#endif
