/* libFuzzer: a master that is whole, with floats and codes as large as they may be, or as small. Whatever opens is refused or gives numbers, and
 * every variant does as the first: the same status, the same bits. The input says which entries get what. */
#include <math.h>
#include <stdio.h>

#include "../../../kernels/libchord/include/chord.h"
#include "wire.h"

enum { RECORDS = 64, RECORD_BYTES = 128, CANDIDATES = 6, MOST_DIM = 64 };

static uint8_t *original, *master;
static size_t master_bytes;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  FILE *file = fopen(getenv("CHORD_MASTER"), "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) abort();
  master_bytes = (size_t)ftell(file);
  rewind(file);
  original = malloc(master_bytes);
  master = malloc(master_bytes);
  if (fread(original, 1, master_bytes, file) != master_bytes) abort();
  fclose(file);
  return 0;
}

/* Four bytes of input: an entry, what becomes of it, where. */
static void spoil(const uint8_t *step) {
  static const float values[] = {1e4f, -1e4f, 9999.0f, 1e3f, 1.0f, 0.0f, -0.0f, 1e-38f, 1e-45f, 1e-12f, 3e-5f, 127.0f};
  uint32_t entries, dtype;
  memcpy(&entries, master + 16, 4);
  const uint8_t *record = master + RECORDS + RECORD_BYTES * (step[0] % entries);
  uint64_t offset, bytes;
  memcpy(&dtype, record + 88, 4);
  memcpy(&offset, record + 112, 8);
  memcpy(&bytes, record + 120, 8);
  uint8_t *data = master + offset;
  const size_t one = step[3];
  if (dtype == 5) {
    const float value = values[step[1] % (sizeof values / sizeof *values)];
    for (size_t i = 0; i < bytes / 4; i++)
      if (step[2] % 4 == 0 ? i == one % (bytes / 4) : step[2] % 4 == 1 ? i % 2 == one % 2 : 1) memcpy(data + 4 * i, &value, 4);
  } else if (dtype == 1) {
    for (size_t i = 0; i < bytes; i++)
      if (step[2] % 2 || i % 3 == one % 3) data[i] = (uint8_t)(int8_t)(step[1] % 3 == 0 ? 127 : step[1] % 3 == 1 ? -127 : 0);
  } else if (dtype == 3) {
    const int16_t ratio = step[1] % 2 ? 32767 : 1;
    for (size_t i = 0; i < bytes / 2; i++) memcpy(data + 2 * i, &ratio, 2);
  }
}

typedef struct outcome {
  chord_status rerank, top, hidden;
  float scores[CANDIDATES], best[3], state[MOST_DIM];
} outcome;

static int finite_all(const float *x, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(x[i])) return 0;
  return 1;
}

static void run(chord_session *session, const chord_info *info, size_t length, outcome *o) {
  int32_t history[12], candidates[CANDIDATES], items[3];
  size_t found = 0;
  memset(o, 0, sizeof *o);
  for (size_t i = 0; i < length; i++) history[i] = 1 + (int32_t)((7 * i + 3) % info->items);
  for (size_t i = 0; i < CANDIDATES; i++) candidates[i] = 1 + (int32_t)((5 * i) % info->items);
  o->rerank = chord_rerank(session, history, length, candidates, CANDIDATES, o->scores);
  o->top = chord_top_k(session, history, length, 3, 1, items, o->best, &found);
  if (info->dim <= MOST_DIM) o->hidden = chord_hidden(session, history, length, o->state);
  if (o->rerank == CHORD_OK && !finite_all(o->scores, CANDIDATES)) abort();
  if (o->top == CHORD_OK && !finite_all(o->best, found)) abort();
  if (o->hidden == CHORD_OK && !finite_all(o->state, MOST_DIM)) abort();
  if (o->rerank != CHORD_OK) memset(o->scores, 0, sizeof o->scores);
  if (o->top != CHORD_OK) memset(o->best, 0, sizeof o->best);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return -1;
  memcpy(master, original, master_bytes);
  for (size_t at = 2; at + 4 <= size && at < 130; at += 4) spoil(data + at);
  const uint32_t crc = crc32_of(master + 24, master_bytes - 24);
  memcpy(master + 20, &crc, 4);
  outcome first[2], other;
  int opened = 0;
  for (uint32_t v = 0; chord_variant_name(v); v++) {
    if (!chord_variant_supported(v)) continue;
    const chord_options options = {.struct_size = sizeof options, .variant = chord_variant_name(v)};
    chord_sizes sizes = {.struct_size = sizeof sizes};
    chord_info info = {.struct_size = sizeof info};
    if (chord_query_sizes(master, master_bytes, &options, &sizes, NULL) != CHORD_OK) return 0;
    void *memory = malloc((size_t)sizes.model_bytes), *scratch = malloc((size_t)sizes.session_bytes);
    chord_model *model;
    chord_session *session;
    if (chord_open(master, master_bytes, &options, memory, (size_t)sizes.model_bytes, &model, NULL) != CHORD_OK) abort();
    if (chord_describe(model, &info) != CHORD_OK) abort();
    if (chord_session_open(model, scratch, (size_t)sizes.session_bytes, &session) != CHORD_OK) abort();
    uint8_t *strategy = make_strategy(info.fingerprint, info.channels, data[0]);
    if (data[0] % 2 && chord_adopt(model, strategy, strategy_bytes(info.channels), NULL) != CHORD_OK) abort();
    uint8_t *user = make_user_vector(info.fingerprint, info.dim, data[1]);
    if (data[1] % 2 && chord_adopt_user(session, user, user_vector_bytes(info.dim), NULL) != CHORD_OK) abort();
    for (size_t length = 1; length <= 9; length += 8) { /* the second after the first, in the same session */
      outcome *expected = &first[length / 8];
      run(session, &info, length, opened ? &other : expected);
      if (opened && memcmp(&other, expected, sizeof other) != 0) abort();
    }
    opened = 1;
    free(user);
    free(strategy);
    free(scratch);
    free(memory);
  }
  return 0;
}
