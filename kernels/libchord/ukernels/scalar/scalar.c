/* The definition of every micro-kernel, in plain C. Other variants return the same bits. */
#include <math.h>
#include <string.h>

#include "../constants.h"
#include "../ukernels.h"

/* Sixteen partial sums to one: 16 -> 8 -> 4 -> 2 -> 1. */
static float fold(const float lanes[CHORD_LANES]) {
  float a[8];
  for (int i = 0; i < 8; i++) a[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; i++) a[i] = a[i] + a[i + 4];
  a[0] = a[0] + a[2];
  a[1] = a[1] + a[3];
  return a[0] + a[1];
}

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* p 2^n, where the integer n stands in the low bits of `shifted` = n + CHORD_ROUND: moved to the exponent and added to that of p, exactly.
 * What is not a number stays none. */
static float scaled(float p, float shifted) { return float_of(bits_of(p) + (bits_of(shifted) << 23)); }

static float exp_f32(float x) {
  x = x < CHORD_EXP_LOW ? CHORD_EXP_LOW : x;
  const float shifted = fmaf(x, CHORD_LOG2E, CHORD_ROUND);
  const float r = fmaf(shifted - CHORD_ROUND, -CHORD_LN2, x);
  float p = CHORD_EXP_P6;
  p = fmaf(p, r, CHORD_EXP_P5);
  p = fmaf(p, r, CHORD_EXP_P4);
  p = fmaf(p, r, CHORD_EXP_P3);
  p = fmaf(p, r, CHORD_EXP_P2);
  p = fmaf(p, r, 1.0f);
  p = fmaf(p, r, 1.0f);
  return scaled(p, shifted);
}

static float exp2_f32(float x) {
  x = x < CHORD_EXP2_LOW ? CHORD_EXP2_LOW : x;
  const float shifted = x + CHORD_ROUND, r = x - (shifted - CHORD_ROUND);
  float p = CHORD_EXP2_P4;
  p = fmaf(p, r, CHORD_EXP2_P3);
  p = fmaf(p, r, CHORD_EXP2_P2);
  p = fmaf(p, r, CHORD_EXP2_P1);
  p = fmaf(p, r, 1.0f);
  return scaled(p, shifted);
}

/*
 * Codes of `count` (at most 64) inputs at the chosen width: (code * ratio + 2^14) >> 15, clipped to the grid. int8 keeps the master's code and
 * off gives zero: both take ratio 0, so that the loop has no branch on the width. Written for compilers to vectorise: in 16 bits,
 * floor((x + 2^14) / 2^15) = floor((floor(x / 2^8) + 2^6) / 2^7) with x = code * ratio, whose upper half is one multiplication.
 */
static inline void derive_at(const int8_t *restrict row, size_t count, int16_t ratio, int16_t least, int16_t most, int8_t keep,
                             int8_t *restrict out) {
  int16_t upper[64];
  for (size_t i = 0; i < count; i++) upper[i] = (int16_t)(row[i] * 256);
#if defined(__GNUC__)
  __asm__("" : "+m"(upper), "+r"(ratio)); /* else compilers merge the products, and multiply in 32 bits */
#endif
  for (size_t i = 0; i < count; i++) upper[i] = (int16_t)(((int32_t)upper[i] * (int32_t)ratio) >> 16);
  for (size_t i = 0; i < count; i++) {
    int16_t code = (int16_t)((int16_t)(upper[i] + 64) >> 7);
    code = code < least ? least : code;
    code = code > most ? most : code;
    out[i] = (int8_t)((row[i] & keep) | (int8_t)code);
  }
}

static void derive(const int8_t *restrict row, size_t count, int width, int16_t ratio2, int16_t ratio4, int8_t *restrict out) {
  static const int16_t low[4] = {0, -2, -7, 0}, high[4] = {0, 1, 7, 0};
  const int16_t ratio = width == 1 ? ratio2 : width == 2 ? ratio4 : 0;
  const int8_t keep = width == 3 ? -1 : 0;
  /* A constant count lets compilers unroll; whole rows of 64 are the common case. */
  for (; count >= 64; count -= 64, row += 64, out += 64) derive_at(row, 64, ratio, low[width], high[width], keep, out);
  derive_at(row, count, ratio, low[width], high[width], keep, out);
}

static void select_scales(const chord_channels *channels, float *scale) {
  for (int c = 0; c < CHORD_LANES; c++) {
    const uint8_t width = channels->widths[c];
    scale[c] = width == 1 ? channels->scales2[c] : width == 2 ? channels->scales4[c] : width == 3 ? channels->scales8[c] : 1.0f;
  }
}

