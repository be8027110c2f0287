/* The public functions: check what comes in, then call what is inside. */
#include <math.h>
#include <string.h>

#include "../ukernels/constants.h"
#include "internal.h"

enum { MODEL_MAGIC = 0x4d524843, SESSION_MAGIC = 0x53524843, PART = 256 };

static uint8_t *align(void *memory) { return (uint8_t *)(((uintptr_t)memory + 63) & ~(uintptr_t)63); }

chord_status chord_query_sizes(const void *master, size_t master_bytes, const chord_options *options, chord_sizes *sizes,
                               chord_diagnosis *diagnosis) {
  if (!sizes || sizes->struct_size < sizeof *sizes) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "sizes is null or too small");
  chord_master file;
  chord_model model;
  chord_session session;
  chord_status status = chord_master_read(master, master_bytes, &file, diagnosis);
  if (status == CHORD_OK) status = chord_plan(&file, options, &model, diagnosis);
  if (status != CHORD_OK) return status;
  sizes->model_bytes = chord_model_layout(&model, NULL);
  sizes->session_bytes = chord_session_layout(&model, &session, NULL);
  return CHORD_OK;
}

chord_status chord_open(const void *master, size_t master_bytes, const chord_options *options, void *memory, size_t memory_bytes,
                        chord_model **out, chord_diagnosis *diagnosis) {
  if (!out || !memory) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "a pointer is null");
  chord_master file;
  chord_model plan;
  chord_status status = chord_master_read(master, master_bytes, &file, diagnosis);
  if (status == CHORD_OK) status = chord_plan(&file, options, &plan, diagnosis);
  if (status != CHORD_OK) return status;
  const size_t needed = chord_model_layout(&plan, NULL);
  if (memory_bytes < needed) return chord_fail(diagnosis, CHORD_NO_MEMORY, "the model needs %zu bytes", needed);
  chord_model *model = (chord_model *)align(memory);
  memcpy(model, &plan, sizeof plan);
  chord_model_layout(model, (uint8_t *)model);
  uint8_t digest[32];
  chord_sha256(file.data, file.bytes, digest);
  memcpy(model->fingerprint, digest, sizeof model->fingerprint);
  chord_crc32_table(model->crc);
  memset(model->biases, 0, model->lane_count * sizeof(float));
  for (uint32_t i = 0; i < model->layer_count; i++) {
    const chord_layer *layer = &model->layers[i];
    for (uint32_t c = 0; layer->bias && layer->form != CHORD_WINDOWS && c < layer->out; c++)
      model->biases[layer->lanes + c] = layer->bias[c] * layer->factor;
  }
  chord_slot *slot = &model->slots[0];
  memset(slot->corrections, 0, model->lane_count * sizeof(int32_t));
  memset(model->slots[1].corrections, 0, model->lane_count * sizeof(int32_t));
  memset(slot->widths, 3, model->channels);
  chord_fill_slot(model, slot);
  model->magic = MODEL_MAGIC;
  *out = model;
  return CHORD_OK;
}

chord_status chord_describe(const chord_model *model, chord_info *info) {
  if (!model || model->magic != MODEL_MAGIC || !info || info->struct_size < sizeof *info) return CHORD_BAD_ARGUMENT;
  *info = (chord_info){.struct_size = info->struct_size, .architecture = (uint32_t)model->architecture, .items = model->items,
                       .max_length = model->max_length, .dim = model->dim, .channels = model->channels, .variant = model->variant};
  memcpy(info->fingerprint, model->fingerprint, sizeof info->fingerprint);
  return CHORD_OK;
}

chord_status chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **out) {
  if (!model || model->magic != MODEL_MAGIC || !memory || !out) return CHORD_BAD_ARGUMENT;
  chord_session plan;
  const size_t needed = chord_session_layout(model, &plan, NULL);
  if (memory_bytes < needed) return CHORD_NO_MEMORY;
  chord_session *session = (chord_session *)align(memory);
  /* Cleared once, so that padding that is read as an operand of a zero is a number. */
  memset(session, 0, needed - 64);
  chord_session_layout(model, session, (uint8_t *)session);
  session->model = model;
  session->magic = SESSION_MAGIC;
  *out = session;
  return CHORD_OK;
}

