/*
 * A slot from its widths. Channels that are off cost nothing: they get no lane, and the layer that reads them no column.
 *
 * What a channel that is off would give is its bias (through ReLU or GELU), the same in every row, so the layer that reads it adds
 * weights times that to its own bias, once and here; its inputs are smaller by these columns. Of a channel of queries and keys nothing is left
 * if the key is off: it gives every position the same logit. If only the query is off it leaves the product of its bias and the key. All of a
 * head's are one linear function of the key's input, so one more channel of the keys stands for them: the last of its group.
 * Layers that write into the residual stream leave out those that are off if that saves a block of lanes, and the slot's places say where the
 * others are; Caser's last layer keeps all, with zeros.
 */
#include <string.h>

#include "../ukernels/constants.h"
#include "internal.h"

/* Lanes that are no channel of the master: nothing, and what queries of group g leave that are off, left_behind - g. */
static const uint32_t nothing = UINT32_MAX, left_behind = UINT32_MAX - 1;

static bool is_channel(uint32_t lane) { return lane < UINT32_MAX / 2; }
static bool is_left(uint32_t lane) { return !is_channel(lane) && lane != nothing; }

typedef struct filling {
  const chord_model *model;
  chord_slot *slot;
  const chord_layer *layer;
  chord_extent *extent;
  bool dense;       /* no channel of the model is off */
  size_t row;       /* inputs of a channel in the master, padded to 16 */
  bool whole;       /* all columns are kept */
  bool leaves;      /* those that are not leave something, whose codes have this scale */
  float scale;
} filling;

/* Sixteen (virtual) channels. Where the file cannot be read in place (other channels than sixteen in a row, rows that are not a
 * multiple of 16 long, filters of Caser) copies stand in; lanes that are no channel are off. */
typedef struct lanes {
  chord_channels channels;
  uint8_t widths[16];
  int16_t ratios2[16], ratios4[16];
  float scales2[16], scales4[16], scales8[16];
} lanes;

static bool in_a_row(const uint32_t *order) { return is_channel(order[0]) && order[15] == order[0] + 15; }

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
    const bool present = is_channel(order[i]);
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

static bool all_on(const uint8_t *widths, size_t count) { return !memchr(widths, 0, count); }

static size_t keep_all(uint32_t first, size_t width, uint32_t *kept) {
  for (size_t i = 0; i < width; i++) kept[i] = first + (uint32_t)i;
  return width;
}

/* Channels of a group that have a lane: those that are on, of queries and keys those that both are. */
static size_t keep(const filling *f, uint32_t first, size_t width, uint32_t *kept) {
  const chord_layer *layer = f->layer;
  const uint8_t *own = f->slot->widths + layer->first,
                *other = layer->part == CHORD_QUERY ? own + layer->out : layer->part == CHORD_KEY ? own - layer->out : own;
  if (f->dense || layer->leaves == CHORD_KEPT || (all_on(own + first, width) && all_on(other + first, width))) return keep_all(first, width, kept);
  size_t count = 0;
  for (uint32_t c = first; c < first + width; c++) {
    kept[count] = c;
    count += (own[c] != 0) & (other[c] != 0);
  }
  const bool saves = layer->leaves != CHORD_STREAM || chord_round_up(count ? count : 1, 16) < width;
  return saves ? count : keep_all(first, width, kept);
}

/* Heads side by side instead of each in sixteens of its own, if that saves lanes; gives how many there are then. */
static size_t join(const filling *f, size_t lanes) {
  const chord_layer *layer = f->layer;
  chord_group *groups = f->slot->groups + layer->groups_at;
  uint32_t *order = f->model->scratch.order;
  size_t count = 0;
  for (size_t group = 0; group < layer->groups; group++) count += groups[group].count;
  const size_t joined = chord_round_up(count ? count : 1, 16);
  if (layer->part == CHORD_OTHER || joined >= lanes) return lanes;
  size_t lane = 0;
  for (chord_group *group = groups; group < groups + layer->groups; group++) {
    memmove(order + lane, order + (group->first - f->extent->lanes), group->count * sizeof *order);
    group->first = (uint32_t)(f->extent->lanes + lane);
    group->joined = true;
    lane += group->count;
  }
  for (; lane < joined; lane++) order[lane] = nothing;
  return joined;
}

