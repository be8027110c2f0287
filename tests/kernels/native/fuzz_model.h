/* What the fuzzers run on: the master that CHORD_MASTER names, opened once. */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <stdio.h>
#include <stdlib.h>

#include "../../../kernels/libchord/include/chord.h"

static chord_model *model;
static chord_session *session;
static chord_info info = {.struct_size = sizeof info};

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

#endif