/* The items of a history and their slots, right-aligned; only the last max_length entries count. */
static chord_status take_history(chord_session *s, const int32_t *history, size_t length, size_t *count) {
  const chord_model *model = s->model;
  if (length > model->max_length) {
    history += length - model->max_length;
    length = model->max_length;
  }
  const size_t offset = model->max_length - length;
  size_t found = 0;
  for (size_t i = 0; i < length; i++) {
    if ((uint32_t)history[i] > model->items) return CHORD_BAD_HISTORY;
    if (history[i] == 0) continue;
    s->ids[found] = history[i];
    s->slots[found++] = (int32_t)(offset + i);
  }
  if (model->architecture == CHORD_SASREC && (found == 0 || s->slots[found - 1] + 1 != (int32_t)model->max_length))
    return CHORD_BAD_HISTORY;
  *count = found;
  return CHORD_OK;
}

static chord_status encode(chord_session *s, const int32_t *history, size_t length) {
  size_t count = 0;
  const chord_status status = take_history(s, history, length, &count);
  if (status != CHORD_OK) return status;
  chord_slot *slot = chord_acquire(s->model);
  if (s->model->architecture == CHORD_SASREC)
    chord_sasrec_hidden(s, slot, count);
  else
    chord_caser_hidden(s, slot, count);
  chord_release(slot);
  return CHORD_OK;
}

/* The hidden state in 16 bits: sums with int8 rows are then exact integers, at a 2^-16 part of its largest element. */
static float take_query(chord_session *s) {
  float most = 0.0f;
  const size_t dim = s->model->dim;
  for (size_t i = 0; i < dim; i++) {
    const float magnitude = fabsf(s->hidden[i]);
    most = magnitude > most ? magnitude : most;
  }
  const float inverse = most >= CHORD_SMALLEST_MAX ? 32767.0f / most : 0.0f;
  /* Adding and taking off 1.5 * 2^23 rounds like rintf, in a form that compilers vectorise. */
  const float round = CHORD_ROUND;
  for (size_t i = 0; i < dim; i++) s->query[i] = (int16_t)(int32_t)((s->hidden[i] * inverse + round) - round);
  return most * (1.0f / 32767.0f);
}

static void score(chord_session *s, float scale, size_t count, const int32_t *ids, uint32_t first, float *scores) {
  const chord_model *model = s->model;
  model->kernels->score_q16_e(count, model->dim, s->query, scale, &model->table, ids, first, scores);
  const float *bias = model->caser.item_bias;
  for (size_t i = 0; bias && i < count; i++) scores[i] += bias[ids ? (uint32_t)ids[i] : first + i];
}

static bool usable(const chord_session *s) { return s && s->magic == SESSION_MAGIC; }

static chord_status rerank(chord_session *s, const int32_t *history, size_t length, const int32_t *candidates, size_t count, float *scores) {
  const uint32_t items = s->model->items;
  uint32_t wrong = 0;
  for (size_t i = 0; i < count; i++) wrong |= (uint32_t)candidates[i] - 1 >= items;
  if (wrong) return CHORD_BAD_CANDIDATE;
#if defined(__GNUC__)
  /* Rows and scales travel to the cache while the history is encoded; more than a few hundred would push the weights out. */
  const chord_table *table = &s->model->table;
  const size_t row_bytes = s->model->dim * table->bits / 8;
  for (size_t i = 0; i < count && i < 256; i++) {
    __builtin_prefetch(table->codes + (size_t)candidates[i] * row_bytes);
    __builtin_prefetch(table->scales + candidates[i]);
  }
#endif
  const chord_status status = encode(s, history, length);
  if (status != CHORD_OK) return status;
  score(s, take_query(s), count, candidates, 0, scores);
  return CHORD_OK;
}

chord_status chord_rerank(chord_session *session, const int32_t *history, size_t history_length, const int32_t *candidates,
                          size_t candidate_count, float *scores) {
  return chord_rerank_batch(session, 1, history, history_length, candidates, candidate_count, scores);
}

