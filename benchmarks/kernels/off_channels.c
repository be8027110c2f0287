/* For benchmarks/kernels/off_channels.py: MASTER VARIANT ROUNDS STRATEGY...: ns of adoption, of a rerank (100 candidates, a full history) and of each
 * product of the first block, under each strategy. They take turns; of each a round's mean over some 50 us of calls, and of the rounds the shortest. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../kernels/libchord/src/internal.h"
#include "files.h"

enum { MAX_STRATEGIES = 8, LAYERS = 6, KINDS = LAYERS + 2, MOST_CALLS = 200, SPAN = 50000 /* ns, much less than what a scheduler gives */, CANDIDATES = 100 };

typedef struct contender {
  chord_model *model;
  chord_session *session;
  void *strategy;
  size_t bytes;
  double ns[KINDS];
} contender;

static int32_t history[CHORD_MAX_LENGTH], candidates[CANDIDATES];
static float scores[CANDIDATES];

static double now(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A product of the first block, and what puts its results where they belong: all channels of the residual stream, or heads apart. */
static void product(const contender *c, int kind) {
  static int32_t own[CHORD_MAX_DIM];
  static float zeros[CHORD_MAX_DIM];
  const chord_session *s = c->session;
  const chord_model *model = c->model;
  const chord_layer *layer = &model->layers[kind];
  const chord_slot *slot = &model->slots[atomic_load(&c->model->current) & 1];
  const chord_group *groups = slot->groups + layer->groups_at;
  const size_t blocks = slot->extents[kind].blocks, lanes = 16 * blocks, stride = layer->leaves == CHORD_STREAM ? lanes : s->wide_stride;
  const chord_gemm gemm = chord_product(s, slot, layer, blocks, model->max_length, 0, s->wide, stride);
  if (!blocks) return;
  model->kernels->gemm_qa8_c8(&gemm);
  chord_spread spread = {.rows = gemm.rows, .dim = layer->out, .x = s->wide, .x_stride = stride, .places = slot->places + layer->places_at,
                         .fill = layer->bias, .out = s->y, .out_stride = layer->out};
  if (layer->leaves == CHORD_STREAM && lanes < layer->out) model->kernels->spread_f32(&spread);
  for (uint32_t i = 0; i < layer->groups && groups->joined; i++, groups++) {
    for (uint32_t lane = 0; lane < groups->width; lane++) own[lane] = lane < groups->count ? (int32_t)lane : ~(int32_t)groups->count;
    spread.x = s->wide + (groups->first - slot->extents[kind].lanes);
    spread.places = own;
    spread.fill = zeros;
    spread.dim = groups->width;
    model->kernels->spread_f32(&spread);
  }
}

static void run(const contender *c, int kind) {
  chord_session *s = c->session;
  if (kind == LAYERS) {
    history[0] = history[0] == 1 ? 2 : 1; /* a session remembers its last history */
    if (chord_rerank(s, history, c->model->max_length, candidates, CANDIDATES, scores)) need(NULL, "rerank");
  } else if (kind > LAYERS) {
    if (chord_adopt(c->model, c->strategy, c->bytes, NULL)) need(NULL, "adopt");
  } else {
    product(c, kind);
  }
}

int main(int count, char **arguments) {
  const int strategies = count - 4, rounds = count > 3 ? atoi(arguments[3]) : 0;
  if (strategies < 1 || strategies > MAX_STRATEGIES || rounds < 1) need(NULL, "MASTER VARIANT ROUNDS STRATEGY...");
  contender all[MAX_STRATEGIES];
  size_t bytes;
  const void *master = read_all(arguments[1], &bytes);
  for (int i = 0; i < strategies; i++) {
    contender *c = &all[i];
    chord_sizes sizes = {.struct_size = sizeof sizes};
    const chord_options options = {.struct_size = sizeof options, .variant = arguments[2]};
    c->strategy = read_all(arguments[4 + i], &c->bytes);
    if (chord_query_sizes(master, bytes, &options, &sizes, NULL)) need(NULL, "the master");
    if (chord_open(master, bytes, &options, need(malloc(sizes.model_bytes), "no memory"), sizes.model_bytes, &c->model, NULL) ||
        chord_session_open(c->model, need(malloc(sizes.session_bytes), "no memory"), sizes.session_bytes, &c->session))
      need(NULL, "the model");
    for (int kind = 0; kind < KINDS; kind++) c->ns[kind] = 1e30;
    run(c, LAYERS + 1);
  }
  const chord_model *model = all[0].model;
  srand(1);
  for (uint32_t i = 0; i < model->max_length; i++) history[i] = 1 + rand() % (int)model->items;
  for (int i = 0; i < CANDIDATES; i++) candidates[i] = 1 + rand() % (int)model->items;
  for (int round = 0; round < rounds; round++)
    for (int kind = 0; kind < KINDS; kind++)
      for (int turn = 0; turn < strategies; turn++) {
        contender *c = &all[(turn + round) % strategies];
        double begun = now();
        run(c, kind);
        const double expected = now() - begun;
        const int calls = expected * MOST_CALLS < SPAN ? MOST_CALLS : 1 + (int)(SPAN / expected);
        begun = now();
        for (int call = 0; call < calls; call++) run(c, kind);
        const double spent = (now() - begun) / calls;
        c->ns[kind] = spent < c->ns[kind] ? spent : c->ns[kind];
      }
  for (int i = 0; i < strategies; i++)
    for (int kind = 0; kind < KINDS; kind++) printf("%.0f%c", all[i].ns[kind], kind + 1 == KINDS ? '\n' : ' ');
  return 0;
}
