/*
 * exercise MASTER THREADS ROUNDS: every variant opens the file; then threads adopt and rerank at once, each with a user vector of its own
 * that comes and goes. Each result must be that of one of the strategies and of that vector. Run under ASan, UBSan and TSan; all buffers have exactly the size that the API asks for.
 */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "../../../kernels/libchord/include/chord.h"
#include "check.h"
#include "wire.h"

enum { STRATEGIES = 4, USERS = 3, CANDIDATES = 33, HISTORY = 9, K = 7 };

typedef struct shared {
  chord_model *model;
  chord_info info;
  uint64_t session_bytes;
  uint8_t *strategies[STRATEGIES];
  int32_t history[HISTORY], candidates[CANDIDATES];
  uint8_t *users[USERS]; /* the first is null: no user vector */
  float expected[USERS][STRATEGIES][CANDIDATES];
  _Atomic int threads; /* begun so far */
  int rounds;
} shared;

static void adopt(const shared *s, int which) {
  chord_status status;
  while ((status = chord_adopt(s->model, s->strategies[which], strategy_bytes(s->info.channels), NULL)) == CHORD_BUSY) sched_yield();
  CHECK(status == CHORD_OK);
}

static void adopt_user(const shared *s, chord_session *session, int which) {
  const size_t size = s->users[which] ? user_vector_bytes(s->info.dim) : 0;
  CHECK(chord_adopt_user(session, s->users[which], size, NULL) == CHORD_OK);
  if (size) CHECK(chord_adopt_user(session, s->users[which], size - 1, NULL) == CHORD_BAD_USER_VECTOR);
}

/* A further page has the scores that the first had, and every pool of a profile lies within what it was given. */
static void page_and_profile(const shared *s, chord_session *session) {
  const uint32_t pools[3] = {1, HISTORY - 1, HISTORY + 50};
  float *hidden = malloc(sizeof(float) * s->info.dim), *profile = malloc(sizeof(float) * (3 * s->info.dim + 1));
  float *scores = malloc(sizeof(float) * CANDIDATES);
  CHECK(hidden && profile && scores);
  CHECK(chord_hidden(session, s->history, HISTORY, hidden) == CHORD_OK);
  for (size_t count = 0; count <= CANDIDATES; count += CANDIDATES)
    CHECK(chord_score_hidden(session, hidden, s->candidates, count, scores) == CHORD_OK);
  const int32_t none = 0;
  CHECK(chord_score_hidden(session, hidden, &none, 1, scores) == CHORD_BAD_CANDIDATE);
  hidden[s->info.dim - 1] = INFINITY;
  CHECK(chord_score_hidden(session, hidden, s->candidates, CANDIDATES, scores) == CHORD_NOT_FINITE);
  CHECK(chord_score_hidden(session, NULL, s->candidates, CANDIDATES, scores) == CHORD_BAD_ARGUMENT);
  for (size_t length = 0; length <= HISTORY; length++) CHECK(chord_profile(s->model, s->history, length, pools, 3, profile) == CHORD_OK);
  CHECK(chord_profile(s->model, NULL, 0, pools, 3, profile) == CHORD_OK);
  CHECK(chord_profile(s->model, s->history, HISTORY, pools + 1, 0, profile) == CHORD_BAD_ARGUMENT);
  CHECK(chord_profile(s->model, s->history, HISTORY, (const uint32_t[]){5, 5}, 2, profile) == CHORD_BAD_ARGUMENT);
  CHECK(chord_profile(s->model, (const int32_t[]){1, 0}, 2, pools, 3, profile) == CHORD_BAD_HISTORY);
  CHECK(chord_profile(s->model, (const int32_t[]){-1}, 1, pools, 3, profile) == CHORD_BAD_HISTORY);
  free(scores);
  free(profile);
  free(hidden);
}

