/*
 * How an adapter learns (chordkit/coda/learning.py): softmax over candidates, its gradient in closed form, full batches.
 *
 * Nearly all of the work is two products with the candidates' rows E: logits = states E', and the softmax times E. E has int8 codes, so
 * both can be done by the engine's int8 kernels, if the other side has 8 bits as well. It has them by following: of a product of something
 * that changes a little in every step, only the change since the last step is rounded to 8 bits and multiplied, and what was multiplied so
 * far is kept, so that the rounding of one step is made good by the next. The product of a step is then as exact as 1/254 of what the step
 * changes; at the beginning two passes are made.
 *
 *   logits    are kept as powers, and multiplied by 2^change: no row is exponentiated anew
 *   softmax   is followed in int16, a unit being 1 / UNIT
 *
 * A candidate's scale is folded into the softmax, by the largest of them (ratio), before that is rounded.
 */
#include <math.h>
#include <string.h>

#include "internal.h"

enum { BLOCK = 16, FIRST_PASSES = 2 };
#define UNIT 32512.0f /* at most: adding half of what is shifted off stays within int16 */

void chord_training_layout(chord_training *t, chord_carver *carver, size_t rows, size_t candidates, size_t dim) {
  const size_t stride = chord_round_up(candidates, 16), widest = stride > dim ? stride : dim;
  t->dim = dim;
  t->stride = stride;
  t->code_stride = chord_round_up(widest, 64);
  const size_t powers = rows * stride * sizeof(float), codes = 2 * chord_round_up(stride * dim, 64);
  t->powers = chord_carve(carver, powers > codes ? powers : codes); /* what is packed lies there first */
  t->held = chord_carve(carver, rows * stride * sizeof(int16_t));
  t->states = chord_carve(carver, rows * dim * sizeof(float));
  t->mixed = chord_carve(carver, rows * dim * sizeof(float));
  t->inner = chord_carve(carver, rows * CHORD_RANK * sizeof(float));
  t->shares = chord_carve(carver, rows * sizeof(float));
  t->down = chord_carve(carver, CHORD_RANK * dim * sizeof(float));
  t->forward = chord_carve(carver, stride * dim);
  t->backward = chord_carve(carver, stride * dim);
  t->forward_correction = chord_carve(carver, stride * sizeof(int32_t));
  t->backward_correction = chord_carve(carver, dim * sizeof(int32_t));
  t->forward_scale = chord_carve(carver, stride * sizeof(float));
  t->forward_bias = chord_carve(carver, stride * sizeof(float));
  t->backward_scale = chord_carve(carver, dim * sizeof(float));
  t->none = chord_carve(carver, widest * sizeof(float));
  t->ratio = chord_carve(carver, stride * sizeof(float));
  t->inverse_ratio = chord_carve(carver, stride * sizeof(float));
  t->codes = chord_carve(carver, BLOCK * t->code_stride);
  t->code_scale = chord_carve(carver, BLOCK * sizeof(float));
  t->rest = chord_carve(carver, stride * sizeof(int16_t));
  t->block = chord_carve(carver, BLOCK * widest * sizeof(float));
  t->moved = chord_carve(carver, BLOCK * dim * sizeof(float));
  const size_t parameters = (chord_plain_parameters(dim) + CHORD_MOST_BIASES) * sizeof(float);
  t->gradient = chord_carve(carver, parameters);
  t->first = chord_carve(carver, parameters);
  t->second = chord_carve(carver, parameters);
  t->column_sums = chord_carve(carver, stride * sizeof(float));
}

/* --- the candidates as weights -------------------------------------------------------------------------------------------------------- */

