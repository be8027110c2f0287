/*
 * adopt_stress MASTER THREADS ROUNDS: threads adopt and rerank in turns, none ever tries an adoption twice. Prints how many were adopted, how many
 * were told CHORD_BUSY and how long adoptions and reranks took; fails when more than one in a hundred was busy, or a result is none of those
 * of the strategies.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "stress.h"
#include "wire.h"

enum { STRATEGIES = 4, CANDIDATES = 33, HISTORY = 9 };

static opened o;
static uint8_t *strategies[STRATEGIES];
static int32_t history[HISTORY], candidates[CANDIDATES];
static float expected[STRATEGIES][CANDIDATES];
static unsigned long rounds;
static atomic_ulong adopted, busy, adopt_ns, adopt_longest_ns, rerank_ns, rerank_longest_ns, begun;

static unsigned long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (unsigned long)t.tv_sec * 1000000000ul + (unsigned long)t.tv_nsec;
}

static void note(atomic_ulong *sum, atomic_ulong *longest, unsigned long ns) {
  *sum += ns;
  unsigned long most = *longest;
  while (ns > most && !atomic_compare_exchange_weak(longest, &most, ns)) {}
}

static void *work(void *unused) {
  unsigned long turn = begun++;
  void *memory = malloc((size_t)o.sizes.session_bytes);
  chord_session *session;
  CHECK(memory && chord_session_open(o.model, memory, (size_t)o.sizes.session_bytes, &session) == CHORD_OK);
  for (unsigned long round = 0; round < rounds; round++, turn++) {
    unsigned long start = now_ns();
    const chord_status status = chord_adopt(o.model, strategies[turn % STRATEGIES], strategy_bytes(o.info.channels), NULL);
    note(&adopt_ns, &adopt_longest_ns, now_ns() - start);
    CHECK(status == CHORD_OK || status == CHORD_BUSY);
    if (status == CHORD_OK) adopted++;
    else busy++;
    float scores[CANDIDATES];
    start = now_ns();
    CHECK(chord_rerank(session, history, HISTORY, candidates, CANDIDATES, scores) == CHORD_OK);
    note(&rerank_ns, &rerank_longest_ns, now_ns() - start);
    int matches = 0;
    for (int i = 0; i < STRATEGIES; i++) matches += memcmp(scores, expected[i], sizeof scores) == 0;
    CHECK(matches >= 1);
  }
  free(memory);
  return unused;
}

int main(int argc, char **argv) {
  CHECK(argc == 4);
  const int threads = atoi(argv[2]);
  rounds = strtoul(argv[3], NULL, 10);
  o = open_model(argv[1]);
  some_ids(&o, history, HISTORY, 7);
  some_ids(&o, candidates, CANDIDATES, 5);
  for (int i = 0; i < STRATEGIES; i++) {
    strategies[i] = make_strategy(o.info.fingerprint, o.info.channels, (unsigned)i);
    CHECK(chord_adopt(o.model, strategies[i], strategy_bytes(o.info.channels), NULL) == CHORD_OK);
    CHECK(chord_rerank(o.session, history, HISTORY, candidates, CANDIDATES, expected[i]) == CHORD_OK);
  }
  const unsigned long start = now_ns();
  run_threads(threads, work);
  const double calls = (double)(adopted + busy);
  printf("%d threads, %.2f s: %lu adopted, %lu busy; adoption %.1f us, longest %.0f; rerank %.1f us, longest %.0f\n", threads,
         (double)(now_ns() - start) * 1e-9, (unsigned long)adopted, (unsigned long)busy, (double)adopt_ns / calls * 1e-3,
         (double)adopt_longest_ns * 1e-3, (double)rerank_ns / calls * 1e-3, (double)rerank_longest_ns * 1e-3);
  for (int i = 0; i < STRATEGIES; i++) free(strategies[i]);
  close_model(&o);
  return busy * 100 > adopted + busy;
}
