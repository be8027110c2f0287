/* libFuzzer: adopt anything as a strategy and as a user vector, as it comes and with fingerprint and checksum mended, which lie in the same
 * places in both. What is refused must change nothing; a user vector that is taken off must leave nothing. */
#include <stdio.h>

#include "../../../kernels/libchord/include/chord.h"
#include "wire.h"

static chord_model *model;
static chord_session *session;
static chord_info info = {.struct_size = sizeof info};

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

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  FILE *file = fopen(getenv("CHORD_MASTER"), "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) abort();
  const size_t size = (size_t)ftell(file);
  rewind(file);
  void *master = malloc(size);
  if (fread(master, 1, size, file) != size) abort();
  fclose(file);
  chord_sizes sizes = {.struct_size = sizeof sizes};
  if (chord_query_sizes(master, size, NULL, &sizes, NULL) != CHORD_OK) abort();
  if (chord_open(master, size, NULL, malloc(sizes.model_bytes), sizes.model_bytes, &model, NULL) != CHORD_OK) abort();
  if (chord_session_open(model, malloc(sizes.session_bytes), sizes.session_bytes, &session) != CHORD_OK) abort();
  return chord_describe(model, &info) == CHORD_OK ? 0 : 1;
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
