/*
 * Caser (Tang and Wang, 2018) for one history, without the user embedding.
 *
 * A horizontal filter over `height` slots is a sum of `height` products, one a slot. Each slot's product is an exact integer,
 * because the slot's input is an embedding row that is stored in int8: no activation is quantised, and no product is
 * computed twice for overlapping windows. Empty slots contribute zero and are skipped.
 */
#include <string.h>

#include "internal.h"

/* out[f] = max over all windows of relu(bias[f] + sum over the window's slots of products[slot][part][f]), for one height. */
static void horizontal(const chord_session *s, const chord_layer *layer, const int32_t *row_of, const float *products, float *sum,
                       float *out) {
  const size_t filters = layer->out, stride = s->wide_stride, length = s->model->max_length;
  const size_t height = layer->virtuals / filters;
  for (size_t f = 0; f < filters; f++) out[f] = 0.0f;
  for (size_t start = 0; start + height <= length; start++) {
    for (size_t f = 0; f < filters; f++) sum[f] = layer->bias ? layer->bias[f] : 0.0f;
    bool empty = true;
    for (size_t part = 0; part < height; part++) {
      const int32_t row = row_of[start + part];
      if (row < 0) continue;
      const float *product = products + (size_t)row * stride + part * filters;
      for (size_t f = 0; f < filters; f++) sum[f] += product[f];
      empty = false;
    }
    for (size_t f = 0; f < filters; f++) out[f] = sum[f] > out[f] ? sum[f] : out[f];
    /* Empty windows are all alike: skip to the last one before the next item. */
    if (empty)
      while (start + height < length && row_of[start + height] < 0) start++;
  }
}

void chord_caser_hidden(chord_session *s, const chord_slot *slot, size_t count) {
  const chord_model *model = s->model;
  const chord_caser *config = &model->caser;
  const chord_ukernels *kernels = model->kernels;
  const size_t dim = model->dim, heights = config->height_count;
  int32_t row_of[CHORD_MAX_LENGTH];
  for (size_t i = 0; i < model->max_length; i++) row_of[i] = -1;
  for (size_t row = 0; row < count; row++) row_of[s->slots[row]] = (int32_t)row;

  const chord_layer *layer = model->layers;
  kernels->gather_e_qa8(count, dim, &model->table, s->ids, s->a, s->a_stride, s->a_scale);
  const chord_gemm windows = {
      .rows = count, .blocks = config->window_channels / 16, .depth = dim, .a = s->a, .a_stride = s->a_stride, .a_scale = s->a_scale,
      .panel = slot->weights + layer->weights, .panel_depth = dim, .correction = slot->corrections + layer->lanes,
      .scale = slot->scales + layer->lanes, .bias = model->biases + layer->lanes, .out = s->wide, .out_stride = s->wide_stride};
  kernels->gemm_qa8_c8(&windows);
  float *features = s->work, *sum = features + config->features, *mix = sum + chord_round_up(config->filters, 16);
  float *out = features;
  for (size_t i = 0; i < heights; i++, layer++, out += config->filters)
    horizontal(s, layer, row_of, s->wide + (layer->lanes - model->layers[0].lanes), sum, out);

  /* The vertical filters weigh whole slots: a mix of embedding rows, in floats. */
  kernels->embed_e_f32(count, dim, &model->table, s->ids, NULL, NULL, s->x);
  const int8_t *codes = slot->weights + layer->weights;
  for (uint32_t v = 0; v < config->vertical; v++, codes += layer->depth, out += dim) {
    for (size_t row = 0; row < count; row++) mix[row] = (float)codes[s->slots[row]] * slot->scales[layer->lanes + v];
    kernels->mix_rows_f32(count, dim, mix, s->x, out);
    for (size_t j = 0; layer->bias && j < dim; j++) out[j] += layer->bias[v];
  }
  layer++;
  for (; out < features + config->features; out++) *out = 0.0f;
  kernels->quantize_f32_qa8(1, config->features, features, config->features, s->a, s->a_stride, s->a_scale);
  const chord_gemm fc = {
      .rows = 1, .blocks = dim / 16, .depth = layer->depth, .a = s->a, .a_stride = s->a_stride, .a_scale = s->a_scale,
      .panel = slot->weights + layer->weights, .panel_depth = layer->depth, .correction = slot->corrections + layer->lanes,
      .scale = slot->scales + layer->lanes, .bias = model->biases + layer->lanes, .out = s->hidden, .out_stride = dim, .relu = 1};
  kernels->gemm_qa8_c8(&fc);
}