/* Panels of their codes, both ways, and their scales. `t->powers` is scratch here. */
static void pack_candidates(chord_training *t, const chord_model *model, const chord_candidates *c, float temperature) {
  const chord_ukernels *kernels = model->kernels;
  const size_t dim = t->dim, columns = chord_round_up(c->count, 16);
  uint8_t *codes = (uint8_t *)t->powers, *turned = codes + chord_round_up(columns * dim, 64);
  kernels->gather_e_qa8(columns, dim, &model->table, c->items, codes, dim, t->forward_scale);
  float largest = 0.0f;
  for (size_t i = 0; i < c->count; i++) largest = t->forward_scale[i] > largest ? t->forward_scale[i] : largest;
  for (size_t i = 0; i < columns; i++) {
    t->ratio[i] = i < c->count ? t->forward_scale[i] / largest : 1.0f;
    t->inverse_ratio[i] = 1.0f / t->ratio[i];
    t->forward_scale[i] *= CHORD_LOG2E_F / temperature;
    t->none[i] = 0.0f;
  }
  for (size_t d = 0; d < dim; d++) {
    t->backward_scale[d] = largest / temperature;
    t->none[d] = 0.0f;
  }
  for (size_t i = 0; i < columns; i += 16)
    kernels->pack_rows_qa8_c8(16, dim, codes + i * dim, t->forward + i * dim, t->forward_correction + i);
  for (size_t first = 0; first < dim; first += 16) {
    for (size_t d = 0; d < 16; d++)
      for (size_t i = 0; i < columns; i++) turned[d * columns + i] = i < c->count ? codes[i * dim + first + d] : kernels->zero;
    kernels->pack_rows_qa8_c8(16, columns, turned, t->backward + first * columns, t->backward_correction + first);
  }
}

typedef uint32_t chord_quad_unsigned __attribute__((vector_size(16)));
typedef uint8_t chord_quarter_bytes __attribute__((vector_size(4)));

/* --- logits --------------------------------------------------------------------------------------------------------------------------- */

/* Rounds what states[dim] are ahead of followed[dim] to codes, lets the latter follow, and returns the codes' scale. */
static float follow_state(size_t dim, const float *states, float *followed, uint8_t *codes, uint8_t zero) {
  chord_quad most = {0};
  for (size_t i = 0; i < dim; i += 4) {
    const chord_quad ahead = chord_load(states + i) - chord_load(followed + i);
    most = chord_most(most, chord_most(ahead, -ahead));
  }
  const float largest = chord_most_of(most);
  const float inverse = largest >= 1e-30f ? 127.0f / largest : 0.0f, scale = largest * (1.0f / 127.0f);
  const chord_quad round = chord_all(12582912.0f);
  for (size_t i = 0; i < dim; i += 4) {
    const chord_quad before = chord_load(followed + i);
    const chord_quad shifted = (chord_load(states + i) - before) * chord_all(inverse) + round;
    /* The rounded integers stand in the low bytes. */
    const chord_quarter_bytes bytes = __builtin_convertvector((chord_quad_unsigned)shifted, chord_quarter_bytes) + zero;
    memcpy(codes + i, &bytes, sizeof bytes);
    chord_store(followed + i, chord_fused(shifted - round, chord_all(scale), before));
  }
  return scale;
}

/* block[rows][stride] = the change of the logits, base 2, that `rows` rows of states make; `bias` is added. */
static void multiply_states(const chord_training *t, const chord_model *model, size_t first, size_t rows, const float *states,
                            const float *bias, size_t columns) {
  for (size_t r = 0; r < rows; r++)
    t->code_scale[r] = follow_state(t->dim, states + r * t->dim, t->states + (first + r) * t->dim, t->codes + r * t->code_stride,
                                    model->kernels->zero);
  const chord_gemm gemm = {.rows = rows, .blocks = columns / 16, .depth = t->dim, .a = t->codes, .a_stride = t->code_stride,
                           .a_scale = t->code_scale, .panel = t->forward, .panel_depth = t->dim, .correction = t->forward_correction,
                           .scale = t->forward_scale, .bias = bias, .out = t->block, .out_stride = t->stride};
  model->kernels->gemm_qa8_c8(&gemm);
}

