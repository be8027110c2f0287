/*
 * SASRec (Kang and McAuley, 2018) for one history. Rows are the real positions only: a padded slot is never attended to and
 * its own state is never asked for, so it costs nothing.
 *
 * In the last block only the last position is needed, and its keys and values need not exist: with W the codes and s the
 * scales of the key projection, q . K[t] = sum over c of (q[c] s[c]) W[c] . x[t] + q . b, whose last term is the same for all t and
 * leaves the softmax as it is; and sum over t of p[t] V[t] = W_v (sum over t of p[t] x[t]) + b_v because the p sum to 1.
 */
#include <string.h>

#include "internal.h"

typedef struct run {
  chord_session *session;
  const chord_model *model;
  const chord_slot *slot;
  size_t rows;
} run;

/* Linear layers [first, first + count) that read the same input, which lies quantised in the session, and lie side by side, as one
 * product. */
static chord_gemm product(const run *r, size_t rows, uint32_t first, uint32_t count, int relu, float *out, size_t out_stride) {
  const chord_session *s = r->session;
  const chord_layer *layer = &r->model->layers[first];
  size_t blocks = 0;
  for (uint32_t i = 0; i < count; i++) blocks += chord_round_up(layer[i].virtuals, 16) / 16;
  return (chord_gemm){.rows = rows, .blocks = blocks, .depth = layer->depth, .a = s->a, .a_stride = s->a_stride, .a_scale = s->a_scale,
                      .panel = r->slot->weights + layer->weights, .panel_depth = layer->depth,
                      .correction = r->slot->corrections + layer->lanes, .scale = r->slot->scales + layer->lanes,
                      .bias = r->model->biases + layer->lanes, .out = out, .out_stride = out_stride, .relu = relu};
}

static void linear(const run *r, size_t rows, uint32_t first, int relu, float *out, size_t out_stride) {
  const chord_gemm gemm = product(r, rows, first, 1, relu, out, out_stride);
  r->model->kernels->gemm_qa8_c8(&gemm);
}

static void norm(const run *r, size_t rows, const float *x, const float *delta, chord_norm_weights weights, float *sum_out, float *norm_out,
                 uint8_t *a, float *a_scale) {
  const chord_norm args = {.rows = rows, .dim = r->model->dim, .x = x, .delta = delta, .gamma = weights.gamma, .beta = weights.beta,
                           .eps = r->model->sasrec.eps, .sum_out = sum_out, .norm_out = norm_out, .a = a,
                           .a_stride = r->session->a_stride, .a_scale = a_scale};
  r->model->kernels->norm_f32(&args);
}

/* Feed-forward of `rows` rows whose input lies quantised in the session; the result goes to y. */
static void feed_forward(const run *r, size_t rows, uint32_t first, float *y) {
  chord_session *s = r->session;
  const chord_ukernels *kernels = r->model->kernels;
  const chord_sasrec *config = &r->model->sasrec;
  const size_t wide = config->ffn_padded;
  const chord_gemm inner = product(r, rows, first + 4, 1, !config->gelu, s->wide, wide);
  if (wide == 64 && !config->gelu && kernels->gemm_qa8_c8_qa8) {
    kernels->gemm_qa8_c8_qa8(&inner, s->a, s->a_stride, s->a_scale);
  } else {
    kernels->gemm_qa8_c8(&inner);
    if (config->gelu) kernels->gelu_f32(rows * wide, s->wide);
    kernels->quantize_f32_qa8(rows, wide, s->wide, wide, s->a, s->a_stride, s->a_scale);
  }
  linear(r, rows, first + 5, 0, y, r->model->dim);
}

