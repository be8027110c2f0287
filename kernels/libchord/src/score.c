/* From a history to the hidden state, and from there to scores. */
#include <float.h>
#include <string.h>

#include "../ukernels/constants.h"
#include "internal.h"

/* The items of a history, and their slots when the newest stands in the last one. */
static bool take_history(chord_session *s, const int32_t *items, size_t count) {
  const chord_model *model = s->model;
  for (size_t i = 0; i < count; i++) {
    if ((uint32_t)items[i] - 1 >= model->items) return false;
    s->ids[i] = items[i];
    s->slots[i] = (int32_t)(model->max_length - count + i);
  }
  return count > 0;
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

/* A byte of each line, so that the code of a call that finds its caches full of other things comes at once and not line by line. Loads, because
 * prefetches of pages that no one has read lately are dropped. */
static void read_code(chord_code code) {
  for (const volatile char *line = code.begin; line < code.end; line += 64) (void)*line;
}

/* The hidden state in 16 bits: sums with int8 rows are then exact integers, at a 2^-16 part of its largest element. */
static chord_status take_query(chord_session *s) {
  const size_t dim = s->model->dim;
  /* Of whatever went wrong on the way something is left here (ukernels.h), so it is enough to look here. */
  const float most = s->largest = largest_of(s->hidden, dim);
  if (!(most <= FLT_MAX)) return CHORD_NOT_FINITE;
  const float inverse = most >= CHORD_SMALLEST_MAX ? 32767.0f / most : 0.0f;
  /* Adding and taking off 1.5 * 2^23 rounds like rintf, in a form that compilers vectorise. */
  const float round = CHORD_ROUND;
  for (size_t i = 0; i < dim; i++) s->query[i] = (int16_t)(int32_t)((s->hidden[i] * inverse + round) - round);
  s->query_scale = most * (1.0f / 32767.0f);
  return CHORD_OK;
}

static void encode(chord_session *s, const chord_slot *slot, size_t count) {
  const chord_code *kernels = s->model->kernels->code;
  read_code(kernels[0]);
  read_code(kernels[s->model->dim == 64 ? 1 : 2]);
  read_code(s->model->backbone->code);
  s->model->backbone->hidden(s, slot, count);
  if (s->user && !s->model->backbone->user)
    for (size_t i = 0; i < s->model->dim; i++) s->hidden[i] += s->user[i];
}

/* A history is its last max_length slots without the empty ones in front: where the newest item stands is the same for all. */
chord_status chord_encode(chord_session *s, const int32_t *history, size_t length) {
  if (length > s->model->max_length) {
    history += length - s->model->max_length;
    length = s->model->max_length;
  }
  while (length && *history == 0) history++, length--;
  chord_slot *slot = chord_acquire(s->model);
  const bool known = length && length == s->count && s->generation == slot->generation && !memcmp(s->ids, history, length * sizeof *history);
  const bool taken = known || take_history(s, history, length);
  if (taken && !known) encode(s, slot, length);
  s->generation = slot->generation;
  chord_release(slot);
  if (known) return CHORD_OK;
  s->count = 0;
  const chord_status status = taken ? take_query(s) : CHORD_BAD_HISTORY;
  if (status == CHORD_OK) s->count = length;
  return status;
}

chord_status chord_take_hidden(chord_session *s, const float *hidden) {
  s->count = 0;
  memcpy(s->hidden, hidden, s->model->dim * sizeof *hidden);
  return take_query(s);
}

/* No score can overflow below this. */
static const float safe = FLT_MAX / (2.0f * CHORD_MAX_DIM * 127.0f * CHORD_LARGEST_WEIGHT);

chord_status chord_score(const chord_session *s, size_t count, const int32_t *ids, uint32_t first, float *scores) {
  const chord_model *model = s->model;
  model->kernels->score_q16_e(count, model->dim, s->query, s->query_scale, &model->table, ids, first, scores);
  const float *bias = model->item_bias;
  for (size_t i = 0; bias && i < count; i++) scores[i] += bias[ids ? (uint32_t)ids[i] : first + i];
  return s->largest <= safe || largest_of(scores, count) <= FLT_MAX ? CHORD_OK : CHORD_NOT_FINITE;
}