/* Which channels the lanes are: the slot's groups and blocks of this layer. */
static void order_lanes(const filling *f) {
  const chord_layer *layer = f->layer;
  const size_t width = layer->out / layer->groups, parts = layer->virtuals / layer->out;
  uint32_t *order = f->model->scratch.order;
  size_t lane = 0;
  for (size_t group = 0; group < layer->groups; group++) {
    uint32_t *kept = order + lane;
    size_t count = keep(f, (uint32_t)(group * width), width, kept);
    for (size_t part = 1; part < parts; part++)
      for (size_t i = 0; i < count; i++) kept[part * count + i] = kept[i] + (uint32_t)(part * layer->out);
    const bool left = layer->part != CHORD_OTHER && count < width && find_left(f, group, f->model->scratch.off) > 0;
    if (left) kept[count++] = left_behind - (uint32_t)group;
    const size_t used = parts * count, padded = used ? chord_round_up(used, 16) : 16;
    f->slot->groups[layer->groups_at + group] = (chord_group){
        .first = (uint32_t)(f->extent->lanes + lane), .width = (uint32_t)padded, .count = (uint32_t)count, .left = left};
    for (size_t i = used; i < padded; i++) kept[i] = nothing;
    lane += padded;
  }
  lane = join(f, lane);
  f->extent->blocks = (uint32_t)(lane / 16);
  if (layer->leaves != CHORD_STREAM || lane >= layer->out) return;
  int32_t *places = f->slot->places + layer->places_at, next = 0;
  for (uint32_t c = 0; c < layer->out; c++) places[c] = (size_t)next < lane && order[next] == c ? next++ : ~next;
}

/* What columns leave that are not kept, in integers whose sums fit 32 bits: up to 16 bits each. `gelu`: of GELU. */
static void round_constants(filling *f, bool gelu) {
  const chord_scratch *s = &f->model->scratch;
  float most = 0.0f;
  if (gelu) f->model->kernels->gelu_f32(f->row, s->constants);
  for (size_t i = 0; i < f->row; i++) {
    const float magnitude = s->constants[i] < 0.0f ? -s->constants[i] : s->constants[i];
    most = magnitude > most ? magnitude : most;
  }
  f->leaves = most >= CHORD_SMALLEST_MAX;
  const float largest = f->row <= CHORD_MAX_DIM ? 32767.0f : (float)(32767 * CHORD_MAX_DIM / f->row), round = CHORD_ROUND;
  const float inverse = f->leaves ? largest / most : 0.0f;
  for (size_t i = 0; i < f->row; i++) s->codes[i] = (int16_t)(int32_t)((s->constants[i] * inverse + round) - round);
  f->scale = most / largest;
}

/* Columns that are kept, in scratch->from, and what the others leave. */
static void find_columns(filling *f) {
  const chord_layer *layer = f->layer, *producer = layer - layer->reads;
  const chord_scratch *s = &f->model->scratch;
  bool aligned = true, gelu = false;
  for (const chord_layer *p = producer; p < layer; p++) aligned &= p->groups == 1 || p->out / p->groups % 16 == 0;
  f->whole = aligned && (f->dense || !memchr(f->slot->widths + producer->first, 0, layer->first - producer->first));
  if (f->whole) return;
  uint32_t *from = s->from;
  memset(s->constants, 0, f->row * sizeof(float));
  for (uint32_t column = 0; producer < layer; producer++) {
    const uint8_t *widths = f->slot->widths + producer->first;
    const size_t width = producer->out / producer->groups, spread = producer->spread;
    const bool relu = producer->leaves == CHORD_BIAS_RELU;
    gelu |= producer->leaves == CHORD_BIAS_GELU;
    for (size_t c = 0; c < producer->out; c++)
      for (size_t i = 0; i < spread; i++, column++) {
        const float bias = widths[c] || !producer->bias ? 0.0f : producer->bias[c];
        s->constants[column] = relu && bias <= 0.0f ? 0.0f : bias;
        *from = column;
        from += widths[c] != 0;
        /* Panels are padded group by group, with zeros: any weight will do there. What a backbone itself joins is not. */
        if (producer->form != CHORD_PANEL || (c + 1) % width) continue;
        const size_t end = f->slot->groups[producer->groups_at + c / width].first + f->slot->groups[producer->groups_at + c / width].width;
        for (uint32_t *const stop = s->from + (end - chord_extent_of(f->model, f->slot, producer)->lanes); from < stop;) *from++ = 0;
      }
  }
  for (; from == s->from || (from - s->from) % 16;) *from++ = 0;
  f->extent->depth = (uint32_t)(from - s->from);
  round_constants(f, gelu);
}

/* Adds to the biases what the columns leave that are not kept, then keeps the others, in scratch->rows[2]. */
static void compact(const filling *f, lanes *l, float *biases) {
  const chord_ukernels *kernels = f->model->kernels;
  const chord_scratch *s = &f->model->scratch;
  const size_t depth = f->extent->depth;
  if (f->leaves) {
    float scales[16], sums[16];
    kernels->derive_rows(&l->channels, s->rows[1], scales);
    const chord_table table = {.codes = (const uint8_t *)s->rows[1], .scales = scales, .bits = 8, .rows = 16};
    kernels->score_q16_e(16, f->row, s->codes, f->scale, &table, NULL, 0, sums);
    for (size_t i = 0; i < 16; i++) biases[i] += sums[i];
  }
  for (size_t i = 0; i < 16; i++) {
    const int8_t *row = l->channels.rows[i];
    int8_t *out = s->rows[2] + i * depth;
    l->channels.rows[i] = out;
    if (l->channels.widths[i] == 0) continue;
    for (size_t k = 0; k < depth; k++) out[k] = row[s->from[k]];
  }
  l->channels.depth = depth;
}

