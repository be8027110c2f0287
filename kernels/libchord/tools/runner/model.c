#include "runner.h"

#include "../../include/chord.h"

#include <stdio.h>

const char *const bench_program = "chord_runner", *const bench_target = "native";

struct engine {
  chord_model *model;
  chord_session *session;
  chord_info info;
};

static struct engine opened;
static char runtime[32];

void bench_load(model *m, const options *o) {
  if (o->master) bench_die("--master: it is --artifact here; leave it out");
  struct engine *engine = &opened;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  const chord_options opening = {.struct_size = sizeof opening, .variant = o->variant};
  chord_sizes sizes = {.struct_size = sizeof sizes};
  const file master = bench_map(o->artifact);
  if (chord_query_sizes(master.data, master.bytes, &opening, &sizes, &diagnosis) != CHORD_OK) bench_die("%s: %s", o->artifact, diagnosis.text);
  void *memory = bench_allocate(sizes.model_bytes), *scratch = bench_allocate(sizes.session_bytes);
  if (chord_open(master.data, master.bytes, &opening, memory, sizes.model_bytes, &engine->model, &diagnosis) != CHORD_OK)
    bench_die("%s: %s", o->artifact, diagnosis.text);
  const chord_status status = chord_session_open(engine->model, scratch, sizes.session_bytes, &engine->session);
  if (status != CHORD_OK) bench_die("%s: %s", o->artifact, chord_status_text(status));
  engine->info.struct_size = sizeof engine->info;
  chord_describe(engine->model, &engine->info);
  snprintf(runtime, sizeof runtime, "libchord %u", (unsigned)chord_abi_version());
  m->engine = engine;
  m->runtime = runtime;
  m->variant = engine->info.variant;
  m->threads = 1;
  m->slots = engine->info.max_length;
}

void bench_adopt(model *m, const file *strategy, const char *path) {
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  if (chord_adopt(m->engine->model, strategy->data, strategy->bytes, &diagnosis) != CHORD_OK) bench_die("%s: %s", path, diagnosis.text);
}

void bench_adopt_user(model *m, const char *path) {
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  const file vector = bench_map(path);
  if (chord_adopt_user(m->engine->session, vector.data, vector.bytes, &diagnosis) != CHORD_OK) bench_die("%s: %s", path, diagnosis.text);
}

void bench_call(model *m) {
  const size_t user = m->next;
  const chord_status status = chord_rerank(m->engine->session, m->histories + user * m->slots, m->slots,
                                           m->candidates + user * m->per_user, m->per_user, m->scores + user * m->per_user);
  if (status != CHORD_OK) bench_die("user %zu: %s", user, chord_status_text(status));
  m->next = user + 1 == m->users ? 0 : user + 1;
}
