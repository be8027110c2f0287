/* What the files of the learner share. Nothing here is visible outside of the library. */
#ifndef CHORD_LEARN_INTERNAL_H
#define CHORD_LEARN_INTERNAL_H

#include "../include/chord_learn.h"
#include "../src/bytes.h"
#include "../src/internal.h"
#include "lanes.h"

enum { CHORD_RANK = CHORD_LEARN_RANK, CHORD_MOST_OTHERS = 4096, CHORD_MOST_STEPS = 10000, CHORD_FEWEST_LESSONS = 10, CHORD_UNJUDGED = 5 };

/* Parameters of an adapter are no larger in magnitude. */
#define CHORD_LARGEST_PARAMETER 1e4f

/* status.c: writes the diagnosis (may be null) and returns the status. */
chord_learn_status chord_decline(chord_diagnosis *diagnosis, chord_learn_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

static inline bool chord_is_model(const chord_model *model) { return model && model->magic == CHORD_MODEL_MAGIC; }

/* A lesson as all that learns sees it. */
typedef struct chord_row {
  const int32_t *before; /* [seen] */
  uint32_t seen;
  int32_t target;
  const float *state; /* [dim] */
} chord_row;

/* lessons.c: checks lessons (null = none), their items and states, and makes rows of them. */
chord_learn_status chord_rows_of(const chord_model *model, const chord_lessons *lessons, chord_row *rows, chord_diagnosis *diagnosis);

/* adapter.c. Parameters as training has them: gain [dim], shift [dim], up [rank][dim] (a column of the format's after the other), bias. */
typedef struct chord_parameters {
  float *values;    /* [(2 + rank) dim + biases] */
  int32_t *biased;  /* [biases] items, ascending */
  uint32_t biases;
} chord_parameters;
static inline size_t chord_plain_parameters(size_t dim) { return (2 + CHORD_RANK) * dim; }
/* P [rank][dim]: +-1 / sqrt(dim). */
void chord_projection(size_t dim, float *down);
/* inner[rank] = P state; out[dim] (may be `state`) = state + gain state + shift + up inner. */
void chord_project(size_t dim, const float *down, const float *state, float *inner);
void chord_move(size_t dim, const float *values, const float *state, const float *inner, float *out);
/* The bytes of an adapter; how many. False: a parameter is not finite or too large. */
bool chord_write_adapter(const chord_model *model, const uint8_t *strategy, const chord_parameters *from, uint8_t *out, size_t *bytes);
void chord_read_adapter(const chord_adapter *adapter, chord_parameters *to);

/* candidates.c: items that compete. First those that have a bias, then the other targets, both ascending, then those that stand for the
 * rest. */
typedef struct chord_candidates {
  int32_t *items;   /* [most, rounded up to 16]; behind the last one padding, item 0 */
  uint32_t count, targets, biases;
  float share;      /* logarithm of how many items each one behind the targets stands for */
  uint16_t *slots;  /* item -> place + 1 */
  uint32_t bits;    /* of a slot's number */
  uint32_t *counts; /* scratch [most] */
} chord_candidates;
/* Room for targets of so many rows. */
void chord_candidates_layout(chord_candidates *c, chord_carver *carver, size_t rows, size_t others, size_t items);
/* Of the targets of rows[numbers[0]] ..., and `others` evenly spaced ones of the rest of the catalogue. */
void chord_candidates_choose(chord_candidates *c, const chord_row *rows, const uint32_t *numbers, size_t count, size_t others,
                             size_t items);
/* The place of an item, or -1. */
int32_t chord_candidates_place(const chord_candidates *c, int32_t item);
/* Sorts ascending. */
void chord_sort(uint32_t *values, size_t count);

/* exam.c: log likelihoods, nats, of the targets of rows, under the frozen model (`with` null) or an adapter. Works in float32. */
typedef struct chord_exam {
  float *table;  /* [most candidates][dim] */
  float *fixed;  /* [most candidates] */
  float *logits; /* [most candidates] */
  float *state;  /* [dim] */
} chord_exam;
void chord_exam_layout(chord_exam *exam, chord_carver *carver, size_t candidates, size_t dim);
void chord_exam_open(chord_exam *exam, const chord_model *model, const chord_candidates *c, float temperature);
void chord_exam_take(chord_exam *exam, const chord_model *model, const chord_candidates *c, const float *down, const chord_parameters *with,
                     const chord_row *rows, size_t count, double *likelihoods);

/* classifier.c */
typedef struct chord_border {
  float *features; /* [rows][2 dim] */
  float *weights, *before, *ahead, *gradient, *mean, *spread; /* [2 dim + 16] */
} chord_border;
void chord_border_layout(chord_border *border, chord_carver *carver, size_t rows, size_t dim);
/* inside[outside]: of rows[own + local ...], judged by rows[numbers[0 .. local - 1]] and each other. */
void chord_border_judge(chord_border *border, const chord_model *model, const chord_learn_options *options, const chord_row *rows,
                        const uint32_t *numbers, size_t local, const chord_row *others, size_t outside, float *inside);

/* train.c */
typedef struct chord_training {
  size_t dim, stride;  /* of `powers` and `held`: candidates, rounded up to 16 */
  size_t code_stride;
  float *powers;       /* [rows][stride] softmax before its division, times ratio */
  int16_t *held;       /* [rows][stride] softmax times ratio, as far as `mixed` follows it */
  float *states;       /* [rows][dim] adapted states, as far as `powers` follows them */
  float *mixed;        /* [rows][dim] sum of the candidates' rows, weighted by `held` */
  float *inner;        /* [rows][rank] */
  float *shares;       /* [rows] of the loss */
  float *down;         /* [rank][dim] */
  int8_t *forward, *backward; /* panels of the candidates' codes: a channel a candidate, and a channel a dimension */
  int32_t *forward_correction, *backward_correction;
  float *forward_scale, *forward_bias, *backward_scale, *none; /* none: zeros */
  float *ratio, *inverse_ratio; /* [stride] a candidate's scale by the largest, and its inverse */
  uint8_t *codes;      /* [16][code_stride] */
  float *code_scale;   /* [16] */
  int16_t *rest;       /* [stride] */
  float *block;        /* [16][stride or dim], results of a product */
  float *moved;        /* [16][dim] adapted states */
  float *gradient, *first, *second; /* like the parameters */
  float *column_sums;  /* [stride] */
} chord_training;
void chord_training_layout(chord_training *t, chord_carver *carver, size_t rows, size_t candidates, size_t dim);
/* From zero to parameters; `own` of the rows have weight 1, those behind them options->weight. parameters->biased is filled in too. False:
 * they are not finite, or too large. */
bool chord_train(chord_training *t, const chord_model *model, const chord_learn_options *options, const chord_candidates *c,
                 const chord_row *rows, const uint32_t *numbers, size_t own, size_t count, chord_parameters *parameters);

/* gate.c */
typedef struct chord_verdict {
  size_t lessons;
  double before, after, low;
} chord_verdict;
chord_verdict chord_weigh(const double *before, const double *after, size_t count);

#endif
