/* Everything that works row by row: LayerNorm, quantisation, GELU, embedding tables. Armv8.0. */
#if defined(__aarch64__)
#include "common.h"
#include "../spread.h"
#include "rows64.h"

static float32x4_t larger_magnitude(float32x4_t most, float32x4_t x) { return vmaxq_f32(most, vabsq_f32(x)); }

static float largest_of(const float32x4_t most[4]) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(most[0], most[1]), vmaxq_f32(most[2], most[3])));
}

CHORD_CODE_PART(arm) void chord_quantize_f32_qa8__neon(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride, float *a_scale) {
  if (width == 64) {
    if (rows) chord_quantize_rows64(rows, x, x_stride, a, a_stride, a_scale);
    return;
  }
  for (size_t row = 0; row < rows; row++, x += x_stride, a += a_stride) {
    float32x4_t most[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
    for (size_t i = 0; i < width; i += 16)
      for (size_t j = 0; j < 4; j++) most[j] = larger_magnitude(most[j], vld1q_f32(x + i + 4 * j));
    const float largest = largest_of(most), inverse = chord_inverse_of(largest);
    a_scale[row] = chord_scale_of(largest);
    for (size_t i = 0; i < width; i += 16) {
      const float32x4_t part[4] = {vld1q_f32(x + i), vld1q_f32(x + i + 4), vld1q_f32(x + i + 8), vld1q_f32(x + i + 12)};
      chord_store_codes(part, inverse, a + i);
    }
  }
}

/* 1 / standard deviation from sixteen lanes of squares. */
static float factor_of(const float32x4_t squares[4], float inverse_dim, float eps) {
  const float variance = fmaf(chord_fold(squares[0], squares[1], squares[2], squares[3]), inverse_dim, eps);
  return fmaf(variance, 0.0f, 1.0f / sqrtf(variance));
}

CHORD_INLINE void load16(const float *x, float32x4_t v[4]) {
  for (size_t j = 0; j < 4; j++) v[j] = vld1q_f32(x + 4 * j);
}

CHORD_INLINE void store16(float *out, const float32x4_t v[4]) {
  for (size_t j = 0; j < 4; j++) vst1q_f32(out + 4 * j, v[j]);
}

/* Rows that are too long for the registers: v, then y, lies where it is to go, or in a row of its own. */
static void norm_any(const chord_norm n) {
  const size_t dim = n.dim;
  const float inverse_dim = 1.0f / (float)dim;
  const float32x4_t zero = vdupq_n_f32(0.0f);
  float scratch[512];
  for (size_t row = 0; row < n.rows; row++) {
    const float *x = n.x + row * dim, *delta = n.delta ? n.delta + row * dim : NULL;
    float *y = n.norm_out ? n.norm_out + row * dim : scratch, *sum = n.sum_out ? n.sum_out + row * dim : delta ? y : NULL;
    float32x4_t v[4], lanes[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < dim; i += 16) {
      load16(x + i, v);
      for (size_t j = 0; delta && j < 4; j++) v[j] = vaddq_f32(v[j], vld1q_f32(delta + i + 4 * j));
      for (int j = 0; j < 4; j++) lanes[j] = vaddq_f32(lanes[j], v[j]);
      if (sum) store16(sum + i, v);
    }
    if (sum) x = sum;
    const float average = chord_fold(lanes[0], lanes[1], lanes[2], lanes[3]) * inverse_dim;
    const float32x4_t mean = vdupq_n_f32(average);
    for (int j = 0; j < 4; j++) lanes[j] = zero;
    for (size_t i = 0; i < dim; i += 16) {
      load16(x + i, v);
      for (int j = 0; j < 4; j++) lanes[j] = vfmaq_f32(lanes[j], vsubq_f32(v[j], mean), vsubq_f32(v[j], mean));
    }
    const float factor = factor_of(lanes, inverse_dim, n.eps);
    const float32x4_t offset = vdupq_n_f32(-(average * factor));
    for (int j = 0; j < 4; j++) lanes[j] = zero;
    for (size_t i = 0; i < dim; i += 16) {
      load16(x + i, v);
      for (size_t j = 0; j < 4; j++) {
        v[j] = vfmaq_f32(vld1q_f32(n.beta + i + 4 * j), vfmaq_n_f32(offset, v[j], factor), vld1q_f32(n.gamma + i + 4 * j));
        lanes[j] = larger_magnitude(lanes[j], v[j]);
      }
      store16(y + i, v);
    }
    if (!n.a) continue;
    const float most = largest_of(lanes), inverse = chord_inverse_of(most);
    n.a_scale[row] = chord_scale_of(most);
    for (size_t i = 0; i < dim; i += 16) {
      load16(y + i, v);
      chord_store_codes(v, inverse, n.a + row * n.a_stride + i);
    }
  }
}

CHORD_CODE_PART(arm) void chord_norm_f32__neon(const chord_norm *args) {
  if (args->dim != 64)
    norm_any(*args);
  else if (args->rows)
    chord_norm_rows64(args);
}

void chord_gelu_f32__neon(size_t count, float *x) {
  const float32x4_t one = vdupq_n_f32(1.0f);
  for (size_t i = 0; i < count; i += 4) {
    const float32x4_t value = vld1q_f32(x + i), magnitude = vabsq_f32(value);
    const float32x4_t z = vmulq_n_f32(magnitude, CHORD_SQRT_HALF);
    const float32x4_t t = vdivq_f32(one, vfmaq_f32(one, vdupq_n_f32(CHORD_ERF_P), z));
    float32x4_t p = vfmaq_f32(vdupq_n_f32(CHORD_ERF_A4), vdupq_n_f32(CHORD_ERF_A5), t);
    p = vfmaq_f32(vdupq_n_f32(CHORD_ERF_A3), p, t);
    p = vfmaq_f32(vdupq_n_f32(CHORD_ERF_A2), p, t);
    p = vfmaq_f32(vdupq_n_f32(CHORD_ERF_A1), p, t);
    const float32x4_t erf = vsubq_f32(one, vmulq_f32(vmulq_f32(p, t), chord_exp(vnegq_f32(vmulq_f32(z, z)))));
    vst1q_f32(x + i, vmulq_n_f32(vfmaq_f32(value, magnitude, erf), 0.5f));
  }
}

CHORD_INLINE void embed(size_t rows, size_t dim, const chord_table *items, uint32_t item_bits, const int32_t *ids,
                        const chord_table *positions, uint32_t position_bits, const int32_t *slots, float *out) {
  for (size_t row = 0; row < rows; row++) {
    const uint8_t *item = chord_table_row(items, (size_t)ids[row], dim);
    const float item_scale = items->scales[ids[row]];
    const uint8_t *position = positions ? chord_table_row(positions, (size_t)slots[row], dim) : NULL;
    const float position_scale = positions ? positions->scales[slots[row]] : 0.0f;
    for (size_t i = 0; i < dim; i += 16, out += 16) {
      float32x4_t sum[4];
      chord_codes_to_f32(chord_table_codes(item, item_bits, i), sum);
      for (int j = 0; j < 4; j++) sum[j] = vmulq_n_f32(sum[j], item_scale);
      if (positions) {
        float32x4_t place[4];
        chord_codes_to_f32(chord_table_codes(position, position_bits, i), place);
        for (int j = 0; j < 4; j++) sum[j] = vfmaq_n_f32(sum[j], place[j], position_scale);
      }
      for (int j = 0; j < 4; j++) vst1q_f32(out + 4 * j, sum[j]);
    }
  }
}

CHORD_CODE_PART(arm) void chord_embed_e_f32__neon(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, const chord_table *positions,
                             const int32_t *slots, float *out) {
  if (dim == 64 && items->bits == 8 && positions && positions->bits == 8)
    embed(rows, 64, items, 8, ids, positions, 8, slots, out);
  else
    embed(rows, dim, items, items->bits, ids, positions, positions ? positions->bits : 8, slots, out);
}

void chord_gather_e_qa8__neon(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, uint8_t *a, size_t a_stride,
                              float *a_scale) {
  for (size_t row = 0; row < rows; row++, a += a_stride) {
    const uint8_t *item = chord_table_row(items, (size_t)ids[row], dim);
    for (size_t i = 0; i < dim; i += 16) vst1q_s8((int8_t *)a + i, chord_table_codes(item, items->bits, i));
    a_scale[row] = items->scales[ids[row]];
  }
}

/* Adds sixteen codes, weighted, to one chain. Pinned: else compilers work at all four chains at once, and spill. */
CHORD_INLINE void add_codes(float32x4_t sums[4], const int8_t *codes, float weight) {
  float32x4_t row[4];
  chord_codes_to_f32(vld1q_s8(codes), row);
  for (int j = 0; j < 4; j++) sums[j] = vfmaq_n_f32(sums[j], row[j], weight);
  __asm__ volatile("" : "+w"(sums[0]), "+w"(sums[1]), "+w"(sums[2]), "+w"(sums[3]));
}

/* Sixteen columns of `count` rows of codes, weighted. */
CHORD_CODE_PART(arm) void chord_combine_rows_f32__neon(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out) {
  for (size_t k = 0; k < dim; k += 16) {
    float32x4_t sums[4][4];
    for (int chain = 0; chain < 4; chain++)
      for (int j = 0; j < 4; j++) sums[chain][j] = vdupq_n_f32(0.0f);
    const int8_t *at = codes + k;
    size_t c = 0;
    for (; c + 4 <= count; c += 4) {
      const float32x4_t weights = vld1q_f32(x + c);
      for (int chain = 0; chain < 4; chain++, at += stride) add_codes(sums[chain], at, weights[chain]);
    }
    for (size_t chain = 0; chain < 4; chain++, at += stride) {
      if (c + chain >= count) break;
      add_codes(sums[chain], at, x[c + chain]);
    }
    for (int j = 0; j < 4; j++)
      vst1q_f32(out + k + 4 * j, vaddq_f32(vaddq_f32(sums[0][j], sums[1][j]), vaddq_f32(sums[2][j], sums[3][j])));
  }
}

/* Adds products of sixteen codes. */
CHORD_INLINE void add_products(int32x4_t sum[2], int8x16_t codes, int16x8_t h_low, int16x8_t h_high) {
  const int16x8_t low = vmovl_s8(vget_low_s8(codes)), high = vmovl_high_s8(codes);
  sum[0] = vmlal_s16(sum[0], vget_low_s16(low), vget_low_s16(h_low));
  sum[1] = vmlal_high_s16(sum[1], low, h_low);
  sum[0] = vmlal_s16(sum[0], vget_low_s16(high), vget_low_s16(h_high));
  sum[1] = vmlal_high_s16(sum[1], high, h_high);
}

CHORD_INLINE void score(uint32_t bits, size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items,
                        const int32_t *ids, uint32_t first, float *scores) {
  int16x8_t held[8] = {vdupq_n_s16(0)};
  for (size_t i = 0; i < 8 && dim == 64; i++) held[i] = vld1q_s16(h + 8 * i);
  for (size_t i = 0; i < count; i++) {
    const size_t id = ids ? (size_t)ids[i] : first + i;
    const uint8_t *row = chord_table_row(items, id, dim);
    if (ids && i + 8 < count) __builtin_prefetch(chord_table_row(items, (size_t)ids[i + 8], dim));
    int32x4_t sum[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
    if (dim == 64)
      for (size_t c = 0; c < 4; c++) add_products(sum, chord_table_codes(row, bits, 16 * c), held[2 * c], held[2 * c + 1]);
    else
      for (size_t c = 0; c < dim; c += 16) add_products(sum, chord_table_codes(row, bits, c), vld1q_s16(h + c), vld1q_s16(h + c + 8));
    scores[i] = ((float)vaddvq_s32(vaddq_s32(sum[0], sum[1])) * items->scales[id]) * h_scale;
  }
}

CHORD_CODE_PART(arm) void chord_score_q16_e__neon(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items, const int32_t *ids,
                             uint32_t first, float *scores) {
  if (items->bits == 8 && dim == 64)
    score(8, count, 64, h, h_scale, items, ids, first, scores); /* all of h stays in registers */
  else if (items->bits == 8)
    score(8, count, dim, h, h_scale, items, ids, first, scores);
  else
    score(4, count, dim, h, h_scale, items, ids, first, scores);
}

void chord_select_scales__neon(const chord_channels *channels, float *scale) {
  for (size_t c = 0; c < CHORD_LANES; c += 4) {
    uint32_t four;
    memcpy(&four, channels->widths + c, 4);
    const uint32x4_t width = vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)))));
    float32x4_t chosen = vbslq_f32(vceqq_u32(width, vdupq_n_u32(1)), vld1q_f32(channels->scales2 + c), vdupq_n_f32(1.0f));
    chosen = vbslq_f32(vceqq_u32(width, vdupq_n_u32(2)), vld1q_f32(channels->scales4 + c), chosen);
    vst1q_f32(scale + c, vbslq_f32(vceqq_u32(width, vdupq_n_u32(3)), vld1q_f32(channels->scales8 + c), chosen));
  }
}

