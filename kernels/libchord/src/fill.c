/*
 * A slot from its widths. Channels that are off cost nothing: they get no lane, and the layer that reads them no column.
 *
 * What a channel that is off would give is its bias (through ReLU or GELU), the same in every row, so the layer that reads it adds
 * weights times that to its own bias, once and here; its inputs are smaller by these columns. Of a channel of queries and keys nothing is left
 * if the key is off: it gives every position the same logit. If only the query is off it leaves the product of its bias and the key. All of a
 * head's are one linear function of the key's input, so one more channel of the keys stands for them: the last of its group.
 * Layers that write into the residual stream keep all lanes, those that are off with zeros.
 */
#include <string.h>

#include "../ukernels/constants.h"
#include "internal.h"

/* Lanes that are no channel of the master: nothing, and what queries that are off leave. */
static const uint32_t nothing = UINT32_MAX, left_behind = UINT32_MAX - 1;

typedef struct filling {
  const chord_model *model;
  chord_slot *slot;
  const chord_layer *layer;
  chord_extent *extent;
  size_t row;       /* inputs of a channel in the master, padded to 16 */
  bool whole;       /* all columns are kept */
  size_t columns;   /* that are kept, else */
  size_t constants; /* columns that leave something */
  float scale;      /* of the constants' codes */
} filling;

/* Sixteen (virtual) channels. Where the file cannot be read in place (other channels than sixteen in a row, rows that are not a
 * multiple of 16 long, filters of Caser) copies stand in; lanes that are no channel are off. */
typedef struct lanes {
  chord_channels channels;
  uint8_t widths[16];
  int16_t ratios2[16], ratios4[16];
  float scales2[16], scales4[16], scales8[16];
} lanes;

static bool in_a_row(const uint32_t *order) { return order[0] < left_behind && order[15] == order[0] + 15; }

static void gather(const filling *f, const chord_layer *layer, const uint32_t *order, lanes *l) {
  chord_channels *channels = &l->channels;
  const size_t row = layer->row, filters = layer->out;
  const uint8_t *widths = f->slot->widths + layer->first;
  channels->depth = f->row;
  if (layer->form != CHORD_WINDOWS && row == f->row && in_a_row(order)) {
    const size_t first = order[0];
    for (size_t i = 0; i < 16; i++) channels->rows[i] = layer->codes + (first + i) * row;
    channels->widths = widths + first;
    channels->ratios2 = layer->ratios + first;
    channels->ratios4 = layer->ratios + filters + first;
    channels->scales2 = layer->scales + first;
    channels->scales4 = layer->scales + filters + first;
    channels->scales8 = layer->scales + 2 * filters + first;
    return;
  }
  for (size_t i = 0; i < 16; i++) {
    const bool present = order[i] < left_behind;
    const size_t virtual_channel = present ? order[i] : 0, channel = virtual_channel % filters, part = virtual_channel / filters;
    const int8_t *codes = layer->codes + channel * layer->in + part * row;
    channels->rows[i] = codes;
    if (row != f->row) {
      int8_t *copy = f->model->scratch.rows[0] + i * f->row;
      memcpy(copy, codes, row);
      memset(copy + row, 0, f->row - row);
      channels->rows[i] = copy;
    }
    l->widths[i] = present ? widths[channel] : 0;
    l->ratios2[i] = layer->ratios[channel];
    l->ratios4[i] = layer->ratios[filters + channel];
    l->scales2[i] = layer->scales[channel];
    l->scales4[i] = layer->scales[filters + channel];
    l->scales8[i] = layer->scales[2 * filters + channel];
  }
  channels->widths = l->widths;
  channels->ratios2 = l->ratios2;
  channels->ratios4 = l->ratios4;
  channels->scales2 = l->scales2;
  channels->scales4 = l->scales4;
  channels->scales8 = l->scales8;
}

/* Channels of a group for which the query is off and leaves something, because the key is on. */
static size_t find_left(const filling *f, size_t group, uint32_t *found) {
  const chord_layer *query = f->layer->part == CHORD_KEY ? f->layer - 1 : f->layer;
  const size_t width = query->out / query->groups;
  const uint8_t *queries = f->slot->widths + query->first, *keys = queries + query->out;
  size_t count = 0;
  for (size_t c = group * width; query->bias && c < (group + 1) * width; c++) {
    found[count] = (uint32_t)c;
    count += (queries[c] == 0) & (keys[c] != 0) & (query->bias[c] != 0.0f);
  }
  return count;
}

