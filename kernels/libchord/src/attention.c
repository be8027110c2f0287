/*
 * Causal attention with products in 8 bits, head by head, 16 queries at a time:
 *
 *   scores = (codes of queries . codes of keys) scales                 a product whose weights are the keys
 *   p      = 2^(scores - max), times the values' scales, in 8 bits     softmax_f32_qa8
 *   out    = (p . codes of values) scale of p / sum                    a product whose weights are the values
 *
 * Each row of queries, keys and values is quantised like an activation. Sixteen queries see the keys of their own block of 16 and of
 * those before it; the rest of the triangle is never computed. Queries are multiplied by log2 e / sqrt(head width) by their scales.
 */
#include <string.h>

#include "internal.h"

enum { QUERIES = 16, QUANTISED_WIDTH = 64 };

typedef struct parts {
  size_t depth; /* width of a head, rounded up to 16 */
  size_t keys;  /* rows, rounded up to 16 */
  uint8_t *codes[3]; /* [rows][depth]: query, key, value */
  float *scales[3];  /* [keys], zero past the rows */
  int8_t *key_panel; /* [keys / 16] blocks over depth */
  int32_t *key_correction;
  int8_t *value_panel;       /* [depth / 16] blocks over keys */
  int32_t *value_correction; /* [keys / 16][depth] */
  float *zeros;              /* [keys or depth, the larger] */
  float *ones;               /* [depth] */
  float *scores;             /* [QUERIES][keys] */
  uint8_t *p;                /* [QUERIES][keys] */
  float *p_scale;
  float *columns; /* [QUERIES][depth]: where a head is not a multiple of 16 wide */
} parts;

static size_t lay_out(size_t rows, size_t width, uint8_t *base, parts *p) {
  const size_t depth = chord_round_up(width, 16), keys = chord_round_up(rows, 16);
  chord_carver c = {.base = base};
  p->depth = depth;
  p->keys = keys;
  for (int i = 0; i < 3; i++) {
    p->codes[i] = chord_carve(&c, rows * depth);
    p->scales[i] = chord_carve(&c, keys * sizeof(float));
  }
  p->key_panel = chord_carve(&c, keys * depth);
  p->key_correction = chord_carve(&c, keys * sizeof(int32_t));
  p->value_panel = chord_carve(&c, keys * depth);
  p->value_correction = chord_carve(&c, keys / 16 * depth * sizeof(int32_t));
  p->zeros = chord_carve(&c, (keys > depth ? keys : depth) * sizeof(float));
  p->ones = chord_carve(&c, depth * sizeof(float));
  p->scores = chord_carve(&c, QUERIES * keys * sizeof(float));
  p->p = chord_carve(&c, QUERIES * keys);
  p->p_scale = chord_carve(&c, QUERIES * sizeof(float));
  p->columns = chord_carve(&c, width == depth ? 0 : QUERIES * depth * sizeof(float));
  return c.used;
}

size_t chord_attend_bytes(size_t rows, size_t width) {
  parts p;
  return lay_out(rows, width, NULL, &p);
}

/* Codes of one part of a head from floats, `stride` apart; columns past the width are zero. */
static void quantize_part(const chord_ukernels *kernels, size_t rows, size_t width, const float *x, size_t stride, const parts *p, int part) {
  if (width == p->depth) {
    kernels->quantize_f32_qa8(rows, width, x, stride, p->codes[part], p->depth, p->scales[part]);
    return;
  }
  float *padded = p->columns;
  memset(padded, 0, p->depth * sizeof(float));
  for (size_t row = 0; row < rows; row++) {
    memcpy(padded, x + row * stride, width * sizeof(float));
    kernels->quantize_f32_qa8(1, p->depth, padded, p->depth, p->codes[part] + row * p->depth, p->depth, p->scales[part] + row);
  }
}

/* The product with blocks [block, block + 4) only, quantised. */
static void project_part(const chord_ukernels *kernels, const chord_gemm *qkv, size_t block, const parts *p, int part) {
  chord_gemm gemm = *qkv;
  gemm.blocks = QUANTISED_WIDTH / 16;
  gemm.panel += block * 16 * gemm.panel_depth;
  gemm.correction += 16 * block;
  gemm.scale += 16 * block;
  gemm.bias += 16 * block;
  kernels->gemm_qa8_c8_qa8(&gemm, p->codes[part], p->depth, p->scales[part]);
}

