/* From a history to the hidden state, and from there to scores. */
#include <float.h>
#include <string.h>

#include "../ukernels/constants.h"
#include "internal.h"

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
    if (history[i] == 0) {
      if (found) return CHORD_BAD_HISTORY;
      continue;
    }
    s->ids[found] = history[i];
    s->slots[found++] = (int32_t)(offset + i);
  }
  *count = found;
  return found ? CHORD_OK : CHORD_BAD_HISTORY;
}

/* The largest magnitude. Compared as integers, in which what is not finite is larger than all numbers. */
static float largest_of(const float *x, size_t count) {
  int32_t largest = 0;
  for (size_t i = 0; i < count; i++) {
    int32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  float result;
  memcpy(&result, &largest, sizeof result);
  return result;
}

chord_status chord_encode(chord_session *s, const int32_t *history, size_t length, size_t *count) {
  const chord_status status = take_history(s, history, length, count);
  if (status != CHORD_OK) return status;
  chord_slot *slot = chord_acquire(s->model);
  s->model->backbone->hidden(s, slot, *count);
  chord_release(slot);
  if (s->user && !s->model->backbone->user)
    for (size_t i = 0; i < s->model->dim; i++) s->hidden[i] += s->user[i];
  /* Of whatever went wrong on the way something is left here (ukernels.h), so it is enough to look here. */
  s->largest = largest_of(s->hidden, s->model->dim);
  return s->largest <= FLT_MAX ? CHORD_OK : CHORD_NOT_FINITE;
}

chord_status chord_take_hidden(chord_session *s, const float *hidden) {
  memcpy(s->hidden, hidden, s->model->dim * sizeof *hidden);
  s->largest = largest_of(s->hidden, s->model->dim);
  return s->largest <= FLT_MAX ? CHORD_OK : CHORD_NOT_FINITE;
}

/* The hidden state in 16 bits: sums with int8 rows are then exact integers, at a 2^-16 part of its largest element. */
float chord_take_query(chord_session *s) {
  const float most = s->largest;
  const size_t dim = s->model->dim;
  const float inverse = most >= CHORD_SMALLEST_MAX ? 32767.0f / most : 0.0f;
  /* Adding and taking off 1.5 * 2^23 rounds like rintf, in a form that compilers vectorise. */
  const float round = CHORD_ROUND;
  for (size_t i = 0; i < dim; i++) s->query[i] = (int16_t)(int32_t)((s->hidden[i] * inverse + round) - round);
  return most * (1.0f / 32767.0f);
}

/* No score can overflow below this. */
static const float safe = FLT_MAX / (2.0f * CHORD_MAX_DIM * 127.0f * CHORD_LARGEST_WEIGHT);

chord_status chord_score(const chord_session *s, float scale, size_t count, const int32_t *ids, uint32_t first, float *scores) {
  const chord_model *model = s->model;
  model->kernels->score_q16_e(count, model->dim, s->query, scale, &model->table, ids, first, scores);
  const float *bias = model->item_bias;
  for (size_t i = 0; bias && i < count; i++) scores[i] += bias[ids ? (uint32_t)ids[i] : first + i];
  return s->largest <= safe || largest_of(scores, count) <= FLT_MAX ? CHORD_OK : CHORD_NOT_FINITE;
}