static void chord_expand_c8__scalar(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  for (size_t c = 0; c < CHORD_LANES; c++) {
    for (size_t start = 0; start < channels->depth; start += 64) {
      int8_t codes[64];
      const size_t left = channels->depth - start;
      const int8_t *row = channels->rows[c] + start;
      derive(row, left < 64 ? left : 64, channels->widths[c], channels->ratios2[c], channels->ratios4[c], codes);
      const size_t groups = left >= 64 ? 16 : left / 4;
      for (size_t group = 0; group < groups; group++) memcpy(panel + (start + 4 * group) * CHORD_LANES + 4 * c, codes + 4 * group, 4);
    }
    correction[c] = 0;
  }
  select_scales(channels, scale);
}

static void chord_derive_rows__scalar(const chord_channels *channels, int8_t *out, float *scale) {
  for (int c = 0; c < CHORD_LANES; c++)
    derive(channels->rows[c], channels->depth, channels->widths[c], channels->ratios2[c], channels->ratios4[c],
           out + (size_t)c * channels->depth);
  select_scales(channels, scale);
}

/* The larger magnitude. As integers, because then what is not a number is larger than all numbers, and stays. */
static float larger_magnitude(float most, float x) {
  const uint32_t magnitude = bits_of(x) & 0x7fffffff;
  return magnitude > bits_of(most) ? float_of(magnitude) : most;
}

static float scale_of(float most) { return fmaf(most, 0.0f, most * (1.0f / 127.0f)); }

/* Codes of a row that is not finite mean nothing: its scale is no number. They are a value all the same, not undefined behaviour. */
static uint8_t code_of(float x, float inverse) {
  const float code = fmaf(x, inverse, CHORD_ROUND) - CHORD_ROUND;
  return code >= -127.0f && code <= 127.0f ? (uint8_t)(int8_t)code : 0;
}

static void chord_quantize_f32_qa8__scalar(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride,
                                    float *a_scale) {
  for (size_t row = 0; row < rows; row++, x += x_stride, a += a_stride) {
    float most = 0.0f;
    for (size_t i = 0; i < width; i++) most = larger_magnitude(most, x[i]);
    const float inverse = most >= CHORD_SMALLEST_MAX ? 127.0f / most : 0.0f;
    a_scale[row] = scale_of(most);
    for (size_t i = 0; i < width; i++) a[i] = code_of(x[i], inverse);
  }
}

/* Code of channel c, input k of a block; bits is a constant where this is inlined. */
static int8_t block_code(const int8_t *block, unsigned bits, size_t k, size_t c) {
  const size_t groups = 8 / bits, group = k / 4;
  const uint8_t byte = (uint8_t)block[group / groups * 64 + 4 * c + k % 4];
  if (bits == 8) return (int8_t)byte;
  return (int8_t)((byte >> (group % groups * bits) & ((1u << bits) - 1)) - (1u << (bits - 1)));
}

static inline void gemm(const chord_gemm *args, unsigned bits) {
  for (size_t row = 0; row < args->rows; row++) {
    const int8_t *a = (const int8_t *)(args->a + row * args->a_stride);
    for (size_t block = 0; block < args->blocks; block++) {
      const int8_t *panel = args->panel + block * chord_packed_block_bytes(args->panel_depth, bits);
      int32_t sum[CHORD_LANES] = {0};
      for (size_t k = 0; k < args->depth; k++)
        for (size_t c = 0; c < CHORD_LANES; c++) sum[c] += a[k] * block_code(panel, bits, k, c);
      float *out = args->out + row * args->out_stride + block * CHORD_LANES;
      for (size_t c = 0; c < CHORD_LANES; c++) {
        const size_t channel = block * CHORD_LANES + c;
        const float y = fmaf((float)sum[c] * args->scale[channel], args->a_scale[row], args->bias[channel]);
        out[c] = args->relu && y <= 0.0f ? 0.0f : y;
      }
    }
  }
}

static void chord_gemm_qa8_c8__scalar(const chord_gemm *args) { gemm(args, 8); }
static void chord_gemm_qa8_c4__scalar(const chord_gemm *args) { gemm(args, 4); }
static void chord_gemm_qa8_c2__scalar(const chord_gemm *args) { gemm(args, 2); }

