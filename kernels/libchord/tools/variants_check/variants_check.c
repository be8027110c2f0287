/*
 * Compares every micro-kernel of every variant that this CPU runs with the scalar definition, over a table of shapes, and
 * looks for writes outside of the outputs. The same program runs on x86, under qemu and on a phone.
 *
 *   chord_variants_check [--list] [variant ...]
 *
 * --list prints the variants and whether they are supported. Exit status: 0 all equal, 1 a difference, 2 wrong use.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/chord.h"
#include "../../ukernels/ukernels.h"

enum { GUARD = 64, GUARD_BYTE = 0xA5 };

static const chord_ukernels *const reference = &chord_ukernels_scalar;
static const chord_ukernels *tested;
static const char *variant_name;
static size_t comparisons, differences;

/* xorshift64*: repeatable on every machine. */
static uint64_t state = 88172645463325252ull;
static uint32_t random_bits(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)((state * 2685821657736338717ull) >> 32);
}
static float random_float(void) { return ((float)(random_bits() >> 8) / 8388608.0f - 1.0f) * 3.0f; }
static int8_t random_code(void) { return (int8_t)((int)(random_bits() % 255) - 127); }

/* Memory whose end is guarded. Every test allocates afresh and releases everything at its end. */
static void *owned[64];
static size_t owned_bytes[64], owned_count;

static void *block(size_t bytes) {
  uint8_t *memory = aligned_alloc(64, (bytes + GUARD + 63) / 64 * 64);
  if (!memory || owned_count == 64) exit(2);
  memset(memory, 0, bytes);
  memset(memory + bytes, GUARD_BYTE, GUARD);
  owned[owned_count] = memory;
  owned_bytes[owned_count++] = bytes;
  return memory;
}
static float *floats(size_t count) { return block(count * sizeof(float)); }
static float *random_floats(size_t count) {
  float *x = floats(count);
  for (size_t i = 0; i < count; i++) x[i] = random_float();
  return x;
}

static void fail(const char *operation, const char *shape, const char *what) {
  differences++;
  printf("DIFFERENT %s %s %s: %s\n", variant_name, operation, shape, what);
}

static void release(const char *operation, const char *shape) {
  for (size_t i = 0; i < owned_count; i++) {
    const uint8_t *end = (const uint8_t *)owned[i] + owned_bytes[i];
    for (size_t j = 0; j < GUARD; j++)
      if (end[j] != GUARD_BYTE) {
        fail(operation, shape, "wrote behind a buffer");
        break;
      }
    free(owned[i]);
  }
  owned_count = 0;
  comparisons++;
}

/* The same number, where the two zeros count as one. */
static void same_floats(const char *operation, const char *shape, const float *a, const float *b, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!(a[i] == b[i])) {
      char what[96];
      snprintf(what, sizeof what, "element %zu is %.9g instead of %.9g", i, (double)b[i], (double)a[i]);
      fail(operation, shape, what);
      return;
    }
}

static void same_bytes(const char *operation, const char *shape, const void *a, const void *b, size_t bytes) {
  if (memcmp(a, b, bytes) != 0) fail(operation, shape, "bytes differ");
}

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

