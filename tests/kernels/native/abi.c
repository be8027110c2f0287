/*
 * abi MASTER: what callers of other versions may give, and sizes beyond memory. Structs lie in memory of exactly their struct_size, so that ASan
 * sees whatever is read or written behind it. Includes the library's own header for what no caller can reach.
 */
#include <float.h>
#include <stdio.h>

#include "../../../kernels/libchord/src/internal.h"
#include "check.h"
#include "wire.h"

/* `bytes` bytes that begin like `from` and go on with `rest`; the first four say how many they are. */
static void *sized(const void *from, size_t from_bytes, size_t bytes, int rest) {
  uint8_t *memory = malloc(bytes);
  const uint32_t size = (uint32_t)bytes;
  CHECK(memory);
  memset(memory, rest, bytes);
  memcpy(memory, from, bytes < from_bytes ? bytes : from_bytes);
  memcpy(memory, &size, sizeof size);
  return memory;
}

/* The first version of every struct, one byte less, and one of a later version that knows 24 bytes more. */
static void callers_of_other_versions(const void *master, size_t master_bytes) {
  const chord_options options = {.variant = "scalar"};
  const size_t first = CHORD_UP_TO(chord_options, variant);
  const struct {
    size_t bytes;
    int rest;
    chord_status expected;
  } cases[] = {{first, 0, CHORD_OK}, {first - 1, 0, CHORD_BAD_ARGUMENT}, {4, 0, CHORD_BAD_ARGUMENT}, {sizeof options + 24, 0, CHORD_OK},
               {sizeof options + 24, 1, CHORD_BAD_ARGUMENT}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    void *given = sized(&options, sizeof options, cases[i].bytes, cases[i].rest);
    chord_sizes sizes = {.struct_size = sizeof sizes};
    CHECK(chord_query_sizes(master, master_bytes, given, &sizes, NULL) == cases[i].expected);
    free(given);
  }
  chord_options flagged = {.struct_size = sizeof flagged, .flags = 1};
  chord_sizes sizes = {.struct_size = sizeof sizes};
  CHECK(chord_query_sizes(master, master_bytes, &flagged, &sizes, NULL) == CHORD_BAD_ARGUMENT);
  CHECK(chord_query_sizes(master, master_bytes, NULL, &sizes, NULL) == CHORD_OK);

  const chord_sizes none = {0};
  for (size_t more = 0; more <= 24; more += 24) {
    chord_sizes *given = sized(&none, sizeof none, sizeof none + more, 0x5A);
    CHECK(chord_query_sizes(master, master_bytes, NULL, given, NULL) == CHORD_OK);
    CHECK(given->struct_size == sizeof none + more && given->model_bytes == sizes.model_bytes && given->session_bytes == sizes.session_bytes);
    for (size_t i = sizeof none; i < sizeof none + more; i++) CHECK(((uint8_t *)given)[i] == 0x5A);
    free(given);
  }
  void *small = sized(&none, sizeof none, sizeof none - 1, 0);
  CHECK(chord_query_sizes(master, master_bytes, NULL, small, NULL) == CHORD_BAD_ARGUMENT);
  free(small);

  void *memory = malloc((size_t)sizes.model_bytes);
  chord_model *model;
  CHECK(chord_open(master, master_bytes, NULL, memory, (size_t)sizes.model_bytes, &model, NULL) == CHORD_OK);
  const chord_info nothing = {0};
  const size_t first_info = CHORD_UP_TO(chord_info, variant);
  for (size_t more = 0; more <= 24; more += 24) {
    chord_info *info = sized(&nothing, sizeof nothing, first_info + more, 0x5A);
    CHECK(chord_describe(model, info) == CHORD_OK && info->struct_size == first_info + more && info->dim == model->dim);
    free(info);
  }
  void *short_info = sized(&nothing, sizeof nothing, first_info - 1, 0);
  CHECK(chord_describe(model, short_info) == CHORD_BAD_ARGUMENT);
  free(short_info);
  free(memory);

  /* A diagnosis of any size gets as much of the sentence as it holds, and never more than this version's text is long. */
  char name[300];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = 0;
  const chord_options wordy = {.struct_size = sizeof wordy, .variant = name}; /* whose refusal is longer than the text */
  const chord_diagnosis blank = {0};
  static const size_t texts[] = {0, 1, 9, sizeof blank.text, sizeof blank.text + 40};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const size_t bytes = offsetof(chord_diagnosis, text) + texts[i];
    chord_diagnosis *given = sized(&blank, sizeof blank, bytes, 0x5A);
    CHECK(chord_query_sizes(master, master_bytes, &wordy, &sizes, given) == CHORD_BAD_ARGUMENT);
    CHECK(texts[i] == 0 || memchr(given->text, 0, texts[i] < sizeof blank.text ? texts[i] : sizeof blank.text) != NULL);
    for (size_t at = sizeof blank; at < bytes; at++) CHECK(((uint8_t *)given)[at] == 0x5A);
    free(given);
  }
}

