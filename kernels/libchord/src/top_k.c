/* The best items of the whole catalogue, which is scored part by part. */
#include "internal.h"

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
  if (!chord_usable(session) || (history_length && !history) || !items || !scores || !found || k == 0) return CHORD_BAD_ARGUMENT;
  size_t seen = 0;
  chord_status status = chord_encode(session, history, history_length, &seen);
  if (status != CHORD_OK) return status;
  if (!exclude_history) seen = 0;
  const float scale = chord_take_query(session);
  size_t size = 0;
  for (uint32_t first = 1; first <= session->model->items; first += CHORD_PART) {
    const size_t left = session->model->items - first + 1, count = left < CHORD_PART ? left : CHORD_PART;
    status = chord_score(session, scale, count, NULL, first, session->block);
    if (status != CHORD_OK) return status;
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
