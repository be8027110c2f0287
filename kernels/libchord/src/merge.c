/*
 * Two layers as one, when a strategy is adopted: y = outer (inner x), or, of queries q = inner x that meet keys outer x', the probes
 * y = outer^T q that meet x' itself, because q . (outer x') = (outer^T q) . x'.
 *
 * Merged weights are sums over the channels between the two, each with a scale of its own. So that these sums are a product in 8 bits
 * like any other, the inner weights take these scales and are rounded once more, all with one scale. Outer codes stay as they are, but for
 * those of 4 and 2 bits of channels between the two, which are enlarged to the range of 8: what is left of their scales is alike then. Rows
 * of the result are quantised, and are the panels.
 */
#include <string.h>

#include "internal.h"

enum { EXTRA = 16 };

typedef struct parts {
  int8_t *codes, *turned, *panel; /* [dim][dim], the first two and EXTRA */
  int32_t *corrections;           /* [dim], and so on */
  int32_t *ids;
  float *inner_scales, *outer_scales, *zeros, *ones, *bias;
  float *rows; /* [16][dim], and EXTRA */
} parts;

static size_t lay_out(size_t dim, void *base, parts *p) {
  chord_carver c = {.base = base};
  p->codes = chord_carve(&c, dim * dim + EXTRA);
  p->turned = chord_carve(&c, dim * dim + EXTRA);
  p->panel = chord_carve(&c, dim * dim);
  p->corrections = chord_carve(&c, dim * sizeof(int32_t));
  p->ids = chord_carve(&c, dim * sizeof(int32_t));
  p->inner_scales = chord_carve(&c, dim * sizeof(float));
  p->outer_scales = chord_carve(&c, dim * sizeof(float));
  p->zeros = chord_carve(&c, dim * sizeof(float));
  p->ones = chord_carve(&c, dim * sizeof(float));
  p->bias = chord_carve(&c, dim * sizeof(float));
  p->rows = chord_carve(&c, (16 * dim + EXTRA) * sizeof(float));
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

/* Codes of 2 and 4 bits to the range of 8, which is exact. */
static void enlarge(size_t dim, const uint8_t *widths, int8_t *codes, float *scales) {
  static const uint16_t by[4] = {0, 63, 18, 1};
  for (size_t c = 0; c < dim; c++, codes += dim) {
    const uint16_t times = by[widths[c]];
    for (size_t i = 0; i < dim; i += 2) { /* byte by byte, in words: x86 has no product of bytes */
      uint16_t two;
      memcpy(&two, codes + i, 2);
      two = (uint16_t)(((two & 255) * times & 255) | (two >> 8) * times << 8);
      memcpy(codes + i, &two, 2);
    }
    scales[c] = times ? scales[c] / (float)times : 0.0f;
  }
}

/* Inner codes [dim][dim] times their scales, as activations that all have one scale: as large as any could be. Sixteen channels are a row for
 * quantisation, and that is behind them. */
static float round_together(const chord_model *model, const uint8_t *widths, const parts *p) {
  static const float largest_code[4] = {0.0f, 2.0f, 7.0f, 127.0f};
  const chord_ukernels *kernels = model->kernels;
  const chord_table table = {.codes = (const uint8_t *)p->codes, .scales = p->inner_scales, .bits = 8, .rows = model->dim};
  const size_t dim = model->dim, width = 16 * dim;
  float most = 0.0f, scale = 0.0f;
  for (size_t c = 0; c < dim; c++) {
    const float reach = p->inner_scales[c] * largest_code[widths[c]];
    most = reach > most ? reach : most;
  }
  for (size_t i = 0; i < EXTRA; i++) p->rows[width + i] = most;
  for (size_t c = 0; c < dim; c += 16) {
    kernels->embed_e_f32(16, dim, &table, p->ids + c, NULL, NULL, p->rows);
    kernels->quantize_f32_qa8(1, width + EXTRA, p->rows, 0, (uint8_t *)p->turned + c * dim, 0, &scale);
  }
  return scale;
}

void chord_merge(const chord_model *model, chord_slot *slot, const chord_layer *layer) {
  const chord_ukernels *kernels = model->kernels;
  const bool meeting = layer->merging == CHORD_MEETING;
  const chord_layer *inner = layer, *outer = layer + 1;
  const chord_extent *extent = chord_extent_of(model, slot, meeting ? inner : outer);
  const uint32_t *order = model->scratch.order; /* of the results, when these are channels of `outer` */
  const size_t dim = model->dim, results = 16 * extent->blocks;
  const uint8_t zero = kernels->zero;
  parts parts_of_two, *const p = &parts_of_two;
  lay_out(dim, model->scratch.merging, p);
  int8_t *panel = slot->weights + extent->weights; /* holds the outer codes until they are used up */
  chord_derive(model, slot, outer, meeting ? NULL : order, results, panel, p->outer_scales);
  chord_derive(model, slot, inner, NULL, dim, p->codes, p->inner_scales);
  if (meeting) enlarge(dim, slot->widths + outer->first, panel, p->outer_scales);
  for (size_t c = 0; c < dim; c++) {
    const float bias = inner->bias ? inner->bias[c] * inner->factor : 0.0f, met = meeting ? p->outer_scales[c] : 1.0f;
    p->inner_scales[c] = p->inner_scales[c] * inner->factor * met;
    p->bias[c] = bias * met;
    p->ids[c] = (int32_t)c;
    p->zeros[c] = 0.0f;
    p->ones[c] = 1.0f;
  }
  const float scale = round_together(model, slot->widths + inner->first, p);
  turn(dim, dim, p->turned, p->codes);
  for (size_t row = 0; row < dim; row += 16)
    kernels->pack_rows_qa8_c8(16, dim, (uint8_t *)p->codes + row * dim, p->panel + row * dim, p->corrections + row);
  turn(results, dim, panel, p->turned);
  /* [channel between the two][result], and the other way round */
  const int8_t *by_inner = meeting ? panel : p->turned;
  uint8_t *by_result = (uint8_t *)(meeting ? p->turned : panel), *codes = (uint8_t *)p->codes;
  float *scales = slot->scales + extent->lanes, *biases = slot->biases + extent->lanes;
  kernels->combine_rows_f32(dim, results, p->bias, by_inner, results, biases);
  for (size_t i = 0; zero && i < results * dim; i++) by_result[i] = (uint8_t)(by_result[i] + zero);
  for (size_t row = 0; row < results; row += 16) {
    const chord_gemm gemm = {.rows = 16, .blocks = dim / 16, .depth = dim, .a = by_result + row * dim, .a_stride = dim, .a_scale = p->ones,
                             .panel = p->panel, .panel_depth = dim, .correction = p->corrections, .scale = p->ones, .bias = p->zeros,
                             .out = p->rows, .out_stride = dim};
    kernels->gemm_qa8_c8(&gemm);
    kernels->quantize_f32_qa8(16, dim, p->rows, dim, codes, dim, scales + row);
    kernels->pack_rows_qa8_c8(16, dim, codes, panel + row * dim, slot->corrections + extent->lanes + row);
  }
  for (size_t c = 0; c < results; c++) {
    scales[c] *= meeting ? scale : scale * p->outer_scales[c];
    if (!meeting) biases[c] = biases[c] * p->outer_scales[c] + (outer->bias && order[c] < outer->out ? outer->bias[order[c]] : 0.0f);
  }
}
