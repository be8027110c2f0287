/* From a master file to a model: configuration, tensors, and where everything lies in memory. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../ukernels/constants.h"
#include "internal.h"

enum { ALIGNMENT = 64 };

/* A builder carries the first failure, so that a plan reads as a list. */
typedef struct builder {
  const chord_master *master;
  chord_model *model;
  chord_diagnosis *diagnosis;
  chord_status status;
} builder;

static uint32_t integer(builder *b, const char *key, int64_t least, int64_t most) {
  uint32_t value = 0;
  if (b->status == CHORD_OK) b->status = chord_master_int(b->master, key, least, most, &value, b->diagnosis);
  return value;
}

static const float *floats(builder *b, uint32_t dims, uint32_t first, uint32_t second, bool positive, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 6, 7)))
#endif
    ;

static const float *floats(builder *b, uint32_t dims, uint32_t first, uint32_t second, bool positive, const char *format, ...) {
  char name[96];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(name, sizeof name, format, arguments);
  va_end(arguments);
  const float *values = NULL;
  if (b->status == CHORD_OK) b->status = chord_master_floats(b->master, name, dims, first, second, positive, &values, b->diagnosis);
  return values;
}

static bool text_is(builder *b, const char *key, const char *expected) {
  char name[96];
  snprintf(name, sizeof name, "config/%s", key);
  chord_entry entry;
  if (!chord_master_find(b->master, name, &entry) || entry.dtype != CHORD_UTF8) return false;
  return entry.bytes == strlen(expected) && memcmp(entry.data, expected, entry.bytes) == 0;
}

static void refuse(builder *b, const char *sentence) {
  if (b->status == CHORD_OK) b->status = chord_fail(b->diagnosis, CHORD_BAD_MASTER, "master weights: %s", sentence);
}

static chord_norm_weights norm(builder *b, const char *name) {
  return (chord_norm_weights){.gamma = floats(b, 1, b->model->dim, 0, false, "tensors/%s.weight", name),
                              .beta = floats(b, 1, b->model->dim, 0, false, "tensors/%s.bias", name)};
}

static chord_table table(builder *b, const char *embedding, uint32_t rows) {
  chord_table result = {0};
  if (b->status != CHORD_OK) return result;
  const uint32_t dim = b->model->dim;
  char name[96];
  chord_entry bits, codes;
  snprintf(name, sizeof name, "embeddings/%s/bits", embedding);
  b->status = chord_master_get(b->master, name, CHORD_I32, 1, 2, 0, &bits, b->diagnosis);
  if (b->status != CHORD_OK) return result;
  const int32_t *values = bits.data;
  if ((values[0] != 8 && values[0] != 4) || values[1] != (int32_t)dim) {
    refuse(b, "an embedding table has neither 8 nor 4 bits, or rows that are not dim long");
    return result;
  }
  const bool whole = values[0] == 8;
  snprintf(name, sizeof name, "embeddings/%s/codes", embedding);
  b->status = chord_master_get(b->master, name, whole ? CHORD_I8 : CHORD_U8, 2, rows, whole ? dim : dim / 2, &codes, b->diagnosis);
  result.scales = floats(b, 1, rows, 0, true, "embeddings/%s/scales", embedding);
  result.codes = codes.data;
  result.bits = (uint32_t)values[0];
  result.rows = rows;
  return result;
}

