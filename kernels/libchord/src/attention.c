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
  size_t keys;  /* rows, rounded up to 16 */
  uint8_t *codes[3]; /* [rows][channels of a head]: query, key, value */
  float *scales[3];  /* [keys], zero past the rows */
  int8_t *key_panel; /* [keys / 16] blocks over the channels of a head's keys */
  int32_t *key_correction;
  float *key_bias;           /* [keys] */
  int8_t *value_panel;       /* [channels of a head's values / 16] blocks over keys */
  int32_t *value_correction; /* [keys / 16][channels] */
  float *zeros;              /* [channels of a head] */
  float *ones;
  int32_t *places;           /* likewise */
  float *scores;             /* [QUERIES][keys], or of as many channels of a head */
  uint8_t *p;                /* [QUERIES][keys] */
  float *p_scale;
} parts;

static size_t lay_out(size_t rows, size_t width, uint8_t *base, parts *p) {
  const size_t depth = chord_round_up(width, 16), keys = chord_round_up(rows, 16);
  chord_carver c = {.base = base};
  p->keys = keys;
  for (int i = 0; i < 3; i++) {
    p->codes[i] = chord_carve(&c, rows * depth);
    p->scales[i] = chord_carve(&c, keys * sizeof(float));
  }
  p->key_panel = chord_carve(&c, keys * depth);
  p->key_correction = chord_carve(&c, keys * sizeof(int32_t));
  p->key_bias = chord_carve(&c, keys * sizeof(float));
  p->value_panel = chord_carve(&c, keys * depth);
  p->value_correction = chord_carve(&c, keys / 16 * depth * sizeof(int32_t));
  p->zeros = chord_carve(&c, depth * sizeof(float));
  p->ones = chord_carve(&c, depth * sizeof(float));
  p->places = chord_carve(&c, depth * sizeof(int32_t));
  p->scores = chord_carve(&c, QUERIES * (keys > depth ? keys : depth) * sizeof(float));
  p->p = chord_carve(&c, QUERIES * keys);
  p->p_scale = chord_carve(&c, QUERIES * sizeof(float));
  return c.used;
}

size_t chord_attend_bytes(size_t rows, size_t width) {
  parts p;
  return lay_out(rows, width, NULL, &p);
}

/* The product with blocks [block, block + 4) only, quantised. */
static void project_part(const chord_ukernels *kernels, const chord_gemm *qkv, size_t block, const parts *p, int part) {
  chord_gemm gemm = *qkv;
  gemm.blocks = QUANTISED_WIDTH / 16;
  gemm.panel += block * 16 * gemm.panel_depth;
  gemm.correction += 16 * block;
  gemm.scale += 16 * block;
  gemm.bias += 16 * block;
  kernels->gemm_qa8_c8_qa8(&gemm, p->codes[part], QUANTISED_WIDTH, p->scales[part]);
}

/* What queries leave that are off goes from its column of the keys to what the logits of each position begin with. */
static void take_bias(const chord_gemm *qkv, size_t column, bool left, const parts *p) {
  memset(p->key_bias, 0, p->keys * sizeof(float));
  for (size_t row = 0; left && row < qkv->rows; row++) {
    float *value = qkv->out + row * qkv->out_stride + column;
    p->key_bias[row] = *value;
    *value = 0.0f;
  }
}

static void pack_panels(const chord_ukernels *kernels, size_t all_rows, size_t depth, size_t value_depth, const parts *p) {
  for (size_t row = all_rows; row < p->keys; row++) p->scales[1][row] = p->scales[2][row] = 0.0f;
  for (size_t first = 0; first < all_rows; first += 16) {
    const size_t rows = all_rows - first < 16 ? all_rows - first : 16;
    kernels->pack_rows_qa8_c8(rows, depth, p->codes[1] + first * depth, p->key_panel + first * depth, p->key_correction + first);
    kernels->pack_columns_qa8_c8(rows, value_depth, p->codes[2] + first * value_depth, first, p->value_panel, p->keys,
                                 p->value_correction + first / 16 * value_depth);
  }
}

/* Queries or keys of a head whose lanes lie among those of others. */
static void quantize_joined(const chord_ukernels *kernels, const chord_gemm *qkv, const chord_group *group, size_t column, const parts *p, int part) {
  const size_t depth = group->width;
  for (size_t c = 0; c < depth; c++) p->places[c] = c < group->count ? (int32_t)c : ~(int32_t)group->count;
  for (size_t first = 0; first < qkv->rows; first += QUERIES) {
    const size_t rows = qkv->rows - first < QUERIES ? qkv->rows - first : QUERIES;
    const chord_spread apart = {.rows = rows, .dim = depth, .x = qkv->out + first * qkv->out_stride + column, .x_stride = qkv->out_stride,
                                .places = p->places, .fill = p->zeros, .out = p->scores, .out_stride = depth};
    kernels->spread_f32(&apart);
    kernels->quantize_f32_qa8(rows, depth, p->scores, depth, p->codes[part] + first * depth, depth, p->scales[part] + first);
  }
}