void chord_derive_rows__neon(const chord_channels *channels, int8_t *out, float *scale) {
  for (size_t c = 0; c < CHORD_LANES; c++) {
    const chord_rule rule = chord_rule_of(channels, c);
    for (size_t i = 0; i < channels->depth; i += 16, out += 16) vst1q_s8(out, chord_derive16(channels->rows[c] + i, rule));
  }
  chord_select_scales__neon(channels, scale);
}

/* Bytes of four places in a register that begins at `first`; of what is none, bytes that it does not have. */
static uint8x16_t bytes_of(const int32_t *places, int32_t first) {
  const int32x4_t from = vld1q_s32(places);
  const uint32x4_t none = vreinterpretq_u32_s32(vshrq_n_s32(from, 31)), step = vdupq_n_u32(0x04040404), start = vdupq_n_u32(0x03020100);
  return vreinterpretq_u8_u32(vorrq_u32(vmlaq_u32(start, vreinterpretq_u32_s32(vsubq_s32(from, vdupq_n_s32(first))), step), none));
}

static void spread(const chord_spread args) {
  for (size_t c = 0; c < args.dim; c += 16) {
    uint8x16_t bytes[4], fill[4];
    const float *x[4];
    for (size_t i = 0; i < 4; i++) {
      const int32_t next = args.places[c + 4 * i], first = next < 0 ? ~next : next;
      bytes[i] = bytes_of(args.places + c + 4 * i, first);
      fill[i] = vreinterpretq_u8_f32(vld1q_f32(args.fill + c + 4 * i));
      x[i] = args.x + first;
    }
    float *out = args.out + c;
    for (size_t row = 0; row < args.rows; row++, out += args.out_stride)
      for (size_t i = 0; i < 4; i++)
        vst1q_f32(out + 4 * i, vreinterpretq_f32_u8(vqtbx1q_u8(fill[i], vreinterpretq_u8_f32(vld1q_f32(x[i] + row * args.x_stride)), bytes[i])));
  }
}

void chord_spread_f32__neon(const chord_spread *args) {
  CHORD_SPREAD_SOME_ROWS(args, spread)
}
#else
typedef int chord_not_this_architecture; /* ISO C wants a declaration in every file */
#endif