static void chord_norm_f32__scalar(const chord_norm *args) {
  const size_t dim = args->dim;
  const float inverse_dim = 1.0f / (float)dim;
  for (size_t row = 0; row < args->rows; row++) {
    const float *x = args->x + row * dim;
    const float *delta = args->delta ? args->delta + row * dim : NULL;
    float *sum_out = args->sum_out ? args->sum_out + row * dim : NULL;
    float *norm_out = args->norm_out ? args->norm_out + row * dim : NULL;
    float sums[CHORD_LANES] = {0}, squares[CHORD_LANES] = {0};
    for (size_t i = 0; i < dim; i++) sums[i % CHORD_LANES] += delta ? x[i] + delta[i] : x[i];
    const float mean = fold(sums) * inverse_dim;
    for (size_t i = 0; i < dim; i++) {
      const float centred = (delta ? x[i] + delta[i] : x[i]) - mean;
      squares[i % CHORD_LANES] = fmaf(centred, centred, squares[i % CHORD_LANES]);
    }
    const float variance = fmaf(fold(squares), inverse_dim, args->eps);
    const float factor = fmaf(variance, 0.0f, 1.0f / sqrtf(variance));
    const float offset = -(mean * factor);
    float most = 0.0f;
    for (size_t i = 0; i < dim; i++) {
      const float v = delta ? x[i] + delta[i] : x[i];
      const float y = fmaf(fmaf(v, factor, offset), args->gamma[i], args->beta[i]);
      most = larger_magnitude(most, y);
    }
    const float inverse = most >= CHORD_SMALLEST_MAX ? 127.0f / most : 0.0f;
    if (args->a) args->a_scale[row] = scale_of(most);
    for (size_t i = 0; i < dim; i++) {
      const float v = delta ? x[i] + delta[i] : x[i];
      const float y = fmaf(fmaf(v, factor, offset), args->gamma[i], args->beta[i]);
      if (args->a) args->a[row * args->a_stride + i] = code_of(y, inverse);
      if (sum_out) sum_out[i] = v;
      if (norm_out) norm_out[i] = y;
    }
  }
}

static void chord_gelu_f32__scalar(size_t count, float *x) {
  for (size_t i = 0; i < count; i++) {
    const float z = fabsf(x[i]) * CHORD_SQRT_HALF;
    const float t = 1.0f / fmaf(CHORD_ERF_P, z, 1.0f);
    float p = CHORD_ERF_A5;
    p = fmaf(p, t, CHORD_ERF_A4);
    p = fmaf(p, t, CHORD_ERF_A3);
    p = fmaf(p, t, CHORD_ERF_A2);
    p = fmaf(p, t, CHORD_ERF_A1);
    const float erf = 1.0f - (p * t) * exp_f32(-(z * z));
    /* x Phi(x) = (x + |x| erf(|x| / sqrt 2)) / 2: no sign to restore. */
    x[i] = fmaf(fabsf(x[i]), erf, x[i]) * 0.5f;
  }
}

static int8_t table_code(const chord_table *table, size_t row, size_t dim, size_t i) {
  if (table->bits == 8) return (int8_t)table->codes[row * dim + i];
  const uint8_t nibble = (table->codes[row * (dim / 2) + i / 2] >> (4 * (i % 2))) & 15;
  return (int8_t)((nibble ^ 8) - 8);
}

static void chord_embed_e_f32__scalar(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, const chord_table *positions,
                               const int32_t *slots, float *out) {
  for (size_t row = 0; row < rows; row++, out += dim) {
    const size_t id = (size_t)ids[row];
    for (size_t i = 0; i < dim; i++) {
      const float item = (float)table_code(items, id, dim, i) * items->scales[id];
      out[i] = positions ? fmaf((float)table_code(positions, (size_t)slots[row], dim, i), positions->scales[slots[row]], item) : item;
    }
  }
}

static void chord_gather_e_qa8__scalar(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, uint8_t *a, size_t a_stride,
                                       float *a_scale) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t i = 0; i < dim; i++) a[row * a_stride + i] = (uint8_t)table_code(items, (size_t)ids[row], dim, i);
    a_scale[row] = items->scales[ids[row]];
  }
}

/* p = 2^(s - max) over `count` scores; returns 1 / sum. */
static float softmax(float *s, size_t count) {
  float most = s[0];
  for (size_t t = 1; t < count; t++) most = s[t] > most ? s[t] : most;
  float sums[CHORD_LANES] = {0};
  for (size_t t = 0; t < count; t++) {
    s[t] = exp2_f32(s[t] - most);
    sums[t % CHORD_LANES] += s[t];
  }
  return 1.0f / fold(sums);
}

static void chord_pack_rows_qa8_c8__scalar(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, int32_t *correction) {
  for (size_t k = 0; k < depth; k++)
    for (size_t row = 0; row < CHORD_LANES; row++) panel[k / 4 * 64 + 4 * row + k % 4] = row < rows ? (int8_t)a[row * depth + k] : 0;
  memset(correction, 0, CHORD_LANES * sizeof(int32_t));
}

