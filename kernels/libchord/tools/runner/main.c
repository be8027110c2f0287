#include "runner.h"

#include <stdlib.h>

enum { COUNT_WARMUP = 30 };

/* A stopped run has no last record, and is not believed. */
static void leave_when_stopped(void) {
  if (bench_stop_signal() != 0) exit(128 + bench_stop_signal());
}

static void adopt_timed(model *m, const options *o, const file *strategy) {
  uint64_t *times = bench_allocate(o->adoptions * sizeof *times);
  for (size_t i = 0; i < o->adoptions; i++) {
    const uint64_t start = bench_now_ns();
    bench_adopt(m, strategy, o->strategy);
    times[i] = bench_now_ns() - start;
  }
  record_adopt(times, o->adoptions);
}

/* No clock is read among what is counted, and the number of calls never depends on time, so that counts repeat. */
static void count_instructions(model *m, const options *o, const file *strategy) {
  const uint64_t start = bench_now_ns();
  for (size_t i = 0; i < COUNT_WARMUP; i++) bench_call(m);
  const warmup w = {.calls = COUNT_WARMUP, .seconds = (double)(bench_now_ns() - start) * 1e-9, .converged = true};
  record_warmup(&w);
  const int counter = bench_counter_open();
  bench_counter_start(counter);
  for (size_t i = 0; i < o->count; i++) bench_call(m);
  const uint64_t instructions = bench_counter_stop(counter);
  double adoption = -1;
  if (strategy->data) {
    bench_counter_start(counter);
    for (size_t i = 0; i < o->adoptions; i++) bench_adopt(m, strategy, o->strategy);
    adoption = (double)bench_counter_stop(counter) / (double)o->adoptions;
  }
  leave_when_stopped();
  if (counter >= 0) record_counts(o->count, instructions, adoption);
  record_end(0, 0);
}

static void measure_memory(model *m, uint64_t before) {
  for (size_t i = 0; i < COUNT_WARMUP; i++) bench_call(m);
  leave_when_stopped();
  record_memory(bench_peak_bytes(), before);
  record_end(0, 0);
}

static void measure_times(model *m, const options *o) {
  const warmup w = bench_warm_up(m);
  leave_when_stopped();
  record_warmup(&w);
  double seconds;
  const size_t samples = bench_measure(m, o, w.call_us, &seconds);
  leave_when_stopped();
  record_end(samples, seconds);
}

int main(int count, char **arguments) {
  const options o = bench_options(count, arguments);
  bench_catch_signals();
  if (o.pid) bench_pid_file(o.pid);
  bench_pin(&o);
  record_open(o.records);

  uint64_t before = 0;
  if (o.memory) {
    bench_reset_peak();
    before = bench_resident_bytes();
  }
  model m = {0};
  const uint64_t start = bench_now_ns();
  bench_load(&m, &o);
  const uint64_t load_ns = bench_now_ns() - start;
  record_start(&m, &o);
  record_load(load_ns);
  bench_inputs(&m, &o);

  file strategy = {0};
  if (o.strategy) {
    strategy = bench_map(o.strategy);
    if (o.count || o.memory) bench_adopt(&m, &strategy, o.strategy);
    else adopt_timed(&m, &o, &strategy);
  }
  if (o.user) bench_adopt_user(&m, o.user);

  const uint64_t calling = bench_now_ns();
  bench_call(&m);
  record_first(bench_now_ns() - calling);
  bench_write_scores(&m, o.scores);
  record_checked(&m);
  leave_when_stopped();

  if (o.count) count_instructions(&m, &o, &strategy);
  else if (o.memory) measure_memory(&m, before);
  else measure_times(&m, &o);
  return 0;
}