static void check_quantize(size_t rows, size_t width, int zero) {
  char shape[64];
  snprintf(shape, sizeof shape, "%zu x %zu%s", rows, width, zero ? " zero" : "");
  const size_t stride = width + 16, a_stride = chord_round_up(width, 64);
  float *x = zero ? floats(rows * stride) : random_floats(rows * stride);
  if (!zero && rows > 1) /* ties: halves of a unit of the last place that survives */
    for (size_t i = 0; i < width; i++) x[stride + i] = i == 0 ? 127.0f : (float)((int)(random_bits() % 253) - 126) + 0.5f;
  if (rows == width) /* the largest magnitude in every place once */
    for (size_t r = 0; r < rows; r++) x[r * stride + r] = r % 2 ? -4.0f : 4.0f;
  if (zero && width > 16) /* as good as zeros: 127 / 1e-36 is no number to multiply with */
    for (size_t i = 0; i < width; i++) x[i] = 1e-36f * random_float();
  uint8_t *a[2] = {block(rows * a_stride), block(rows * a_stride)};
  float *scale[2] = {floats(rows), floats(rows)};
  reference->quantize_f32_qa8(rows, width, x, stride, a[0], a_stride, scale[0]);
  tested->quantize_f32_qa8(rows, width, x, stride, a[1], a_stride, scale[1]);
  const uint8_t bias = a[0][width - 1] ^ a[1][width - 1]; /* variants may store with 128 added */
  if (bias != 0 && bias != 0x80) fail("quantize_f32_qa8", shape, "codes differ");
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < width; i++)
      if (a[0][r * a_stride + i] != (a[1][r * a_stride + i] ^ bias)) {
        fail("quantize_f32_qa8", shape, "codes differ");
        r = rows - 1;
        break;
      }
  same_floats("quantize_f32_qa8", shape, scale[0], scale[1], rows);
  release("quantize_f32_qa8", shape);
}

/* `form`: bit 0 delta, bit 1 sum_out = x, bit 2 norm_out, bit 3 quantised; norm_out is x when bit 1 is not set. */
static void check_norm(size_t rows, size_t dim, int form) {
  char shape[64];
  snprintf(shape, sizeof shape, "%zu x %zu form %d", rows, dim, form);
  float *x[2], *norm_out[2], *a_scale[2];
  uint8_t *a[2];
  float *source = random_floats(rows * dim), *delta = random_floats(rows * dim);
  float *gamma = random_floats(dim), *beta = random_floats(dim);
  const size_t a_stride = chord_round_up(dim, 64);
  for (int side = 0; side < 2; side++) {
    x[side] = floats(rows * dim);
    memcpy(x[side], source, rows * dim * sizeof(float));
    norm_out[side] = form & 2 ? floats(rows * dim) : x[side];
    a[side] = block(rows * a_stride);
    a_scale[side] = floats(rows);
    const chord_norm args = {.rows = rows, .dim = dim, .x = x[side], .delta = form & 1 ? delta : NULL, .gamma = gamma, .beta = beta,
                             .eps = 1e-5f, .sum_out = form & 2 ? x[side] : NULL, .norm_out = form & 4 ? norm_out[side] : NULL,
                             .a = form & 8 ? a[side] : NULL, .a_stride = a_stride, .a_scale = a_scale[side]};
    (side ? tested : reference)->norm_f32(&args);
  }
  same_floats("norm_f32", shape, x[0], x[1], rows * dim);
  same_floats("norm_f32", shape, norm_out[0], norm_out[1], rows * dim);
  same_floats("norm_f32", shape, a_scale[0], a_scale[1], rows);
  const uint8_t bias = a[0][dim - 1] ^ a[1][dim - 1];
  for (size_t i = 0; i < rows * dim; i++)
    if (a[0][i / dim * a_stride + i % dim] != (a[1][i / dim * a_stride + i % dim] ^ bias) || (bias & 0x7F)) {
      fail("norm_f32", shape, "codes differ");
      break;
    }
  release("norm_f32", shape);
}

static void check_gelu(size_t count) {
  char shape[64];
  snprintf(shape, sizeof shape, "%zu", count);
  float *source = random_floats(count), *x[2] = {floats(count), floats(count)};
  for (size_t i = 0; i < count; i++) source[i] *= i % 7 == 0 ? 20.0f : 1.0f;
  source[0] = 0.0f;
  source[1] = -100.0f;
  for (int side = 0; side < 2; side++) {
    memcpy(x[side], source, count * sizeof(float));
    (side ? tested : reference)->gelu_f32(count, x[side]);
  }
  same_floats("gelu_f32", shape, x[0], x[1], count);
  release("gelu_f32", shape);
}

static chord_table random_table(size_t rows, size_t dim, uint32_t bits) {
  const size_t bytes = rows * dim * bits / 8;
  uint8_t *codes = block(bytes);
  for (size_t i = 0; i < bytes; i++) codes[i] = bits == 8 ? (uint8_t)random_code() : (uint8_t)random_bits();
  float *scales = random_floats(rows);
  return (chord_table){.codes = codes, .scales = scales, .bits = bits, .rows = (uint32_t)rows};
}

