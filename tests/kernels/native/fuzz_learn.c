/* libFuzzer: read anything as samples (CHRS) and as an adapter (CHRA), with fingerprint and checksum mended, and learn with any options from
 * any lessons. What was read is used; whatever is refused, nothing is read or written where it may not. */
#include <math.h>

#include "../../../kernels/libchord/include/chord_learn.h"
#include "fuzz_model.h"
#include "wire.h"

/* A copy of exactly so many bytes, so that ASan sees what is behind them. */
static uint8_t *copy_of(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  return copy;
}

/* Behind a header, the payload as it is inflated: the fuzzer need not know deflate. */
static void read_samples(const uint8_t *data, size_t size) {
  if (size < 24) return;
  uint8_t header[28];
  memcpy(header, data, 24);
  memcpy(header + 8, info.fingerprint, 8);
  seal(header, sizeof header);
  chord_samples samples = {.struct_size = sizeof samples};
  if (chord_samples_open(model, header, sizeof header, &samples, NULL) != CHORD_LEARN_OK) return;
  uint8_t *payload = copy_of(data + 24, size - 24);
  int32_t *items = malloc(samples.items * sizeof *items + 1);
  chord_lesson *lessons = malloc(samples.samples * sizeof *lessons + 1);
  if (chord_samples_read(model, &samples, payload, size - 24, items, lessons, NULL) == CHORD_LEARN_OK) {
    float *states = malloc(samples.samples * info.dim * sizeof(float) + 1);
    if (chord_lesson_states(session, items, samples.items, lessons, samples.samples, states, NULL) != CHORD_LEARN_OK) abort();
    free(states);
  }
  free(lessons);
  free(items);
  free(payload);
}

static void use_adapter(const uint8_t *data, size_t size) {
  uint8_t *copy = copy_of(data, size);
  if (size >= 36) {
    memcpy(copy + 8, info.fingerprint, 8);
    memset(copy + 16, 0, 8);
    seal(copy, size);
  }
  chord_adapter adapter = {.struct_size = sizeof adapter};
  if (chord_adapter_open(model, copy, size, NULL, &adapter, NULL) == CHORD_LEARN_OK) {
    const int32_t history[2] = {1, 2}, candidates[3] = {3, 1, 2};
    float hidden[512], scores[3];
    if (chord_hidden(session, history, 2, hidden) != CHORD_OK) abort();
    const chord_learn_status status = chord_adapted_scores(session, &adapter, 1.0f, hidden, candidates, 3, scores);
    for (int i = 0; i < 3; i++)
      if (status == CHORD_LEARN_OK && !isfinite(scores[i])) abort();
  }
  free(copy);
}

static void learn(const uint8_t *data, size_t size) {
  chord_learn_options options = {.struct_size = sizeof options};
  if (size < sizeof options + 8 || chord_learn_defaults(&options) != CHORD_LEARN_OK) return;
  /* One word of the options from the data; steps few, so that it goes fast. */
  const size_t word = data[0] % (sizeof options / 4 - 1) + 1;
  memcpy((uint8_t *)&options + 4 * word, data + 4, 4);
  options.steps = options.steps > 100000 ? options.steps : options.steps % 4;
  options.border_steps = options.border_steps > 100000 ? options.border_steps : options.border_steps % 4;
  const uint8_t *at = data + 8;
  const size_t left = size - 8, count = left / 5 < 60 ? left / 5 : 60;
  int32_t *items = malloc(left * sizeof *items);
  for (size_t i = 0; i < left; i++) items[i] = at[i] == 255 ? -1 : at[i] % (info.items + (data[1] == 1)) + (data[1] != 2);
  chord_lesson *lessons = malloc(count * sizeof *lessons + 1);
  float *states = malloc(count * info.dim * sizeof(float) + 1);
  for (size_t i = 0; i < count; i++) lessons[i] = (chord_lesson){at[i] % (i + 1), (uint32_t)i + 1 + (data[2] == 3 ? at[i] : 0)};
  for (size_t i = 0; i < count * info.dim; i++) states[i] = ((float)at[i % left] - 128.0f) * (data[3] == 7 ? 1e4f : 0.02f);
  const size_t own = count * (data[3] % 4) / 4;
  const chord_lessons local = {.struct_size = sizeof local, .count = (uint32_t)own, .items = items, .item_count = left, .lessons = lessons, .states = states};
  const chord_lessons outside = {.struct_size = sizeof outside, .count = (uint32_t)(count - own), .items = items, .item_count = left,
                                 .lessons = lessons + own, .states = states + own * info.dim};
  uint64_t needed;
  if (chord_learn_size(model, &options, own, count - own, &needed, NULL) == CHORD_LEARN_OK) {
    void *memory = malloc(needed), *adapter = malloc(CHORD_ADAPTER_MOST_BYTES(info.dim));
    size_t bytes;
    chord_learn_report report = {.struct_size = sizeof report};
    chord_adapter view = {.struct_size = sizeof view};
    if (chord_learn(model, &options, &local, &outside, NULL, memory, needed, adapter, &bytes, NULL, NULL) == CHORD_LEARN_OK) {
      if (chord_adapter_open(model, adapter, bytes, NULL, &view, NULL) != CHORD_LEARN_OK) abort();
      if (own && chord_adapter_judge(model, &options, &view, &local, memory, needed, &report, NULL) != CHORD_LEARN_OK) abort();
    }
    if (chord_personalise(model, &options, &local, &outside, NULL, memory, needed, adapter, &bytes, &report, NULL) == CHORD_LEARN_OK &&
        (report.adopt != 0) != (bytes != 0))
      abort();
    free(adapter);
    free(memory);
  }
  free(states);
  free(lessons);
  free(items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  if (memcmp(data, "CHRS", size < 4 ? size : 4) == 0) read_samples(data, size);
  else if (memcmp(data, "CHRA", size < 4 ? size : 4) == 0) use_adapter(data, size);
  else learn(data, size);
  return 0;
}
