/* The personal sample classifier (CoDA, section 3.3), as chordkit/coda/classifier.py defines it: a logistic regression of "own or outside"
 * on where a history stands and what came then, cross-fitted, and what follows from it for samples without a label (Elkan and Noto, KDD
 * 2008). */
#include <math.h>
#include <string.h>

#include "internal.h"

#define SURE 1e-6f

void chord_border_layout(chord_border *border, chord_carver *carver, size_t rows, size_t dim) {
  const size_t bytes = (2 * dim + 16) * sizeof(float);
  border->features = chord_carve(carver, rows * 2 * dim * sizeof(float));
  border->weights = chord_carve(carver, bytes);
  border->before = chord_carve(carver, bytes);
  border->ahead = chord_carve(carver, bytes);
  border->gradient = chord_carve(carver, bytes);
  border->mean = chord_carve(carver, bytes);
  border->spread = chord_carve(carver, bytes);
}

/* To length 1. */
static void scale_to_one(size_t dim, const float *from, float *to) {
  const float length = sqrtf(chord_dot(dim, from, from)), by = 1.0f / (length > SURE ? length : SURE);
  for (size_t d = 0; d < dim; d++) to[d] = from[d] * by;
}

static void describe(const chord_model *model, const chord_row *row, float *features) {
  float item[CHORD_MAX_DIM];
  model->kernels->embed_e_f32(1, model->dim, &model->table, &row->target, NULL, NULL, item);
  scale_to_one(model->dim, row->state, features);
  scale_to_one(model->dim, item, features + model->dim);
}

/* Every feature to mean 0 and deviation 1. */
static void standardise(const chord_border *b, size_t rows, size_t width) {
  memset(b->mean, 0, width * sizeof(float));
  memset(b->spread, 0, width * sizeof(float));
  for (size_t row = 0; row < rows; row++)
    for (size_t i = 0; i < width; i++) b->mean[i] += b->features[row * width + i];
  for (size_t i = 0; i < width; i++) b->mean[i] /= (float)rows;
  for (size_t row = 0; row < rows; row++)
    for (size_t i = 0; i < width; i++) {
      float *x = b->features + row * width + i;
      *x -= b->mean[i];
      b->spread[i] = b->spread[i] + *x * *x;
    }
  for (size_t i = 0; i < width; i++) {
    const float spread = sqrtf(b->spread[i] / (float)rows);
    b->spread[i] = 1.0f / (spread > SURE ? spread : SURE);
  }
  for (size_t row = 0; row < rows; row++)
    for (size_t i = 0; i < width; i++) b->features[row * width + i] *= b->spread[i];
}

static chord_quad sigmoids(chord_quad x) { return chord_all(1.0f) / (chord_all(1.0f) + chord_powers(x * chord_all(-CHORD_LOG2E_F))); }
static float sigmoid(float x) { return sigmoids(chord_all(x))[0]; }

/* Which rows a classifier does not learn from: those of its fold, of the own rows and of the others behind them. */
typedef struct held_rows {
  size_t first[2], last[2];
} held_rows;

/* Four rows a turn, so that weights and gradient travel once for four. */
enum { TOGETHER = 4 };

/* Adds the slope of the loss over `count` (at most TOGETHER) rows. */
static void add_slopes(const chord_border *b, size_t width, const float *const *rows, size_t count, float label, float share) {
  const float *const weights_ahead = b->ahead, *const x0 = rows[0], *const x1 = rows[count > 1 ? 1 : 0];
  const float *const x2 = rows[count > 2 ? 2 : 0], *const x3 = rows[count > 3 ? 3 : 0];
  chord_quad sums[TOGETHER][4] = {{{0}}};
  for (size_t i = 0; i < width; i += 16)
    for (size_t q = 0; q < 4; q++) {
      const size_t at = i + 4 * q;
      const chord_quad weights = chord_load(weights_ahead + at);
      sums[0][q] = chord_fused(chord_load(x0 + at), weights, sums[0][q]);
      sums[1][q] = chord_fused(chord_load(x1 + at), weights, sums[1][q]);
      sums[2][q] = chord_fused(chord_load(x2 + at), weights, sums[2][q]);
      sums[3][q] = chord_fused(chord_load(x3 + at), weights, sums[3][q]);
    }
  chord_quad scores = {0};
  for (size_t r = 0; r < TOGETHER; r++) scores[r] = chord_fold4(sums[r]) + b->ahead[width];
  chord_quad errors = (sigmoids(scores) - chord_all(label)) * chord_all(share);
  for (size_t r = count; r < TOGETHER; r++) errors[r] = 0.0f;
  b->gradient[width] += (errors[0] + errors[2]) + (errors[1] + errors[3]);
  const chord_quad e0 = chord_all(errors[0]), e1 = chord_all(errors[1]), e2 = chord_all(errors[2]), e3 = chord_all(errors[3]);
  float *const gradient = b->gradient;
  for (size_t i = 0; i < width; i += 16) {
    chord_quad slope[4];
    for (size_t q = 0; q < 4; q++) slope[q] = chord_fused(chord_load(x0 + i + 4 * q), e0, chord_load(gradient + i + 4 * q));
    for (size_t q = 0; q < 4; q++) slope[q] = chord_fused(chord_load(x1 + i + 4 * q), e1, slope[q]);
    for (size_t q = 0; q < 4; q++) slope[q] = chord_fused(chord_load(x2 + i + 4 * q), e2, slope[q]);
    for (size_t q = 0; q < 4; q++) slope[q] = chord_fused(chord_load(x3 + i + 4 * q), e3, slope[q]);
    for (size_t q = 0; q < 4; q++) chord_store(gradient + i + 4 * q, slope[q]);
  }
}

