/* Products, and the weights that they are taken with. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

typedef struct weights {
  chord_channels channels;
  int8_t *codes;
  uint8_t *widths;
} weights;

/* `lanes` channels of random codes. `width` 0..3 for all of them, or 4 for a random mix of the four. */
static weights random_weights(size_t lanes, size_t depth, uint32_t width) {
  weights w = {.codes = block(lanes * depth), .widths = block(lanes)};
  int16_t *ratios = block(2 * lanes * sizeof(int16_t));
  float *scales = floats(3 * lanes);
  for (size_t i = 0; i < lanes * depth; i++) w.codes[i] = random_code();
  for (size_t i = 0; i < lanes; i++) {
    w.widths[i] = (uint8_t)(width == 4 ? random_bits() % 4 : width);
    ratios[i] = (int16_t)(1 + random_bits() % 700);
    ratios[lanes + i] = (int16_t)(i % 5 ? 1 + random_bits() % 4000 : 32767);
    for (size_t j = 0; j < 3; j++) scales[j * lanes + i] = 0.01f + fabsf(random_float());
  }
  w.channels = (chord_channels){.widths = w.widths, .ratios2 = ratios, .ratios4 = ratios + lanes, .scales2 = scales,
                                .scales4 = scales + lanes, .scales8 = scales + 2 * lanes, .depth = depth};
  return w;
}

static chord_channels block_of(const weights *w, size_t block_index) {
  chord_channels c = w->channels;
  const size_t first = 16 * block_index;
  for (size_t i = 0; i < 16; i++) c.rows[i] = w->codes + (first + i) * c.depth;
  c.widths += first;
  c.ratios2 += first;
  c.ratios4 += first;
  c.scales2 += first;
  c.scales4 += first;
  c.scales8 += first;
  return c;
}

static void check_derive(size_t depth, uint32_t width) {
  char shape[64];
  snprintf(shape, sizeof shape, "depth %zu width %u", depth, (unsigned)width);
  const weights w = random_weights(16, depth, width);
  const chord_channels channels = block_of(&w, 0);
  int8_t *expected = block(16 * depth), *found = block(16 * depth);
  float *expected_scale = floats(16), *found_scale = floats(16);
  reference->derive_rows(&channels, expected, expected_scale);
  tested->derive_rows(&channels, found, found_scale);
  same_bytes("derive_rows", shape, expected, found, 16 * depth);
  same_floats("derive_rows", shape, expected_scale, found_scale, 16);
  release("derive_rows", shape);
}

/* With scales of one and no bias the outputs are the int32 sums themselves, compared with a plain sum over the codes. */
static void check_gemm(size_t rows, size_t blocks, size_t depth, uint32_t width, int relu, int plain) {
  char shape[96];
  snprintf(shape, sizeof shape, "%zu x %zu x %zu width %u relu %d plain %d", rows, depth, 16 * blocks, (unsigned)width, relu, plain);
  const size_t channels = 16 * blocks, a_stride = chord_round_up(depth, 64), out_stride = channels + 16 * (rows % 2);
  const weights w = random_weights(channels, depth, width);
  float *x = random_floats(rows * depth), *bias = plain ? floats(channels) : random_floats(channels);
  float *out[2];
  int32_t *accumulators = block(rows * channels * sizeof(int32_t));
  const chord_ukernels *sets[2] = {reference, tested};
  for (int side = 0; side < 2; side++) {
    const chord_ukernels *k = sets[side];
    uint8_t *a = block(rows * a_stride);
    float *a_scale = floats(rows), *scale = floats(channels);
    int8_t *panel = block(channels * depth);
    int32_t *correction = block(channels * sizeof(int32_t));
    k->quantize_f32_qa8(rows, depth, x, depth, a, a_stride, a_scale);
    for (size_t b = 0; b < blocks; b++) {
      const chord_channels part = block_of(&w, b);
      k->expand_c8(&part, panel + b * 16 * depth, correction + 16 * b, scale + 16 * b);
    }
    if (side == 0) {
      int8_t *codes = block(channels * depth);
      for (size_t b = 0; b < blocks; b++) {
        const chord_channels part = block_of(&w, b);
        float ignored[16];
        reference->derive_rows(&part, codes + b * 16 * depth, ignored);
      }
      for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < channels; c++)
          for (size_t i = 0; i < depth; i++) accumulators[r * channels + c] += (int8_t)a[r * a_stride + i] * codes[c * depth + i];
    }
    if (plain)
      for (size_t i = 0; i < channels; i++) scale[i] = 1.0f;
    for (size_t i = 0; plain && i < rows; i++) a_scale[i] = 1.0f;
    out[side] = floats(rows * out_stride);
    const chord_gemm gemm = {.rows = rows, .blocks = blocks, .depth = depth, .panel_depth = depth, .a = a, .a_stride = a_stride, .a_scale = a_scale,
                             .panel = panel, .correction = correction, .scale = scale, .bias = bias, .out = out[side],
                             .out_stride = out_stride, .relu = relu};
    k->gemm_qa8_c8(&gemm);
  }
  same_floats("gemm_qa8_c8", shape, out[0], out[1], rows * out_stride);
  for (size_t i = 0; plain && !relu && i < rows * channels; i++)
    if (out[1][i / channels * out_stride + i % channels] != (float)accumulators[i]) {
      fail("gemm_qa8_c8", shape, "an accumulator is not the sum of products");
      break;
    }
  release("gemm_qa8_c8", shape);
}