/* The frozen model's logits to powers, those of seen items to zero. Whoever has no place has power zero. */
static void begin_rows(const chord_training *t, const chord_model *model, const chord_candidates *c, const chord_row *rows,
                       const uint32_t *numbers, size_t first, size_t count, float *states) {
  const size_t columns = chord_round_up(c->count, 16);
  memset(t->states + first * t->dim, 0, count * t->dim * sizeof(float));
  for (size_t r = 0; r < count; r++) memcpy(states + r * t->dim, rows[numbers[first + r]].state, t->dim * sizeof(float));
  for (int pass = 0; pass < FIRST_PASSES; pass++) {
    multiply_states(t, model, first, count, states, pass ? t->none : t->forward_bias, columns);
    for (size_t r = 0; r < count; r++) {
      float *logits = t->powers + (first + r) * t->stride;
      const float *change = t->block + r * t->stride;
      if (pass)
        for (size_t i = 0; i < columns; i += 4) chord_store(logits + i, chord_load(logits + i) + chord_load(change + i));
      else
        memcpy(logits, change, columns * sizeof(float));
    }
  }
  for (size_t r = 0; r < count; r++) {
    const chord_row *row = &rows[numbers[first + r]];
    float *powers = t->powers + (first + r) * t->stride;
    const int32_t own = chord_candidates_place(c, row->target);
    for (uint32_t seen = 0; seen < row->seen; seen++) {
      const int32_t place = chord_candidates_place(c, row->before[seen]);
      if (place >= 0 && place != own) powers[place] = -INFINITY;
    }
    for (size_t i = c->count; i < columns; i++) powers[i] = -INFINITY;
    chord_quad most = chord_load(powers);
    for (size_t i = 4; i < columns; i += 4) most = chord_most(chord_load(powers + i), most);
    const chord_quad largest = chord_all(chord_most_of(most));
    for (size_t i = 0; i < columns; i += 4) {
      const chord_quad logits = chord_load(powers + i);
      const chord_quad_bits competes = logits > chord_all(-INFINITY);
      const chord_quad power = chord_powers(logits - largest) * chord_load(t->ratio + i);
      chord_store(powers + i, (chord_quad)((chord_quad_bits)power & competes));
    }
  }
}

/* Moves the powers of a row by a change of its logits, base 2, and returns the sum that makes a softmax of them. */
static float change_powers(size_t columns, const float *change, const float *inverse_ratio, float *powers) {
  chord_quad sums[4] = {{0}, {0}, {0}, {0}};
  for (size_t i = 0; i < columns; i += 16)
    for (size_t q = 0; q < 4; q++) {
      float *at = powers + i + 4 * q;
      const chord_quad now = chord_load(at) * chord_powers(chord_load(change + i + 4 * q));
      sums[q] = chord_fused(now, chord_load(inverse_ratio + i + 4 * q), sums[q]);
      chord_store(at, now);
    }
  return chord_fold4(sums);
}

/* --- softmax times rows --------------------------------------------------------------------------------------------------------------- */

typedef int16_t chord_shorts __attribute__((vector_size(16)));
typedef uint16_t chord_unsigned __attribute__((vector_size(16)));
typedef uint8_t chord_bytes __attribute__((vector_size(16)));
typedef uint8_t chord_half_bytes __attribute__((vector_size(8)));

/* Eight floats of 0 .. UNIT, and no numbers as UNIT, to integers, towards zero. */
CHORD_ALWAYS chord_shorts to_shorts(chord_quad a, chord_quad b) {
  a = chord_least(a, chord_all(UNIT));
  b = chord_least(b, chord_all(UNIT));
#if defined(__aarch64__)
  return vcombine_s16(vmovn_s32(vcvtq_s32_f32(a)), vmovn_s32(vcvtq_s32_f32(b)));
#else
  const chord_quad_bits low = __builtin_convertvector(a, chord_quad_bits), high = __builtin_convertvector(b, chord_quad_bits);
  chord_shorts all;
  for (int l = 0; l < 4; l++) {
    all[l] = (int16_t)low[l];
    all[4 + l] = (int16_t)high[l];
  }
  return all;
#endif
}

CHORD_ALWAYS chord_shorts load_shorts(const int16_t *from) {
  chord_shorts x;
  memcpy(&x, from, sizeof x);
  return x;
}

