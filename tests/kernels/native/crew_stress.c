/*
 * crew_stress MASTER THREADS ROUNDS: threads hand batches to one crew at once; whoever finds it busy works alone. Each user must get the
 * scores that a session gives alone, and a batch with a user that is refused must be refused.
 */
#include <string.h>

#include "../../../kernels/crew.h"
#include "stress.h"

enum { USERS = 7, SESSIONS = 3, HISTORY = 5, CANDIDATES = 9 };

static opened o;
static chord_crew *crew;
static int32_t histories[USERS * HISTORY], candidates[USERS * CANDIDATES];
static float expected[USERS * CANDIDATES];
static int rounds;

static void *work(void *unused) {
  chord_session *sessions[SESSIONS];
  void *memories[SESSIONS];
  for (int i = 0; i < SESSIONS; i++) {
    memories[i] = malloc((size_t)o.sizes.session_bytes);
    CHECK(memories[i] && chord_session_open(o.model, memories[i], (size_t)o.sizes.session_bytes, &sessions[i]) == CHORD_OK);
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
  rounds = atoi(argv[3]);
  o = open_model(argv[1]);
  some_ids(&o, histories, USERS * HISTORY, 7);
  some_ids(&o, candidates, USERS * CANDIDATES, 5);
  CHECK(chord_rerank_batch(o.session, USERS, histories, HISTORY, candidates, CANDIDATES, expected) == CHORD_OK);
  crew = chord_crew_open(SESSIONS - 1);
  CHECK(crew);
  run_threads(atoi(argv[2]), work);
  chord_crew_close(crew);
  close_model(&o);
  return 0;
}
