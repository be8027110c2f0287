#include "runner.h"

#include <math.h>
#include <unistd.h>

void bench_inputs(model *m, const options *o) {
  const file histories = bench_map(o->histories), candidates = bench_map(o->candidates);
  const size_t row = m->slots * sizeof(int32_t);
  if (histories.bytes != o->users * row)
    bench_die("%s: %zu bytes are not int32 [%zu users, %zu slots]", o->histories, histories.bytes, o->users, m->slots);
  if (m->per_user && candidates.bytes != o->users * m->per_user * sizeof(int32_t))
    bench_die("%s: %zu bytes are not int32 [%zu users, %zu candidates]", o->candidates, candidates.bytes, o->users, m->per_user);
  if (candidates.bytes % (o->users * sizeof(int32_t)) != 0)
    bench_die("%s: %zu bytes are not int32 [%zu users, n]", o->candidates, candidates.bytes, o->users);
  m->histories = histories.data;
  m->candidates = candidates.data;
  m->users = o->users;
  m->per_user = candidates.bytes / sizeof(int32_t) / o->users;
  m->scores = bench_allocate(candidates.bytes);
}

void bench_write_scores(model *m, const char *path) {
  m->next = 0;
  for (size_t user = 0; user < m->users; user++) bench_call(m);
  for (size_t i = 0; i < m->users * m->per_user; i++)
    if (!isfinite(m->scores[i])) bench_die("user %zu, candidate %zu: the score is not finite", i / m->per_user, i % m->per_user);
  const int descriptor = bench_create(path);
  bench_write(descriptor, path, m->scores, m->users * m->per_user * sizeof *m->scores);
  if (close(descriptor) != 0) bench_die("%s: cannot be written; free some space there", path);
}
