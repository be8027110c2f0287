/* libFuzzer: a personal file is expanded in memory of its exact size, or refused. What is expanded is a master: the engine opens and runs it, or says
 * that it is none of its architectures. Length and checksum are mended, so that the fuzzer gets past them. */
#include "../../../kernels/libchord/include/chord_personal.h"
#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *file = malloc(size + 1);
  memcpy(file, data, size);
  if (size >= 24) {
    const uint32_t length = (uint32_t)size, crc = crc32_of(file + 16, size - 16);
    memcpy(file + 8, &length, 4);
    memcpy(file + 12, &crc, 4);
  }
  chord_personal found = {.struct_size = sizeof found};
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  if (chord_personal_query(file, size, &found, &diagnosis) == CHORD_OK && found.master_bytes < 1u << 22) {
    const size_t bytes = (size_t)found.master_bytes;
    uint8_t *master = malloc(bytes);
    memset(master, 0xA5, bytes);
    if (chord_personal_expand(file, size, master, bytes - 1, &diagnosis) != CHORD_NO_MEMORY) abort();
    const chord_status status = chord_personal_expand(file, size, master, bytes, &diagnosis);
    chord_sizes sizes = {.struct_size = sizeof sizes};
    const chord_status opens = chord_query_sizes(master, bytes, NULL, &sizes, &diagnosis);
    if (status != CHORD_OK && (status != CHORD_BAD_MASTER || opens == CHORD_OK)) abort();
    if (status == CHORD_OK && opens != CHORD_OK && strncmp(diagnosis.text, "engine: ", 8) != 0) abort();
    if (opens == CHORD_OK && sizes.model_bytes + sizes.session_bytes < 1u << 26) {
      void *memory = malloc(sizes.model_bytes), *scratch = malloc(sizes.session_bytes);
      chord_model *model;
      chord_session *session;
      if (chord_open(master, bytes, NULL, memory, sizes.model_bytes, &model, NULL) != CHORD_OK) abort();
      if (chord_session_open(model, scratch, sizes.session_bytes, &session) != CHORD_OK) abort();
      chord_info info = {.struct_size = sizeof info};
      uint8_t *wire = malloc(found.strategy_bytes);
      if (chord_describe(model, &info) != CHORD_OK) abort();
      if (chord_personal_strategy(file, size, info.fingerprint, wire, found.strategy_bytes, NULL) != CHORD_OK) abort();
      if (chord_adopt(model, wire, found.strategy_bytes, NULL) != CHORD_OK) abort();
      free(wire);
      const int32_t history[3] = {1, 0, 1}, candidates[2] = {1, 1};
      float scores[2];
      chord_rerank(session, history, 3, candidates, 2, scores);
      free(scratch);
      free(memory);
    }
    free(master);
  }
  free(file);
  return 0;
}
