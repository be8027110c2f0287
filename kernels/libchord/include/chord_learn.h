/*
 * CoDA on the phone (docs/coda.md): from a user's own history and samples of other people's to an adapter, a few floats behind the frozen
 * encoder that make the model this user's, or to the finding that none is worth having.
 *
 * A part of its own beside libchord: C11, libc and libm, no allocation, no global state, nothing random: the same input gives the same
 * bytes. It reads the model's item table where it lies. Any number of threads may use it on one model, each with memory of its own.
 *
 *   chord_samples_open, inflate, chord_samples_read     samples that the cloud sent -> items and lessons
 *   chord_own_lessons                                   the user's own history -> lessons
 *   chord_lesson_states                                 lessons -> hidden states, once
 *   chord_personalise                                   both -> an adapter (CHRA, docs/formats.md) that the gate let pass, or none
 *   chord_adapter_open, chord_adapted_scores            an adapter at work
 */
#ifndef CHORD_LEARN_H
#define CHORD_LEARN_H

#include "chord.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum chord_learn_status {
  CHORD_LEARN_OK = 0,
  CHORD_LEARN_BAD_ARGUMENT = 1, /* a null pointer, a struct of another size, options that are not possible */
  CHORD_LEARN_BAD_SAMPLES = 2,  /* the samples are damaged, or belong to another backbone */
  CHORD_LEARN_BAD_ADAPTER = 3,  /* the adapter is damaged, or belongs to another backbone or strategy */
  CHORD_LEARN_BAD_LESSON = 4,   /* a lesson outside its items, or an item outside 1..items of the model */
  CHORD_LEARN_NO_MEMORY = 5,    /* the memory given is smaller than the size asked for */
  CHORD_LEARN_NOT_FINITE = 6    /* a state, a score or a parameter is not finite, or above 10,000 */
} chord_learn_status;

CHORD_API const char *chord_learn_status_text(chord_learn_status status);

#define CHORD_LEARN_RANK 8u     /* of the low-rank part */
#define CHORD_MOST_BIASES 256u  /* items of an adapter */
#define CHORD_MOST_LESSONS 4096u /* of the user's own, and as many from outside */
#define CHORD_SEEN 200u         /* items before one of the user's own that do not compete with it */

/* Bytes of an adapter at most, of a model with this `dim`: 4,644 where it is 64. */
#define CHORD_ADAPTER_MOST_BYTES(dim) (36u + 8u * CHORD_MOST_BIASES + 4u * (2u + CHORD_LEARN_RANK) * (dim))

/* After items[begin] .. items[place - 1], oldest first, came items[place]; begin < place. What came before does not compete with it. */
typedef struct chord_lesson {
  uint32_t begin;
  uint32_t place;
} chord_lesson;

/* --- samples on the wire (CHRS) ------------------------------------------------------------------------------------------------------- */

enum { CHORD_SAMPLES_MOST_BYTES = 65536, CHORD_SAMPLES_MOST_ITEMS = 16384, CHORD_SAMPLES_MOST_PAYLOAD = 157701 };

typedef struct chord_samples {
  uint32_t struct_size;
  uint32_t segments;
  uint32_t samples;
  uint32_t items;   /* of all segments */
  uint32_t offset;  /* in the data, of a raw deflate stream (no zlib header) */
  uint32_t deflated; /* its bytes: it must end with the last of them */
  uint32_t most;    /* bytes that come out of it, at most */
  uint32_t reserved;
} chord_samples;

/* Checks length, header, counts and CRC of samples for this model, and tells what to inflate. `samples->struct_size` the caller has set;
 * `diagnosis` may be null everywhere. CHORD_LEARN_BAD_SAMPLES: the sentence begins with "samples: CHECK: ", a check of docs/formats.md. */
CHORD_API chord_learn_status chord_samples_open(const chord_model *model, const void *data, size_t bytes, chord_samples *samples,
                                                chord_diagnosis *diagnosis);

