/*
 * Causal attention with products in 8 bits, head by head, 16 queries at a time:
 *
 *   scores = (codes of queries . codes of keys) scales                 a product whose weights are the keys
 *   p      = 2^(scores - max), times the values' scales, in 8 bits    softmax_f32_qa8
 *   out    = (p . codes of values) scale of p / sum                    a product whose weights are the values
 *
 * Sixteen queries see the keys of their own block of 16 and of those before it; the rest of the triangle is never computed. Queries are multiplied by
 * log2 e / sqrt(head width) by their scales.
 */
#include <string.h>

#include "internal.h"

enum { QUERIES = 16, ALIGNMENT = 64 };

typedef struct parts {
  chord_attention attention;
  float *zeros;  /* [keys or depth, the larger] */
  float *ones;   /* [depth] */
  float *scores; /* [QUERIES][keys] */
  uint8_t *p;    /* [QUERIES][keys] */
  float *p_scale;
  float *columns; /* [QUERIES][depth]: where a head is not a multiple of 16 wide */
} parts;

static void *carve(uint8_t *base, size_t *used, size_t bytes) {
  void *part = base ? base + *used : NULL;
  *used += chord_round_up(bytes, ALIGNMENT);
  return part;
}

static size_t lay_out(size_t rows, size_t dim, size_t heads, uint8_t *base, parts *p) {
  const size_t width = dim / heads, depth = chord_round_up(width, 16), keys = chord_round_up(rows, 16);
  size_t used = 0;
  chord_attention *a = &p->attention;
  *a = (chord_attention){.rows = rows, .width = width, .depth = depth, .keys = keys, .qkv_stride = 3 * dim, .dim = dim};
  a->q = carve(base, &used, rows * depth);
  a->q_scale = carve(base, &used, keys * sizeof(float));
  a->key_panel = carve(base, &used, keys * depth);
  a->key_correction = carve(base, &used, keys * sizeof(int32_t));
  a->key_scale = carve(base, &used, keys * sizeof(float));
  a->value_panel = carve(base, &used, keys * depth);
  a->value_correction = carve(base, &used, keys / 16 * depth * sizeof(int32_t));
  a->value_scale = carve(base, &used, keys * sizeof(float));
  a->scratch = carve(base, &used, 2 * 16 * depth);
  p->zeros = carve(base, &used, (keys > depth ? keys : depth) * sizeof(float));
  p->ones = carve(base, &used, depth * sizeof(float));
  p->scores = carve(base, &used, QUERIES * keys * sizeof(float));
  p->p = carve(base, &used, QUERIES * keys);
  p->p_scale = carve(base, &used, QUERIES * sizeof(float));
  p->columns = carve(base, &used, width == depth ? 0 : QUERIES * depth * sizeof(float));
  return used;
}

size_t chord_attend_bytes(size_t rows, size_t dim, size_t heads) {
  parts p;
  return lay_out(rows, dim, heads, NULL, &p);
}

static void attend_head(const chord_ukernels *kernels, const parts *p, float *out) {
  const chord_attention *a = &p->attention;
  kernels->pack_attention_f32_qa8(a);
  for (size_t first = 0; first < a->rows; first += QUERIES, out += QUERIES * a->dim) {
    const size_t rows = a->rows - first < QUERIES ? a->rows - first : QUERIES, seen = chord_round_up(first + rows, 16);
    const chord_gemm scores = {
        .rows = rows, .blocks = seen / 16, .depth = a->depth, .a = a->q + first * a->depth, .a_stride = a->depth,
        .a_scale = a->q_scale + first, .panel = a->key_panel, .panel_depth = a->depth, .correction = a->key_correction,
        .scale = a->key_scale, .bias = p->zeros, .out = p->scores, .out_stride = a->keys};
    kernels->gemm_qa8_c8(&scores);
    const chord_softmax softmax = {.rows = rows, .first = first, .keys = seen, .scores = p->scores, .stride = a->keys,
                                   .value_scale = a->value_scale, .p = p->p, .p_scale = p->p_scale};
    kernels->softmax_f32_qa8(&softmax);
    const bool whole = a->width == a->depth;
    const chord_gemm mix = {
        .rows = rows, .blocks = a->depth / 16, .depth = seen, .a = p->p, .a_stride = a->keys, .a_scale = p->p_scale,
        .panel = a->value_panel, .panel_depth = a->keys, .correction = a->value_correction + (seen / 16 - 1) * a->depth,
        .scale = p->ones, .bias = p->zeros, .out = whole ? out : p->columns, .out_stride = whole ? a->dim : a->depth};
    kernels->gemm_qa8_c8(&mix);
    for (size_t row = 0; !whole && row < rows; row++) memcpy(out + row * a->dim, p->columns + row * a->depth, a->width * sizeof(float));
  }
}

void chord_attend(const chord_ukernels *kernels, size_t rows, size_t dim, size_t heads, const float *qkv, void *work, float *out) {
  parts p;
  lay_out(rows, dim, heads, work, &p);
  const size_t zeros = p.attention.keys > p.attention.depth ? p.attention.keys : p.attention.depth;
  memset(p.zeros, 0, zeros * sizeof(float));
  for (size_t c = 0; c < p.attention.depth; c++) p.ones[c] = 1.0f;
  for (size_t head = 0; head < heads; head++) {
    p.attention.qkv = qkv + head * p.attention.width;
    attend_head(kernels, &p, out + head * p.attention.width);
  }
}