/* Takes the next layer of the channel table, which the file must list in the same order. */
static chord_layer *layer(builder *b, const char *name, uint32_t out, uint32_t in) {
  chord_model *model = b->model;
  if (b->status != CHORD_OK) return NULL;
  if (model->layer_count == CHORD_MAX_LAYERS || in > CHORD_MAX_DEPTH || model->channels + out > CHORD_MAX_CHANNELS) {
    b->status = chord_fail(b->diagnosis, CHORD_BAD_MASTER, "layer %s: %u layers, %u inputs and %u channels up to it exceed %d, %d and %d", name,
                           model->layer_count + 1, in, model->channels + out, CHORD_MAX_LAYERS, CHORD_MAX_DEPTH, CHORD_MAX_CHANNELS);
    return NULL;
  }
  char path[96];
  chord_entry codes, ratios, bias;
  snprintf(path, sizeof path, "layers/%s/codes", name);
  b->status = chord_master_get(b->master, path, CHORD_I8, 2, out, in, &codes, b->diagnosis);
  if (b->status != CHORD_OK) return NULL;
  snprintf(path, sizeof path, "layers/%s/ratios", name);
  b->status = chord_master_get(b->master, path, CHORD_I16, 2, 2, out, &ratios, b->diagnosis);
  const float *scales = floats(b, 2, 3, out, true, "layers/%s/scales", name);
  snprintf(path, sizeof path, "layers/%s/bias", name);
  const float *biases = chord_master_find(b->master, path, &bias) ? floats(b, 1, out, 0, false, "layers/%s/bias", name) : NULL;
  if (b->status != CHORD_OK) return NULL;
  const int8_t *code = codes.data;
  for (uint64_t i = 0; i < codes.bytes; i++)
    if (code[i] == -128) refuse(b, "a layer holds the code -128, which is outside the grid");
  const int16_t *ratio = ratios.data;
  for (uint64_t i = 0; i < ratios.bytes / 2; i++)
    if (ratio[i] < 1) refuse(b, "a layer holds a ratio below 1");
  chord_layer *result = &model->layers[model->layer_count++];
  *result = (chord_layer){.codes = code, .scales = scales, .ratios = ratio, .bias = biases,
                          .out = out, .in = in, .first = model->channels, .factor = 1.0f};
  result->depth = (uint32_t)chord_round_up(in, 16);
  result->virtuals = out;
  model->channels += out;
  return result;
}

static chord_layer *block_layer(builder *b, uint32_t block, const char *part, uint32_t out, uint32_t in) {
  char name[64];
  snprintf(name, sizeof name, "blocks.%u.%s", (unsigned)block, part);
  return layer(b, name, out, in);
}

static void plan_sasrec(builder *b) {
  chord_model *model = b->model;
  chord_sasrec *s = &model->sasrec;
  const uint32_t dim = model->dim;
  s->blocks = integer(b, "blocks", 1, CHORD_MAX_BLOCKS);
  s->heads = integer(b, "heads", 1, CHORD_MAX_DIM);
  s->ffn = integer(b, "ffn_dim", 1, CHORD_MAX_DEPTH);
  s->ffn_padded = (uint32_t)chord_round_up(s->ffn, 16);
  s->norm_first = integer(b, "norm_first", 0, 1) != 0;
  s->gelu = text_is(b, "activation", "gelu");
  if (!s->gelu && !text_is(b, "activation", "relu")) refuse(b, "activation is neither relu nor gelu");
  if (b->status == CHORD_OK && (s->heads == 0 || dim % s->heads != 0)) refuse(b, "heads does not divide dim");
  const float *eps = floats(b, 1, 1, 0, true, "config/norm_eps");
  if (b->status != CHORD_OK) return;
  s->eps = *eps;
  if (!(s->eps >= 1e-12f)) refuse(b, "norm_eps is too small");
  s->positions = table(b, "position_embedding", model->max_length);
  s->edge = norm(b, s->norm_first ? "final_norm" : "embedding_norm");
  for (uint32_t i = 0; i < s->blocks && b->status == CHORD_OK; i++) {
    char name[64];
    snprintf(name, sizeof name, "blocks.%u.attention_norm", (unsigned)i);
    s->attention[i] = norm(b, name);
    snprintf(name, sizeof name, "blocks.%u.ffn_norm", (unsigned)i);
    s->feed[i] = norm(b, name);
    chord_layer *query = block_layer(b, i, "query", dim, dim);
    if (query) query->factor = CHORD_LOG2E / sqrtf((float)(dim / s->heads));
    chord_layer *key = block_layer(b, i, "key", dim, dim);
    if (key && i + 1 == s->blocks) key->form = CHORD_ROWS;
    block_layer(b, i, "value", dim, dim);
    block_layer(b, i, "output", dim, dim);
    block_layer(b, i, "ffn1", s->ffn, dim);
    block_layer(b, i, "ffn2", dim, s->ffn);
  }
}

