/*
 * libchord_executorch: the ExecuTorch operators chord::rerank, chord::rerank_for and chord::linear, libchord included.
 *
 * Load the library before the program: the operators register themselves when it is loaded, once a process. The functions
 * here are all that it exports; a program needs none of them. All may be called from any thread.
 */
#ifndef CHORD_EXECUTORCH_H
#define CHORD_EXECUTORCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CHORD_EXECUTORCH_API __attribute__((visibility("default")))

/* Raised when the schema of an operator changes, so that a program made for the old one must not run. */
#define CHORD_EXECUTORCH_VERSION 1u

typedef struct chord_executorch_counts {
  uint32_t struct_size;
  uint32_t models; /* opened masters, each with one strategy adopted */
  uint32_t layers; /* packed layers of chord::linear */
  uint32_t reserved;
  uint64_t bytes;  /* memory that they hold, sessions included */
  uint64_t opened; /* masters opened and layers packed since the library was loaded */
  uint64_t adopted; /* strategies adopted since then */
} chord_executorch_counts;

CHORD_EXECUTORCH_API uint32_t chord_executorch_version(void);

/* What the last refused call of this thread said, one sentence; empty when none was refused. Valid until the next refusal. */
CHORD_EXECUTORCH_API const char *chord_executorch_last_error(void);

/* What is kept; writes as much of the struct as `struct_size` says. */
CHORD_EXECUTORCH_API void chord_executorch_count(chord_executorch_counts *counts);

/* How many models and layers are kept while nothing runs (8 and 512 at first). Those in use are never freed. */
CHORD_EXECUTORCH_API void chord_executorch_limit(uint32_t models, uint32_t layers);

/* Frees everything that is not in use: call it when a program is unloaded and memory is short. */
CHORD_EXECUTORCH_API void chord_executorch_trim(void);

#ifdef __cplusplus
}
#endif
#endif
