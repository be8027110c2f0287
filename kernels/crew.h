/* Threads that share out a batch of reranks, and stay for the next one: of the Python binding, libchord itself starts none. */
#ifndef CHORD_CREW_H
#define CHORD_CREW_H

#include "libchord/include/chord.h"

typedef struct chord_crew chord_crew;

/* Null: there is no memory. Fewer threads than `helpers` begin where the system gives no more. */
chord_crew *chord_crew_open(size_t helpers);
/* No batch may run. Never in a forked process, which has none of the threads. */
void chord_crew_close(chord_crew *crew);

/* chord_rerank_batch with a session for each thread, this one and up to `threads` - 1 helpers, that take user after user. Helpers that come late
 * are not waited for, nor those that are busy with another batch. When it fails, any users may have their results. */
chord_status chord_crew_rerank(chord_crew *crew, chord_session **sessions, size_t threads, size_t users, const int32_t *histories,
                               size_t history_length, const int32_t *candidates, size_t candidate_count, float *scores);

#endif