static void check_tables(size_t rows, size_t dim, uint32_t item_bits, uint32_t position_bits) {
  char shape[64];
  snprintf(shape, sizeof shape, "%zu x %zu bits %u %u", rows, dim, (unsigned)item_bits, (unsigned)position_bits);
  enum { ITEMS = 37 };
  const chord_table items = random_table(ITEMS, dim, item_bits), positions = random_table(rows, dim, position_bits ? position_bits : 8);
  int32_t *ids = block(rows * sizeof(int32_t)), *slots = block(rows * sizeof(int32_t));
  int16_t *h = block(dim * sizeof(int16_t));
  for (size_t i = 0; i < rows; i++) ids[i] = (int32_t)(random_bits() % ITEMS), slots[i] = (int32_t)(rows - 1 - i);
  for (size_t i = 0; i < dim; i++) h[i] = (int16_t)(i % 3 ? (int)(random_bits() % 65535) - 32767 : i % 2 ? 32767 : -32767);
  const size_t a_stride = chord_round_up(dim, 64);
  float *out[2], *a_scale[2], *scores[2], *all[2];
  uint8_t *a[2];
  for (int side = 0; side < 2; side++) {
    const chord_ukernels *k = side ? tested : reference;
    out[side] = floats(rows * dim);
    a_scale[side] = floats(rows);
    a[side] = block(rows * a_stride);
    scores[side] = floats(rows);
    all[side] = floats(ITEMS - 1);
    k->embed_e_f32(rows, dim, &items, ids, position_bits ? &positions : NULL, position_bits ? slots : NULL, out[side]);
    k->gather_e_qa8(rows, dim, &items, ids, a[side], a_stride, a_scale[side]);
    k->score_q16_e(rows, dim, h, 0.37f, &items, ids, 0, scores[side]);
    k->score_q16_e(ITEMS - 1, dim, h, 0.37f, &items, NULL, 1, all[side]);
  }
  same_floats("embed_e_f32", shape, out[0], out[1], rows * dim);
  same_floats("gather_e_qa8", shape, a_scale[0], a_scale[1], rows);
  same_floats("score_q16_e", shape, scores[0], scores[1], rows);
  same_floats("score_q16_e", shape, all[0], all[1], ITEMS - 1);
  const uint8_t bias = a[0][dim - 1] ^ a[1][dim - 1];
  for (size_t i = 0; i < rows * dim; i++)
    if (a[0][i / dim * a_stride + i % dim] != (a[1][i / dim * a_stride + i % dim] ^ bias) || (bias & 0x7F)) {
      fail("gather_e_qa8", shape, "codes differ");
      break;
    }
  release("tables", shape);
}

/* Where codes [rows][stride] of two variants differ: one of them may store with 128 added. The first must be the scalar variant's. */
static void same_codes(const char *operation, const char *shape, const uint8_t *a, const uint8_t *b, size_t rows, size_t width, size_t stride) {
  const uint8_t bias = a[width - 1] ^ b[width - 1];
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < width; i++)
      if (a[r * stride + i] != (b[r * stride + i] ^ bias) || (bias & 0x7F)) {
        fail(operation, shape, "codes differ");
        return;
      }
}

/* What lies between the products of attention; panels are compared through the products that read them. */
static void check_attention(size_t rows, size_t depth, float spread) {
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
    same_floats("softmax_f32_qa8", shape, p_scale[0], p_scale[1], here);
  }
  same_floats("products with values", shape, out[0], out[1], rows * depth);
  release("attention", shape);
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

