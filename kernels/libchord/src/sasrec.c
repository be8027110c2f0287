/*
 * SASRec (Kang and McAuley, 2018) for one history. Rows are the real positions only: a padded slot is never attended to and
 * its own state is never asked for, so it costs nothing.
 *
 * In the last block only the last position is needed, and its keys and values need not exist: with W the codes and s the
 * scales of the key projection, q . K[t] = sum over c of (q[c] s[c]) W[c] . x[t] + q . b, whose last term is the same for all t and
 * leaves the softmax as it is; and sum over t of p[t] V[t] = W_v (sum over t of p[t] x[t]) + b_v because the p sum to 1.
 *
 * With one head the other blocks do the same in codes, with products that adoption makes (merge.c).
 *
 * A sharp model, one whose logits are so large that 8-bit codes would move them by much, attends in this way in every block, and its
 * activations have 16 bits.
 */
#include <math.h>
#include <string.h>

#include "../ukernels/constants.h"
#include "plan.h"

enum { MAX_BLOCKS = 32 };

typedef struct sasrec {
  uint32_t blocks, heads, ffn, ffn_padded;
  bool gelu, norm_first, from_oldest, sharp;
  float eps;
  chord_table positions;
  chord_norm_weights edge; /* final_norm or embedding_norm */
  chord_norm_weights attention[MAX_BLOCKS];
  chord_norm_weights feed[MAX_BLOCKS];
} sasrec;

CHORD_OWN_FITS(sasrec);

/* Channels of all heads, each padded to 16. */
static size_t heads_width(const sasrec *s, size_t dim) { return s->heads * chord_round_up(dim / s->heads, 16); }

static void plan_block(chord_plan *p, sasrec *s, uint32_t block) {
  const uint32_t dim = p->model->dim;
  s->attention[block] = chord_plan_norm(p, chord_named("blocks.%u.attention_norm", block).text);
  s->feed[block] = chord_plan_norm(p, chord_named("blocks.%u.ffn_norm", block).text);
  chord_layer *query = chord_plan_layer(p, chord_named("blocks.%u.query", block).text, dim, dim);
  chord_plan_layer(p, chord_named("blocks.%u.key", block).text, dim, dim);
  chord_plan_layer(p, chord_named("blocks.%u.value", block).text, dim, dim);
  chord_plan_layer(p, chord_named("blocks.%u.output", block).text, dim, dim);
  chord_plan_layer(p, chord_named("blocks.%u.ffn1", block).text, s->ffn, dim);
  chord_plan_layer(p, chord_named("blocks.%u.ffn2", block).text, dim, s->ffn);
  if (p->status != CHORD_OK) return;
  query->factor = CHORD_LOG2E / sqrtf((float)(dim / s->heads));
  query[0].part = CHORD_QUERY;
  query[1].part = CHORD_KEY;
  for (int i = 0; i < 3; i++) query[i].groups = s->heads;
  for (int i = 0; i < 3; i++) query[i].leaves = CHORD_BIAS;
  query[3].leaves = query[5].leaves = CHORD_STREAM;
  query[4].leaves = s->gelu ? CHORD_BIAS_GELU : CHORD_BIAS_RELU;
  query[3].reads = query[5].reads = 1;
  query[3].depth = (uint32_t)heads_width(s, dim);
}

/* The norm before a block's attention. */
static chord_norm_weights before(const sasrec *s, uint32_t block) {
  return s->norm_first ? s->attention[block] : block == 0 ? s->edge : s->feed[block - 1];
}