/* Rounds what powers x unit are ahead of held to codes, lets the latter follow, and returns the codes' scale. The scale is a power of two,
 * so that all of it is integers. */
static float follow_softmax(size_t columns, const float *powers, float unit, int16_t *held, int16_t *rest, uint8_t *codes, uint8_t zero) {
  chord_shorts high = {0}, low = {0};
  const chord_quad by = chord_all(unit), half_unit = chord_all(0.5f);
  for (size_t i = 0; i < columns; i += 8) {
    const chord_quad left = chord_fused(chord_load(powers + i), by, half_unit);
    const chord_quad right = chord_fused(chord_load(powers + i + 4), by, half_unit);
    const chord_shorts now = to_shorts(left, right);
    const chord_shorts ahead = now - load_shorts(held + i), above = ahead > high, below = ahead < low;
    memcpy(rest + i, &ahead, sizeof ahead);
    high = (ahead & above) | (high & ~above);
    low = (ahead & below) | (low & ~below);
  }
  int most = 0, shift = 0;
  for (int l = 0; l < 8; l++) {
    most = high[l] > most ? high[l] : most;
    most = -low[l] > most ? -low[l] : most;
  }
  while ((most + (1 << shift >> 1)) >> shift > 127) shift++;
  const int16_t half = (int16_t)(1 << shift >> 1);
  for (size_t i = 0; i < columns; i += 16) {
    chord_bytes bytes;
    for (size_t q = 0; q < 2; q++) {
      const chord_shorts code = (load_shorts(rest + i + 8 * q) + half) >> (int16_t)shift;
      const chord_shorts now = load_shorts(held + i + 8 * q) + (chord_shorts)((chord_unsigned)code << (uint16_t)shift);
      memcpy(held + i + 8 * q, &now, sizeof now);
      const chord_half_bytes narrow = __builtin_convertvector((chord_unsigned)code, chord_half_bytes);
      memcpy((uint8_t *)&bytes + 8 * q, &narrow, sizeof narrow);
    }
    bytes += zero;
    memcpy(codes + i, &bytes, sizeof bytes);
  }
  return (float)(1 << shift) * (1.0f / UNIT);
}

/* Lets `mixed` of `rows` rows follow their powers. */
static void mix_rows(const chord_training *t, const chord_model *model, size_t first, size_t rows, const float *inverse, size_t columns) {
  const size_t dim = t->dim;
  float *mixed = t->block;
  for (size_t r = 0; r < rows; r++)
    t->code_scale[r] = follow_softmax(columns, t->powers + (first + r) * t->stride, inverse[r] * UNIT, t->held + (first + r) * t->stride,
                                      t->rest, t->codes + r * t->code_stride, model->kernels->zero);
  const chord_gemm gemm = {.rows = rows, .blocks = dim / 16, .depth = columns, .a = t->codes, .a_stride = t->code_stride,
                           .a_scale = t->code_scale, .panel = t->backward, .panel_depth = columns, .correction = t->backward_correction,
                           .scale = t->backward_scale, .bias = t->none, .out = mixed, .out_stride = dim};
  model->kernels->gemm_qa8_c8(&gemm);
  for (size_t r = 0; r < rows; r++)
    for (size_t d = 0; d < dim; d++) t->mixed[(first + r) * dim + d] += mixed[r * dim + d];
}

/* --- gradient ------------------------------------------------------------------------------------------------------------------------- */

/* Adds the parts of `count` (at most 4) rows: with G = share (softmax E - E[target]), of the gain G h, of the shift G, of up G (P h)'.
 * `items` [count][dim] are E[target] times the temperature. */
