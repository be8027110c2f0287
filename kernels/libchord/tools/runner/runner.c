/*
 * Runs a master file on a device, without Python: scores, latencies and executed instructions as one JSON object.
 *
 *   chord_runner --master FILE --histories FILE --candidates FILE [--strategy FILE] [--user FILE] [--variant NAME]
 *                [--repeat N] [--adoptions N] [--scores]
 *
 * histories: int32 [users, max_length]; candidates: int32 [users, n], n from the file's size; both little-endian.
 * --user: a user vector, for all histories.
 * --repeat: timed rounds over all users (default 1). --adoptions: timed adoptions of the strategy (default 1).
 * --scores: print all scores, with nine digits, which a float survives.
 * Instructions are counted by the CPU through perf_event_open, user space only; null where the system does not allow it.
 * Exit status: 0 done, 2 the input is wrong (one sentence on stderr).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../include/chord.h"

static _Noreturn void die(const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 1, 2)))
#endif
    ;

static _Noreturn void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("chord_runner: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

typedef struct file {
  const void *data;
  size_t bytes;
} file;

static file map(const char *path) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  struct stat about;
  if (descriptor < 0 || fstat(descriptor, &about) != 0) die("%s: cannot be read", path);
  if (about.st_size == 0) die("%s: is empty", path);
  const void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) die("%s: cannot be mapped", path);
  close(descriptor);
  return (file){data, (size_t)about.st_size};
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (!memory) die("%zu bytes of memory are not to be had", bytes);
  return memory;
}

static size_t number(const char *text, const char *option) {
  char *end;
  const unsigned long value = strtoul(text, &end, 10);
  if (*text == '\0' || *text == '-' || *end != '\0' || value > 100000000) die("%s %s: not a number from 0 to 100000000", option, text);
  return value;
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int open_counter(void) {
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
  attributes.disabled = 1;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static void start_counter(int counter) {
  if (counter < 0) return;
  ioctl(counter, PERF_EVENT_IOC_RESET, 0);
  ioctl(counter, PERF_EVENT_IOC_ENABLE, 0);
}

/* Instructions since the start, negative when they cannot be counted. */
static double stop_counter(int counter) {
  unsigned long long value = 0;
  if (counter < 0 || ioctl(counter, PERF_EVENT_IOC_DISABLE, 0) != 0 || read(counter, &value, sizeof value) != sizeof value) return -1;
  return (double)value;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_times(const char *name, double *times, size_t count) {
  printf("\"%s\": ", name);
  if (count == 0) {
    printf("null");
    return;
  }
  double sum = 0, squares = 0;
  for (size_t i = 0; i < count; i++) sum += times[i];
  const double mean = sum / (double)count;
  for (size_t i = 0; i < count; i++) squares += (times[i] - mean) * (times[i] - mean);
  qsort(times, count, sizeof *times, ascending);
  printf("{\"n\": %zu, \"min\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"cv\": %.4f}", count, times[0], times[count / 2],
         times[count * 9 / 10], times[count * 99 / 100], mean > 0 ? sqrt(squares / (double)count) / mean : 0.0);
}

static void print_count(const char *name, double total, size_t count) {
  if (total < 0 || count == 0)
    printf("\"%s\": null", name);
  else
    printf("\"%s\": %.1f", name, total / (double)count);
}

typedef struct request {
  const char *master, *strategy, *user, *histories, *candidates, *variant;
  size_t repeat, adoptions;
  bool scores;
} request;

static request read_arguments(int count, char **arguments) {
  request r = {.repeat = 1, .adoptions = 1};
  for (int i = 1; i < count; i++) {
    const char *option = arguments[i];
    if (strcmp(option, "--scores") == 0) {
      r.scores = true;
      continue;
    }
    if (i + 1 == count) die("%s: unknown, or its value is missing", option);
    const char *value = arguments[++i];
    if (strcmp(option, "--master") == 0) r.master = value;
    else if (strcmp(option, "--strategy") == 0) r.strategy = value;
    else if (strcmp(option, "--user") == 0) r.user = value;
    else if (strcmp(option, "--histories") == 0) r.histories = value;
    else if (strcmp(option, "--candidates") == 0) r.candidates = value;
    else if (strcmp(option, "--variant") == 0) r.variant = value;
    else if (strcmp(option, "--repeat") == 0) r.repeat = number(value, option);
    else if (strcmp(option, "--adoptions") == 0) r.adoptions = number(value, option);
    else die("%s: unknown option", option);
  }
  if (!r.master || !r.histories || !r.candidates) die("--master, --histories and --candidates are needed");
  return r;
}

int main(int count, char **arguments) {
  const request r = read_arguments(count, arguments);
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  const chord_options options = {.struct_size = sizeof options, .variant = r.variant};
  const file master = map(r.master);
  chord_sizes sizes = {.struct_size = sizeof sizes};
  if (chord_query_sizes(master.data, master.bytes, &options, &sizes, &diagnosis) != CHORD_OK) die("%s: %s", r.master, diagnosis.text);
  chord_model *model;
  chord_session *session;
  const double opening = now_us();
  if (chord_open(master.data, master.bytes, &options, allocate(sizes.model_bytes), sizes.model_bytes, &model, &diagnosis) != CHORD_OK)
    die("%s: %s", r.master, diagnosis.text);
  const double open_us = now_us() - opening;
  if (chord_session_open(model, allocate(sizes.session_bytes), sizes.session_bytes, &session) != CHORD_OK) die("no session");
  chord_info info = {.struct_size = sizeof info};
  chord_describe(model, &info);

  const file histories = map(r.histories), candidates = map(r.candidates);
  const size_t row = info.max_length * sizeof(int32_t), users = histories.bytes / row;
  if (users == 0 || histories.bytes % row != 0) die("%s: not int32 rows of %u slots", r.histories, (unsigned)info.max_length);
  const size_t per_user = candidates.bytes / sizeof(int32_t) / users;
  if (per_user == 0 || candidates.bytes != per_user * users * sizeof(int32_t)) die("%s: not int32 [%zu, n]", r.candidates, users);

  const int counter = open_counter();
  double *adoption_us = allocate((r.adoptions + 1) * sizeof(double)), *rerank_us = allocate((r.repeat * users + 1) * sizeof(double));
  double adoption_instructions = -1;
  size_t adoptions = 0;
  if (r.strategy) {
    const file strategy = map(r.strategy);
    start_counter(counter);
    for (; adoptions < r.adoptions; adoptions++) {
      const double start = now_us();
      if (chord_adopt(model, strategy.data, strategy.bytes, &diagnosis) != CHORD_OK) die("%s: %s", r.strategy, diagnosis.text);
      adoption_us[adoptions] = now_us() - start;
    }
    adoption_instructions = stop_counter(counter);
  }

  if (r.user) {
    const file vector = map(r.user);
    if (chord_adopt_user(session, vector.data, vector.bytes, &diagnosis) != CHORD_OK) die("%s: %s", r.user, diagnosis.text);
  }

  float *scores = allocate(users * per_user * sizeof(float));
  size_t done = 0;
  start_counter(counter);
  for (size_t round = 0; round < r.repeat; round++)
    for (size_t user = 0; user < users; user++) {
      const double start = now_us();
      const chord_status status =
          chord_rerank(session, (const int32_t *)histories.data + user * info.max_length, info.max_length,
                       (const int32_t *)candidates.data + user * per_user, per_user, scores + user * per_user);
      rerank_us[done++] = now_us() - start;
      if (status != CHORD_OK) die("user %zu: %s", user, chord_status_text(status));
    }
  const double instructions = stop_counter(counter);

  printf("{\"variant\": \"%s\", \"users\": %zu, \"candidates\": %zu, \"model_bytes\": %llu, \"session_bytes\": %llu, \"open_us\": %.1f, ",
         info.variant, users, per_user, (unsigned long long)sizes.model_bytes, (unsigned long long)sizes.session_bytes, open_us);
  print_times("rerank_us", rerank_us, done);
  printf(", ");
  print_count("rerank_instructions", instructions, done);
  printf(", ");
  print_times("adoption_us", adoption_us, adoptions);
  printf(", ");
  print_count("adoption_instructions", adoption_instructions, adoptions);
  if (r.scores) {
    printf(", \"scores\": [");
    for (size_t user = 0; user < users; user++) {
      printf("%s[", user ? ", " : "");
      for (size_t i = 0; i < per_user; i++) printf("%s%.9g", i ? ", " : "", (double)scores[user * per_user + i]);
      printf("]");
    }
    printf("]");
  }
  printf("}\n");
  return 0;
}