static void fill_lanes(const filling *f, const uint32_t *order, size_t lane) {
  const chord_layer *layer = f->layer;
  const chord_ukernels *kernels = f->model->kernels;
  const size_t at = f->extent->lanes + lane;
  float *scales = f->slot->scales + at, *biases = f->slot->biases + at, left_scales[16];
  int8_t *weights = f->slot->weights + f->extent->weights + lane * f->extent->depth, *left_rows = f->model->scratch.rows[2];
  const bool biased = layer->bias && layer->form != CHORD_WINDOWS, plain = in_a_row(order);
  for (size_t i = 0; i < 16 && layer->part == CHORD_KEY && !plain; i++)
    if (is_left(order[i])) left_scales[i] = make_left(f, left_behind - order[i], left_rows + i * f->row);
  lanes l;
  gather(f, layer, order, &l);
  if (biased && plain)
    for (size_t i = 0; i < 16; i++) biases[i] = layer->bias[order[0] + i] * layer->factor;
  else
    for (size_t i = 0; i < 16; i++) biases[i] = biased && is_channel(order[i]) ? layer->bias[order[i]] * layer->factor : 0.0f;
  for (size_t i = 0; i < 16 && layer->part != CHORD_OTHER && !plain; i++) {
    if (!is_left(order[i])) continue;
    if (layer->part == CHORD_KEY) {
      l.channels.rows[i] = left_rows + i * f->row;
      l.widths[i] = 3;
      l.scales8[i] = left_scales[i];
    } else if ((layer + 1)->form == CHORD_ROWS) {
      biases[i] = 1.0f; /* keys that are absorbed see it as one more channel */
    }
  }
  if (!f->whole) compact(f, &l, biases);
  if (layer->form == CHORD_ROWS)
    kernels->derive_rows(&l.channels, weights, scales);
  else
    kernels->expand_c8(&l.channels, weights, f->slot->corrections + at, scales);
  if (layer->factor != 1.0f)
    for (size_t i = 0; i < 16; i++) scales[i] *= layer->factor;
}

void chord_derive(const chord_model *model, chord_slot *slot, const chord_layer *layer, const uint32_t *order, size_t count, int8_t *codes,
                  float *scales) {
  const filling f = {.model = model, .slot = slot, .row = layer->row};
  uint32_t all[16];
  lanes l;
  for (uint32_t first = 0; first < count; first += 16) {
    for (uint32_t i = 0; i < 16; i++) all[i] = first + i;
    gather(&f, layer, order ? order + first : all, &l);
    model->kernels->derive_rows(&l.channels, codes + first * layer->row, scales + first);
  }
}

/* A layer and the next one as one, unless so many channels are off that both are no larger. */
static bool merge(const filling *f) {
  const chord_layer *layer = f->layer;
  if (layer->merging == CHORD_ALONE) return false;
  const size_t lanes = 16 * f->extent->blocks, out = layer->out;
  filling both = *f; /* in the place of the one or the other */
  if (layer->merging == CHORD_FOLLOWED) {
    both.layer++;
    *++both.extent = *f->extent;
    order_lanes(&both);
  } else {
    both.extent->blocks = layer->out / 16;
  }
  const size_t rows = 16 * both.extent->blocks;
  if (rows * out >= lanes * (out + rows)) {
    order_lanes(f);
    return false;
  }
  chord_extent *other = both.layer == layer ? f->extent + 1 : f->extent;
  *other = *both.extent;
  other->blocks = 0;
  for (uint32_t i = 0; i < 2; i++)
    f->slot->groups[layer[i].groups_at] = (chord_group){.first = (uint32_t)f->extent->lanes, .width = 16 * f->extent[i].blocks, .count = 16 * f->extent[i].blocks};
  chord_merge(f->model, f->slot, layer);
  return true;
}

void chord_fill_slot(const chord_model *model, chord_slot *slot) {
  const bool dense = !memchr(slot->widths, 0, model->channels);
  chord_extent next = {0};
  for (uint32_t i = 0; i < model->layer_count; i++) {
    const chord_layer *layer = &model->layers[i];
    chord_extent *extent = &slot->extents[i];
    *extent = (chord_extent){.weights = next.weights, .lanes = next.lanes, .depth = layer->depth};
    filling f = {.model = model, .slot = slot, .layer = layer, .extent = extent, .dense = dense, .row = chord_round_up(layer->row, 16)};
    order_lanes(&f);
    size_t lanes;
    if (merge(&f)) {
      lanes = 16 * (extent[0].blocks + extent[1].blocks);
      i++;
    } else {
      find_columns(&f);
      lanes = 16 * extent->blocks;
      for (size_t lane = 0; lane < lanes; lane += 16) fill_lanes(&f, model->scratch.order + lane, lane);
    }
    next.weights += lanes * extent->depth;
    next.lanes += lanes;
  }
}