static void add_gradient(const chord_training *t, size_t first, size_t count, const float *const states[4], const float *items,
                         float temperature) {
  const size_t dim = t->dim;
  float *gain = t->gradient, *shift = gain + dim, *up = shift + dim;
  const float *mixed[4], *item[4];
  chord_quad share[4], inner[4][2];
  const chord_quad by = chord_all(-1.0f / temperature);
  for (size_t r = 0; r < 4; r++) { /* rows behind the last are the first, and weigh nothing */
    const size_t row = first + (r < count ? r : 0);
    mixed[r] = t->mixed + row * dim;
    item[r] = items + (r < count ? r : 0) * dim;
    share[r] = chord_all(r < count ? t->shares[row] : 0.0f);
    for (size_t half = 0; half < 2; half++) inner[r][half] = chord_load(t->inner + row * CHORD_RANK + 4 * half);
  }
  for (size_t d = 0; d < dim; d += 4) {
    chord_quad slope[4], of_gain = chord_load(gain + d);
    for (size_t r = 0; r < 4; r++) {
      slope[r] = share[r] * chord_fused(chord_load(item[r] + d), by, chord_load(mixed[r] + d));
      of_gain = chord_fused(slope[r], chord_load(states[r] + d), of_gain);
    }
    chord_store(gain + d, of_gain);
    chord_store(shift + d, chord_load(shift + d) + ((slope[0] + slope[1]) + (slope[2] + slope[3])));
    for (size_t half = 0; half < 2; half++)
      for (size_t l = 0; l < 4; l++) {
        float *at = up + (4 * half + l) * dim + d;
        chord_quad part = chord_load(at);
        for (size_t r = 0; r < 4; r++) part = chord_fused(slope[r], chord_all(inner[r][half][l]), part);
        chord_store(at, part);
      }
  }
}

/* The loss's gradient at the parameters; `step` counts from 0, where the parameters are zero. `moved` are the biases' latest changes. */
static void find_gradient(chord_training *t, const chord_model *model, const chord_learn_options *options, const chord_candidates *c,
                          const chord_row *rows, const uint32_t *numbers, size_t count, const float *values, uint32_t step) {
  const size_t dim = t->dim, columns = chord_round_up(c->count, 16), biased = chord_round_up(c->biases, 16);
  const uint32_t passes = step ? options->passes : FIRST_PASSES;
  memset(t->gradient, 0, (chord_plain_parameters(dim) + c->biases) * sizeof(float));
  memset(t->column_sums, 0, biased * sizeof(float));
  for (size_t first = 0; first < count; first += BLOCK) {
    const size_t together = count - first < BLOCK ? count - first : BLOCK;
    float sums[BLOCK], inverse[BLOCK], *states = t->moved;
    if (step == 0) {
      begin_rows(t, model, c, rows, numbers, first, together, states);
      for (size_t r = 0; r < together; r++) sums[r] = chord_dot(columns, t->powers + (first + r) * t->stride, t->inverse_ratio);
    } else {
      for (size_t r = 0; r < together; r++)
        chord_move(dim, values, rows[numbers[first + r]].state, t->inner + (first + r) * CHORD_RANK, states + r * dim);
      for (uint32_t pass = 0; pass < passes; pass++) {
        multiply_states(t, model, first, together, states, pass ? t->none : t->forward_bias, columns);
        for (size_t r = 0; r < together; r++)
          sums[r] = change_powers(columns, t->block + r * t->stride, t->inverse_ratio, t->powers + (first + r) * t->stride);
      }
    }
    for (size_t r = 0; r < together; r++) {
      const float *powers = t->powers + (first + r) * t->stride;
      inverse[r] = 1.0f / sums[r];
      const chord_quad share = chord_all(inverse[r] * t->shares[first + r]);
      for (size_t i = 0; i < biased; i += 4)
        chord_store(t->column_sums + i, chord_fused(chord_load(powers + i), share, chord_load(t->column_sums + i)));
    }
    for (uint32_t pass = 0; pass < passes; pass++) mix_rows(t, model, first, together, inverse, columns);
    int32_t targets[BLOCK];
    for (size_t r = 0; r < together; r++) targets[r] = rows[numbers[first + r]].target;
    model->kernels->embed_e_f32(together, dim, &model->table, targets, NULL, NULL, t->block);
    for (size_t r = 0; r < together; r += 4) {
      const size_t left = together - r < 4 ? together - r : 4;
      const float *some[4];
      for (size_t i = 0; i < 4; i++) some[i] = rows[numbers[first + r + (i < left ? i : 0)]].state;
      add_gradient(t, first + r, left, some, t->block + r * dim, options->temperature);
    }
  }
  float *bias = t->gradient + chord_plain_parameters(dim);
  for (uint32_t i = 0; i < c->biases; i++) bias[i] = t->column_sums[i] * t->inverse_ratio[i];
  for (size_t row = 0; row < count; row++) {
    const int32_t place = chord_candidates_place(c, rows[numbers[row]].target);
    if ((uint32_t)place < c->biases) bias[place] -= t->shares[row];
  }
}

