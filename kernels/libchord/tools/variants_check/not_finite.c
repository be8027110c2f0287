/* What is not finite is never lost (ukernels.h): infinities, NaN of both signs and what overflows, in every place of a row. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

enum { ROWS = 5, WRONG = 2 }; /* rows, and the one that is not finite */

static float poison(size_t which) {
  const float values[] = {NAN, -NAN, INFINITY, -INFINITY};
  return values[which % 4];
}

/* `scale` [ROWS] of activations: NaN in the wrong row, and only there. */
static void expect_one_nan(const char *operation, const char *shape, const float *scale) {
  for (size_t row = 0; row < ROWS; row++)
    if ((scale[row] != scale[row]) != (row == WRONG)) fail(operation, shape, "the scale of a row that is not finite is not NaN, or another's is");
}

static void check_quantize(size_t width, size_t place) {
  char shape[64];
  snprintf(shape, sizeof shape, "not finite, %zu of %zu", place, width);
  float *x = random_floats(ROWS * width), *scale[2] = {floats(ROWS), floats(ROWS)};
  uint8_t *a = block(ROWS * chord_round_up(width, 64));
  for (size_t which = 0; which < 4; which++) {
    x[WRONG * width + place] = poison(which);
    for (int side = 0; side < 2; side++)
      (side ? tested : reference)->quantize_f32_qa8(ROWS, width, x, width, a, chord_round_up(width, 64), scale[side]);
    expect_one_nan("quantize_f32_qa8", shape, scale[1]);
    same_floats("quantize_f32_qa8", shape, scale[0], scale[1], ROWS);
  }
  for (size_t i = 0; i < width; i++) x[WRONG * width + i] = i == place ? FLT_MAX : -FLT_MAX;
  tested->quantize_f32_qa8(ROWS, width, x, width, a, chord_round_up(width, 64), scale[1]);
  if (scale[1][WRONG] != FLT_MAX * (1.0f / 127.0f)) fail("quantize_f32_qa8", shape, "the largest floats have another scale");
  release("quantize_f32_qa8", shape);
}

/* An infinity or NaN at `place`, a variance that overflows, a sum that does. */
static void check_norm(size_t dim, size_t place) {
  char shape[64];
  snprintf(shape, sizeof shape, "not finite, %zu of %zu", place, dim);
  float *x = random_floats(ROWS * dim), *gamma = random_floats(dim), *beta = random_floats(dim), *wrong = x + WRONG * dim;
  float *norm_out[2] = {floats(ROWS * dim), floats(ROWS * dim)}, *a_scale[2] = {floats(ROWS), floats(ROWS)};
  uint8_t *a = block(ROWS * chord_round_up(dim, 64));
  gamma[place] = 0.0f;
  for (size_t which = 0; which < 6; which++) {
    for (size_t i = 0; i < dim; i++) wrong[i] = which < 4 ? (float)i : which == 4 ? (i == place ? 3e19f : -3e19f) : FLT_MAX;
    if (which < 4) wrong[place] = poison(which);
    for (int side = 0; side < 2; side++) {
      const chord_norm args = {.rows = ROWS, .dim = dim, .x = x, .gamma = gamma, .beta = beta, .eps = 1e-5f, .norm_out = norm_out[side],
                               .a = a, .a_stride = chord_round_up(dim, 64), .a_scale = a_scale[side]};
      (side ? tested : reference)->norm_f32(&args);
    }
    expect_one_nan("norm_f32", shape, a_scale[1]);
    same_floats("norm_f32", shape, norm_out[0], norm_out[1], ROWS * dim);
    for (size_t i = 0; i < dim; i++)
      if (fabsf(norm_out[1][WRONG * dim + i]) <= FLT_MAX) fail("norm_f32", shape, "an element of the wrong row is a number");
  }
  release("norm_f32", shape);
}

static void check_gelu(void) {
  const float values[16] = {NAN, -NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.0f, -0.0f, FLT_MIN, -FLT_MIN, 1e-45f, -1e-45f, 3e19f, -3e19f};
  float *x[2] = {floats(16), floats(16)};
  for (int side = 0; side < 2; side++) {
    memcpy(x[side], values, sizeof values);
    (side ? tested : reference)->gelu_f32(16, x[side]);
  }
  same_floats("gelu_f32", "not finite", x[0], x[1], 16);
  for (size_t i = 0; i < 4; i++)
    if (fabsf(x[1][i]) <= FLT_MAX) fail("gelu_f32", "not finite", "it became a number");
  release("gelu_f32", "not finite");
}