static void check_sums(size_t count, size_t dim) {
  char shape[64];
  snprintf(shape, sizeof shape, "%zu x %zu", count, dim);
  const size_t stride = dim + 16;
  int8_t *codes = block(count * stride);
  for (size_t i = 0; i < count * stride; i++) codes[i] = random_code();
  float *x = random_floats(count), *rows = random_floats(count * dim), *mix[2], *combined[2];
  for (int side = 0; side < 2; side++) {
    const chord_ukernels *k = side ? tested : reference;
    mix[side] = floats(dim);
    combined[side] = floats(dim);
    k->mix_rows_f32(count, dim, x, rows, mix[side]);
    k->combine_rows_f32(count, dim, x, codes, stride, combined[side]);
  }
  same_floats("mix_rows_f32", shape, mix[0], mix[1], dim);
  same_floats("combine_rows_f32", shape, combined[0], combined[1], dim);
  release("sums", shape);
}

static void check_variant(void) {
  static const size_t depths[] = {16, 32, 48, 64, 80, 256}, dims[] = {16, 32, 48, 64, 80, 128, 256}, counts[] = {1, 2, 3, 4, 5, 7, 16, 50};
  for (uint32_t width = 0; width <= 4; width++)
    for (size_t d = 0; d < 6; d++) {
      check_derive(depths[d], width);
      check_gemm(5, 2, depths[d], width, 0, 1);
    }
  for (size_t rows = 1; rows <= 9; rows++)
    for (size_t blocks = 1; blocks <= 4; blocks++)
      for (int relu = 0; relu < 2; relu++) check_gemm(rows, blocks, 16 * (1 + (rows + blocks) % 5), 4, relu, 0);
  for (unsigned bits = 2; bits <= 4; bits += 2)
    for (size_t d = 0; d < 6; d++)
      for (size_t rows = 1; rows <= 6; rows++) check_packed(rows, 1 + rows % 3, depths[d], bits, rows % 2);
  check_gemm(50, 12, 64, 4, 0, 0);
  check_gemm(2, 1, 1024, 3, 0, 1);
  for (size_t d = 0; d < 7; d++) {
    for (int form = 0; form < 16; form++) check_norm(3, dims[d], form);
    check_quantize(4, dims[d], 0);
    check_quantize(dims[d], dims[d], 0);
    check_quantize(1, dims[d], 1);
    check_gelu(dims[d]);
    check_tables(9, dims[d], 8, 8);
    check_tables(10, dims[d], 4, 8);
    check_tables(11, dims[d], 8, 4);
    check_tables(12, dims[d], 4, 0);
    for (size_t c = 0; c < 8; c++) check_sums(counts[c], dims[d]);
    for (size_t heads = 1; heads <= dims[d]; heads *= 2)
      if (dims[d] % heads == 0) check_attend_last(counts[d] + 9, dims[d], heads);
    check_attention(counts[d] + 9, dims[d], 1.0f);
  }
  for (size_t rows = 1; rows <= 34; rows++) check_attention(rows, rows % 3 ? 64 : 48, 1.0f), check_attend_last(rows, 64, 1 + rows % 2);
  check_attention(50, 64, 1.0f);
  check_attention(50, 64, 0.0f);
  check_attention(200, 64, 4.0f);
  for (size_t rows = 1; rows <= 13; rows++) check_quantising_gemm(rows, rows % 4 ? 64 : 48, rows % 2);
  check_quantising_gemm(50, 64, 1);
  check_quantising_gemm(7, 256, 0);
}

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "--list") == 0) {
    for (const chord_variant *v = chord_variants; v->name; v++) printf("%s %s\n", v->name, v->supported() ? "supported" : "unsupported");
    return 0;
  }
  for (int i = 1; i < count; i++) {
    const chord_variant *v = chord_variants;
    while (v->name && strcmp(v->name, arguments[i]) != 0) v++;
    if (!v->name) {
      fprintf(stderr, "unknown variant '%s': --list shows them\n", arguments[i]);
      return 2;
    }
  }
  size_t total = 0;
  for (const chord_variant *v = chord_variants; v->name; v++) {
    int wanted = count == 1 && v->supported();
    for (int i = 1; i < count; i++) wanted |= strcmp(arguments[i], v->name) == 0;
    if (!wanted) continue;
    tested = v->ukernels;
    variant_name = v->name;
    differences = comparisons = 0;
    check_variant();
    printf("%s: %zu comparisons, %zu differences\n", v->name, comparisons, differences);
    total += differences;
  }
  return total != 0;
}