/* The channel of the keys that stands for them: sum of their biases times their keys' rows, in 8 bits. */
static float make_left(const filling *f, size_t group, int8_t *codes) {
  const chord_ukernels *kernels = f->model->kernels;
  const chord_scratch *s = &f->model->scratch;
  const chord_layer *key = f->layer, *query = key - 1;
  const size_t count = find_left(f, group, s->off), depth = f->row;
  float *sum = s->constants, *part = sum + depth, scale;
  memset(sum, 0, depth * sizeof(float));
  for (size_t first = 0; first < count; first += 16) {
    uint32_t order[16];
    lanes l;
    float factors[16];
    for (size_t i = 0; i < 16; i++) order[i] = first + i < count ? s->off[first + i] : nothing;
    gather(f, key, order, &l);
    kernels->derive_rows(&l.channels, s->rows[1], factors);
    for (size_t i = 0; i < 16; i++) factors[i] *= order[i] == nothing ? 0.0f : query->bias[order[i]] * query->factor;
    kernels->combine_rows_f32(16, depth, factors, s->rows[1], depth, part);
    for (size_t i = 0; i < depth; i++) sum[i] += part[i];
  }
  kernels->quantize_f32_qa8(1, depth, sum, depth, (uint8_t *)codes, depth, &scale);
  for (size_t i = 0; i < depth; i++) codes[i] = (int8_t)(uint8_t)((uint8_t)codes[i] - kernels->zero);
  return scale;
}

/* Which channels the lanes are: the slot's groups and blocks of this layer. */
static void order_lanes(const filling *f) {
  const chord_layer *layer = f->layer;
  const size_t width = layer->out / layer->groups, parts = layer->virtuals / layer->out;
  const uint8_t *own = f->slot->widths + layer->first,
                *other = layer->part == CHORD_QUERY ? own + layer->out : layer->part == CHORD_KEY ? own - layer->out : own;
  const bool residual = layer->leaves == CHORD_KEPT;
  uint32_t *order = f->model->scratch.order;
  size_t lane = 0;
  for (size_t group = 0; group < layer->groups; group++) {
    uint32_t *kept = order + lane;
    size_t count = 0;
    for (size_t c = group * width; c < (group + 1) * width; c++) {
      kept[count] = (uint32_t)c;
      count += residual | ((own[c] != 0) & (other[c] != 0));
    }
    for (size_t part = 1; part < parts; part++)
      for (size_t i = 0; i < count; i++) kept[part * count + i] = kept[i] + (uint32_t)(part * layer->out);
    const bool left = layer->part != CHORD_OTHER && count < width && find_left(f, group, f->model->scratch.off) > 0;
    if (left) kept[count++] = left_behind;
    const size_t used = parts * count, padded = used ? chord_round_up(used, 16) : 16;
    f->slot->groups[layer->groups_at + group] = (chord_group){
        .first = (uint32_t)(f->extent->lanes + lane), .width = (uint32_t)padded, .count = (uint32_t)count, .left = left};
    for (size_t i = used; i < padded; i++) kept[i] = nothing;
    lane += padded;
  }
  f->extent->blocks = (uint32_t)(lane / 16);
}

/* What a channel that is off leaves: of GELU what it is of. */
static float left_by(const chord_layer *layer, size_t channel) {
  const float bias = layer->bias ? layer->bias[channel] : 0.0f;
  return layer->leaves == CHORD_BIAS_RELU && bias <= 0.0f ? 0.0f : bias;
}

/* Columns that are kept, and what the others leave, in 16 bits. */
static void find_columns(filling *f) {
  const chord_layer *layer = f->layer, *producer = layer - layer->reads;
  const chord_scratch *s = &f->model->scratch;
  const uint8_t *widths = f->slot->widths + producer->first;
  bool aligned = true;
  for (const chord_layer *p = producer; p < layer; p++) aligned &= p->groups == 1 || p->out / p->groups % 16 == 0;
  f->whole = layer->reads == 0 || (aligned && !memchr(widths, 0, layer->first - producer->first));
  f->constants = 0;
  if (f->whole) return;
  size_t columns = 0, off = 0, column = 0, place = 0;
  bool gelu = false;
  for (; producer < layer; producer++) {
    const size_t width = producer->out / producer->groups, spread = producer->spread;
    const chord_extent *lanes_of_it = chord_extent_of(f->model, f->slot, producer);
    gelu |= producer->leaves == CHORD_BIAS_GELU;
    for (size_t c = 0; c < producer->out; c++, column += spread) {
      /* Panels are padded group by group; what a backbone itself puts side by side is not. */
      if (producer->form == CHORD_PANEL && c % width == 0) place = f->slot->groups[producer->groups_at + c / width].first - lanes_of_it->lanes;
      const bool on = f->slot->widths[producer->first + c] != 0;
      const float value = on ? 0.0f : left_by(producer, c);
      for (size_t i = 0; on && i < spread; i++) {
        s->from[columns] = (uint32_t)(column + i);
        s->to[columns++] = (uint32_t)place++;
      }
      for (size_t i = 0; value != 0.0f && i < spread; i++) {
        s->off[off] = (uint32_t)(column + i);
        s->constants[off++] = value;
      }
    }
    if (producer->form == CHORD_PANEL) place = 16 * lanes_of_it->blocks;
  }
  f->extent->depth = (uint32_t)(place ? chord_round_up(place, 16) : 16);
  f->columns = columns;
  f->constants = off;
  for (; off % 16; off++) s->constants[off] = 0.0f;
  if (gelu) f->model->kernels->gelu_f32(off, s->constants);
  float most = 0.0f;
  for (size_t i = 0; i < off; i++) {
    const float magnitude = s->constants[i] < 0.0f ? -s->constants[i] : s->constants[i];
    most = magnitude > most ? magnitude : most;
  }
  const float inverse = most >= CHORD_SMALLEST_MAX ? 32767.0f / most : 0.0f, round = CHORD_ROUND;
  for (size_t i = 0; i < off; i++) s->codes[i] = (int16_t)(int32_t)((s->constants[i] * inverse + round) - round);
  f->scale = most * (1.0f / 32767.0f);
}

