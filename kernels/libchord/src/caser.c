/*
 * Caser (Tang and Wang, 2018) for one history, without the user embedding.
 *
 * A horizontal filter over `height` slots is a sum of `height` products, one a slot. Each slot's product is an exact integer,
 * because the slot's input is an embedding row that is stored in int8: no activation is quantised, and no product is
 * computed twice for overlapping windows. Empty slots contribute zero and are skipped.
 */
#include "plan.h"

enum { MAX_HEIGHTS = 64 };

typedef struct caser {
  uint32_t height_count, filters, vertical;
  uint32_t window_channels; /* virtual channels of all heights, padded */
  uint32_t features;        /* inputs of fc, padded */
} caser;

CHORD_OWN_FITS(caser);

static void plan(chord_plan *p) {
  chord_model *model = p->model;
  caser *c = CHORD_OWN(caser, model);
  const uint32_t dim = model->dim;
  c->filters = chord_plan_integer(p, "filters", 1, 4096);
  c->vertical = chord_plan_integer(p, "vertical_filters", 1, 4096);
  const bool item_bias = chord_plan_integer(p, "item_bias", 0, 1) != 0;
  if (p->status != CHORD_OK) return;
  chord_entry heights;
  if (!chord_master_find(p->master, "config/heights", &heights) || heights.dtype != CHORD_I32 || heights.dims != 2 ||
      heights.shape[0] != 1 || heights.shape[1] < 1 || heights.shape[1] > MAX_HEIGHTS) {
    chord_plan_refuse(p, "heights is not a list of 1 to 64 filter heights");
    return;
  }
  c->height_count = heights.shape[1];
  uint64_t windows = 0;
  for (uint32_t i = 0; i < c->height_count; i++) {
    const int32_t height = ((const int32_t *)heights.data)[i];
    if (height < 1 || (uint32_t)height > model->max_length) {
      chord_plan_refuse(p, "a filter height is outside 1..max_length");
      return;
    }
    chord_layer *horizontal = chord_plan_layer(p, chord_named("horizontal.%u", i).text, c->filters, (uint32_t)height * dim);
    if (!horizontal) return;
    horizontal->form = CHORD_WINDOWS;
    horizontal->leaves = CHORD_BIAS_RELU;
    horizontal->row = horizontal->depth = dim;
    horizontal->virtuals = (uint32_t)height * c->filters;
    windows += chord_round_up(horizontal->virtuals, 16);
  }
  if (windows > CHORD_MAX_DEPTH) chord_plan_refuse(p, "the horizontal filters are too many");
  c->window_channels = (uint32_t)windows;
  chord_layer *vertical = chord_plan_layer(p, "vertical", c->vertical, model->max_length);
  if (!vertical) return;
  vertical->form = CHORD_ROWS;
  vertical->leaves = CHORD_BIAS;
  vertical->spread = dim;
  const uint64_t inputs = (uint64_t)c->filters * c->height_count + (uint64_t)c->vertical * dim;
  if (inputs > CHORD_MAX_DEPTH) chord_plan_refuse(p, "fc has too many inputs");
  c->features = (uint32_t)chord_round_up((size_t)inputs, 16);
  chord_layer *fc = chord_plan_layer(p, "fc", dim, (uint32_t)inputs);
  if (fc) fc->reads = c->height_count + 1;
  if (item_bias) model->item_bias = chord_plan_floats(p, "tensors/item_bias", 1, model->items + 1, 0, false);
}

static chord_room room(const chord_model *model) {
  const caser *c = CHORD_OWN(const caser, model);
  return (chord_room){
      .rows = model->max_length,
      .wide = c->window_channels > c->features ? c->window_channels : c->features,
      .inputs = model->dim > c->features ? model->dim : c->features,
      .work = c->features + 2 * chord_round_up(c->filters, 16) + chord_round_up(model->max_length, 16),
  };
}

