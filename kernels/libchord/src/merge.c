/*
 * Two layers as one, when a strategy is adopted: y = outer (inner x), or, of queries q = inner x that meet keys outer x', the probes
 * y = outer^T q that meet x' itself, because q . (outer x') = (outer^T q) . x'.
 *
 * Merged weights are sums over the channels between the two, each with a scale of its own. So that these sums are a product in 8 bits
 * like any other: inner codes of 4 and 2 bits are enlarged to the range of 8, which is exact; rows of outer weights take what is left of the
 * inner scales, and are quantised like activations; rows of the result are quantised once more, and are the panels.
 */
#include <string.h>

#include "internal.h"

typedef struct parts {
  int8_t *codes, *turned, *panel; /* [dim][dim] */
  int32_t *corrections;           /* [dim], and so on */
  float *inner_scales, *outer_scales, *zeros, *ones, *bias;
  float *rows; /* [16][dim] */
  uint8_t *a;  /* [16][dim] */
  float *a_scale;
} parts;

static size_t lay_out(size_t dim, void *base, parts *p) {
  chord_carver c = {.base = base};
  p->codes = chord_carve(&c, dim * dim);
  p->turned = chord_carve(&c, dim * dim);
  p->panel = chord_carve(&c, dim * dim);
  p->corrections = chord_carve(&c, dim * sizeof(int32_t));
  p->inner_scales = chord_carve(&c, dim * sizeof(float));
  p->outer_scales = chord_carve(&c, dim * sizeof(float));
  p->zeros = chord_carve(&c, dim * sizeof(float));
  p->ones = chord_carve(&c, dim * sizeof(float));
  p->bias = chord_carve(&c, dim * sizeof(float));
  p->rows = chord_carve(&c, 16 * dim * sizeof(float));
  p->a = chord_carve(&c, 16 * dim);
  p->a_scale = chord_carve(&c, 16 * sizeof(float));
  return (size_t)c.used;
}

size_t chord_merge_bytes(size_t dim) {
  parts p;
  return lay_out(dim, NULL, &p);
}

typedef int8_t sixteen __attribute__((vector_size(16)));

#ifdef __clang__
#define SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#else
#define SHUFFLE(x, y, ...) __builtin_shuffle(x, y, (sixteen){__VA_ARGS__})
#endif

/* Rows become columns, in squares of 16: four perfect shuffles of their rows. */
static void turn(size_t rows, size_t columns, const int8_t *from, int8_t *to) {
  for (size_t row = 0; row < rows; row += 16)
    for (size_t column = 0; column < columns; column += 16) {
      sixteen x[16], y[16];
      for (size_t i = 0; i < 16; i++) memcpy(&x[i], from + (row + i) * columns + column, 16);
      for (size_t step = 0; step < 4; step++) {
        for (size_t i = 0; i < 8; i++) {
          y[2 * i] = SHUFFLE(x[i], x[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
          y[2 * i + 1] = SHUFFLE(x[i], x[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        memcpy(x, y, sizeof x);
      }
      for (size_t i = 0; i < 16; i++) memcpy(to + (column + i) * rows + row, &x[i], 16);
    }
}

/* Codes of 2 and 4 bits to the range of 8, as activations; channels that are off have no scale. */
static void enlarge(const chord_model *model, const chord_layer *layer, const uint8_t *widths, const parts *p) {
  static const int by[4] = {0, 63, 18, 1};
  const size_t dim = model->dim;
  const int zero = model->kernels->zero;
  for (size_t c = 0; c < dim; c++) {
    const int times = by[widths[c]];
    for (size_t i = 0; i < dim; i++) p->codes[c * dim + i] = (int8_t)(uint8_t)(p->codes[c * dim + i] * times + zero);
    p->inner_scales[c] = times ? p->inner_scales[c] * layer->factor / (float)times : 0.0f;
  }
}

void chord_merge(const chord_model *model, chord_slot *slot, const chord_layer *layer) {
  const chord_ukernels *kernels = model->kernels;
  const bool meeting = layer->merging == CHORD_MEETING;
  const chord_layer *inner = layer, *outer = layer + 1;
  const chord_extent *extent = chord_extent_of(model, slot, meeting ? inner : outer);
  const uint32_t *order = model->scratch.order; /* of the results, when these are channels of `outer` */
  const size_t dim = model->dim, results = 16 * extent->blocks;
  parts parts_of_two, *const p = &parts_of_two;
  lay_out(dim, model->scratch.merging, p);
  chord_derive(model, slot, inner, NULL, dim, p->codes, p->inner_scales);
  enlarge(model, inner, slot->widths + inner->first, p);
  turn(dim, dim, p->codes, p->turned);
  for (size_t row = 0; row < dim; row += 16)
    kernels->pack_rows_qa8_c8(16, dim, (uint8_t *)p->turned + row * dim, p->panel + row * dim, p->corrections + row);
  chord_derive(model, slot, outer, meeting ? NULL : order, results, p->codes, p->outer_scales);
  turn(results, dim, p->codes, p->turned);
  /* [channel between the two][result], and the other way round */
  const int8_t *by_inner = meeting ? p->codes : p->turned, *by_result = meeting ? p->turned : p->codes;
  for (size_t c = 0; c < dim; c++) {
    const float bias = inner->bias ? inner->bias[c] * inner->factor : 0.0f;
    p->zeros[c] = 0.0f;
    p->ones[c] = 1.0f;
    if (meeting) p->inner_scales[c] *= p->outer_scales[c];
    p->bias[c] = meeting ? bias * p->outer_scales[c] : bias;
  }
  int8_t *panel = slot->weights + extent->weights;
  float *scales = slot->scales + extent->lanes, *biases = slot->biases + extent->lanes;
  kernels->combine_rows_f32(dim, results, p->bias, by_inner, results, biases);
  for (size_t row = 0; row < results; row += 16) {
    for (size_t i = 0; i < 16; i++)
      for (size_t c = 0; c < dim; c++) p->rows[i * dim + c] = (float)by_result[(row + i) * dim + c] * p->inner_scales[c];
    kernels->quantize_f32_qa8(16, dim, p->rows, dim, p->a, dim, p->a_scale);
    const chord_gemm gemm = {.rows = 16, .blocks = dim / 16, .depth = dim, .a = p->a, .a_stride = dim, .a_scale = p->a_scale,
                             .panel = p->panel, .panel_depth = dim, .correction = p->corrections, .scale = p->ones, .bias = p->zeros,
                             .out = p->rows, .out_stride = dim};
    kernels->gemm_qa8_c8(&gemm);
    kernels->quantize_f32_qa8(16, dim, p->rows, dim, p->a, dim, scales + row);
    kernels->pack_rows_qa8_c8(16, dim, p->a, panel + row * dim, slot->corrections + extent->lanes + row);
  }
  for (size_t c = 0; !meeting && c < results; c++) {
    scales[c] *= p->outer_scales[c];
    biases[c] = biases[c] * p->outer_scales[c] + (outer->bias && order[c] < outer->out ? outer->bias[order[c]] : 0.0f);
  }
}