/* Checks what came out of the stream (a stream that is broken, that does not end with its last byte, or gives more than `most` bytes is the
 * caller's to refuse) and writes items[samples->items], all segments in a row, and lessons[samples->samples], in their order. */
CHORD_API chord_learn_status chord_samples_read(const chord_model *model, const chord_samples *samples, const void *payload,
                                                size_t payload_bytes, int32_t *items, chord_lesson *lessons, chord_diagnosis *diagnosis);

/* --- lessons -------------------------------------------------------------------------------------------------------------------------- */

/* The newest `most` items of a history that have one before them, as lessons in the order of time; returns how many, most and
 * history_length - 1 at most. `lessons` may be null to count. A history holds items only, no empty slots. */
CHORD_API size_t chord_own_lessons(size_t history_length, size_t most, chord_lesson *lessons);

/* states[count][dim]: the frozen model's after what came before each lesson, under the strategy and the user vector in use. */
CHORD_API chord_learn_status chord_lesson_states(chord_session *session, const int32_t *items, size_t item_count,
                                                 const chord_lesson *lessons, size_t count, float *states, chord_diagnosis *diagnosis);

/* The number of the first of so many own lessons that the gate holds out: of what outside lessons are chosen by, nothing may be newer. */
CHORD_API size_t chord_first_examined(size_t lessons);

typedef struct chord_lessons {
  uint32_t struct_size;
  uint32_t count;
  const int32_t *items;        /* [item_count] */
  size_t item_count;
  const chord_lesson *lessons; /* [count] into items; own ones in the order of time, outside ones of one segment side by side */
  const float *states;         /* [count][dim] */
} chord_lessons;

/* --- training ------------------------------------------------------------------------------------------------------------------------- */

enum { CHORD_LEARN_AFFINE = 1, CHORD_LEARN_LOWRANK = 2, CHORD_LEARN_BIAS = 4 }; /* what learns: gain and shift; up; biases */
enum { CHORD_LEARN_ADAM = 0, CHORD_LEARN_MOMENTUM = 1 };

typedef struct chord_learn_options {
  uint32_t struct_size;
  uint32_t parts;        /* of CHORD_LEARN_AFFINE ...: all */
  double share;          /* of the outside samples that the classifier keeps; 1 = all, and no classifier: 0.5 */
  uint32_t method;       /* Adam (0.9, 0.999, 1e-8), or steps with momentum 0.9 */
  uint32_t steps;        /* full batches: 10 */
  float rate;            /* 0.01 */
  float decay;           /* pull of the parameters towards zero: 0 */
  float temperature;     /* what scores are divided by to make them logits: 1 */
  float weight;          /* of an outside sample, where an own one has 1: 0.3 */
  uint32_t folds;        /* of the gate, 2 or more: 3 */
  uint32_t others;       /* items that compete besides the targets: 256 */
  uint32_t border_folds; /* of the classifier, 2 or more: 3 */
  uint32_t border_steps; /* 40 */
  float border_decay;    /* 0.05 */
  uint32_t passes;       /* of 8 bits each that a product takes in a step: 1; with more its error falls (docs/kernels.md) */
} chord_learn_options;

/* Fills in the numbers above, those of chordkit.coda.personal.PersonalOptions(); struct_size the caller has set. */
CHORD_API chord_learn_status chord_learn_defaults(chord_learn_options *options);

/* What came of it; no content. */
typedef struct chord_learn_report {
  uint32_t struct_size;
  uint32_t adopt;   /* 1: the gate let it pass, and there is an adapter */
  uint32_t local;   /* the user's lessons */
  uint32_t outside;
  uint32_t kept;    /* of these, learned from for the adapter; 0 without one */
  uint32_t judged;  /* of the user's lessons: those that were held out; 0 where they are too few */
  double before;    /* mean log likelihood of the held-out lessons, nats, under the frozen model */
  double after;     /* under adapters that learned from what is older than each */
  double low;       /* lower bound of the mean improvement, one-sided, 95 %; -inf where nothing can be said */
} chord_learn_report;

