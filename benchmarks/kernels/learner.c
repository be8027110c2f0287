/* The work of a phone that learns, for benchmarks/kernels/learner.py: MASTER LOCAL OUTSIDE STATES PERSONAL RATE OTHERS, two of them
 * saying how often. At a rate of 0 nothing gets better, and the gate stays closed.
 * A file of lessons: items and lessons, u32 each, then int32 items, then (begin, place) pairs, u32. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../kernels/libchord/include/chord_learn.h"
#include "files.h"

static chord_lessons lessons_of(const char *path, uint32_t dim) {
  size_t bytes;
  const uint32_t *data = read_all(path, &bytes);
  return (chord_lessons){.struct_size = sizeof(chord_lessons), .count = data[1],
                         .items = (const int32_t *)(data + 2), .item_count = data[0],
                         .lessons = (const chord_lesson *)(data + 2 + data[0]),
                         .states = need(calloc(data[1] + 1, dim * 4), "no memory")};
}

/* Kept apart, so that they can be counted by their names. */
__attribute__((noinline)) void bench_states(chord_session *session, const chord_lessons *l) {
  if (chord_lesson_states(session, l->items, l->item_count, l->lessons, l->count, (float *)(uintptr_t)l->states, NULL)) need(NULL, "states");
}

__attribute__((noinline)) void bench_personalise(const chord_model *model, const chord_learn_options *options, const chord_lessons *local,
                                                 const chord_lessons *outside, void *memory, size_t bytes, uint8_t *adapter, size_t *size,
                                                 chord_learn_report *report) {
  if (chord_personalise(model, options, local, outside, NULL, memory, bytes, adapter, size, report, NULL)) need(NULL, "personalise");
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

int main(int count, char **arguments) {
  if (count != 8) need(NULL, "MASTER LOCAL OUTSIDE STATES PERSONAL RATE OTHERS");
  size_t bytes;
  const void *master = read_all(arguments[1], &bytes);
  chord_sizes sizes = {.struct_size = sizeof sizes};
  chord_model *model;
  chord_session *session;
  chord_info info = {.struct_size = sizeof info};
  if (chord_query_sizes(master, bytes, NULL, &sizes, NULL)) need(NULL, "the master");
  if (chord_open(master, bytes, NULL, need(malloc(sizes.model_bytes), "no memory"), sizes.model_bytes, &model, NULL) ||
      chord_session_open(model, need(malloc(sizes.session_bytes), "no memory"), sizes.session_bytes, &session) ||
      chord_describe(model, &info))
    need(NULL, "the model");
  const chord_lessons local = lessons_of(arguments[2], info.dim), outside = lessons_of(arguments[3], info.dim);
  chord_learn_options options = {.struct_size = sizeof options};
  chord_learn_defaults(&options);
  options.rate = (float)atof(arguments[6]);
  options.others = (uint32_t)atoi(arguments[7]);
  uint64_t needed;
  if (chord_learn_size(model, &options, local.count, outside.count, &needed, NULL)) need(NULL, "the size");
  void *memory = need(malloc(needed), "no memory");
  uint8_t *adapter = need(malloc(CHORD_ADAPTER_MOST_BYTES(info.dim)), "no memory");
  size_t size = 0;
  chord_learn_report report = {.struct_size = sizeof report};
  const int states = atoi(arguments[4]), personal = atoi(arguments[5]);
  double begun = now();
  for (int i = 0; i < states; i++) {
    bench_states(session, &local);
    bench_states(session, &outside);
  }
  const double state_ms = (now() - begun) / (states ? states : 1);
  begun = now();
  for (int i = 0; i < personal; i++) bench_personalise(model, &options, &local, &outside, memory, needed, adapter, &size, &report);
  const double personal_ms = (now() - begun) / (personal ? personal : 1);
  const size_t items = local.item_count + outside.item_count;
  const size_t lessons = (size_t)(local.count + outside.count) * (info.dim * 4 + sizeof(chord_lesson)) + 4 * items;
  printf("{\"states_ms\": %.3f, \"personalise_ms\": %.3f, \"memory\": %llu, \"lessons\": %zu, \"adopt\": %u, \"kept\": %u, \"low\": %.17g, "
         "\"before\": %.17g, \"after\": %.17g, \"adapter\": %zu, \"variant\": \"%s\"}\n",
         state_ms, personal_ms, (unsigned long long)needed, lessons, report.adopt, report.kept, report.low, report.before, report.after, size,
         info.variant);
  return 0;
}