chord_status chord_rerank_batch(chord_session *session, size_t users, const int32_t *histories, size_t history_length,
                                const int32_t *candidates, size_t candidate_count, float *scores) {
  if (!usable(session) || (history_length && !histories) || (candidate_count && (!candidates || !scores))) return CHORD_BAD_ARGUMENT;
  for (size_t user = 0; user < users; user++) {
    const chord_status status = rerank(session, histories + user * history_length, history_length, candidates + user * candidate_count,
                                       candidate_count, scores + user * candidate_count);
    if (status != CHORD_OK) return status;
  }
  return CHORD_OK;
}

chord_status chord_hidden(chord_session *session, const int32_t *history, size_t history_length, float *hidden) {
  return chord_hidden_batch(session, 1, history, history_length, hidden);
}

chord_status chord_hidden_batch(chord_session *session, size_t users, const int32_t *histories, size_t history_length, float *hidden) {
  if (!usable(session) || (history_length && !histories) || !hidden) return CHORD_BAD_ARGUMENT;
  const size_t dim = session->model->dim;
  for (size_t user = 0; user < users; user++) {
    const chord_status status = encode(session, histories + user * history_length, history_length);
    if (status != CHORD_OK) return status;
    memcpy(hidden + user * dim, session->hidden, dim * sizeof(float));
  }
  return CHORD_OK;
}

/* A heap whose root is the worst of the best so far; of equal scores the higher id is worse. */
static bool worse(float score_a, int32_t a, float score_b, int32_t b) { return score_a < score_b || (score_a == score_b && a > b); }

static void sink(float *scores, int32_t *items, size_t size, size_t at) {
  for (;;) {
    size_t least = at;
    for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < size; child++)
      if (worse(scores[child], items[child], scores[least], items[least])) least = child;
    if (least == at) return;
    const float score = scores[at];
    const int32_t item = items[at];
    scores[at] = scores[least];
    items[at] = items[least];
    scores[least] = score;
    items[least] = item;
    at = least;
  }
}

static bool listed(const chord_session *s, size_t count, int32_t item) {
  for (size_t i = 0; i < count; i++)
    if (s->ids[i] == item) return true;
  return false;
}

chord_status chord_top_k(chord_session *session, const int32_t *history, size_t history_length, size_t k, int exclude_history,
                         int32_t *items, float *scores, size_t *found) {
  if (!usable(session) || (history_length && !history) || !items || !scores || !found || k == 0) return CHORD_BAD_ARGUMENT;
  const chord_status status = encode(session, history, history_length);
  if (status != CHORD_OK) return status;
  size_t seen = 0;
  (void)take_history(session, history, history_length, &seen);
  if (!exclude_history) seen = 0;
  const float scale = take_query(session);
  size_t size = 0;
  for (uint32_t first = 1; first <= session->model->items; first += PART) {
    const size_t left = session->model->items - first + 1, count = left < PART ? left : PART;
    score(session, scale, count, NULL, first, session->block);
    for (size_t i = 0; i < count; i++) {
      const int32_t item = (int32_t)(first + i);
      const float value = session->block[i];
      if (size == k && !worse(scores[0], items[0], value, item)) continue;
      if (seen && listed(session, seen, item)) continue;
      if (size < k) {
        scores[size] = value;
        items[size++] = item;
        if (size == k)
          for (size_t at = k / 2 + 1; at-- > 0;) sink(scores, items, size, at);
        continue;
      }
      scores[0] = value;
      items[0] = item;
      sink(scores, items, size, 0);
    }
  }
  *found = size;
  if (size < k)
    for (size_t at = size / 2 + 1; at-- > 0;) sink(scores, items, size, at);
  /* Heap sort: the worst goes to the end each time. */
  for (size_t end = size; end > 1; end--) {
    const float value = scores[0];
    const int32_t item = items[0];
    scores[0] = scores[end - 1];
    items[0] = items[end - 1];
    scores[end - 1] = value;
    items[end - 1] = item;
    sink(scores, items, end - 1, 0);
  }
  return CHORD_OK;
}
