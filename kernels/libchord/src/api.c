/* The public functions: check what comes in, then call what is inside. */
#include <string.h>

#include "internal.h"

static uint8_t *align(void *memory) { return (uint8_t *)(((uintptr_t)memory + 63) & ~(uintptr_t)63); }

static chord_status plan_of(const void *master, size_t bytes, bool summed, const chord_options *options, chord_master *file, chord_model *model,
                            chord_diagnosis *diagnosis) {
  const chord_status status = chord_master_read(master, bytes, summed, file, diagnosis);
  return status == CHORD_OK ? chord_plan_model(file, options, model, diagnosis) : status;
}

chord_status chord_query_sizes(const void *master, size_t master_bytes, const chord_options *options, chord_sizes *sizes,
                               chord_diagnosis *diagnosis) {
  chord_sizes found = {0};
  if (!sizes || !chord_give(&found, sizeof found, CHORD_UP_TO(chord_sizes, session_bytes), sizes))
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "sizes is null, or its struct_size is not set");
  chord_master file;
  chord_model model;
  chord_session session;
  chord_status status = plan_of(master, master_bytes, false, options, &file, &model, NULL);
  /* What is wrong with a file is told as chord_open tells it: a wrong checksum before all that may come of it. */
  if (status != CHORD_OK) status = plan_of(master, master_bytes, true, options, &file, &model, diagnosis);
  if (status != CHORD_OK) return status;
  found.model_bytes = chord_model_layout(&model, NULL);
  found.session_bytes = chord_session_layout(&model, &session, NULL);
  chord_give(&found, sizeof found, 0, sizes);
  return CHORD_OK;
}

chord_status chord_open(const void *master, size_t master_bytes, const chord_options *options, void *memory, size_t memory_bytes,
                        chord_model **out, chord_diagnosis *diagnosis) {
  if (!out || !memory) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "a pointer is null");
  chord_master file;
  chord_model plan;
  const chord_status status = plan_of(master, master_bytes, true, options, &file, &plan, diagnosis);
  if (status != CHORD_OK) return status;
  const uint64_t needed = chord_model_layout(&plan, NULL);
  if (memory_bytes < needed) return chord_fail(diagnosis, CHORD_NO_MEMORY, "the model needs %llu bytes", (unsigned long long)needed);
  chord_model *model = (chord_model *)align(memory);
  memcpy(model, &plan, sizeof plan);
  chord_model_layout(model, (uint8_t *)model);
  uint8_t digest[32];
  if (!file.grown) chord_sha256(file.data, file.bytes, digest);
  memcpy(model->fingerprint, file.grown ? file.data + CHORD_ORIGIN : digest, sizeof model->fingerprint);
  chord_crc32_table(model->crc);
  chord_slot *slot = &model->slots[0];
  memset(slot->corrections, 0, (size_t)model->lane_count * sizeof(int32_t));
  memset(model->slots[1].corrections, 0, (size_t)model->lane_count * sizeof(int32_t));
  memset(slot->widths, 3, model->channels);
  chord_fill_slot(model, slot);
  model->magic = CHORD_MODEL_MAGIC;
  *out = model;
  return CHORD_OK;
}

chord_status chord_describe(const chord_model *model, chord_info *info) {
  if (!model || model->magic != CHORD_MODEL_MAGIC || !info) return CHORD_BAD_ARGUMENT;
  uint32_t row = 0;
  while (chord_backbone_at(row) != model->backbone) row++;
  chord_info found = {.architecture = 1 + row, .items = model->items, .max_length = model->max_length, .dim = model->dim,
                      .channels = model->channels, .variant = model->variant};
  memcpy(found.fingerprint, model->fingerprint, sizeof found.fingerprint);
  return chord_give(&found, sizeof found, CHORD_UP_TO(chord_info, variant), info) ? CHORD_OK : CHORD_BAD_ARGUMENT;
}

chord_status chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **out) {
  if (!model || model->magic != CHORD_MODEL_MAGIC || !memory || !out) return CHORD_BAD_ARGUMENT;
  chord_session plan;
  const uint64_t needed = chord_session_layout(model, &plan, NULL);
  if (memory_bytes < needed) return CHORD_NO_MEMORY;
  chord_session *session = (chord_session *)align(memory);
  /* Cleared once, so that padding that is read as an operand of a zero is a number. */
  memset(session, 0, (size_t)needed - 64);
  chord_session_layout(model, session, (uint8_t *)session);
  session->model = model;
  session->magic = CHORD_SESSION_MAGIC;
  *out = session;
  return CHORD_OK;
}

static bool all_known(const chord_model *model, const int32_t *candidates, size_t count) {
  uint32_t wrong = 0;
  for (size_t i = 0; i < count; i++) wrong |= (uint32_t)candidates[i] - 1 >= model->items;
  return !wrong;
}

static chord_status rerank(chord_session *s, const int32_t *history, size_t length, const int32_t *candidates, size_t count, float *scores) {
  if (!all_known(s->model, candidates, count)) return CHORD_BAD_CANDIDATE;
#if defined(__GNUC__)
  /* Rows and scales travel to the cache while the history is encoded; more than a few hundred would push the weights out. */
  const chord_table *table = &s->model->table;
  const size_t row_bytes = s->model->dim * table->bits / 8;
  for (size_t i = 0; i < count && i < 256; i++) {
    for (size_t at = 0; at < row_bytes; at += 64) __builtin_prefetch(table->codes + (size_t)candidates[i] * row_bytes + at);
    __builtin_prefetch(table->scales + candidates[i]);
  }
#endif
  const chord_status status = chord_encode(s, history, length);
  return status == CHORD_OK ? chord_score(s, count, candidates, 0, scores) : status;
}

chord_status chord_rerank(chord_session *session, const int32_t *history, size_t history_length, const int32_t *candidates,
                          size_t candidate_count, float *scores) {
  return chord_rerank_batch(session, 1, history, history_length, candidates, candidate_count, scores);
}

chord_status chord_rerank_batch(chord_session *session, size_t users, const int32_t *histories, size_t history_length,
                                const int32_t *candidates, size_t candidate_count, float *scores) {
  if (!chord_usable(session) || (history_length && !histories) || (candidate_count && (!candidates || !scores)) ||
      !chord_fits(users, history_length, sizeof *histories) || !chord_fits(users, candidate_count, sizeof *scores))
    return CHORD_BAD_ARGUMENT;
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
  if (!chord_usable(session) || (history_length && !histories) || !hidden) return CHORD_BAD_ARGUMENT;
  const size_t dim = session->model->dim;
  if (!chord_fits(users, history_length, sizeof *histories) || !chord_fits(users, dim, sizeof *hidden)) return CHORD_BAD_ARGUMENT;
  for (size_t user = 0; user < users; user++) {
    const chord_status status = chord_encode(session, histories + user * history_length, history_length);
    if (status != CHORD_OK) return status;
    memcpy(hidden + user * dim, session->hidden, dim * sizeof(float));
  }
  return CHORD_OK;
}

chord_status chord_score_hidden(chord_session *session, const float *hidden, const int32_t *candidates, size_t candidate_count,
                                float *scores) {
  if (!chord_usable(session) || !hidden || (candidate_count && (!candidates || !scores)) ||
      !chord_fits(1, candidate_count, sizeof *scores))
    return CHORD_BAD_ARGUMENT;
  if (!all_known(session->model, candidates, candidate_count)) return CHORD_BAD_CANDIDATE;
  const chord_status status = chord_take_hidden(session, hidden);
  return status == CHORD_OK ? chord_score(session, candidate_count, candidates, 0, scores) : status;
}