static void plan_caser(builder *b) {
  chord_model *model = b->model;
  chord_caser *c = &model->caser;
  const uint32_t dim = model->dim;
  c->filters = integer(b, "filters", 1, 4096);
  c->vertical = integer(b, "vertical_filters", 1, 4096);
  const bool item_bias = integer(b, "item_bias", 0, 1) != 0;
  if (b->status != CHORD_OK) return;
  chord_entry heights;
  if (!chord_master_find(b->master, "config/heights", &heights) || heights.dtype != CHORD_I32 || heights.dims != 2 ||
      heights.shape[0] != 1 || heights.shape[1] < 1 || heights.shape[1] > CHORD_MAX_HEIGHTS) {
    refuse(b, "heights is not a list of 1 to 64 filter heights");
    return;
  }
  c->height_count = heights.shape[1];
  uint64_t windows = 0;
  for (uint32_t i = 0; i < c->height_count; i++) {
    const int32_t height = ((const int32_t *)heights.data)[i];
    if (height < 1 || (uint32_t)height > model->max_length) {
      refuse(b, "a filter height is outside 1..max_length");
      return;
    }
    c->heights[i] = (uint32_t)height;
    char name[32];
    snprintf(name, sizeof name, "horizontal.%u", (unsigned)i);
    chord_layer *horizontal = layer(b, name, c->filters, (uint32_t)height * dim);
    if (!horizontal) return;
    horizontal->form = CHORD_WINDOWS;
    horizontal->depth = dim;
    horizontal->virtuals = (uint32_t)height * c->filters;
    windows += chord_round_up(horizontal->virtuals, 16);
  }
  if (windows > CHORD_MAX_DEPTH) refuse(b, "the horizontal filters are too many");
  c->window_channels = (uint32_t)windows;
  chord_layer *vertical = layer(b, "vertical", c->vertical, model->max_length);
  if (vertical) vertical->form = CHORD_ROWS;
  const uint64_t inputs = (uint64_t)c->filters * c->height_count + (uint64_t)c->vertical * dim;
  if (inputs > CHORD_MAX_DEPTH) refuse(b, "fc has too many inputs");
  c->features = (uint32_t)chord_round_up((size_t)inputs, 16);
  layer(b, "fc", dim, (uint32_t)inputs);
  if (item_bias) c->item_bias = floats(b, 1, model->items + 1, 0, false, "tensors/item_bias");
}

chord_status chord_plan(const chord_master *master, const chord_options *options, chord_model *model, chord_diagnosis *diagnosis) {
  memset(model, 0, sizeof *model);
  const char *wanted = options && options->struct_size >= sizeof(chord_options) ? options->variant : NULL;
  const chord_variant *variant = chord_choose_variant(wanted);
  if (!variant)
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "variant '%s' is unknown, or this CPU does not support it", wanted ? wanted : "");
  model->kernels = variant->ukernels;
  model->variant = variant->name;
  builder b = {.master = master, .model = model, .diagnosis = diagnosis, .status = CHORD_OK};
  model->items = integer(&b, "items", 1, (1 << 30) - 1);
  model->max_length = integer(&b, "max_length", 1, CHORD_MAX_LENGTH);
  model->dim = integer(&b, "dim", 16, CHORD_MAX_DIM);
  if (b.status == CHORD_OK && model->dim % 16 != 0) refuse(&b, "dim is not a multiple of 16");
  model->table = table(&b, "item_embedding", model->items + 1);
  if (b.status != CHORD_OK) return b.status;
  if (text_is(&b, "architecture", "sasrec")) {
    model->architecture = CHORD_SASREC;
    plan_sasrec(&b);
  } else if (text_is(&b, "architecture", "caser")) {
    model->architecture = CHORD_CASER;
    plan_caser(&b);
  } else {
    refuse(&b, "architecture is neither sasrec nor caser");
  }
  if (b.status != CHORD_OK) return b.status;
  for (uint32_t i = 0; i < model->layer_count; i++) {
    chord_layer *l = &model->layers[i];
    const size_t lanes = chord_round_up(l->virtuals, 16);
    l->weights = model->weight_bytes;
    l->lanes = model->lane_count;
    model->weight_bytes += lanes * l->depth;
    model->lane_count += lanes;
  }
  return CHORD_OK;
}

