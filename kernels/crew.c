#include "crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* How often the end of a helper's last user, and the next batch, are looked for before they are slept for: a few users' time, as waking up takes
 * longer. */
enum { LOOKS = 40000 };

typedef struct batch {
  chord_session **sessions;
  size_t users, history_length, candidate_count;
  const int32_t *histories, *candidates;
  float *scores;
  atomic_size_t next;
  atomic_int status;
} batch;

struct chord_crew {
  pthread_mutex_t lock;
  pthread_cond_t begin, end;
  batch *batch;
  /* Changed under the lock only, like the rest. */
  atomic_size_t wanted; /* helpers that may still join; they have the sessions 1 to wanted */
  atomic_size_t at_work;
  atomic_int closing;
  int busy;
  size_t helpers;
  pthread_t threads[];
};

static void work(batch *b, chord_session *session) {
  for (size_t user; (user = atomic_fetch_add(&b->next, 1)) < b->users;) {
    const chord_status status =
        chord_rerank(session, b->histories + user * b->history_length, b->history_length, b->candidates + user * b->candidate_count,
                     b->candidate_count, b->scores + user * b->candidate_count);
    if (status == CHORD_OK) continue;
    atomic_store(&b->status, (int)status);
    atomic_store(&b->next, b->users);
  }
}

static void *help(void *argument) {
  chord_crew *crew = argument;
  pthread_mutex_lock(&crew->lock);
  for (;;) {
    while (!crew->wanted && !crew->closing) pthread_cond_wait(&crew->begin, &crew->lock);
    if (crew->closing) break;
    batch *b = crew->batch;
    chord_session *session = b->sessions[crew->wanted--];
    crew->at_work++;
    pthread_mutex_unlock(&crew->lock);
    work(b, session);
    pthread_mutex_lock(&crew->lock);
    if (--crew->at_work == 0) pthread_cond_signal(&crew->end);
    pthread_mutex_unlock(&crew->lock);
    for (int look = 0; look < LOOKS && !atomic_load(&crew->wanted) && !atomic_load(&crew->closing); look++) {}
    pthread_mutex_lock(&crew->lock);
  }
  pthread_mutex_unlock(&crew->lock);
  return NULL;
}

chord_crew *chord_crew_open(size_t helpers) {
  chord_crew *crew = calloc(1, sizeof *crew + helpers * sizeof crew->threads[0]);
  if (!crew) return NULL;
  pthread_mutex_init(&crew->lock, NULL);
  pthread_cond_init(&crew->begin, NULL);
  pthread_cond_init(&crew->end, NULL);
  while (crew->helpers < helpers && pthread_create(&crew->threads[crew->helpers], NULL, help, crew) == 0) crew->helpers++;
  return crew;
}

void chord_crew_close(chord_crew *crew) {
  pthread_mutex_lock(&crew->lock);
  crew->closing = 1;
  pthread_cond_broadcast(&crew->begin);
  pthread_mutex_unlock(&crew->lock);
  for (size_t i = 0; i < crew->helpers; i++) pthread_join(crew->threads[i], NULL);
  pthread_cond_destroy(&crew->end);
  pthread_cond_destroy(&crew->begin);
  pthread_mutex_destroy(&crew->lock);
  free(crew);
}

chord_status chord_crew_rerank(chord_crew *crew, chord_session **sessions, size_t threads, size_t users, const int32_t *histories,
                               size_t history_length, const int32_t *candidates, size_t candidate_count, float *scores) {
  batch b = {.sessions = sessions, .users = users, .history_length = history_length, .candidate_count = candidate_count,
             .histories = histories, .candidates = candidates, .scores = scores};
  pthread_mutex_lock(&crew->lock);
  const int alone = crew->busy || threads < 2;
  if (!alone) {
    crew->busy = 1;
    crew->batch = &b;
    crew->wanted = threads - 1 < crew->helpers ? threads - 1 : crew->helpers;
    pthread_cond_broadcast(&crew->begin);
  }
  pthread_mutex_unlock(&crew->lock);
  work(&b, sessions[0]);
  if (!alone) {
    pthread_mutex_lock(&crew->lock);
    crew->wanted = 0;
    pthread_mutex_unlock(&crew->lock);
    for (int look = 0; look < LOOKS && atomic_load(&crew->at_work); look++) {}
    pthread_mutex_lock(&crew->lock);
    while (crew->at_work) pthread_cond_wait(&crew->end, &crew->lock);
    crew->busy = 0;
    pthread_mutex_unlock(&crew->lock);
  }
  return (chord_status)atomic_load(&b.status);
}
