/* How likely the targets of held-out lessons are among the candidates, in float32: what the gate judges by. */
#include <math.h>
#include <string.h>

#include "internal.h"

void chord_exam_layout(chord_exam *exam, chord_carver *carver, size_t candidates, size_t dim) {
  exam->table = chord_carve(carver, candidates * dim * sizeof(float));
  exam->fixed = chord_carve(carver, candidates * sizeof(float));
  exam->logits = chord_carve(carver, candidates * sizeof(float));
  exam->state = chord_carve(carver, dim * sizeof(float));
}

void chord_exam_open(chord_exam *exam, const chord_model *model, const chord_candidates *c, float temperature) {
  model->kernels->embed_e_f32(c->count, model->dim, &model->table, c->items, NULL, NULL, exam->table);
  const size_t columns = chord_round_up(c->count, 16);
  memset(exam->table + c->count * (size_t)model->dim, 0, (columns - c->count) * model->dim * sizeof(float));
  for (size_t i = 0; i < c->count * (size_t)model->dim; i++) exam->table[i] /= temperature;
  for (size_t i = 0; i < columns; i++) {
    exam->fixed[i] = i < c->targets ? 0.0f : i < c->count ? c->share : -INFINITY;
    if (i < c->count && model->item_bias) exam->fixed[i] += model->item_bias[c->items[i]] / temperature;
  }
}

void chord_exam_take(chord_exam *exam, const chord_model *model, const chord_candidates *c, const float *down, const chord_parameters *with,
                     const chord_row *rows, size_t count, double *likelihoods) {
  const size_t dim = model->dim, columns = chord_round_up(c->count, 16);
  for (size_t row = 0; row < count; row++) {
    const float *state = rows[row].state;
    if (with) {
      float inner[CHORD_RANK];
      chord_project(dim, down, state, inner);
      chord_move(dim, with->values, state, inner, exam->state);
      state = exam->state;
    }
    float *logits = exam->logits;
    for (size_t i = 0; i < columns; i += 4) {
      chord_dot_rows(dim, exam->table + i * dim, dim, state, logits + i);
      chord_store(logits + i, chord_load(logits + i) + chord_load(exam->fixed + i));
    }
    for (uint32_t i = 0; with && i < with->biases; i++) {
      const int32_t place = chord_candidates_place(c, with->biased[i]);
      if (place >= 0) logits[place] += with->values[chord_plain_parameters(dim) + i];
    }
    const int32_t own = chord_candidates_place(c, rows[row].target);
    for (uint32_t seen = 0; seen < rows[row].seen; seen++) {
      const int32_t place = chord_candidates_place(c, rows[row].before[seen]);
      if (place >= 0 && place != own) logits[place] = -INFINITY;
    }
    chord_quad most = chord_load(logits);
    for (size_t i = 4; i < columns; i += 4) most = chord_most(chord_load(logits + i), most);
    const float largest = chord_most_of(most);
    /* Below 2^-126 of the largest, as what does not compete is, a power is that: together less than 2^-113 of the sum. */
    chord_quad sums[4] = {{0}, {0}, {0}, {0}};
    for (size_t i = 0; i < columns; i += 16)
      for (size_t q = 0; q < 4; q++)
        sums[q] += chord_powers((chord_load(logits + i + 4 * q) - chord_all(largest)) * chord_all(CHORD_LOG2E_F));
    likelihoods[row] = (double)(logits[own] - largest) - log((double)chord_fold4(sums));
  }
}
