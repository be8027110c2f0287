/*
 * chord_runner measures libchord on a device, without Python. It writes the scores of all users first, then what it measures, as JSON
 * lines; runtime_bench/records.py of chordkit says what each line holds, runtime_bench/runners/on_device is the same for other runtimes.
 *
 *   chord_runner --target native --artifact MASTER [--strategy FILE] [--user FILE] --histories FILE --candidates FILE --users N
 *                --scores OUT.f32 --records OUT.jsonl [--mode saturated|cold|sparse|sustained] [--min-samples 1024] [--min-seconds 10]
 *                [--max-seconds 60] [--adoptions 20] [--flush-bytes 67108864] [--interval-ms 1000] [--block-ms 10] [--threads 1]
 *                [--cpus 4,5] [--pid FILE] [--variant NAME] [--count CALLS | --memory]
 *
 * histories: int32 [users, slots]; candidates: int32 [users, n], n from the file's size; scores: float32 [users, n]; all little-endian.
 * --user: a user vector, for all histories. --master: the master weights, for an ExecuTorch program that is called with them. --threads is taken for the sake of the other runtimes: a call of libchord has one thread.
 * --count: no times, but executed instructions in user space. --memory: no times, but the peak of resident memory.
 * Exit status: 0 done; 2 the input is wrong or a file cannot be written (one sentence on stderr); 129, 130, 143 stopped by SIGHUP, SIGINT,
 * SIGTERM, after the block under way.
 */
#ifndef CHORD_RUNNER_H
#define CHORD_RUNNER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define _Noreturn [[noreturn]]
#endif

/* --- options.c ---------------------------------------------------------------------------------------------------------------------- */

typedef enum bench_mode { SATURATED, COLD, SPARSE, SUSTAINED } bench_mode;

typedef struct options {
  const char *artifact, *strategy, *user, *master, *histories, *candidates, *scores, *records, *pid, *variant;
  size_t users, min_samples, adoptions, flush_bytes, count, threads;
  double min_seconds, max_seconds, interval_ms, block_ms;
  bench_mode mode;
  bool memory, pinned;
  cpu_set_t cpus;
} options;

/* Ends the program when they make no sense. */
options bench_options(int count, char **arguments);
const char *bench_mode_name(bench_mode mode);

/* --- system.c ----------------------------------------------------------------------------------------------------------------------- */

/* One sentence on stderr, exit status 2. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

typedef struct file {
  const void *data;
  size_t bytes;
} file;

file bench_map(const char *path);
/* Memory whose pages are there already. */
void *bench_allocate(size_t bytes);
/* A file to be written anew, and all of `data` into it; both end the program when the system refuses. */
int bench_create(const char *path);
void bench_write(int descriptor, const char *path, const void *data, size_t bytes);
/* Writes the process id; the file goes away with the process, however it ends but by a signal that cannot be caught. */
void bench_pid_file(const char *path);
void bench_pin(const options *o);
void bench_catch_signals(void);
/* The signal that asks for the end, 0 = none yet. */
int bench_stop_signal(void);
/* Resident memory, now and at its peak since the last reset. */
uint64_t bench_resident_bytes(void);
uint64_t bench_peak_bytes(void);
/* Sets the peak to what is resident now, where the kernel can. */
void bench_reset_peak(void);

/* --- clock.c ------------------------------------------------------------------------------------------------------------------------ */

uint64_t bench_now_ns(void);
/* Sleeps until a moment of bench_now_ns; a signal ends it early. */
void bench_sleep_until(uint64_t ns);

/* --- counter.c ---------------------------------------------------------------------------------------------------------------------- */

/* Negative when this system does not let instructions be counted. */
int bench_counter_open(void);
void bench_counter_start(int counter);
uint64_t bench_counter_stop(int counter);

/* --- model.c; kernels/executorch/tools/bench.cc in its place for ExecuTorch --------------------------------------------------------- */

/* What the program calls itself, and what --target has to say. */
extern const char *const bench_program, *const bench_target;

/* What is measured, and the users that calls go through in turn. */
typedef struct model {
  struct engine *engine;
  const char *runtime, *variant; /* for the records; variant: NULL = the runtime has none */
  const int32_t *histories, *candidates;
  float *scores;
  size_t threads, users, slots, per_user, next;
} model;

/* From the file to a model that can be called: engine, runtime, variant, threads, slots, and per_user where the file fixes it. */
void bench_load(model *m, const options *o);
void bench_adopt(model *m, const file *strategy, const char *path);
void bench_adopt_user(model *m, const char *path);
/* One rerank, of the next user; refused ids end the program. */
void bench_call(model *m);

/* --- users.c ------------------------------------------------------------------------------------------------------------------------ */

void bench_inputs(model *m, const options *o);
/* All users' scores into the file; ends the program when one is not finite. */
void bench_write_scores(model *m, const char *path);

/* --- measure.c ---------------------------------------------------------------------------------------------------------------------- */

typedef struct warmup {
  size_t calls;
  double seconds, call_us; /* mean of the last calls */
  bool converged;
} warmup;

/* Calls until two moving averages agree. */
warmup bench_warm_up(model *m);
/* Blocks of samples, recorded as they come; gives their number. */
size_t bench_measure(model *m, const options *o, double call_us, double *seconds);

/* --- records.c ---------------------------------------------------------------------------------------------------------------------- */

void record_open(const char *path);
void record_start(const model *m, const options *o);
void record_load(uint64_t ns);
void record_adopt(const uint64_t *ns, size_t count);
void record_first(uint64_t ns);
void record_checked(const model *m);
void record_warmup(const warmup *w);
void record_block(double at_s, size_t batch, const uint64_t *ns, size_t count);
/* Instructions of all calls, and of one adoption; a negative number = none was counted. */
void record_counts(size_t calls, uint64_t instructions, double adoption_instructions);
void record_memory(uint64_t peak, uint64_t before);
void record_end(size_t samples, double seconds);

#ifdef __cplusplus
}
#endif

#endif
