/* What works row by row: quantisation, LayerNorm, GELU, tables, sums. */
#include <stdio.h>
#include <string.h>

#include "check.h"

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
  same_codes("quantize_f32_qa8", shape, a[0], a[1], rows, width, a_stride);
  same_floats("quantize_f32_qa8", shape, scale[0], scale[1], rows);
  if (zero && (a[0][0] != reference->zero || a[1][0] != tested->zero)) fail("quantize_f32_qa8", shape, "the code 0 is not stored as said");
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
  same_codes("norm_f32", shape, a[0], a[1], rows, dim, a_stride);
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
  same_codes("gather_e_qa8", shape, a[0], a[1], rows, dim, a_stride);
  release("tables", shape);
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

static void check_spread(size_t rows, size_t dim, unsigned share) {
  char shape[64];
  snprintf(shape, sizeof shape, "%zu x %zu, %u of 8", rows, dim, share);
  const size_t stride = dim + 17;
  int32_t *places = block(dim * sizeof *places), next = 0;
  for (size_t i = 0; i < dim; i++) places[i] = random_bits() % 8 < share ? next++ : ~next;
  float *x = random_floats(rows * stride + 16), *fill = random_floats(dim), *out[2];
  for (int side = 0; side < 2; side++) {
    out[side] = floats(rows * stride);
    const chord_spread args = {.rows = rows, .dim = dim, .x = x + 1, .x_stride = stride, .places = places, .fill = fill, .out = out[side], .out_stride = stride};
    (side ? tested : reference)->spread_f32(&args);
  }
  same_floats("spread_f32", shape, out[0], out[1], rows * stride);
  release("spread_f32", shape);
}

void check_rows(void) {
  static const size_t dims[] = {16, 32, 48, 64, 80, 128, 256}, counts[] = {1, 2, 3, 4, 5, 7, 16, 50};
  for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
    for (int form = 0; form < 16; form++) check_norm(3, dims[d], form);
    check_quantize(4, dims[d], 0);
    check_quantize(dims[d], dims[d], 0);
    check_quantize(1, dims[d], 1);
    check_gelu(dims[d]);
    check_tables(9, dims[d], 8, 8);
    check_tables(10, dims[d], 4, 8);
    check_tables(11, dims[d], 8, 4);
    check_tables(12, dims[d], 4, 0);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) check_sums(counts[c], dims[d]);
    for (unsigned share = 0; share <= 8; share += 2) check_spread(5, dims[d], share);
  }
}
