/*
 * crew_stress MASTER THREADS ROUNDS: threads hand batches to one crew at once; whoever finds it busy works alone. Each user must get the
 * scores that a session gives alone, and a batch with a user that is refused must be refused.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../../kernels/crew.h"
#include "check.h"

enum { USERS = 7, SESSIONS = 3, HISTORY = 5, CANDIDATES = 9 };

static chord_model *model;
static chord_crew *crew;
static chord_sizes sizes = {.struct_size = sizeof sizes};
static int32_t histories[USERS * HISTORY], candidates[USERS * CANDIDATES];
static float expected[USERS * CANDIDATES];
static int rounds;

static void *work(void *unused) {
  chord_session *sessions[SESSIONS];
  void *memories[SESSIONS];
  for (int i = 0; i < SESSIONS; i++) {
    memories[i] = malloc((size_t)sizes.session_bytes);
    CHECK(memories[i] && chord_session_open(model, memories[i], (size_t)sizes.session_bytes, &sessions[i]) == CHORD_OK);
  }
  float scores[USERS * CANDIDATES];
  for (int round = 0; round < rounds; round++) {
    memset(scores, 0, sizeof scores);
    const size_t users = (size_t)(1 + round % USERS), threads = (size_t)(1 + round % SESSIONS);
    CHECK(chord_crew_rerank(crew, sessions, threads, users, histories, HISTORY, candidates, CANDIDATES, scores) == CHORD_OK);
    CHECK(memcmp(scores, expected, users * CANDIDATES * sizeof *scores) == 0);
    int32_t wrong[USERS * HISTORY];
    memcpy(wrong, histories, sizeof wrong);
    wrong[round % USERS * HISTORY] = -1;
    CHECK(chord_crew_rerank(crew, sessions, threads, USERS, wrong, HISTORY, candidates, CANDIDATES, scores) == CHORD_BAD_HISTORY);
  }
  for (int i = 0; i < SESSIONS; i++) free(memories[i]);
  return unused;
}

int main(int argc, char **argv) {
  CHECK(argc == 4);
  size_t size;
  void *master = read_file(argv[1], &size);
  const int threads = atoi(argv[2]);
  rounds = atoi(argv[3]);
  chord_info info = {.struct_size = sizeof info};
  CHECK(chord_query_sizes(master, size, NULL, &sizes, NULL) == CHORD_OK);
  void *memory = malloc((size_t)sizes.model_bytes), *scratch = malloc((size_t)sizes.session_bytes);
  chord_session *session;
  CHECK(chord_open(master, size, NULL, memory, (size_t)sizes.model_bytes, &model, NULL) == CHORD_OK);
  CHECK(chord_describe(model, &info) == CHORD_OK);
  CHECK(chord_session_open(model, scratch, (size_t)sizes.session_bytes, &session) == CHORD_OK);
  for (int i = 0; i < USERS * HISTORY; i++) histories[i] = 1 + (7 * i + 3) % (int32_t)info.items;
  for (int i = 0; i < USERS * CANDIDATES; i++) candidates[i] = 1 + (5 * i) % (int32_t)info.items;
  CHECK(chord_rerank_batch(session, USERS, histories, HISTORY, candidates, CANDIDATES, expected) == CHORD_OK);
  crew = chord_crew_open(SESSIONS - 1);
  CHECK(crew);
  pthread_t *handles = malloc(sizeof(pthread_t) * (size_t)threads);
  for (int i = 0; i < threads; i++) CHECK(pthread_create(&handles[i], NULL, work, NULL) == 0);
  for (int i = 0; i < threads; i++) CHECK(pthread_join(handles[i], NULL) == 0);
  chord_crew_close(crew);
  free(handles);
  free(scratch);
  free(memory);
  free(master);
  return 0;
}
