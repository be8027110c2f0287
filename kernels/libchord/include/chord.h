/*
 * libchord: runs a CHORD backbone (SASRec, Caser) whose output channels are 2, 4 or 8 bits wide, as a strategy says.
 *
 * C11, libc and libm only. No global state, and no allocation at all: the caller gives the memory, whose size it can ask
 * for. A model is shared by any number of threads; a session (the scratch of one inference) belongs to one thread at a
 * time. Adopting a strategy never disturbs a running inference, and a refused strategy changes nothing.
 *
 * Everything that comes from outside is checked: the master file, the strategy, the user vector, every item id, every size.
 */
#ifndef CHORD_H
#define CHORD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CHORD_API __attribute__((visibility("default")))
#else
#define CHORD_API
#endif

/* Raised when a function or a struct changes in a way that old callers would notice. Structs grow only at their end, and
 * the caller writes the size it knows into `struct_size`: a library that knows more takes the rest as zero and leaves it alone, one that
 * knows less refuses what it does not know unless it is zero. */
#define CHORD_ABI_VERSION 1u

typedef enum chord_status {
  CHORD_OK = 0,
  CHORD_BAD_ARGUMENT = 1, /* a null pointer, a zero size, an unknown variant */
  CHORD_BAD_MASTER = 2,   /* the master file is damaged, or describes a model that this engine cannot run */
  CHORD_BAD_STRATEGY = 3, /* the strategy is damaged, or belongs to another backbone */
  CHORD_BAD_HISTORY = 4,  /* an id outside 0..items, no item at all, or an empty slot behind an item */
  CHORD_BAD_CANDIDATE = 5, /* a candidate outside 1..items */
  CHORD_NO_MEMORY = 6,    /* the memory given is smaller than the size asked for */
  CHORD_BUSY = 7,         /* the spare weights were read, or other threads were adopting, for too long: try again */
  CHORD_BAD_USER_VECTOR = 8, /* the user vector is damaged, or belongs to another backbone */
  CHORD_NOT_FINITE = 9       /* the result is not finite: weights, or a user vector, too large to compute with */
} chord_status;

/* What went wrong, as one sentence. */
typedef struct chord_diagnosis {
  uint32_t struct_size;
  char text[188];
} chord_diagnosis;

typedef struct chord_options {
  uint32_t struct_size;
  uint32_t flags;      /* reserved, 0 */
  const char *variant; /* name of a kernel variant; null = the fastest one that this CPU supports */
} chord_options;

/* Bytes of memory that the caller must give; any alignment will do. */
typedef struct chord_sizes {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t model_bytes;   /* once per model: two sets of weights in kernel order */
  uint64_t session_bytes; /* once per concurrent inference */
} chord_sizes;

typedef struct chord_info {
  uint32_t struct_size;
  uint32_t architecture; /* its name is chord_backbone_name(architecture - 1) */
  uint32_t items;      /* largest item id */
  uint32_t max_length; /* slots of a history */
  uint32_t dim;
  uint32_t channels;   /* of the strategy */
  uint8_t fingerprint[8];
  const char *variant;
} chord_info;

typedef struct chord_model chord_model;
typedef struct chord_session chord_session;

CHORD_API uint32_t chord_abi_version(void);
CHORD_API const char *chord_status_text(chord_status status);

/* Kernel variants compiled in, fastest first; chord_variant_name returns null past the last one. */
CHORD_API const char *chord_variant_name(uint32_t index);
CHORD_API int chord_variant_supported(uint32_t index);

/* Architectures that this engine runs, by their names in master files; null past the last one. */
CHORD_API const char *chord_backbone_name(uint32_t index);

/* Says how much memory a master file needs, after all checks but that of its checksum, which chord_open makes. `options` and `diagnosis` may be
 * null everywhere. */
CHORD_API chord_status chord_query_sizes(const void *master, size_t master_bytes, const chord_options *options, chord_sizes *sizes,
                                         chord_diagnosis *diagnosis);

/* Opens a master file in `memory`. Both must stay as they are until the model is no longer used: embeddings and int8 codes
 * are read where they lie. All channels start at 8 bits. There is no close: give the memory back when done.
 * A master that is mapped from a file ends the process (SIGBUS) when another one shortens the file: where that can happen, read the file into
 * memory and give that (docs/kernels.md). */
CHORD_API chord_status chord_open(const void *master, size_t master_bytes, const chord_options *options, void *memory, size_t memory_bytes,
                                  chord_model **model, chord_diagnosis *diagnosis);

CHORD_API chord_status chord_describe(const chord_model *model, chord_info *info);

CHORD_API chord_status chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **session);

/* Decodes and checks a strategy; on success writes the width (0, 2, 4, 8) of every channel when `widths` is not null. */
CHORD_API chord_status chord_check_strategy(const chord_model *model, const void *strategy, size_t strategy_bytes, uint8_t *widths,
                                            chord_diagnosis *diagnosis);

/* How often chord_adopt looks whether it can go on, yielding the processor in between: tens of ms. */
#define CHORD_ADOPT_LOOKS 100000u

/* Checks a strategy and makes it the one in use. Inferences that run meanwhile finish with the weights they began with, and never wait. It
 * waits itself, for inferences that still read the weights before the current ones and for other threads that adopt; CHORD_BUSY when it
 * has looked CHORD_ADOPT_LOOKS times. */
