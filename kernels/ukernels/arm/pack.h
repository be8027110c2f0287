/*
 * Panels from rows of codes. A variant that includes this says how sixteen inputs of sixteen channels are stored: STORE16(panel,
 * panel_depth, k, codes[16]), `codes[c]` being inputs k .. k + 15 of channel c.
 */
#ifndef CHORD_ARM_PACK_H
#define CHORD_ARM_PACK_H

#include "common.h"

typedef void chord_store16(int8_t *panel, size_t panel_depth, size_t k, const int8x16_t codes[16]);

/* Rows become columns: four perfect shuffles. */
CHORD_INLINE void chord_transpose16(int8x16_t rows[16]) {
  for (int step = 0; step < 4; step++) {
    int8x16_t shuffled[16];
    for (int i = 0; i < 8; i++) {
      shuffled[2 * i] = vzip1q_s8(rows[i], rows[i + 8]);
      shuffled[2 * i + 1] = vzip2q_s8(rows[i], rows[i + 8]);
    }
    for (int i = 0; i < 16; i++) rows[i] = shuffled[i];
  }
}

/* Codes and scale of `rows` rows of `width` floats; zero codes up to `depth`, the next multiple of 16. */
CHORD_INLINE void chord_quantize_part(size_t rows, size_t width, size_t depth, const float *x, size_t stride, int8_t *codes, float *scale) {
  if (width == depth) {
    chord_quantize_f32_qa8__neon(rows, width, x, stride, (uint8_t *)codes, depth, scale);
    return;
  }
  float padded[512] = {0};
  for (size_t row = 0; row < rows; row++) {
    memcpy(padded, x + row * stride, width * sizeof(float));
    chord_quantize_f32_qa8__neon(1, depth, padded, depth, (uint8_t *)codes + row * depth, depth, scale + row);
  }
}

CHORD_INLINE void chord_pack_attention(const chord_attention *arguments, chord_store16 *store16) {
  const chord_attention copy = *arguments, *const args = &copy;
  const size_t depth = args->depth, stride = args->qkv_stride;
  int8_t *keys = args->scratch, *values = keys + 16 * depth;
  for (size_t first = 0; first < args->rows; first += 16) {
    const size_t rows = args->rows - first < 16 ? args->rows - first : 16;
    const float *x = args->qkv + first * stride;
    chord_quantize_part(rows, args->width, depth, x, stride, (int8_t *)args->q + first * depth, args->q_scale + first);
    chord_quantize_part(rows, args->width, depth, x + args->dim, stride, keys, args->key_scale + first);
    chord_quantize_part(rows, args->width, depth, x + 2 * args->dim, stride, values, args->value_scale + first);
    memset(keys + rows * depth, 0, (16 - rows) * depth);
    memset(values + rows * depth, 0, (16 - rows) * depth);
    for (size_t row = rows; row < 16; row++) args->key_scale[first + row] = args->value_scale[first + row] = 0.0f;
    for (size_t k = 0; k < depth; k += 16) {
      int8x16_t codes[16];
      for (size_t i = 0; i < 16; i++) codes[i] = vld1q_s8(keys + i * depth + k);
      store16(args->key_panel + first * depth, depth, k, codes);
      for (size_t i = 0; i < 16; i++) codes[i] = vld1q_s8(values + i * depth + k);
      chord_transpose16(codes);
      store16(args->value_panel + k * args->keys, args->keys, first, codes);
    }
  }
}

#endif