/* border->weights, by Nesterov's accelerated gradient, from all rows that are not held. */
static void fit(const chord_border *b, const chord_learn_options *options, size_t width, size_t local, size_t total,
                const held_rows *held) {
  const size_t count = total - (held->last[0] - held->first[0]) - (held->last[1] - held->first[1]);
  double squares = 0.0;
  for (size_t row = 0; row < total; row++) {
    const int other = row >= local;
    if (row < held->first[other] || row >= held->last[other])
      squares += (double)chord_dot(width, b->features + row * width, b->features + row * width);
  }
  /* A quarter of the mean squared length bounds the curvature. */
  const float step = (float)(1.0 / (0.25 * (squares / (double)count + 1.0) + (double)options->border_decay)), share = 1.0f / (float)count;
  memset(b->weights, 0, (width + 1) * sizeof(float));
  memset(b->before, 0, (width + 1) * sizeof(float));
  for (uint32_t number = 0; number < options->border_steps; number++) {
    const float further = (float)number / ((float)number + 3.0f);
    for (size_t i = 0; i <= width; i++) b->ahead[i] = b->weights[i] + further * (b->weights[i] - b->before[i]);
    for (size_t i = 0; i < width; i++) b->gradient[i] = options->border_decay * b->ahead[i];
    b->gradient[width] = 0.0f;
    for (int other = 0; other < 2; other++) {
      const float *rows[TOGETHER];
      size_t waiting = 0;
      for (size_t row = other ? local : 0; row < (other ? total : local); row++) {
        if (row == held->first[other]) row = held->last[other];
        if (row == (other ? total : local)) break;
        rows[waiting++] = b->features + row * width;
        if (waiting == TOGETHER) {
          add_slopes(b, width, rows, waiting, other ? 0.0f : 1.0f, share);
          waiting = 0;
        }
      }
      if (waiting) add_slopes(b, width, rows, waiting, other ? 0.0f : 1.0f, share);
    }
    for (size_t i = 0; i <= width; i++) {
      b->before[i] = b->weights[i];
      b->weights[i] = b->ahead[i] - step * b->gradient[i];
    }
  }
}

static float clip(float x) { return x < SURE ? SURE : x > 1.0f - SURE ? 1.0f - SURE : x; }

static float judged(const chord_border *b, size_t width, size_t row) {
  return sigmoid(chord_dot(width, b->features + row * width, b->weights) + b->weights[width]);
}

/* Where fold `number` of so many rows begins: the first one whose row * folds / count is that. */
static size_t edge(size_t count, size_t number, size_t folds) { return (number * count + folds - 1) / folds; }

void chord_border_judge(chord_border *b, const chord_model *model, const chord_learn_options *options, const chord_row *rows,
                        const uint32_t *numbers, size_t local, const chord_row *others, size_t outside, float *inside) {
  const size_t width = 2 * (size_t)model->dim, total = local + outside, folds = options->border_folds;
  for (size_t i = 0; i < local; i++) describe(model, &rows[numbers[i]], b->features + i * width);
  for (size_t i = 0; i < outside; i++) describe(model, &others[i], b->features + (local + i) * width);
  standardise(b, total, width);
  for (size_t fold = 0; fold < folds; fold++) {
    const held_rows held = {{edge(local, fold, folds), local + edge(outside, fold, folds)},
                            {edge(local, fold + 1, folds), local + edge(outside, fold + 1, folds)}};
    if (held.first[1] == held.last[1]) continue;
    fit(b, options, width, local, total, &held);
    /* On own rows that it has not learned from, the mean of its answers is the probability that such a row has a label. */
    float sum = 0.0f;
    for (size_t row = held.first[0]; row < held.last[0]; row++) sum += judged(b, width, row);
    const float labelled = clip(held.first[0] < held.last[0] ? sum / (float)(held.last[0] - held.first[0]) : 0.5f);
    for (size_t row = held.first[1]; row < held.last[1]; row++) {
      const float share = clip(judged(b, width, row)), odds = (1.0f - labelled) / labelled * share / (1.0f - share);
      inside[row - local] = odds < 1.0f ? odds : 1.0f;
    }
  }
}