/* A row whose scale is NaN, products that overflow to both infinities, products that are -0. */
static void check_products_of(size_t rows, size_t depth, int relu) {
  char shape[64];
  snprintf(shape, sizeof shape, "not finite, %zu x %zu relu %d", rows, depth, relu);
  float *x = random_floats(rows * depth), *scale = random_floats(64), *bias = random_floats(64), *out[2];
  const size_t a_stride = chord_round_up(depth, 64), wrong = rows / 2;
  int8_t *codes = block(64 * depth);
  uint8_t *widths = block(64);
  int16_t *ratios = block(64 * sizeof(int16_t));
  for (size_t i = 0; i < 64 * depth; i++) codes[i] = random_code();
  memset(widths, 3, 64);
  memset(x, 0, depth * sizeof(float)); /* the first row: zeros, so that products with a negative scale are -0 */
  for (size_t c = 0; c < 64; c += 4) scale[c] = c % 8 ? 3e38f : -3e38f, scale[c + 1] = -1.0f, bias[c + 1] = -0.0f;
  for (int side = 0; side < 2; side++) {
    const chord_ukernels *k = side ? tested : reference;
    uint8_t *a = block(rows * a_stride);
    float *a_scale = floats(rows), *ignored = floats(64), *scales = floats(rows);
    int8_t *panel = block(64 * depth);
    int32_t *correction = block(64 * sizeof(int32_t));
    for (size_t b = 0; b < 4; b++) {
      chord_channels channels = {.widths = widths, .ratios2 = ratios, .ratios4 = ratios, .scales2 = scale, .scales4 = scale, .scales8 = scale,
                                 .depth = depth};
      for (size_t i = 0; i < 16; i++) channels.rows[i] = codes + (16 * b + i) * depth;
      k->expand_c8(&channels, panel + b * 16 * depth, correction + 16 * b, ignored);
    }
    k->quantize_f32_qa8(rows, depth, x, depth, a, a_stride, a_scale);
    if (wrong) a_scale[wrong] = NAN;
    out[side] = floats(rows * 64);
    const chord_gemm gemm = {.rows = rows, .blocks = 4, .depth = depth, .panel_depth = depth, .a = a, .a_stride = a_stride, .a_scale = a_scale,
                             .panel = panel, .correction = correction, .scale = scale, .bias = bias, .out = out[side], .out_stride = 64,
                             .relu = relu};
    k->gemm_qa8_c8(&gemm);
    if (!k->gemm_qa8_c8_qa8) continue;
    float *expected = floats(rows);
    k->quantize_f32_qa8(rows, 64, out[side], 64, block(rows * 64), 64, expected);
    k->gemm_qa8_c8_qa8(&gemm, block(rows * 64), 64, scales);
    same_floats("gemm_qa8_c8_qa8", shape, expected, scales, rows);
  }
  same_floats("gemm_qa8_c8", shape, out[0], out[1], rows * 64);
  for (size_t c = 0; wrong && c < 64; c++)
    if (out[1][wrong * 64 + c] == out[1][wrong * 64 + c]) fail("gemm_qa8_c8", shape, "a product with NaN is a number");
  release("gemm_qa8_c8", shape);
}

/* Scores: NaN or inf at `place`, or all -inf; a value's scale that is NaN. Rows that do not see the place are not looked at. */
static void check_softmax(size_t rows, size_t place, int what) {
  char shape[64];
  snprintf(shape, sizeof shape, "not finite %d, %zu of %zu", what, place, rows);
  const size_t keys = chord_round_up(rows, 16), first = (rows - 1) / 16 * 16, here = rows - first;
  float *source = random_floats(16 * keys), *value_scale = floats(keys), *scores[2], *p_scale[2];
  for (size_t t = 0; t < rows; t++) value_scale[t] = fabsf(random_float()) + 0.1f;
  for (size_t i = 0; i < here; i++) {
    if (what < 3) source[i * keys + place] = what == 0 ? NAN : what == 1 ? -NAN : INFINITY;
    for (size_t t = 0; what == 3 && t < keys; t++) source[i * keys + t] = -INFINITY;
  }
  if (what >= 4) value_scale[place] = what == 4 ? NAN : -NAN;
  for (int side = 0; side < 2; side++) {
    scores[side] = floats(16 * keys);
    memcpy(scores[side], source, 16 * keys * sizeof(float));
    p_scale[side] = floats(16);
    const chord_softmax softmax = {.rows = here, .first = first, .keys = keys, .scores = scores[side], .stride = keys,
                                   .value_scale = value_scale, .p = block(16 * keys), .p_scale = p_scale[side]};
    (side ? tested : reference)->softmax_f32_qa8(&softmax);
    for (size_t i = 0; i < here; i++)
      if (first + i >= place && p_scale[side][i] == p_scale[side][i]) fail("softmax_f32_qa8", shape, "weights of NaN have a scale");
  }
  release("softmax_f32_qa8", shape);
}

static void check_attend_last(size_t rows, size_t dim, size_t place) {
  char shape[64];
  snprintf(shape, sizeof shape, "not finite, %zu of %zu x %zu", place, rows, dim);
  float *x = random_floats(rows * dim + 16), *probe = random_floats(dim), *out = floats(dim);
  for (size_t which = 0; which < 3; which++) { /* +-inf of x may be a score of -inf, whose weight is small; what it weighs is not finite */
    for (size_t c = 0; c < dim; c++) x[place * dim + c] = poison(which);
    const chord_attend_last one = {.rows = rows, .dim = dim, .heads = 1, .probe = probe, .x = x, .work = floats(rows + 16), .out = out};
    tested->attend_last_f32(&one);
    for (size_t c = 0; c < dim; c++)
      if (fabsf(out[c]) <= FLT_MAX) fail("attend_last_f32", shape, "a mix of NaN is a number");
  }
  release("attend_last_f32", shape);
}

void check_not_finite(void) {
  static const size_t dims[] = {16, 48, 64, 80, 256};
  for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
    for (size_t place = 0; place < dims[d]; place += 1 + place / 16) check_quantize(dims[d], place), check_norm(dims[d], place);
  check_gelu();
  for (size_t rows = 1; rows <= 9; rows++)
    for (int relu = 0; relu < 2; relu++) check_products_of(rows, rows % 3 ? 64 : 48, relu);
  for (size_t rows = 1; rows <= 36; rows += 5)
    for (size_t place = 0; place < rows; place++) {
      for (int what = 0; what < 6; what++) check_softmax(rows, place, what);
      check_attend_last(rows, rows % 2 ? 64 : 48, place);
    }
}