CHORD_API chord_status chord_adopt(chord_model *model, const void *strategy, size_t strategy_bytes, chord_diagnosis *diagnosis);

/* Checks a user vector (docs/formats.md) and makes it the one of this session: a second input of all its inferences, until the next one
 * or, with a null of 0 bytes, none takes its place. A new session has none; a refused vector changes nothing. */
CHORD_API chord_status chord_adopt_user(chord_session *session, const void *vector, size_t vector_bytes, chord_diagnosis *diagnosis);

/* A history holds item ids, oldest first, the newest in its last slot; zeros, the empty slots, stand in front of them. Longer ones than
 * max_length keep their end. */

/* Of what is not finite (infinite, or no number) nothing is ever made up: CHORD_NOT_FINITE when the hidden state is not finite, or a score.
 * In a batch the users before the first that fails have their results. */

/* scores[i] = score of candidates[i]. A session keeps its last history: under the same strategy and user vector it is not encoded again, here,
 * in chord_hidden or in chord_top_k, so that a further page of candidates costs their scores only. */
CHORD_API chord_status chord_rerank(chord_session *session, const int32_t *history, size_t history_length, const int32_t *candidates,
                                    size_t candidate_count, float *scores);

/* hidden[dim]: what candidates are scored against. */
CHORD_API chord_status chord_hidden(chord_session *session, const int32_t *history, size_t history_length, float *hidden);

/* Further candidates for a history whose hidden[dim] is known: bit for bit the scores of chord_rerank, without encoding it again. */
CHORD_API chord_status chord_score_hidden(chord_session *session, const float *hidden, const int32_t *candidates, size_t candidate_count,
                                          float *scores);

/* The `k` items with the highest scores, best first, ties by lower id. With exclude_history, items of the history are left
 * out. Writes the number found (less than k only when the catalogue ends) to `found`. */
CHORD_API chord_status chord_top_k(chord_session *session, const int32_t *history, size_t history_length, size_t k, int exclude_history,
                                   int32_t *items, float *scores, size_t *found);

/* `users` inferences in a row: histories [users, history_length], candidates [users, candidate_count], scores likewise. */
CHORD_API chord_status chord_rerank_batch(chord_session *session, size_t users, const int32_t *histories, size_t history_length,
                                          const int32_t *candidates, size_t candidate_count, float *scores);
CHORD_API chord_status chord_hidden_batch(chord_session *session, size_t users, const int32_t *histories, size_t history_length,
                                          float *hidden);

/* What the cloud makes strategies from: profile[pool_count * dim + 1], the mean item embeddings of the last pools[0], pools[1], ... items (at
 * least 1, ascending), and log(1 + number of items) / 4. Of the history, of any length, the last slots count, as many as the last pool has; a
 * pool without an item is zero, and so is all of a history without one. Needs no session. */
CHORD_API chord_status chord_profile(const chord_model *model, const int32_t *history, size_t history_length, const uint32_t *pools,
                                     size_t pool_count, float *profile);

/*
 * One linear layer with channels of mixed widths, on its own: y = x W^T + bias, with x quantised per row to 8 bits on the way.
 * Codes are those at the chosen widths, scales likewise (contract 1).
 */
typedef struct chord_linear chord_linear;

/* More bytes of int8 panels than this, some of their channels below 8 bits, and CHORD_LINEAR_AUTO keeps a layer packed (docs/kernels.md
 * has the measurement). Layers of some MB should lie in huge pages where the system has them. */
#define CHORD_LINEAR_DIRECT_BYTES 524288u

typedef enum chord_linear_form {
  CHORD_LINEAR_AUTO = 0,     /* by size: see CHORD_LINEAR_DIRECT_BYTES */
  CHORD_LINEAR_EXPANDED = 1, /* int8 panels whatever the widths: fastest while they stay in the caches */
  CHORD_LINEAR_DIRECT = 2    /* 2, 4 and 8 bits as they are, unpacked in registers: fewest bytes to read */
} chord_linear_form;

typedef struct chord_linear_options {
  uint32_t struct_size;
  uint32_t form;
  uint32_t out_channels;
  uint32_t in_features;
  uint32_t max_rows;   /* rows of x in one call */
  uint32_t relu;       /* 1: y = max(y, 0) */
  const char *variant; /* as in chord_options */
} chord_linear_options;

/* Memory for the layer, and scratch for one call. `widths` [out_channels] in {0, 2, 4, 8}. */
CHORD_API chord_status chord_linear_sizes(const chord_linear_options *options, const uint8_t *widths, uint64_t *layer_bytes,
                                          uint64_t *scratch_bytes, chord_diagnosis *diagnosis);

/* Packs a layer into `memory`: codes [out_channels][in_features], each within the grid of its width; bias may be null. Nothing of what
 * is given is kept. */
CHORD_API chord_status chord_linear_open(const chord_linear_options *options, const int8_t *codes, const float *scales,
                                         const uint8_t *widths, const float *bias, void *memory, size_t memory_bytes, chord_linear **layer,
                                         chord_diagnosis *diagnosis);

/* x [rows][in_features] to y [rows][out_channels], both dense. Safe from any number of threads with a scratch each. CHORD_NOT_FINITE: an
 * element of x or y is not finite; rows of y without such an element are right. */
CHORD_API chord_status chord_linear_run(const chord_linear *layer, size_t rows, const float *x, float *y, void *scratch,
                                        size_t scratch_bytes);

#ifdef __cplusplus
}
#endif
#endif