/* Attention of the last position over x (all rows), whose own row lies quantised in s->a: the result goes to y[0]. */
static void attend_last(const run *r, uint32_t first, const float *x, float *y) {
  chord_session *s = r->session;
  const chord_model *model = r->model;
  const chord_ukernels *kernels = model->kernels;
  const size_t dim = model->dim, heads = model->sasrec.heads, width = dim / heads;
  const chord_layer *key = &model->layers[first + 1], *value = &model->layers[first + 2];
  float *query = s->hidden, *probe = s->wide;
  linear(r, 1, first, 0, query, dim);
  for (size_t c = 0; c < dim; c++) query[c] *= r->slot->scales[key->lanes + c];
  for (size_t h = 0; h < heads; h++)
    kernels->combine_rows_f32(width, dim, query + h * width, r->slot->weights + key->weights + h * width * key->depth, key->depth,
                              probe + h * dim);
  /* x may be y: attend_last_f32 reads all of x before the mix replaces anything, because the mix goes to `wide`. */
  float *mix = probe + heads * dim;
  const chord_attend_last attend = {.rows = r->rows, .dim = dim, .heads = heads, .probe = probe, .x = x, .work = s->work, .out = mix};
  kernels->attend_last_f32(&attend);
  kernels->quantize_f32_qa8(heads, dim, mix, dim, s->a, s->a_stride, s->a_scale);
  float *joined = s->work;
  for (size_t h = 0; h < heads; h++) {
    const size_t block = h * width / 16, end = (h * width + width + 15) / 16;
    float part[CHORD_MAX_DIM];
    const chord_gemm gemm = {
        .rows = 1, .blocks = end - block, .depth = value->depth, .a = s->a + h * s->a_stride, .a_stride = s->a_stride,
        .a_scale = s->a_scale + h, .panel = r->slot->weights + value->weights + block * 16 * value->depth, .panel_depth = value->depth,
        .correction = r->slot->corrections + value->lanes + block * 16, .scale = r->slot->scales + value->lanes + block * 16,
        .bias = model->biases + value->lanes + block * 16, .out = part, .out_stride = CHORD_MAX_DIM};
    kernels->gemm_qa8_c8(&gemm);
    memcpy(joined + h * width, part + (h * width - block * 16), width * sizeof(float));
  }
  kernels->quantize_f32_qa8(1, dim, joined, dim, s->a, s->a_stride, s->a_scale);
  linear(r, 1, first + 3, 0, y, dim);
}

static void attend_all(const run *r, uint32_t first, float *y) {
  chord_session *s = r->session;
  const size_t dim = r->model->dim;
  const chord_gemm qkv = product(r, r->rows, first, 3, 0, s->wide, 3 * dim);
  chord_attend(r->model->kernels, &qkv, dim, r->model->sasrec.heads, s->work, y, s->a, s->a_stride, s->a_scale);
  linear(r, r->rows, first + 3, 0, y, dim);
}

void chord_sasrec_hidden(chord_session *s, const chord_slot *slot, size_t count) {
  const chord_model *model = s->model;
  const chord_sasrec *config = &model->sasrec;
  const size_t dim = model->dim, last = (count - 1) * dim;
  const run r = {.session = s, .model = model, .slot = slot, .rows = count};
  float *x = s->x, *y = s->y;
  model->kernels->embed_e_f32(count, dim, &model->table, s->ids, &config->positions, s->slots, x);
  const float *delta = NULL;
  for (uint32_t block = 0; block < config->blocks; block++) {
    const uint32_t first = 6 * block;
    const bool final = block + 1 == config->blocks;
    /* Input of the block: LN(x) when norms come first, else x, which is the output of the norm before. */
    const chord_norm_weights before =
        config->norm_first ? config->attention[block] : block == 0 ? config->edge : config->feed[block - 1];
    float *sum_out = config->norm_first ? x : NULL, *norm_out = config->norm_first ? NULL : x;
    if (!final) {
      norm(&r, count, x, delta, before, sum_out, norm_out, s->a, s->a_scale);
      attend_all(&r, first, y);
      if (config->norm_first)
        norm(&r, count, x, y, config->feed[block], x, NULL, s->a, s->a_scale);
      else
        norm(&r, count, x, y, config->attention[block], NULL, x, s->a, s->a_scale);
      feed_forward(&r, count, first, y);
      delta = y;
      continue;
    }
    /* All rows are attended to as floats; the last one is also quantised, for the query. */
    float *input = config->norm_first ? y : x;
    norm(&r, count, x, delta, before, sum_out, input, NULL, NULL);
    model->kernels->quantize_f32_qa8(1, dim, input + last, dim, s->a, s->a_stride, s->a_scale);
    float *own = x + last, *change = y;
    attend_last(&r, first, input, change);
    if (config->norm_first) {
      norm(&r, 1, own, change, config->feed[block], own, NULL, s->a, s->a_scale);
      feed_forward(&r, 1, first, change);
      norm(&r, 1, own, change, config->edge, NULL, s->hidden, NULL, NULL);
    } else {
      norm(&r, 1, own, change, config->attention[block], NULL, own, s->a, s->a_scale);
      feed_forward(&r, 1, first, change);
      norm(&r, 1, own, change, config->feed[block], NULL, s->hidden, NULL, NULL);
    }
  }
}
