/* How a backbone reads its part of a master file. A plan carries the first failure; what follows it does nothing and gives null or 0, so
 * that a backbone's part reads as a list. */
#ifndef CHORD_PLAN_H
#define CHORD_PLAN_H

#include "internal.h"

struct chord_plan {
  chord_master *master;
  chord_model *model; /* items, max_length, dim and the item table are there before the backbone's part begins */
  chord_diagnosis *diagnosis;
  chord_status status;
  uint32_t behind; /* entry that the next layer stands at or behind */
};

typedef struct chord_norm_weights {
  const float *gamma;
  const float *beta;
} chord_norm_weights;

/* A formatted name, for the length of the expression that it stands in. */
typedef struct chord_name {
  char text[96];
} chord_name;

chord_name chord_named(const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 1, 2)))
#endif
    ;

/* Of the configuration: a number, whether a word is this one. */
uint32_t chord_plan_integer(chord_plan *plan, const char *key, int64_t least, int64_t most);
bool chord_plan_word_is(const chord_plan *plan, const char *key, const char *word);

/* [first] or [first][second] weights. */
const float *chord_plan_floats(chord_plan *plan, const char *name, uint32_t dims, uint32_t first, uint32_t second, bool positive);
chord_norm_weights chord_plan_norm(chord_plan *plan, const char *name);
chord_table chord_plan_table(chord_plan *plan, const char *embedding, uint32_t rows);

/* The next layer of the channel table, which the file must list in the same order. Its form and factor are the backbone's to change. */
chord_layer *chord_plan_layer(chord_plan *plan, const char *name, uint32_t out, uint32_t in);

/* sharpness.c: whether in any head (of `width` channels) the length of queries times that of keys is above CHORD_SHARP widths: as large as
 * that were the logits' standard deviation if queries and keys pointed anywhere, and in proportion to it 8-bit codes move logits, wherever
 * these point. Trained models have 0.7 to 1.1. */
#define CHORD_SHARP 2.0
bool chord_sharp(const chord_layer *query, const chord_layer *key, chord_norm_weights norm, uint32_t width);

void chord_plan_refuse(chord_plan *plan, const char *sentence);

#endif