/* --- steps ---------------------------------------------------------------------------------------------------------------------------- */

static void forget_what_does_not_learn(const chord_training *t, uint32_t parts, size_t biases) {
  const size_t dim = t->dim, sizes[3] = {2 * dim, CHORD_RANK * dim, biases};
  float *at = t->gradient;
  for (int part = 0; part < 3; at += sizes[part++])
    if (!(parts >> part & 1)) memset(at, 0, sizes[part] * sizeof(float));
}

bool chord_train(chord_training *t, const chord_model *model, const chord_learn_options *options, const chord_candidates *c,
                 const chord_row *rows, const uint32_t *numbers, size_t own, size_t count, chord_parameters *parameters) {
  const size_t dim = t->dim, size = chord_plain_parameters(dim) + c->biases;
  float *values = parameters->values;
  parameters->biases = c->biases;
  memcpy(parameters->biased, c->items, c->biases * sizeof(int32_t));
  memset(values, 0, size * sizeof(float));
  if (count == 0) return true;
  memset(t->first, 0, size * sizeof(float));
  memset(t->second, 0, size * sizeof(float));
  memset(t->held, 0, count * t->stride * sizeof(int16_t));
  memset(t->mixed, 0, count * dim * sizeof(float));
  pack_candidates(t, model, c, options->temperature);
  const float total = (float)own + options->weight * (float)(count - own);
  chord_projection(dim, t->down);
  for (size_t row = 0; row < count; row++) {
    t->shares[row] = (row < own ? 1.0f : options->weight) / total;
    chord_project(dim, t->down, rows[numbers[row]].state, t->inner + row * CHORD_RANK);
  }
  for (size_t i = 0; i < chord_round_up(c->count, 16); i++) {
    t->forward_bias[i] = i < c->targets ? 0.0f : c->share * CHORD_LOG2E_F;
    if (model->item_bias && i < c->count) t->forward_bias[i] += model->item_bias[c->items[i]] * (CHORD_LOG2E_F / options->temperature);
  }
  double first_left = 1.0, second_left = 1.0;
  for (uint32_t step = 0; step < options->steps; step++) {
    find_gradient(t, model, options, c, rows, numbers, count, values, step);
    for (size_t i = 0; i < size; i++) t->gradient[i] = t->gradient[i] + options->decay * values[i];
    forget_what_does_not_learn(t, options->parts, c->biases);
    first_left *= 0.9;
    second_left *= 0.999;
    const bool adam = options->method == CHORD_LEARN_ADAM;
    const float first_part = adam ? 0.1f : 1.0f;
    const float first_by = (float)(1.0 / (1.0 - first_left)), second_by = (float)(1.0 / (1.0 - second_left));
    if (step == 0) memset(t->forward_bias, 0, chord_round_up(c->count, 16) * sizeof(float));
    bool sound = true;
    for (size_t i = 0; i < size; i++) {
      const float slope = t->gradient[i], before = values[i];
      t->first[i] = 0.9f * t->first[i] + first_part * slope;
      t->second[i] = 0.999f * t->second[i] + 0.001f * slope * slope;
      values[i] -= options->rate * (adam ? t->first[i] * first_by / (sqrtf(t->second[i] * second_by) + 1e-8f) : t->first[i]);
      const size_t plain = chord_plain_parameters(dim);
      if (i >= plain) t->forward_bias[i - plain] = (values[i] - before) * CHORD_LOG2E_F;
      sound = sound && fabsf(values[i]) <= CHORD_LARGEST_PARAMETER;
    }
    if (!sound) return false;
  }
  return true;
}
