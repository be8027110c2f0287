/* What the stress programs share: a model and a session in memory of exactly the size that they ask for, and threads that all do the same. */
#include <pthread.h>

#include "../../../kernels/libchord/include/chord.h"
#include "check.h"

typedef struct opened {
  void *master, *memory, *scratch;
  chord_model *model;
  chord_session *session;
  chord_info info;
  chord_sizes sizes;
} opened;

static opened open_model(const char *path) {
  opened o = {.info = {.struct_size = sizeof o.info}, .sizes = {.struct_size = sizeof o.sizes}};
  size_t size;
  o.master = read_file(path, &size);
  CHECK(chord_query_sizes(o.master, size, NULL, &o.sizes, NULL) == CHORD_OK);
  o.memory = malloc((size_t)o.sizes.model_bytes);
  o.scratch = malloc((size_t)o.sizes.session_bytes);
  CHECK(chord_open(o.master, size, NULL, o.memory, (size_t)o.sizes.model_bytes, &o.model, NULL) == CHORD_OK);
  CHECK(chord_describe(o.model, &o.info) == CHORD_OK);
  CHECK(chord_session_open(o.model, o.scratch, (size_t)o.sizes.session_bytes, &o.session) == CHORD_OK);
  return o;
}

static void close_model(opened *o) {
  free(o->scratch);
  free(o->memory);
  free(o->master);
}

static void run_threads(int threads, void *(*work)(void *)) {
  pthread_t *handles = malloc(sizeof(pthread_t) * (size_t)threads);
  for (int i = 0; i < threads; i++) CHECK(pthread_create(&handles[i], NULL, work, NULL) == 0);
  for (int i = 0; i < threads; i++) CHECK(pthread_join(handles[i], NULL) == 0);
  free(handles);
}

/* Ids of a catalogue, always the same. */
static void some_ids(const opened *o, int32_t *ids, int count, int step) {
  for (int i = 0; i < count; i++) ids[i] = 1 + (step * i + step / 2) % (int32_t)o->info.items;
}