static void chord_pack_columns_qa8_c8__scalar(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel, size_t panel_depth,
                                              int32_t *correction) {
  for (size_t row = 0; row < CHORD_LANES; row++)
    for (size_t c = 0; c < depth; c++)
      panel[c / 16 * 16 * panel_depth + (first + row) / 4 * 64 + 4 * (c % 16) + row % 4] = row < rows ? (int8_t)a[row * depth + c] : 0;
  memset(correction, 0, depth * sizeof(int32_t));
}

static void chord_softmax_f32_qa8__scalar(const chord_softmax *args) {
  for (size_t row = 0; row < args->rows; row++) {
    const size_t count = args->first + row + 1;
    float *s = args->scores + row * args->stride;
    const float inverse = softmax(s, count);
    for (size_t t = 0; t < count; t++) s[t] *= args->value_scale[t];
    memset(args->p + row * args->stride, 0, args->keys);
    chord_quantize_f32_qa8__scalar(1, count, s, 0, args->p + row * args->stride, 0, args->p_scale + row);
    args->p_scale[row] *= inverse;
  }
}

static void chord_mix_rows_f32__scalar(size_t rows, size_t dim, const float *p, const float *x, float *out) {
  for (size_t c = 0; c < dim; c++) {
    float sums[4] = {0};
    for (size_t t = 0; t < rows; t++) sums[t % 4] = fmaf(p[t], x[t * dim + c], sums[t % 4]);
    out[c] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}

static void chord_attend_last_f32__scalar(const chord_attend_last *args) {
  const size_t dim = args->dim;
  float *p = args->work;
  for (size_t head = 0; head < args->heads; head++) {
    const float *probe = args->probe + head * dim;
    for (size_t t = 0; t < args->rows; t++) {
      float sums[CHORD_LANES] = {0};
      for (size_t c = 0; c < dim; c++) sums[c % CHORD_LANES] = fmaf(probe[c], args->x[t * dim + c], sums[c % CHORD_LANES]);
      p[t] = fold(sums);
    }
    const float inverse = softmax(p, args->rows);
    float *out = args->out + head * dim;
    chord_mix_rows_f32__scalar(args->rows, dim, p, args->x, out);
    for (size_t c = 0; c < dim; c++) out[c] *= inverse;
  }
}

static void chord_combine_rows_f32__scalar(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out) {
  for (size_t k = 0; k < dim; k++) {
    float sums[4] = {0};
    for (size_t c = 0; c < count; c++) sums[c % 4] = fmaf(x[c], (float)codes[c * stride + k], sums[c % 4]);
    out[k] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}

static void chord_spread_f32__scalar(const chord_spread *args) {
  for (size_t row = 0; row < args->rows; row++) {
    const float *x = args->x + row * args->x_stride;
    float *out = args->out + row * args->out_stride;
    for (size_t c = 0; c < args->dim; c++) out[c] = args->places[c] < 0 ? args->fill[c] : x[args->places[c]];
  }
}

static void chord_score_q16_e__scalar(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items, const int32_t *ids,
                               uint32_t first, float *scores) {
  for (size_t i = 0; i < count; i++) {
    const size_t id = ids ? (size_t)ids[i] : first + i;
    int32_t sum = 0;
    for (size_t c = 0; c < dim; c++) sum += h[c] * table_code(items, id, dim, c);
    scores[i] = ((float)sum * items->scales[id]) * h_scale;
  }
}

const chord_ukernels chord_ukernels_scalar = {
    .depth_group = 4,
    .expand_c8 = chord_expand_c8__scalar,
    .derive_rows = chord_derive_rows__scalar,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__scalar,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__scalar,
    .gemm_qa8_c4 = chord_gemm_qa8_c4__scalar,
    .gemm_qa8_c2 = chord_gemm_qa8_c2__scalar,
    .norm_f32 = chord_norm_f32__scalar,
    .gelu_f32 = chord_gelu_f32__scalar,
    .embed_e_f32 = chord_embed_e_f32__scalar,
    .gather_e_qa8 = chord_gather_e_qa8__scalar,
    .pack_rows_qa8_c8 = chord_pack_rows_qa8_c8__scalar,
    .pack_columns_qa8_c8 = chord_pack_columns_qa8_c8__scalar,
    .softmax_f32_qa8 = chord_softmax_f32_qa8__scalar,
    .attend_last_f32 = chord_attend_last_f32__scalar,
    .mix_rows_f32 = chord_mix_rows_f32__scalar,
    .combine_rows_f32 = chord_combine_rows_f32__scalar,
    .spread_f32 = chord_spread_f32__scalar,
    .score_q16_e = chord_score_q16_e__scalar,
};