static void plan(chord_plan *p) {
  const chord_model *model = p->model;
  sasrec *s = CHORD_OWN(sasrec, p->model);
  s->blocks = chord_plan_integer(p, "blocks", 1, MAX_BLOCKS);
  s->heads = chord_plan_integer(p, "heads", 1, CHORD_MAX_DIM);
  s->ffn = chord_plan_integer(p, "ffn_dim", 1, CHORD_MAX_DEPTH);
  s->ffn_padded = (uint32_t)chord_round_up(s->ffn, 16);
  s->norm_first = chord_plan_integer(p, "norm_first", 0, 1) != 0;
  /* Positions of slots need no entry: masters were made before there were others. */
  chord_entry entry;
  s->from_oldest = chord_master_find(p->master, "config/positions_from_oldest", &entry) && chord_plan_integer(p, "positions_from_oldest", 0, 1);
  s->gelu = chord_plan_word_is(p, "activation", "gelu");
  if (!s->gelu && !chord_plan_word_is(p, "activation", "relu")) chord_plan_refuse(p, "activation is neither relu nor gelu");
  if (p->status == CHORD_OK && model->dim % s->heads != 0) chord_plan_refuse(p, "heads does not divide dim");
  const float *eps = chord_plan_floats(p, "config/norm_eps", 1, 1, 0, true);
  if (p->status != CHORD_OK) return;
  s->eps = *eps;
  if (!(s->eps >= 1e-12f)) chord_plan_refuse(p, "norm_eps is too small");
  s->positions = chord_plan_table(p, "position_embedding", model->max_length);
  s->edge = chord_plan_norm(p, s->norm_first ? "final_norm" : "embedding_norm");
  for (uint32_t i = 0; i < s->blocks && p->status == CHORD_OK; i++) plan_block(p, s, i);
  if (p->status != CHORD_OK) return;
  chord_layer *layers = p->model->layers;
  for (uint32_t i = 0; i < s->blocks; i++)
    if (chord_sharp(&layers[6 * i], &layers[6 * i + 1], before(s, i), model->dim / s->heads)) s->sharp = true;
  for (uint32_t i = 0; i < s->blocks; i++) {
    chord_layer *query = &layers[6 * i];
    if (s->sharp || i + 1 == s->blocks) {
      query[1].form = CHORD_ROWS;
    } else if (s->heads == 1) {
      query[0].merging = CHORD_MEETING;
      query[2].merging = CHORD_FOLLOWED;
    }
  }
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Zeros [widest layer] lie in `work` behind the attention weights of one query. */
static size_t zeros_at(const chord_model *model) { return chord_round_up(model->max_length + 16, 16); }

/* A sharp model has twice the rows, for the low halves of its activations. */
static chord_room room(const chord_model *model) {
  const sasrec *s = CHORD_OWN(const sasrec, model);
  const size_t rows = model->max_length, joined = heads_width(s, model->dim), inputs = larger(joined, s->ffn_padded);
  return (chord_room){
      .rows = s->sharp ? 2 * rows : rows,
      .narrow = joined,
      .wide = larger(3 * joined, s->ffn_padded),
      .inputs = inputs,
      .work = s->sharp ? zeros_at(model) + inputs
                       : larger(chord_attend_bytes(rows, model->dim / s->heads) / sizeof(float), zeros_at(model)),
  };
}

typedef struct run {
  chord_session *session;
  const chord_model *model;
  const sasrec *config;
  const chord_slot *slot;
  size_t rows;
} run;

/* Rows [rows][width] to the session as activations of the model's kind. */
static void quantize(const run *r, size_t rows, size_t width, const float *x) {
  chord_session *s = r->session;
  if (r->config->sharp)
    chord_quantize_halves(s, rows, width, x);
  else
    r->model->kernels->quantize_f32_qa8(rows, width, x, width, s->a, s->a_stride, s->a_scale);
}

/* A product with them. */
static void multiply(const run *r, const chord_gemm *gemm) {
  if (r->config->sharp)
    chord_multiply_halves(r->session, gemm, r->session->work + zeros_at(r->model));
  else
    r->model->kernels->gemm_qa8_c8(gemm);
}

/* Channels of a layer in the slot, those that are padding with them. */
static size_t channels(const run *r, uint32_t layer) { return 16 * (size_t)r->slot->extents[layer].blocks; }

/* Linear layers [first, first + count) that read the same input, which lies quantised in the session, as one product. */
static chord_gemm product(const run *r, size_t rows, uint32_t first, uint32_t count, int relu, float *out, size_t out_stride) {
  size_t lanes = 0;
  for (uint32_t i = 0; i < count; i++) lanes += channels(r, first + i);
  return chord_product(r->session, r->slot, &r->model->layers[first], lanes / 16, rows, relu, out, out_stride);
}

/* A layer to all channels of the residual stream: those that are off, and have no lane, get their bias. */
CHORD_CODE_PART(transformers) static void linear_to_stream(const run *r, size_t rows, uint32_t index, float *y) {
  const chord_layer *layer = &r->model->layers[index];
  const size_t lanes = channels(r, index), dim = r->model->dim;
  float *results = lanes < dim ? r->session->wide : y;
  const chord_gemm gemm = product(r, rows, index, 1, 0, results, lanes);
  multiply(r, &gemm);
  if (lanes == dim) return;
  const chord_spread spread = {.rows = rows, .dim = dim, .x = results, .x_stride = lanes, .places = r->slot->places + layer->places_at,
                               .fill = layer->bias, .out = y, .out_stride = dim};
  r->model->kernels->spread_f32(&spread);
}

static void norm(const run *r, size_t rows, const float *x, const float *delta, chord_norm_weights weights, float *sum_out, float *norm_out,
                 uint8_t *a, float *a_scale) {
  const chord_norm args = {.rows = rows, .dim = r->model->dim, .x = x, .delta = delta, .gamma = weights.gamma, .beta = weights.beta,
                           .eps = r->config->eps, .sum_out = sum_out, .norm_out = norm_out, .a = a,
                           .a_stride = r->session->a_stride, .a_scale = a_scale};
  r->model->kernels->norm_f32(&args);
}

/* The norm, whose result also goes to the session as activations. norm_out may be null: `y` may be overwritten then. */
CHORD_CODE_PART(transformers)
static void norm_to_activations(const run *r, size_t rows, const float *x, const float *delta, chord_norm_weights weights, float *sum_out,
                                float *norm_out) {
  chord_session *s = r->session;
  if (!r->config->sharp) {
    norm(r, rows, x, delta, weights, sum_out, norm_out, s->a, s->a_scale);
    return;
  }
  float *kept = norm_out ? norm_out : s->y;
  norm(r, rows, x, delta, weights, sum_out, kept, NULL, NULL);
  quantize(r, rows, r->model->dim, kept);
}

/* Feed-forward of `rows` rows whose input lies quantised in the session; the result goes to y. */
CHORD_CODE_PART(transformers) static void feed_forward(const run *r, size_t rows, uint32_t first, float *y) {
  chord_session *s = r->session;
  const chord_ukernels *kernels = r->model->kernels;
  const sasrec *config = r->config;
  const size_t wide = channels(r, first + 4);
  const chord_gemm inner = product(r, rows, first + 4, 1, !config->gelu, s->wide, wide);
  if (wide == 64 && !config->gelu && !config->sharp && kernels->gemm_qa8_c8_qa8) {
    kernels->gemm_qa8_c8_qa8(&inner, s->a, s->a_stride, s->a_scale);
  } else {
    multiply(r, &inner);
    if (config->gelu) kernels->gelu_f32(rows * wide, s->wide);
    quantize(r, rows, wide, s->wide);
  }
  linear_to_stream(r, rows, first + 5, y);
}

/* Attention in floats of positions [from, r->rows) over x (all rows), keys and values absorbed. These positions lie quantised in the
 * session; their results go to the first rows of y, which may be x. */
CHORD_CODE_PART(transformers) static void attend(const run *r, uint32_t first, const float *x, size_t from, float *y) {
  chord_session *s = r->session;
  const chord_model *model = r->model;
  const chord_slot *slot = r->slot;
  const chord_ukernels *kernels = model->kernels;
  const size_t dim = model->dim, heads = r->config->heads, rows = r->rows - from, queries = channels(r, first), width = channels(r, first + 2);
  const chord_extent *key = &slot->extents[first + 1], *value = &slot->extents[first + 2];
  const chord_group *key_head = slot->groups + model->layers[first + 1].groups_at;
  float *query = s->wide, *mix = query + rows * queries, *joined = mix + rows * dim, *probe = s->hidden;
  const chord_gemm all = product(r, rows, first, 1, 0, query, queries);
  multiply(r, &all);
  for (size_t row = 0; row < rows; row++)
    for (size_t c = 0; c < queries; c++) query[row * queries + c] *= slot->scales[key->lanes + c];
  for (size_t head = 0; head < heads; head++, key_head++) {
    const size_t column = key_head->first - key->lanes, at = key_head[heads].first - value->lanes;
    for (size_t row = 0; row < rows; row++) {
      kernels->combine_rows_f32(key_head->count, dim, query + row * queries + column, slot->weights + key->weights + column * dim, dim, probe);
      const chord_attend_last one = {.rows = from + row + 1, .dim = dim, .heads = 1, .probe = probe, .x = x, .work = s->work,
                                     .out = mix + row * dim};
      kernels->attend_last_f32(&one);
    }
    quantize(r, rows, dim, mix);
    chord_gemm gemm = product(r, rows, first + 2, 1, 0, joined + at, width);
    gemm.blocks = key_head[heads].width / 16;
    gemm.panel += at * dim;
    gemm.correction += at;
    gemm.scale += at;
    gemm.bias += at;
    multiply(r, &gemm);
  }
  quantize(r, rows, width, joined);
  linear_to_stream(r, rows, first + 3, y);
}

/* Attention in 8 bits of all positions, which lie quantised in the session. */
static void attend_in_codes(const run *r, uint32_t first, float *y) {
  chord_session *s = r->session;
  const chord_model *model = r->model;
  const chord_slot *slot = r->slot;
  const chord_gemm qkv = product(r, r->rows, first, 3, 0, s->wide, s->wide_stride);
  chord_attend(model->kernels, &qkv, slot->groups + model->layers[first].groups_at, r->config->heads, slot->extents[first + 3].depth, s->work,
               y, s->a, s->a_stride, s->a_scale);
  linear_to_stream(r, r->rows, first + 3, y);
}

/* What is added after the embedding's norm is a change of its beta; where there is no such norm, hidden() adds it. */
static void user(const chord_model *model, float *values) {
  const sasrec *s = CHORD_OWN(const sasrec, model);
  for (size_t i = 0; !s->norm_first && i < model->dim; i++) values[i] += s->edge.beta[i];
}

CHORD_CODE_PART(transformers) static void hidden(chord_session *s, const chord_slot *slot, size_t count) {
  const chord_model *model = s->model;
  const sasrec *config = CHORD_OWN(const sasrec, model);
  const size_t dim = model->dim, last = (count - 1) * dim;
  const run r = {.session = s, .model = model, .config = config, .slot = slot, .rows = count};
  float *x = s->x, *y = s->y;
  for (size_t i = 0; config->from_oldest && i < count; i++) s->slots[i] = (int32_t)i;
  model->kernels->embed_e_f32(count, dim, &model->table, s->ids, &config->positions, s->slots, x);
  const float *added = s->user;
  chord_norm_weights embedding = config->edge;
  if (added && !config->norm_first) embedding.beta = added;
  for (float *row = x; added && config->norm_first && row < x + count * dim; row += dim)
    for (size_t i = 0; i < dim; i++) row[i] += added[i];
  const float *delta = NULL;
  for (uint32_t block = 0; block < config->blocks; block++) {
    const uint32_t first = 6 * block;
    const bool final = block + 1 == config->blocks;
    /* Input of the block: LN(x) when norms come first, else x, which is the output of the norm before. */
    const chord_norm_weights weights = block == 0 && !config->norm_first ? embedding : before(config, block);
    float *sum_out = config->norm_first ? x : NULL, *input = config->norm_first ? y : x;
    if (!final) {
      norm_to_activations(&r, count, x, delta, weights, sum_out, config->norm_first ? NULL : x);
      if (config->sharp)
        attend(&r, first, input, 0, y);
      else
        attend_in_codes(&r, first, y);
      if (config->norm_first)
        norm_to_activations(&r, count, x, y, config->feed[block], x, NULL);
      else
        norm_to_activations(&r, count, x, y, config->attention[block], NULL, x);
      feed_forward(&r, count, first, y);
      delta = y;
      continue;
    }
    /* All rows are attended to as floats; the last one is also quantised, for the query. */
    norm(&r, count, x, delta, weights, sum_out, input, NULL, NULL);
    quantize(&r, 1, dim, input + last);
    float *own = x + last, *change = y;
    attend(&r, first, input, count - 1, change);
    if (config->norm_first) {
      norm_to_activations(&r, 1, own, change, config->feed[block], own, NULL);
      feed_forward(&r, 1, first, change);
      norm(&r, 1, own, change, config->edge, NULL, s->hidden, NULL, NULL);
    } else {
      norm_to_activations(&r, 1, own, change, config->attention[block], NULL, own);
      feed_forward(&r, 1, first, change);
      norm(&r, 1, own, change, config->feed[block], NULL, s->hidden, NULL, NULL);
    }
  }
}

CHORD_CODE_DECLARE(transformers)

const chord_backbone chord_backbone_sasrec = {
    .name = "sasrec", .code = CHORD_CODE(transformers), .plan = plan, .room = room, .hidden = hidden, .user = user};
