#include "runner.h"

#include <math.h>

enum {
  WINDOW = 30,              /* calls of a moving average */
  LINE = 64,                /* bytes of a cache line */
  BLOCK_SAMPLES = 1 << 16,  /* most samples of a block */
  FILE_SAMPLES = 2000000    /* most samples of a run of --max-seconds: the records stay below 64 MiB */
};
static const double AGREEMENT = 0.04, LEAST_S = 0.25, MOST_S = 8, SHORTEST_SAMPLE_US = 10;

static double mean_us(const uint64_t *ring, size_t first, size_t size) {
  uint64_t sum = 0;
  for (size_t i = 0; i < WINDOW; i++) sum += ring[(first + i) % size];
  return (double)sum * 1e-3 / WINDOW;
}

warmup bench_warm_up(model *m) {
  uint64_t ring[2 * WINDOW] = {0};
  warmup w = {0};
  const uint64_t begin = bench_now_ns();
  for (uint64_t start = begin; bench_stop_signal() == 0;) {
    bench_call(m);
    const uint64_t end = bench_now_ns();
    ring[w.calls++ % (2 * WINDOW)] = end - start;
    start = end;
    w.seconds = (double)(end - begin) * 1e-9;
    const size_t oldest = w.calls % (2 * WINDOW);
    if (w.calls >= 2 * WINDOW && w.seconds >= LEAST_S) {
      const double before = mean_us(ring, oldest, 2 * WINDOW), now = mean_us(ring, oldest + WINDOW, 2 * WINDOW);
      w.converged = fabs(now - before) <= AGREEMENT * fmax(now, before);
    }
    if (w.calls >= WINDOW && (w.converged || w.seconds >= MOST_S)) break;
  }
  /* The ring may not be full when calls take long. */
  w.call_us = w.calls < WINDOW ? 0 : mean_us(ring, w.calls + WINDOW, 2 * WINDOW);
  return w;
}

/* Reads memory that is larger than the caches, so that nothing of the model stays in them. */
static void flush_caches(const unsigned char *memory, size_t bytes) {
  for (size_t i = 0; i < bytes; i += LINE) (void)*(const volatile unsigned char *)(memory + i);
}

/* Calls of one sample: short ones are taken together, since reading the clock would be part of the time. */
static size_t batch_of(const options *o, double call_us) {
  if (o->mode == COLD || o->mode == SPARSE || call_us <= 0 || call_us >= SHORTEST_SAMPLE_US) return 1;
  return (size_t)ceil(SHORTEST_SAMPLE_US / call_us);
}

static uint64_t sample_ns(model *m, size_t batch) {
  const uint64_t start = bench_now_ns();
  for (size_t i = 0; i < batch; i++) bench_call(m);
  return (bench_now_ns() - start + batch / 2) / batch;
}

static bool finished(const options *o, size_t samples, double seconds) {
  return bench_stop_signal() != 0 || seconds >= o->max_seconds ||
         (o->mode != SUSTAINED && samples >= o->min_samples && seconds >= o->min_seconds);
}

static double seconds_since(uint64_t begin, uint64_t now) { return (double)(now - begin) * 1e-9; }

size_t bench_measure(model *m, const options *o, double call_us, double *seconds) {
  const size_t batch = batch_of(o, call_us);
  const unsigned char *memory = o->mode == COLD ? bench_allocate(o->flush_bytes) : NULL;
  uint64_t *samples = bench_allocate(BLOCK_SAMPLES * sizeof *samples);
  const uint64_t block_ns = (uint64_t)(o->block_ms * 1e6), interval_ns = (uint64_t)(o->interval_ms * 1e6);
  const uint64_t begin = bench_now_ns();
  uint64_t now = begin, due = begin + interval_ns;
  size_t total = 0;
  *seconds = 0;
  while (!finished(o, total, *seconds)) {
    /* Writing the last block had the caches. What a file has no room for runs unrecorded, evenly over the time. */
    if (!memory && o->mode != SPARSE) {
      do {
        (void)sample_ns(m, batch);
        now = bench_now_ns();
        *seconds = seconds_since(begin, now);
      } while ((double)total * o->max_seconds > FILE_SAMPLES * *seconds && !finished(o, total, *seconds));
      if (finished(o, total, *seconds)) break;
    }
    const uint64_t start = now;
    size_t count = 0;
    do {
      if (memory) flush_caches(memory, o->flush_bytes);
      if (o->mode == SPARSE) {
        bench_sleep_until(due);
        if (bench_stop_signal() != 0) break;
        /* A call that took longer than the interval is not made up for. */
        now = bench_now_ns();
        due = due + interval_ns > now ? due + interval_ns : now + interval_ns;
      }
      samples[count++] = sample_ns(m, batch);
      now = bench_now_ns();
    } while (now - start < block_ns && count < BLOCK_SAMPLES && bench_stop_signal() == 0);
    *seconds = seconds_since(begin, now);
    if (count > 0) record_block(seconds_since(begin, start), batch, samples, count);
    total += count;
  }
  return total;
}