/* Keys or values that are what was multiplied. */
static void take_input(const chord_gemm *qkv, parts *p, int part) {
  if (qkv->a_stride == qkv->depth)
    p->codes[part] = (uint8_t *)qkv->a;
  else
    for (size_t row = 0; row < qkv->rows; row++) memcpy(p->codes[part] + row * qkv->depth, qkv->a + row * qkv->a_stride, qkv->depth);
  memcpy(p->scales[part], qkv->a_scale, qkv->rows * sizeof(float));
}

CHORD_CODE_PART(transformers)
void chord_attend(const chord_ukernels *kernels, const chord_gemm *qkv, const chord_group *groups, size_t heads, size_t width, void *work,
                  float *out, uint8_t *a, size_t a_stride, float *a_scale) {
  const size_t all_rows = qkv->rows;
  size_t widest = 0;
  bool quantising = kernels->gemm_qa8_c8_qa8;
  for (size_t i = 0; i < 3 * heads; i++) {
    const size_t lanes = groups[i].width ? groups[i].width : qkv->depth;
    widest = lanes > widest ? lanes : widest;
    quantising &= lanes == QUANTISED_WIDTH && !groups[i].left && !groups[i].joined;
  }
  parts parts_of_a_head, *const p = &parts_of_a_head;
  lay_out(all_rows, widest, work, p);
  memset(p->zeros, 0, widest * sizeof(float));
  for (size_t c = 0; c < widest; c++) p->ones[c] = 1.0f;
  if (!quantising) kernels->gemm_qa8_c8(qkv);
  for (size_t head = 0; head < heads; head++) {
    const chord_group *of[3] = {groups + head, groups + heads + head, groups + 2 * heads + head};
    const size_t depth = of[0]->width, values = of[2]->width ? of[2]->width : qkv->depth;
    take_bias(qkv, of[1]->first - groups->first + of[1]->count - 1, of[1]->left, p);
    for (int part = 0; part < 3; part++) {
      const size_t column = of[part]->first - groups->first;
      if (of[part]->width == 0)
        take_input(qkv, p, part);
      else if (of[part]->joined)
        quantize_joined(kernels, qkv, of[part], column, p, part);
      else if (quantising)
        project_part(kernels, qkv, column / 16, p, part);
      else
        kernels->quantize_f32_qa8(all_rows, of[part]->width, qkv->out + column, qkv->out_stride, p->codes[part], of[part]->width,
                                  p->scales[part]);
    }
    pack_panels(kernels, all_rows, depth, values, p);
    for (size_t first = 0; first < all_rows; first += QUERIES) {
      const size_t rows = all_rows - first < QUERIES ? all_rows - first : QUERIES, seen = chord_round_up(first + rows, 16);
      const chord_gemm scores = {
          .rows = rows, .blocks = seen / 16, .depth = depth, .a = p->codes[0] + first * depth, .a_stride = depth,
          .a_scale = p->scales[0] + first, .panel = p->key_panel, .panel_depth = depth, .correction = p->key_correction,
          .scale = p->scales[1], .bias = p->key_bias, .out = p->scores, .out_stride = p->keys};
      kernels->gemm_qa8_c8(&scores);
      const chord_softmax softmax = {.rows = rows, .first = first, .keys = seen, .scores = p->scores, .stride = p->keys,
                                     .value_scale = p->scales[2], .p = p->p, .p_scale = p->p_scale};
      kernels->softmax_f32_qa8(&softmax);
      const chord_gemm mix = {
          .rows = rows, .blocks = values / 16, .depth = seen, .a = p->p, .a_stride = p->keys, .a_scale = p->p_scale,
          .panel = p->value_panel, .panel_depth = p->keys, .correction = p->value_correction + (seen / 16 - 1) * values,
          .scale = p->ones, .bias = p->zeros, .out = out + first * width + (of[2]->first - groups[2 * heads].first), .out_stride = width};
      if (quantising && heads == 1)
        kernels->gemm_qa8_c8_qa8(&mix, a + first * a_stride, a_stride, a_scale + first);
      else
        kernels->gemm_qa8_c8(&mix);
    }
  }
  if (!quantising || heads > 1) kernels->quantize_f32_qa8(all_rows, width, out, width, a, a_stride, a_scale);
}