/* Sixteen rows that hold the columns `from` of others; `to` null: side by side. */
static void take_columns(const lanes *l, const int8_t *rows, size_t row, const uint32_t *from, const uint32_t *to, size_t count, int8_t *out,
                         size_t depth) {
  memset(out, 0, 16 * depth);
  for (size_t i = 0; i < 16; i++, rows += row, out += depth) {
    if (l->channels.widths[i] == 0) continue;
    for (size_t k = 0; k < count; k++) out[to ? to[k] : k] = rows[from[k]];
  }
}

/* The channels at their widths, in scratch->rows[2] with the columns that are kept; what the others leave is added to the biases. */
static void compact(const filling *f, lanes *l, float *scales, float *biases) {
  static const uint8_t whole[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
  const chord_ukernels *kernels = f->model->kernels;
  const chord_scratch *s = &f->model->scratch;
  kernels->derive_rows(&l->channels, s->rows[1], scales);
  for (size_t first = 0; first < f->constants; first += CHORD_MAX_DIM) {
    const size_t count = f->constants - first < CHORD_MAX_DIM ? f->constants - first : CHORD_MAX_DIM, depth = chord_round_up(count, 16);
    float sums[16];
    take_columns(l, s->rows[1], f->row, s->off + first, NULL, count, s->rows[2], depth);
    const chord_table table = {.codes = (const uint8_t *)s->rows[2], .scales = scales, .bits = 8, .rows = 16};
    kernels->score_q16_e(16, depth, s->codes + first, f->scale, &table, NULL, 0, sums);
    for (size_t i = 0; i < 16; i++) biases[i] += sums[i];
  }
  take_columns(l, s->rows[1], f->row, s->from, s->to, f->columns, s->rows[2], f->extent->depth);
  for (size_t i = 0; i < 16; i++) {
    l->channels.rows[i] = s->rows[2] + i * f->extent->depth;
    l->scales8[i] = scales[i];
  }
  l->channels.depth = f->extent->depth;
  l->channels.widths = whole;
  l->channels.scales8 = l->scales8;
}

static void fill_lanes(const filling *f, size_t group, const uint32_t *order, size_t lane) {
  const chord_layer *layer = f->layer;
  const chord_ukernels *kernels = f->model->kernels;
  const size_t at = f->extent->lanes + lane;
  float *scales = f->slot->scales + at, *biases = f->slot->biases + at;
  int8_t *weights = f->slot->weights + f->extent->weights + lane * f->extent->depth;
  const bool biased = layer->bias && layer->form != CHORD_WINDOWS;
  size_t left = 16;
  float left_scale = 0.0f;
  for (size_t i = 0; i < 16 && layer->part != CHORD_OTHER; i++)
    if (order[i] == left_behind) left = i;
  if (left < 16 && layer->part == CHORD_KEY) left_scale = make_left(f, group, f->model->scratch.rows[2]);
  lanes l;
  gather(f, layer, order, &l);
  for (size_t i = 0; i < 16; i++) biases[i] = biased && order[i] < left_behind ? layer->bias[order[i]] * layer->factor : 0.0f;
  if (left < 16 && layer->part == CHORD_KEY) {
    l.channels.rows[left] = f->model->scratch.rows[2];
    l.widths[left] = 3;
    l.scales8[left] = left_scale;
  } else if (left < 16 && (layer + 1)->form == CHORD_ROWS) {
    biases[left] = 1.0f; /* keys that are absorbed see it as one more channel */
  }
  if (!f->whole) compact(f, &l, scales, biases);
  if (layer->form == CHORD_ROWS)
    kernels->derive_rows(&l.channels, weights, scales);
  else
    kernels->expand_c8(&l.channels, weights, f->slot->corrections + at, scales);
  if (layer->factor != 1.0f)
    for (size_t i = 0; i < 16; i++) scales[i] *= layer->factor;
}

void chord_fill_slot(const chord_model *model, chord_slot *slot) {
  chord_extent next = {0};
  for (uint32_t i = 0; i < model->layer_count; i++) {
    const chord_layer *layer = &model->layers[i];
    chord_extent *extent = &slot->extents[i];
    *extent = (chord_extent){.weights = next.weights, .lanes = next.lanes, .depth = layer->depth};
    filling f = {.model = model, .slot = slot, .layer = layer, .extent = extent, .row = chord_round_up(layer->row, 16)};
    order_lanes(&f);
    find_columns(&f);
    size_t lane = 0;
    for (size_t group = 0; group < layer->groups; group++)
      for (size_t end = lane + slot->groups[layer->groups_at + group].width; lane < end; lane += 16)
        fill_lanes(&f, group, model->scratch.order + lane, lane);
    next.weights += lane * extent->depth;
    next.lanes += lane;
  }
}
