/* From a master file to a model: what every backbone reads in the same way, and where everything lies in memory. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plan.h"

enum { ALIGNMENT = 64, LONGEST_WORD = 32 };

chord_name chord_named(const char *format, ...) {
  chord_name name;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(name.text, sizeof name.text, format, arguments);
  va_end(arguments);
  return name;
}

uint32_t chord_plan_integer(chord_plan *p, const char *key, int64_t least, int64_t most) {
  uint32_t value = 0;
  if (p->status == CHORD_OK) p->status = chord_master_int(p->master, key, least, most, &value, p->diagnosis);
  return value;
}

bool chord_plan_word_is(const chord_plan *p, const char *key, const char *word) {
  chord_entry entry;
  if (!chord_master_find(p->master, chord_named("config/%s", key).text, &entry) || entry.dtype != CHORD_UTF8) return false;
  return entry.bytes == strlen(word) && memcmp(entry.data, word, entry.bytes) == 0;
}

const float *chord_plan_floats(chord_plan *p, const char *name, uint32_t dims, uint32_t first, uint32_t second, bool positive) {
  const float *values = NULL;
  if (p->status == CHORD_OK) p->status = chord_master_floats(p->master, name, dims, first, second, positive, &values, p->diagnosis);
  return values;
}

void chord_plan_refuse(chord_plan *p, const char *sentence) {
  if (p->status == CHORD_OK) p->status = chord_fail(p->diagnosis, CHORD_BAD_MASTER, "engine: %s", sentence);
}

chord_norm_weights chord_plan_norm(chord_plan *p, const char *name) {
  const uint32_t dim = p->model->dim;
  return (chord_norm_weights){.gamma = chord_plan_floats(p, chord_named("tensors/%s.weight", name).text, 1, dim, 0, false),
                              .beta = chord_plan_floats(p, chord_named("tensors/%s.bias", name).text, 1, dim, 0, false)};
}

chord_table chord_plan_table(chord_plan *p, const char *embedding, uint32_t rows) {
  chord_table result = {0};
  if (p->status != CHORD_OK) return result;
  const uint32_t dim = p->model->dim;
  chord_entry bits, codes;
  p->status = chord_master_get(p->master, chord_named("embeddings/%s/bits", embedding).text, CHORD_I32, 1, 2, 0, &bits, p->diagnosis);
  if (p->status != CHORD_OK) return result;
  const int32_t *values = bits.data;
  if ((values[0] != 8 && values[0] != 4) || values[1] != (int32_t)dim) {
    chord_plan_refuse(p, "an embedding table has neither 8 nor 4 bits, or rows that are not dim long");
    return result;
  }
  const bool whole = values[0] == 8;
  p->status = chord_master_get(p->master, chord_named("embeddings/%s/codes", embedding).text, whole ? CHORD_I8 : CHORD_U8, 2, rows,
                               whole ? dim : dim / 2, &codes, p->diagnosis);
  result.scales = chord_plan_floats(p, chord_named("embeddings/%s/scales", embedding).text, 1, rows, 0, true);
  result.codes = codes.data;
  result.bits = (uint32_t)values[0];
  result.rows = rows;
  return result;
}

chord_layer *chord_plan_layer(chord_plan *p, const char *name, uint32_t out, uint32_t in) {
  chord_model *model = p->model;
  if (p->status != CHORD_OK) return NULL;
  if (model->layer_count == CHORD_MAX_LAYERS || in > CHORD_MAX_DEPTH || model->channels + out > CHORD_MAX_CHANNELS) {
    p->status = chord_fail(p->diagnosis, CHORD_BAD_MASTER, "engine: layer %s: %u layers, %u inputs and %u channels up to it exceed %d, %d and %d", name,
                           model->layer_count + 1, in, model->channels + out, CHORD_MAX_LAYERS, CHORD_MAX_DEPTH, CHORD_MAX_CHANNELS);
    return NULL;
  }
  chord_entry codes, ratios;
  p->status = chord_master_get(p->master, chord_named("layers/%s/codes", name).text, CHORD_I8, 2, out, in, &codes, p->diagnosis);
  if (p->status != CHORD_OK) return NULL;
  if (codes.index < p->behind) chord_plan_refuse(p, "the layers are not in the order of the architecture");
  p->behind = codes.index;
  if (p->status == CHORD_OK)
    p->status = chord_master_get(p->master, chord_named("layers/%s/ratios", name).text, CHORD_I16, 2, 2, out, &ratios, p->diagnosis);
  const float *scales = chord_plan_floats(p, chord_named("layers/%s/scales", name).text, 2, 3, out, true);
  const float *bias = chord_plan_floats(p, chord_named("layers/%s/bias", name).text, 1, out, 0, false);
  if (p->status != CHORD_OK) return NULL;
  chord_layer *result = &model->layers[model->layer_count++];
  *result = (chord_layer){.codes = codes.data, .scales = scales, .ratios = ratios.data, .bias = bias,
                          .out = out, .in = in, .first = model->channels, .row = in, .virtuals = out, .groups = 1, .spread = 1,
                          .factor = 1.0f};
  result->depth = (uint32_t)chord_round_up(in, 16);
  model->channels += out;
  return result;
}

static void refuse_architecture(chord_plan *p) {
  chord_entry word = {.data = ""};
  chord_master_find(p->master, "config/architecture", &word);
  char known[96] = "";
  const chord_backbone *backbone;
  for (uint32_t i = 0; (backbone = chord_backbone_at(i)) != NULL; i++) {
    const size_t used = strlen(known);
    snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", backbone->name);
  }
  const int shown = word.bytes < LONGEST_WORD ? (int)word.bytes : LONGEST_WORD;
  p->status = chord_fail(p->diagnosis, CHORD_BAD_MASTER, "engine: architecture '%.*s' is none that this engine runs (%s)", shown,
                         (const char *)word.data, known);
}

static const chord_backbone *backbone_of(const chord_plan *p) {
  for (uint32_t i = 0;; i++) {
    const chord_backbone *backbone = chord_backbone_at(i);
    if (!backbone || chord_plan_word_is(p, "architecture", backbone->name)) return backbone;
  }
}

chord_status chord_plan_model(chord_master *master, const chord_options *options, chord_model *model, chord_diagnosis *diagnosis) {
  memset(model, 0, sizeof *model);
  chord_options own = {0};
  if (options && (!chord_take(options, CHORD_UP_TO(chord_options, variant), &own, sizeof own) || own.flags != 0))
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "options: struct_size is not set, or something that this version does not know is");
  const char *wanted = own.variant;
  const chord_variant *variant = chord_choose_variant(wanted);
  if (!variant)
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "variant '%s' is unknown, or this CPU does not support it", wanted ? wanted : "");
  model->kernels = variant->ukernels;
  model->variant = variant->name;
  chord_plan p = {.master = master, .model = model, .diagnosis = diagnosis, .status = CHORD_OK};
  model->backbone = backbone_of(&p);
  if (!model->backbone) {
    refuse_architecture(&p);
    return p.status;
  }
  model->items = chord_plan_integer(&p, "items", 1, (1 << 30) - 1);
  model->max_length = chord_plan_integer(&p, "max_length", 1, CHORD_MAX_LENGTH);
  model->dim = chord_plan_integer(&p, "dim", 16, CHORD_MAX_DIM);
  if (p.status == CHORD_OK && model->dim % 16 != 0) chord_plan_refuse(&p, "dim is not a multiple of 16");
  model->table = chord_plan_table(&p, "item_embedding", model->items + 1);
  if (p.status != CHORD_OK) return p.status;
  int any = 0;
  for (size_t i = 0; i < model->dim * model->table.bits / 8; i++) any |= model->table.codes[i];
  if (any != 0) chord_plan_refuse(&p, "row 0 of 'embeddings/item_embedding', the padding's, is not zero");
  model->backbone->plan(&p);
  if (p.status == CHORD_OK) p.status = chord_master_all_asked(master, diagnosis);
  if (p.status != CHORD_OK) return p.status;
  for (uint32_t i = 0; i < model->layer_count; i++) {
    chord_layer *l = &model->layers[i];
    const size_t lanes = l->groups * chord_round_up(l->virtuals / l->groups, 16);
    l->groups_at = model->group_count;
    model->group_count += l->groups;
    l->places_at = model->place_count;
    model->place_count += l->leaves == CHORD_STREAM ? l->out : 0;
    model->weight_bytes += (uint64_t)lanes * l->depth;
    model->lane_count += lanes;
  }
  return CHORD_OK;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

uint64_t chord_model_layout(chord_model *model, uint8_t *base) {
  chord_carver c = {.base = base};
  chord_carve(&c, sizeof(chord_model));
  size_t deepest = 16, most = 16;
  bool merges = false;
  for (uint32_t i = 0; i < model->layer_count; i++) {
    const chord_layer *l = &model->layers[i];
    const size_t lanes = l->groups * chord_round_up(l->virtuals / l->groups, 16);
    deepest = larger(deepest, larger(l->depth, chord_round_up(l->row, 16)));
    most = larger(most, lanes);
    merges |= l->merging != CHORD_ALONE;
  }
  chord_scratch *scratch = &model->scratch;
  for (int i = 0; i < 3; i++) scratch->rows[i] = chord_carve(&c, 16 * deepest);
  scratch->order = chord_carve(&c, most * sizeof(uint32_t));
  scratch->from = chord_carve(&c, deepest * sizeof(uint32_t));
  scratch->off = chord_carve(&c, deepest * sizeof(uint32_t));
  scratch->constants = chord_carve(&c, 2 * deepest * sizeof(float));
  scratch->codes = chord_carve(&c, deepest * sizeof(int16_t));
  scratch->merging = chord_carve(&c, merges ? chord_merge_bytes(model->dim) : 0);
  for (int i = 0; i < 2; i++) {
    chord_slot *slot = &model->slots[i];
    slot->weights = chord_carve(&c, model->weight_bytes);
    slot->scales = chord_carve(&c, model->lane_count * sizeof(float));
    slot->corrections = chord_carve(&c, model->lane_count * sizeof(int32_t));
    slot->biases = chord_carve(&c, model->lane_count * sizeof(float));
    slot->extents = chord_carve(&c, model->layer_count * sizeof(chord_extent));
    slot->groups = chord_carve(&c, model->group_count * sizeof(chord_group));
    slot->places = chord_carve(&c, model->place_count * sizeof(int32_t));
    slot->widths = chord_carve(&c, model->channels + 64);
  }
  return c.used + ALIGNMENT;
}

uint64_t chord_session_layout(const chord_model *model, chord_session *session, uint8_t *base) {
  chord_carver c = {.base = base};
  chord_carve(&c, sizeof(chord_session));
  const size_t length = model->max_length, dim = model->dim;
  const chord_room room = model->backbone->room(model);
  session->ids = chord_carve(&c, length * sizeof(int32_t));
  session->slots = chord_carve(&c, length * sizeof(int32_t));
  session->hidden = chord_carve(&c, dim * sizeof(float));
  session->user_values = chord_carve(&c, dim * sizeof(float));
  session->query = chord_carve(&c, dim * sizeof(int16_t));
  const size_t stream = room.rows * dim + 16;
  session->x = chord_carve(&c, (stream < 2 * CHORD_SPARE ? 2 * CHORD_SPARE : stream) * sizeof(float));
  session->y = chord_carve(&c, (room.rows * larger(dim, room.narrow) + 16) * sizeof(float));
  session->wide_stride = room.wide;
  session->wide = chord_carve(&c, (room.rows * room.wide + 16) * sizeof(float));
  session->work = chord_carve(&c, (room.work + 16) * sizeof(float));
  session->block = chord_carve(&c, CHORD_PART * sizeof(float));
  session->a_stride = chord_round_up(room.inputs, 64);
  session->a = chord_carve(&c, room.rows * session->a_stride);
  session->a_scale = chord_carve(&c, room.rows * sizeof(float));
  return c.used + ALIGNMENT;
}