/* Products from packed lines. Which codes the bits stand for is the scalar kernel's business: any bytes will do. */
static void check_packed(size_t rows, size_t blocks, size_t depth, unsigned bits, int relu) {
  char shape[96];
  snprintf(shape, sizeof shape, "%zu x %zu x %zu relu %d", rows, depth, 16 * blocks, relu);
  const char *operation = bits == 4 ? "gemm_qa8_c4" : "gemm_qa8_c2";
  if (!(bits == 4 ? tested->gemm_qa8_c4 : tested->gemm_qa8_c2)) return;
  const size_t channels = 16 * blocks, bytes = blocks * chord_packed_block_bytes(depth, bits);
  uint8_t *panel = block(bytes);
  for (size_t i = 0; i < bytes; i++) panel[i] = (uint8_t)random_bits();
  float *x = random_floats(rows * depth), *scale = random_floats(channels), *bias = random_floats(channels), *out[2];
  for (int side = 0; side < 2; side++) {
    const chord_ukernels *k = side ? tested : reference;
    uint8_t *a = block(rows * depth);
    float *a_scale = floats(rows);
    k->quantize_f32_qa8(rows, depth, x, depth, a, depth, a_scale);
    out[side] = floats(rows * channels);
    const chord_gemm gemm = {.rows = rows, .blocks = blocks, .depth = depth, .panel_depth = depth, .a = a, .a_stride = depth, .a_scale = a_scale,
                             .panel = (const int8_t *)panel, .scale = scale, .bias = bias, .out = out[side], .out_stride = channels, .relu = relu};
    (bits == 4 ? k->gemm_qa8_c4 : k->gemm_qa8_c2)(&gemm);
  }
  same_floats(operation, shape, out[0], out[1], rows * channels);
  release(operation, shape);
}

/* A product whose rows are quantised at once against the product and the quantisation after it, in place too. */
static void check_quantising_gemm(size_t rows, size_t depth, int relu) {
  if (!tested->gemm_qa8_c8_qa8) return;
  char shape[64];
  snprintf(shape, sizeof shape, "%zu x 64 x %zu relu %d", rows, depth, relu);
  const size_t stride = depth > 64 ? depth : 64;
  float *x = random_floats(rows * depth), *a_scale = floats(rows), *scale = random_floats(64), *bias = random_floats(64);
  float *out = floats(rows * 64), *scales = floats(rows);
  uint8_t *a = block(rows * stride), *codes = block(rows * 64);
  int8_t *panel = block(64 * depth);
  int32_t *correction = block(64 * sizeof(int32_t));
  for (size_t i = 0; i < 64 * depth; i++) panel[i] = random_code();
  for (size_t i = 0; i < 64; i++) correction[i] = (int32_t)(random_bits() % 100000);
  tested->quantize_f32_qa8(rows, depth, x, depth, a, stride, a_scale);
  const chord_gemm gemm = {.rows = rows, .blocks = 4, .depth = depth, .panel_depth = depth, .a = a, .a_stride = stride, .a_scale = a_scale,
                           .panel = panel, .correction = correction, .scale = scale, .bias = bias, .out = out, .out_stride = 64, .relu = relu};
  tested->gemm_qa8_c8(&gemm);
  tested->quantize_f32_qa8(rows, 64, out, 64, codes, 64, scales);
  tested->gemm_qa8_c8_qa8(&gemm, a, stride, a_scale);
  for (size_t r = 0; r < rows; r++)
    if (memcmp(a + r * stride, codes + r * 64, 64) != 0) {
      fail("gemm_qa8_c8_qa8", shape, "codes differ");
      break;
    }
  same_floats("gemm_qa8_c8_qa8", shape, scales, a_scale, rows);
  release("gemm_qa8_c8_qa8", shape);
}

void check_products(void) {
  static const size_t depths[] = {16, 32, 48, 64, 80, 256};
  for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
    for (uint32_t width = 0; width <= 4; width++) {
      check_derive(depths[d], width);
      check_gemm(5, 2, depths[d], width, 0, 1);
    }
    for (unsigned bits = 2; bits <= 4; bits += 2)
      for (size_t rows = 1; rows <= 6; rows++) check_packed(rows, 1 + rows % 3, depths[d], bits, rows % 2);
  }
  for (size_t rows = 1; rows <= 9; rows++)
    for (size_t blocks = 1; blocks <= 4; blocks++)
      for (int relu = 0; relu < 2; relu++) check_gemm(rows, blocks, 16 * (1 + (rows + blocks) % 5), 4, relu, 0);
  check_gemm(50, 12, 64, 4, 0, 0);
  check_gemm(2, 1, 1024, 3, 0, 1);
  for (size_t rows = 1; rows <= 13; rows++) check_quantising_gemm(rows, rows % 4 ? 64 : 48, rows % 2);
  check_quantising_gemm(50, 64, 1);
  check_quantising_gemm(7, 256, 0);
}
