/*
 * The best items of the whole catalogue, which is scored part by part.
 *
 * What is better than the worst of the best so far goes to a spare place, and when that is full, the best of both are kept. Items come in
 * ascending order and stay in it until the end, so of equal scores those that came first are better.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "internal.h"

typedef struct best {
  float *scores; /* of the caller: the first `size` of `most` */
  int32_t *items;
  size_t size, most;
  float *spare_scores;
  int32_t *spare_items;
  size_t spare;
  float worst; /* only what has a higher score can be among the best */
} best;

/* Floats in their order as integers, -0 below 0. */
static int32_t ordinal_of(int32_t bits) { return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1); }

static int32_t ordinal(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return ordinal_of(bits);
}

static float at_ordinal(int32_t ordinal) {
  const int32_t bits = ordinal_of(ordinal);
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static uint32_t above(const float *scores, size_t count, float bound) {
  uint32_t found = 0;
  for (size_t i = 0; i < count; i++) found += scores[i] > bound;
  return found;
}

/* Appends to the best those above `bound`, and of those that equal it the first `equal`, in their order. */
static void keep(best *b, const float *scores, const int32_t *items, size_t count, float bound, size_t *equal) {
  size_t size = b->size, left = *equal;
  for (size_t i = 0; i < count && size < b->most; i++) {
    const float score = scores[i];
    const int32_t item = items[i];
    const size_t same = (score == bound) & (left > 0);
    b->scores[size] = score;
    b->items[size] = item;
    left -= same;
    size += (score > bound) | same;
  }
  b->size = size;
  *equal = left;
}

/* The best `most` of the best and the spare ones. If these are more, the lowest bound that no more than `most` are above is found by halving. */
static void take_spare(best *b) {
  const size_t size = b->size;
  if (size + b->spare <= b->most) {
    memcpy(b->scores + size, b->spare_scores, b->spare * sizeof *b->scores);
    memcpy(b->items + size, b->spare_items, b->spare * sizeof *b->items);
    b->size += b->spare;
    b->spare = 0;
    return;
  }
  int32_t low = ordinal(b->worst) - 1, high = ordinal(FLT_MAX);
  size_t beyond = 0;
  while (beyond != b->most && low + 1 < high) {
    const int32_t between = (int32_t)(((int64_t)low + high) >> 1);
    const float bound = at_ordinal(between);
    const size_t found = above(b->scores, size, bound) + above(b->spare_scores, b->spare, bound);
    if (found > b->most) {
      low = between;
      continue;
    }
    high = between;
    beyond = found;
  }
  const float bound = at_ordinal(high);
  size_t equal = b->most - beyond;
  b->size = 0;
  keep(b, b->scores, b->items, size, bound, &equal);
  keep(b, b->spare_scores, b->spare_items, b->spare, bound, &equal);
  b->spare = 0;
  b->worst = bound;
}

/* The order of the result in one number: higher is better, and no two are equal. */
static uint64_t key(float score, int32_t item) {
  return (uint64_t)((uint32_t)ordinal(score + 0.0f) ^ 0x80000000u) << 32 | (uint32_t)~item;
}

/* Best first, the keys being from `low` to `high`. Each step halves the keys: 64 deep at most, whatever the scores are. */
static void sort(float *scores, int32_t *items, size_t count, uint64_t low, uint64_t high) {
  while (count > 12) {
    const uint64_t half = low + (high - low) / 2;
    size_t better = 0;
    for (size_t i = 0; i < count; i++) {
      const float score = scores[i];
      const int32_t item = items[i];
      scores[i] = scores[better];
      items[i] = items[better];
      scores[better] = score;
      items[better] = item;
      better += key(score, item) > half;
    }
    sort(scores, items, better, half + 1, high);
    scores += better;
    items += better;
    count -= better;
    high = half;
  }
  for (size_t i = 1; i < count; i++) {
    const float score = scores[i];
    const int32_t item = items[i];
    const uint64_t own = key(score, item);
    size_t at = i;
    for (; at && key(scores[at - 1], items[at - 1]) < own; at--) {
      scores[at] = scores[at - 1];
      items[at] = items[at - 1];
    }
    scores[at] = score;
    items[at] = item;
  }
}

static void sort_best(best *b) {
  uint64_t low = UINT64_MAX, high = 0;
  for (size_t i = 0; i < b->size; i++) {
    const uint64_t own = key(b->scores[i], b->items[i]);
    low = own < low ? own : low;
    high = own > high ? own : high;
  }
  sort(b->scores, b->items, b->size, low, high);
}

/* Items of the history that are among first, first + 1, ... get a score that none is better than. */
static void leave_out(const chord_session *s, uint32_t first, size_t count) {
  uint32_t any = 0;
  for (size_t i = 0; i < s->count; i++) any |= (uint32_t)s->ids[i] - first < count;
  for (size_t i = 0; any && i < s->count; i++)
    if ((uint32_t)s->ids[i] - first < count) s->block[(uint32_t)s->ids[i] - first] = -INFINITY;
}

chord_status chord_top_k(chord_session *session, const int32_t *history, size_t history_length, size_t k, int exclude_history,
                         int32_t *items, float *scores, size_t *found) {
  if (!chord_usable(session) || (history_length && !history) || !items || !scores || !found || k == 0) return CHORD_BAD_ARGUMENT;
  chord_status status = chord_encode(session, history, history_length);
  if (status != CHORD_OK) return status;
  /* Nothing is encoded any more: the spare ones take the place of the activations. */
  best b = {.scores = scores, .items = items, .most = k, .spare_scores = session->x, .worst = -INFINITY,
            .spare_items = (int32_t *)(void *)(session->x + CHORD_SPARE)};
  const size_t limit = k < 64 ? 64 : k < CHORD_SPARE ? k : CHORD_SPARE;
  float *block = session->block;
  for (uint32_t first = 1; first <= session->model->items; first += CHORD_PART) {
    const size_t left = session->model->items - first + 1, count = left < CHORD_PART ? left : CHORD_PART;
    status = chord_score(session, count, NULL, first, block);
    if (status != CHORD_OK) return status;
    for (size_t i = count; i < CHORD_PART; i++) block[i] = -INFINITY;
    if (exclude_history) leave_out(session, first, count);
    for (size_t start = 0; start < count; start += 16) {
      uint32_t any = 0;
      for (size_t i = start; i < start + 16; i++) any |= block[i] > b.worst;
      for (size_t i = start; any && i < start + 16; i++) {
        b.spare_scores[b.spare] = block[i];
        b.spare_items[b.spare] = (int32_t)(first + i);
        b.spare += block[i] > b.worst;
      }
      if (b.spare > limit - 16) take_spare(&b);
    }
  }
  take_spare(&b);
  sort_best(&b);
  *found = b.size;
  return CHORD_OK;
}