size_t chord_model_layout(chord_model *model, uint8_t *base) {
  chord_carver c = {.base = base};
  chord_carve(&c, sizeof(chord_model));
  model->biases = chord_carve(&c, model->lane_count * sizeof(float));
  size_t deepest = 16;
  for (uint32_t i = 0; i < model->layer_count; i++) deepest = model->layers[i].depth > deepest ? model->layers[i].depth : deepest;
  model->spare_rows = chord_carve(&c, 16 * deepest);
  for (int i = 0; i < 2; i++) {
    chord_slot *slot = &model->slots[i];
    slot->weights = chord_carve(&c, model->weight_bytes);
    slot->scales = chord_carve(&c, model->lane_count * sizeof(float));
    slot->corrections = chord_carve(&c, model->lane_count * sizeof(int32_t));
    slot->widths = chord_carve(&c, model->channels + 64);
  }
  return c.used + ALIGNMENT;
}

size_t chord_session_layout(const chord_model *model, chord_session *session, uint8_t *base) {
  chord_carver c = {.base = base};
  chord_carve(&c, sizeof(chord_session));
  const size_t rows = model->max_length, dim = model->dim;
  size_t wide, inputs, work, states;
  if (model->architecture == CHORD_SASREC) {
    const chord_sasrec *s = &model->sasrec;
    wide = 3 * dim > s->ffn_padded ? 3 * dim : s->ffn_padded;
    inputs = dim > s->ffn_padded ? dim : s->ffn_padded;
    work = chord_attend_bytes(rows, dim / s->heads) / sizeof(float);
    work = work > rows + 16 ? work : rows + 16;
    work = work > dim ? work : dim;
    /* The last block keeps one probe and one mix of `dim` for each head in `wide` and `y`. */
    states = rows > s->heads ? rows : s->heads;
  } else {
    const chord_caser *s = &model->caser;
    wide = s->window_channels > s->features ? s->window_channels : s->features;
    inputs = dim > s->features ? dim : s->features;
    work = s->features + chord_round_up(s->filters, 16) + chord_round_up(rows, 16);
    states = rows;
  }
  session->ids = chord_carve(&c, rows * sizeof(int32_t));
  session->slots = chord_carve(&c, rows * sizeof(int32_t));
  session->hidden = chord_carve(&c, dim * sizeof(float));
  session->query = chord_carve(&c, dim * sizeof(int16_t));
  session->x = chord_carve(&c, (states * dim + 16) * sizeof(float));
  session->y = chord_carve(&c, (states * dim + 16) * sizeof(float));
  session->wide_stride = wide;
  session->wide = chord_carve(&c, (states * wide + 16) * sizeof(float));
  session->work = chord_carve(&c, (work + 16) * sizeof(float));
  session->block = chord_carve(&c, 256 * sizeof(float));
  session->a_stride = chord_round_up(inputs, 64);
  session->a = chord_carve(&c, states * session->a_stride);
  session->a_scale = chord_carve(&c, states * sizeof(float));
  return c.used + ALIGNMENT;
}