static void pack_panels(const chord_ukernels *kernels, size_t all_rows, const parts *p) {
  for (size_t row = all_rows; row < p->keys; row++) p->scales[1][row] = p->scales[2][row] = 0.0f;
  for (size_t first = 0; first < all_rows; first += 16) {
    const size_t rows = all_rows - first < 16 ? all_rows - first : 16, at = first * p->depth;
    kernels->pack_rows_qa8_c8(rows, p->depth, p->codes[1] + at, p->key_panel + at, p->key_correction + first);
    kernels->pack_columns_qa8_c8(rows, p->depth, p->codes[2] + at, first, p->value_panel, p->keys, p->value_correction + first / 16 * p->depth);
  }
}

/* What was multiplied as it is: keys, and with a second name values. */
static void take_inputs(const chord_gemm *qkv, parts *p) {
  for (size_t row = 0; row < qkv->rows; row++) memcpy(p->codes[1] + row * p->depth, qkv->a + row * qkv->a_stride, p->depth);
  memcpy(p->scales[1], qkv->a_scale, qkv->rows * sizeof(float));
  p->codes[2] = p->codes[1];
  p->scales[2] = p->scales[1];
}

void chord_attend(const chord_ukernels *kernels, const chord_gemm *qkv, size_t dim, size_t heads, bool absorbed, void *work, float *out,
                  uint8_t *a, size_t a_stride, float *a_scale) {
  const size_t all_rows = qkv->rows, width = dim / heads;
  parts parts_of_a_head, *const p = &parts_of_a_head;
  lay_out(all_rows, width, work, p);
  memset(p->zeros, 0, (p->keys > p->depth ? p->keys : p->depth) * sizeof(float));
  for (size_t c = 0; c < p->depth; c++) p->ones[c] = 1.0f;
  const bool quantising = width == QUANTISED_WIDTH && kernels->gemm_qa8_c8_qa8, whole = width == p->depth;
  if (!quantising) kernels->gemm_qa8_c8(qkv);
  for (size_t head = 0; head < heads; head++) {
    for (int part = 0; part < (absorbed ? 1 : 3); part++) {
      const size_t column = (size_t)part * dim + head * width;
      if (quantising)
        project_part(kernels, qkv, column / 16, p, part);
      else
        quantize_part(kernels, all_rows, width, qkv->out + column, qkv->out_stride, p, part);
    }
    if (absorbed) take_inputs(qkv, p);
    pack_panels(kernels, all_rows, p);
    for (size_t first = 0; first < all_rows; first += QUERIES) {
      const size_t rows = all_rows - first < QUERIES ? all_rows - first : QUERIES, seen = chord_round_up(first + rows, 16);
      const chord_gemm scores = {
          .rows = rows, .blocks = seen / 16, .depth = p->depth, .a = p->codes[0] + first * p->depth, .a_stride = p->depth,
          .a_scale = p->scales[0] + first, .panel = p->key_panel, .panel_depth = p->depth, .correction = p->key_correction,
          .scale = p->scales[1], .bias = p->zeros, .out = p->scores, .out_stride = p->keys};
      kernels->gemm_qa8_c8(&scores);
      const chord_softmax softmax = {.rows = rows, .first = first, .keys = seen, .scores = p->scores, .stride = p->keys,
                                     .value_scale = p->scales[2], .p = p->p, .p_scale = p->p_scale};
      kernels->softmax_f32_qa8(&softmax);
      float *to = out + first * dim + head * width;
      const chord_gemm mix = {
          .rows = rows, .blocks = p->depth / 16, .depth = seen, .a = p->p, .a_stride = p->keys, .a_scale = p->p_scale,
          .panel = p->value_panel, .panel_depth = p->keys, .correction = p->value_correction + (seen / 16 - 1) * p->depth,
          .scale = p->ones, .bias = p->zeros, .out = whole ? to : p->columns, .out_stride = whole ? dim : p->depth};
      if (quantising && heads == 1)
        kernels->gemm_qa8_c8_qa8(&mix, a + first * a_stride, a_stride, a_scale + first);
      else
        kernels->gemm_qa8_c8(&mix);
      for (size_t row = 0; !whole && row < rows; row++) memcpy(to + row * dim, p->columns + row * p->depth, width * sizeof(float));
    }
  }
  if (!quantising || heads > 1) kernels->quantize_f32_qa8(all_rows, dim, out, dim, a, a_stride, a_scale);
}