/* A struct that has grown, as the next version will have it. */
static void a_struct_that_has_grown(void) {
  typedef struct first {
    uint32_t struct_size, one;
  } first;
  typedef struct second {
    uint32_t struct_size, one, two;
  } second;
  second own;
  void *old = sized(&(second){0, 7, 8}, sizeof(second), sizeof(first), 0);
  CHECK(chord_take(old, sizeof(first), &own, sizeof own) && own.one == 7 && own.two == 0);
  CHECK(chord_give(&(second){0, 3, 4}, sizeof own, sizeof(first), old) && ((first *)old)->one == 3 && ((first *)old)->struct_size == sizeof(first));
  CHECK(!chord_take(old, sizeof(second), &own, sizeof own));
  free(old);
  first unset = {.struct_size = 0xFFFFFFFFu}; /* nobody's: nothing behind it is read */
  CHECK(!chord_take(&unset, sizeof unset, &own, sizeof own) && !chord_give(&own, sizeof own, sizeof unset, &unset));
}

/* Layers and batches whose sizes have more than 32 bits; nothing is allocated for them. */
static void sizes_beyond_memory(chord_session *session) {
  static uint8_t widths[1 << 20], few[64];
  memset(widths, 8, sizeof widths);
  chord_linear_options options = {.struct_size = sizeof options, .form = CHORD_LINEAR_EXPANDED, .out_channels = 1 << 20, .in_features = 65536,
                                  .max_rows = 1 << 20};
  uint64_t layer_bytes, scratch_bytes;
  CHECK(chord_linear_sizes(&options, widths, &layer_bytes, &scratch_bytes, NULL) == CHORD_OK);
  CHECK(layer_bytes > (uint64_t)1 << 36 && scratch_bytes > (uint64_t)1 << 42);
  options.out_channels = 16, options.in_features = 16; /* of the scratch alone */
  CHECK(chord_linear_sizes(&options, widths, &layer_bytes, &scratch_bytes, NULL) == CHORD_OK);
  CHECK(scratch_bytes == ((uint64_t)16 << 20) + ((uint64_t)4 << 20) + 64 + ((uint64_t)64 << 20) + 64);
  options.out_channels = 1 << 20, options.in_features = 65536;
  chord_linear *layer;
  static const int8_t code;
  static const float scale;
  CHECK(chord_linear_open(&options, &code, &scale, widths, NULL, few, sizeof few, &layer, NULL) == CHORD_NO_MEMORY);

  const int32_t id = 1;
  float score;
  CHECK(chord_rerank_batch(session, SIZE_MAX / 4 + 2, &id, 1, &id, 1, &score) == CHORD_BAD_ARGUMENT);
  CHECK(chord_rerank_batch(session, 2, &id, SIZE_MAX / 4, &id, 1, &score) == CHORD_BAD_ARGUMENT);
  CHECK(chord_hidden_batch(session, SIZE_MAX / 4, &id, 1, &score) == CHORD_BAD_ARGUMENT);
  CHECK(chord_fits(0, SIZE_MAX, 4) && chord_fits(SIZE_MAX / 4, 1, 4) && !chord_fits(SIZE_MAX / 4 + 1, 1, 4) && !chord_fits(2, SIZE_MAX, 1));

  chord_carver carver = {0};
  chord_carve(&carver, (uint64_t)3 << 30);
  chord_carve(&carver, (uint64_t)3 << 30);
  CHECK(carver.used == (uint64_t)6 << 30);
}

/* No master within the limits of weights makes one, but a score that overflows is refused as a state is. */
static void a_score_that_overflows(chord_session *session) {
  const int32_t ids[2] = {1, 2};
  float scores[2];
  const size_t dim = session->model->dim;
  float hidden[CHORD_MAX_DIM];
  for (size_t i = 0; i < dim; i++) hidden[i] = FLT_MAX / 2.0f;
  CHECK(chord_take_hidden(session, hidden) == CHORD_OK);
  float scales[3] = {1e-9f, 1e-9f, 1e-9f};
  session->model->table.scales = scales;
  CHECK(chord_score(session, 2, ids, 0, scores) == CHORD_OK);
  scales[2] = CHORD_LARGEST_WEIGHT;
  CHECK(chord_score(session, 2, ids, 0, scores) == CHORD_NOT_FINITE);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  size_t size;
  void *master = read_file(argv[1], &size);
  callers_of_other_versions(master, size);
  a_struct_that_has_grown();
  chord_sizes sizes = {.struct_size = sizeof sizes};
  CHECK(chord_query_sizes(master, size, NULL, &sizes, NULL) == CHORD_OK);
  void *memory = malloc((size_t)sizes.model_bytes), *scratch = malloc((size_t)sizes.session_bytes);
  chord_model *model;
  chord_session *session;
  CHECK(chord_open(master, size, NULL, memory, (size_t)sizes.model_bytes, &model, NULL) == CHORD_OK);
  CHECK(chord_session_open(model, scratch, (size_t)sizes.session_bytes, &session) == CHORD_OK);
  sizes_beyond_memory(session);
  a_score_that_overflows(session);
  free(scratch);
  free(memory);
  free(master);
  return 0;
}
