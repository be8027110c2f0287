/* libFuzzer: open a file from memory; whatever opens must also run. Length and checksum are mended, so that the fuzzer gets past them, and
 * most mutations stay within one entry's record or data, so that the others stay whole. */
#include "../../../kernels/libchord/include/chord.h"
#include "wire.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  uint32_t count;
  if (seed % 8 == 0 || size < 64 + 128) return LLVMFuzzerMutate(data, size, max_size);
  memcpy(&count, data + 16, 4);
  if (count == 0 || count > (size - 64) / 128) return LLVMFuzzerMutate(data, size, max_size);
  uint8_t *record = data + 64 + 128 * (size_t)(seed / 8 % count), swapped[128];
  uint64_t offset, bytes;
  memcpy(&offset, record + 112, 8);
  memcpy(&bytes, record + 120, 8);
  if (seed % 8 == 1) { /* two entries change places in the table */
    uint8_t *other = data + 64 + 128 * (size_t)(seed / 8 / count % count);
    memcpy(swapped, record, 128);
    memmove(record, other, 128);
    memcpy(other, swapped, 128);
  } else if (seed % 8 == 2 || bytes == 0 || bytes > size || offset > size - bytes) {
    LLVMFuzzerMutate(record, 128, 128);
  } else {
    LLVMFuzzerMutate(data + offset, (size_t)bytes, (size_t)bytes);
  }
  return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *master = malloc(size + 1);
  memcpy(master, data, size);
  if (size >= 64) {
    const uint64_t length = size;
    memcpy(master + 8, &length, 8);
    const uint32_t crc = crc32_of(master + 24, size - 24);
    memcpy(master + 20, &crc, 4);
  }
  chord_sizes sizes = {.struct_size = sizeof sizes};
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  if (chord_query_sizes(master, size, NULL, &sizes, &diagnosis) == CHORD_OK && sizes.model_bytes + sizes.session_bytes < 1u << 26) {
    void *memory = malloc(sizes.model_bytes), *scratch = malloc(sizes.session_bytes);
    chord_model *model;
    chord_session *session;
    if (chord_open(master, size, NULL, memory, sizes.model_bytes, &model, &diagnosis) != CHORD_OK) abort();
    if (chord_session_open(model, scratch, sizes.session_bytes, &session) != CHORD_OK) abort();
    const int32_t history[3] = {1, 0, 1}, candidates[2] = {1, 1};
    float scores[2];
    chord_rerank(session, history, 3, candidates, 2, scores);
    int32_t items[3];
    float best[3];
    size_t found;
    chord_top_k(session, history, 3, 3, 1, items, best, &found);
    free(scratch);
    free(memory);
  }
  free(master);
  return 0;
}