static void *work(void *argument) {
  shared *s = argument;
  const int own = s->threads++ % USERS;
  void *memory = malloc(s->session_bytes);
  chord_session *session;
  CHECK(memory && chord_session_open(s->model, memory, s->session_bytes, &session) == CHORD_OK);
  float *scores = malloc(sizeof(float) * CANDIDATES), *best = malloc(sizeof(float) * K);
  int32_t *items = malloc(sizeof(int32_t) * K);
  CHECK(scores && best && items);
  for (int round = 0; round < s->rounds; round++) {
    if (round % 3 == 0) adopt(s, round / 3 % STRATEGIES);
    const int user = round / 2 % 2 ? own : 0;
    adopt_user(s, session, user);
    for (int page = 0; page < 2; page++) {
      CHECK(chord_rerank(session, s->history, HISTORY, s->candidates, CANDIDATES, scores) == CHORD_OK);
      int matches = 0;
      for (int i = 0; i < STRATEGIES; i++) matches += memcmp(scores, s->expected[user][i], sizeof s->expected[user][i]) == 0;
      CHECK(matches >= 1);
    }
    size_t found = 0;
    CHECK(chord_top_k(session, s->history, HISTORY, K, round % 2, items, best, &found) == CHORD_OK && found <= K);
    if (round % 8 == 0) page_and_profile(s, session);
  }
  free(items);
  free(best);
  free(scores);
  free(memory);
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 4);
  size_t size;
  void *master = read_file(argv[1], &size);
  const int threads = atoi(argv[2]);
  pthread_t *handles = malloc(sizeof(pthread_t) * (size_t)threads);
  for (uint32_t v = 0; chord_variant_name(v); v++) {
    if (!chord_variant_supported(v)) continue;
    shared s = {.rounds = atoi(argv[3]), .info = {.struct_size = sizeof s.info}};
    const chord_options options = {.struct_size = sizeof options, .variant = chord_variant_name(v)};
    chord_sizes sizes = {.struct_size = sizeof sizes};
    chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
    CHECK(chord_query_sizes(master, size, &options, &sizes, &diagnosis) == CHORD_OK);
    void *memory = malloc(sizes.model_bytes);
    CHECK(chord_open(master, size, &options, memory, sizes.model_bytes, &s.model, &diagnosis) == CHORD_OK);
    CHECK(chord_open(master, size, &options, memory, sizes.model_bytes - 1, &s.model, &diagnosis) == CHORD_NO_MEMORY);
    CHECK(chord_describe(s.model, &s.info) == CHORD_OK);
    s.session_bytes = sizes.session_bytes;
    for (int i = 0; i < HISTORY; i++) s.history[i] = 1 + (7 * i + 3) % (int32_t)s.info.items;
    for (int i = 0; i < CANDIDATES; i++) s.candidates[i] = 1 + (5 * i) % (int32_t)s.info.items;
    void *scratch = malloc(s.session_bytes);
    chord_session *session;
    CHECK(chord_session_open(s.model, scratch, s.session_bytes, &session) == CHORD_OK);
    for (int u = 1; u < USERS; u++) s.users[u] = make_user_vector(s.info.fingerprint, s.info.dim, (unsigned)u);
    for (int i = 0; i < STRATEGIES; i++) {
      s.strategies[i] = make_strategy(s.info.fingerprint, s.info.channels, (unsigned)i);
      adopt(&s, i);
      for (int u = 0; u < USERS; u++) {
        adopt_user(&s, session, u);
        for (size_t length = 1; length < HISTORY; length++)
          CHECK(chord_rerank(session, s.history, length, s.candidates, length, s.expected[u][i]) == CHORD_OK);
        CHECK(chord_rerank(session, s.history, HISTORY, s.candidates, CANDIDATES, s.expected[u][i]) == CHORD_OK);
        CHECK(u == 0 || memcmp(s.expected[u][i], s.expected[u - 1][i], sizeof s.expected[u][i]) != 0);
      }
    }
    /* A session that is opened again in the same memory has no vector. */
    CHECK(chord_session_open(s.model, scratch, s.session_bytes, &session) == CHORD_OK);
    CHECK(chord_rerank(session, s.history, HISTORY, s.candidates, CANDIDATES, s.expected[1][0]) == CHORD_OK);
    CHECK(memcmp(s.expected[1][0], s.expected[0][STRATEGIES - 1], sizeof s.expected[1][0]) == 0);
    adopt(&s, 0);
    adopt_user(&s, session, 1);
    CHECK(chord_rerank(session, s.history, HISTORY, s.candidates, CANDIDATES, s.expected[1][0]) == CHORD_OK);
    for (int i = 0; i < threads; i++) CHECK(pthread_create(&handles[i], NULL, work, &s) == 0);
    for (int i = 0; i < threads; i++) CHECK(pthread_join(handles[i], NULL) == 0);
    for (int i = 0; i < STRATEGIES; i++) free(s.strategies[i]);
    for (int i = 0; i < USERS; i++) free(s.users[i]);
    free(scratch);
    free(memory);
    printf("%s\n", options.variant);
  }
  free(handles);
  free(master);
  return 0;
}