/* Bytes of memory that the functions below need for so many lessons; any alignment will do. Null options = the defaults. */
CHORD_API chord_learn_status chord_learn_size(const chord_model *model, const chord_learn_options *options, size_t local, size_t outside,
                                              uint64_t *memory_bytes, chord_diagnosis *diagnosis);

/* From a user's own lessons and those from outside (null or none: without) to an adapter. `adapter` has room for
 * CHORD_ADAPTER_MOST_BYTES(dim); `adapter_bytes` is what was written, 0 where the gate did not let it pass. `strategy`: the first 8 bytes
 * of SHA-256 over the wire bytes of the strategy under which the states were made; null = none. `report` may be null, else its struct_size
 * the caller has set. CHORD_LEARN_NOT_FINITE: a state is not finite. Where fewer than ten lessons can be held out nothing is learned. */
CHORD_API chord_learn_status chord_personalise(const chord_model *model, const chord_learn_options *options, const chord_lessons *local,
                                               const chord_lessons *outside, const uint8_t strategy[8], void *memory, size_t memory_bytes,
                                               void *adapter, size_t *adapter_bytes, chord_learn_report *report,
                                               chord_diagnosis *diagnosis);

/* The same without the gate: an adapter whatever it is worth. `kept` (may be null): the outside lessons that were learned from. */
CHORD_API chord_learn_status chord_learn(const chord_model *model, const chord_learn_options *options, const chord_lessons *local,
                                         const chord_lessons *outside, const uint8_t strategy[8], void *memory, size_t memory_bytes,
                                         void *adapter, size_t *adapter_bytes, uint32_t *kept, chord_diagnosis *diagnosis);

/* inside[outside->count]: the classifier's probability of each outside lesson to lie inside the border of the own ones. */
CHORD_API chord_learn_status chord_learn_inside(const chord_model *model, const chord_learn_options *options, const chord_lessons *local,
                                                const chord_lessons *outside, void *memory, size_t memory_bytes, float *inside,
                                                chord_diagnosis *diagnosis);

/* --- an adapter at work --------------------------------------------------------------------------------------------------------------- */

/* A checked adapter: a view of its bytes. */
typedef struct chord_adapter {
  uint32_t struct_size;
  uint32_t dim;
  uint32_t items; /* that have a bias */
  uint32_t reserved;
  const void *data; /* what chord_adapter_open was given; it must stay as it is */
  size_t bytes;
} chord_adapter;

/* Checks an adapter for this model under this strategy (null = none). CHORD_LEARN_BAD_ADAPTER: the sentence begins with
 * "adapter: CHECK: ", a check of docs/formats.md. */
CHORD_API chord_learn_status chord_adapter_open(const chord_model *model, const void *data, size_t bytes, const uint8_t strategy[8],
                                                chord_adapter *adapter, chord_diagnosis *diagnosis);

/* hidden[dim], the frozen model's, to adapted[dim], which may be the same. */
CHORD_API chord_learn_status chord_adapt(const chord_adapter *adapter, const float *hidden, float *adapted);

/* As chord_score_hidden, with an adapter: `hidden` is the frozen model's. `temperature`: the one it was trained with. */
CHORD_API chord_learn_status chord_adapted_scores(chord_session *session, const chord_adapter *adapter, float temperature,
                                                  const float *hidden, const int32_t *candidates, size_t candidate_count, float *scores);

/* The verdict on an adapter over lessons that it did not learn from, as the gate reaches it: whether it is still worth having. */
CHORD_API chord_learn_status chord_adapter_judge(const chord_model *model, const chord_learn_options *options,
                                                 const chord_adapter *adapter, const chord_lessons *lessons, void *memory,
                                                 size_t memory_bytes, chord_learn_report *report, chord_diagnosis *diagnosis);

#ifdef __cplusplus
}
#endif
#endif
