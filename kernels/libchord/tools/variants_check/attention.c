/* Attention: of all positions, and of the last one with keys and values absorbed. */
#include <stdio.h>

#include "check.h"

/* What lies between the products of attention; panels are compared through the products that read them. */
static void check_causal(size_t rows, size_t depth, float spread) {
  char shape[64];
  snprintf(shape, sizeof shape, "%zu x %zu spread %g", rows, depth, (double)spread);
  const size_t keys = chord_round_up(rows, 16), wide = keys > depth ? keys : depth;
  float *x[3], *zeros = floats(wide), *ones = floats(wide);
  for (int part = 0; part < 3; part++) x[part] = random_floats(rows * depth);
  for (int part = 0; part < 3; part++)
    for (size_t i = 0; i < rows * depth; i++) x[part][i] *= spread;
  for (size_t i = 0; i < wide; i++) ones[i] = 1.0f;
  float *scales[2][3], *scores[2], *p_scale[2], *out[2];
  uint8_t *codes[2][3], *p[2];
  int8_t *key_panel[2], *value_panel[2];
  int32_t *key_correction[2], *value_correction[2];
  for (int side = 0; side < 2; side++) {
    const chord_ukernels *k = side ? tested : reference;
    for (int part = 0; part < 3; part++) {
      codes[side][part] = block(rows * depth), scales[side][part] = floats(keys);
      k->quantize_f32_qa8(rows, depth, x[part], depth, codes[side][part], depth, scales[side][part]);
    }
    key_panel[side] = block(keys * depth), value_panel[side] = block(keys * depth);
    key_correction[side] = block(keys * sizeof(int32_t)), value_correction[side] = block(keys / 16 * depth * sizeof(int32_t));
    scores[side] = floats(16 * keys), p[side] = block(16 * keys), p_scale[side] = floats(16), out[side] = floats(rows * depth);
    for (size_t first = 0; first < rows; first += 16) {
      const size_t here = rows - first < 16 ? rows - first : 16, at = first * depth;
      k->pack_rows_qa8_c8(here, depth, codes[side][1] + at, key_panel[side] + at, key_correction[side] + first);
      k->pack_columns_qa8_c8(here, depth, codes[side][2] + at, first, value_panel[side], keys, value_correction[side] + first / 16 * depth);
    }
  }
  for (size_t first = 0; first < rows; first += 16) {
    const size_t here = rows - first < 16 ? rows - first : 16, seen = chord_round_up(first + here, 16);
    for (int side = 0; side < 2; side++) {
      const chord_gemm product = {.rows = here, .blocks = seen / 16, .depth = depth, .panel_depth = depth,
                                  .a = codes[side][0] + first * depth, .a_stride = depth, .a_scale = scales[side][0] + first,
                                  .panel = key_panel[side], .correction = key_correction[side], .scale = scales[side][1], .bias = zeros,
                                  .out = scores[side], .out_stride = keys};
      (side ? tested : reference)->gemm_qa8_c8(&product);
    }
    for (size_t i = 0; i < here; i++) same_floats("products with keys", shape, scores[0] + i * keys, scores[1] + i * keys, seen);
    for (int side = 0; side < 2; side++) {
      const chord_softmax softmax = {.rows = here, .first = first, .keys = seen, .scores = scores[side], .stride = keys,
                                     .value_scale = scales[side][2], .p = p[side], .p_scale = p_scale[side]};
      (side ? tested : reference)->softmax_f32_qa8(&softmax);
      const chord_gemm product = {.rows = here, .blocks = depth / 16, .depth = seen, .panel_depth = keys, .a = p[side], .a_stride = keys,
                                  .a_scale = p_scale[side], .panel = value_panel[side],
                                  .correction = value_correction[side] + (seen / 16 - 1) * depth, .scale = ones, .bias = zeros,
                                  .out = out[side] + first * depth, .out_stride = depth};
      (side ? tested : reference)->gemm_qa8_c8(&product);
    }
    same_codes("softmax_f32_qa8", shape, p[0], p[1], here, first + 1, keys);
    for (size_t i = 0; i < here; i++)
      for (size_t t = first + i + 1; t < seen; t++)
        if (p[0][i * keys + t]) fail("softmax_f32_qa8", shape, "a position sees those behind it");
    same_floats("softmax_f32_qa8", shape, p_scale[0], p_scale[1], here);
  }
  same_floats("products with values", shape, out[0], out[1], rows * depth);
  release("attention", shape);
}

static void check_attend_last(size_t rows, size_t dim, size_t heads) {
  char shape[64];
  snprintf(shape, sizeof shape, "%zu x %zu heads %zu", rows, dim, heads);
  float *x = random_floats(rows * dim + 16), *probe = random_floats(heads * dim), *out[2];
  for (int side = 0; side < 2; side++) {
    out[side] = floats(heads * dim);
    const chord_attend_last one = {.rows = rows, .dim = dim, .heads = heads, .probe = probe, .x = x, .work = floats(rows + 16), .out = out[side]};
    (side ? tested : reference)->attend_last_f32(&one);
  }
  same_floats("attend_last_f32", shape, out[0], out[1], heads * dim);
  release("attend_last", shape);
}

void check_attention(void) {
  static const size_t dims[] = {16, 32, 48, 64, 80, 128, 256}, rows_of[] = {10, 11, 12, 13, 14, 16, 25};
  for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
    for (size_t heads = 1; heads <= dims[d]; heads *= 2)
      if (dims[d] % heads == 0) check_attend_last(rows_of[d], dims[d], heads);
    check_causal(rows_of[d], dims[d], 1.0f);
  }
  for (size_t rows = 1; rows <= 34; rows++) check_causal(rows, rows % 3 ? 64 : 48, 1.0f), check_attend_last(rows, 64, 1 + rows % 2);
  check_causal(50, 64, 1.0f);
  check_causal(50, 64, 0.0f);
  check_causal(200, 64, 4.0f);
  check_causal(50, 64, 1e3f); /* logits of 1e7: no finite number that stood for a mask would hide anything */
}
