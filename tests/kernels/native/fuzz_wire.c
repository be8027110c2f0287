/* libFuzzer: adopt anything as a strategy and as a user vector, as it comes and with fingerprint and checksum mended, which lie in the same
 * places in both. What is refused must change nothing; a user vector that is taken off must leave nothing. */
#include "fuzz_model.h"
#include "wire.h"

static void score(float scores[3]) {
  const int32_t history[2] = {1, 2}, candidates[3] = {1, 2, 3};
  if (chord_rerank(session, history, 2, candidates, 3, scores) != CHORD_OK) abort();
}

static void attempt(const uint8_t *data, size_t size) {
  float before[3], after[3];
  score(before);
  const chord_status user = chord_adopt_user(session, data, size, NULL);
  score(after);
  if (user != CHORD_OK && memcmp(before, after, sizeof before) != 0) abort();
  for (int i = 0; i < 3; i++)
    if (after[i] - after[i] != 0.0f) abort(); /* no number */
  if (chord_adopt_user(session, NULL, 0, NULL) != CHORD_OK) abort();
  if (chord_adopt(model, data, size, NULL) == CHORD_OK) return;
  score(after);
  if (memcmp(before, after, sizeof before) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size + 1);
  memcpy(copy, data, size);
  attempt(copy, size);
  if (size >= 24) {
    memcpy(copy + 8, info.fingerprint, 8);
    seal(copy, size);
    attempt(copy, size);
  }
  free(copy);
  return 0;
}