/* A comparison would pass over what is not finite, but nothing is: the largest sum of products and bias is far below. */
_Static_assert(127.0 * 127.0 * CHORD_MAX_DIM * CHORD_MAX_LENGTH * CHORD_LARGEST_WEIGHT * CHORD_LARGEST_WEIGHT < 1e30, "sums of windows overflow");

/* out[f] = max over all windows of relu(bias[f] + sum over the window's slots of products[slot][part][f]), for the `filters` of one height that
 * are on. `sum` is scratch. */
CHORD_CODE_PART(caser)
static void horizontal(const chord_session *s, size_t filters, size_t height, const float *bias, const int32_t *row_of, const float *products,
                       float *sum, float *out) {
  const size_t stride = s->wide_stride, length = s->model->max_length;
  for (size_t f = 0; f < filters; f++) out[f] = 0.0f;
  for (size_t start = 0; start + height <= length; start++) {
    for (size_t f = 0; f < filters; f++) sum[f] = bias[f];
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

/* Of a layer's channels that are on; their number. */
static size_t biases_of(const chord_slot *slot, const chord_layer *layer, float *out) {
  size_t count = 0;
  for (size_t c = 0; c < layer->out; c++) {
    if (slot->widths[layer->first + c] == 0) continue;
    out[count++] = layer->bias ? layer->bias[c] : 0.0f;
  }
  return count;
}

CHORD_CODE_PART(caser) static void hidden(chord_session *s, const chord_slot *slot, size_t count) {
  const chord_model *model = s->model;
  const caser *config = CHORD_OWN(const caser, model);
  const chord_ukernels *kernels = model->kernels;
  const size_t dim = model->dim, heights = config->height_count;
  int32_t row_of[CHORD_MAX_LENGTH];
  for (size_t i = 0; i < model->max_length; i++) row_of[i] = -1;
  for (size_t row = 0; row < count; row++) row_of[s->slots[row]] = (int32_t)row;

  const chord_layer *layer = model->layers;
  const chord_extent *extent = slot->extents;
  kernels->gather_e_qa8(count, dim, &model->table, s->ids, s->a, s->a_stride, s->a_scale);
  const chord_gemm windows = chord_product(s, slot, layer, extent[heights].lanes / 16, count, 0, s->wide, s->wide_stride);
  kernels->gemm_qa8_c8(&windows);
  const size_t filters_padded = chord_round_up(config->filters, 16);
  float *features = s->work, *bias = features + config->features, *sum = bias + filters_padded, *mix = sum + filters_padded;
  float *out = features;
  for (size_t i = 0; i < heights; i++, layer++, extent++) {
    const size_t filters = biases_of(slot, layer, bias);
    horizontal(s, filters, layer->virtuals / layer->out, bias, row_of, s->wide + extent->lanes, sum, out);
    out += filters;
  }

  /* The vertical filters weigh whole slots: a mix of embedding rows, in floats. */
  kernels->embed_e_f32(count, dim, &model->table, s->ids, NULL, NULL, s->x);
  const int8_t *codes = slot->weights + extent->weights;
  for (uint32_t v = 0; v < slot->groups[layer->groups_at].count; v++, codes += extent->depth, out += dim) {
    for (size_t row = 0; row < count; row++) mix[row] = (float)codes[s->slots[row]] * slot->scales[extent->lanes + v];
    kernels->mix_rows_f32(count, dim, mix, s->x, out);
    for (size_t j = 0; j < dim; j++) out[j] += slot->biases[extent->lanes + v];
  }
  layer++;
  extent++;
  for (; out < features + extent->depth; out++) *out = 0.0f;
  kernels->quantize_f32_qa8(1, extent->depth, features, extent->depth, s->a, s->a_stride, s->a_scale);
  const chord_gemm fc = chord_product(s, slot, layer, extent->blocks, 1, 1, s->hidden, dim);
  kernels->gemm_qa8_c8(&fc);
}

CHORD_CODE_DECLARE(caser)

const chord_backbone chord_backbone_caser = {.name = "caser", .code = CHORD_CODE(caser), .plan = plan, .room = room, .hidden = hidden};
