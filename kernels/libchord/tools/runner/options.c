#include "runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const modes[] = {[SATURATED] = "saturated", [COLD] = "cold", [SPARSE] = "sparse", [SUSTAINED] = "sustained"};

const char *bench_mode_name(bench_mode mode) { return modes[mode]; }

static size_t whole(const char *option, const char *text, size_t least, size_t most) {
  char *end;
  const unsigned long long value = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most)
    bench_die("%s %s: give a whole number from %zu to %zu", option, text, least, most);
  return (size_t)value;
}

static double decimal(const char *option, const char *text, double least, double most) {
  char *end;
  const double value = strtod(text, &end);
  if (*text == '\0' || *end != '\0' || !isfinite(value) || value < least || value > most)
    bench_die("%s %s: give a number from %g to %g", option, text, least, most);
  return value;
}

static bench_mode mode_named(const char *text) {
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (strcmp(text, modes[i]) == 0) return (bench_mode)i;
  bench_die("--mode %s: give saturated, cold, sparse or sustained", text);
}

static void read_cpus(options *o, const char *text) {
  CPU_ZERO(&o->cpus);
  o->pinned = true;
  for (const char *at = text;; at++) {
    char *end;
    const unsigned long cpu = strtoul(at, &end, 10);
    if (*at < '0' || *at > '9' || cpu >= CPU_SETSIZE || (*end != '\0' && *end != ','))
      bench_die("--cpus %s: give processor numbers, like 4,5", text);
    CPU_SET(cpu, &o->cpus);
    at = end;
    if (*at == '\0') return;
  }
}

static bool read_text(options *o, const char *option, const char *value) {
  const struct {
    const char *name;
    const char **place;
  } texts[] = {{"--artifact", &o->artifact}, {"--strategy", &o->strategy},     {"--user", &o->user},       {"--master", &o->master},
               {"--histories", &o->histories}, {"--candidates", &o->candidates}, {"--scores", &o->scores},
               {"--records", &o->records},     {"--pid", &o->pid},               {"--variant", &o->variant}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (strcmp(option, texts[i].name) == 0) {
      *texts[i].place = value;
      return true;
    }
  return false;
}

static void read_option(options *o, const char *option, const char *value) {
  if (read_text(o, option, value)) return;
  if (strcmp(option, "--target") == 0) {
    if (strcmp(value, bench_target) != 0) bench_die("--target %s: this program runs %s only; others have programs of their own", value, bench_target);
  } else if (strcmp(option, "--mode") == 0) o->mode = mode_named(value);
  else if (strcmp(option, "--users") == 0) o->users = whole(option, value, 1, 1000000);
  else if (strcmp(option, "--min-samples") == 0) o->min_samples = whole(option, value, 1, 1000000);
  else if (strcmp(option, "--min-seconds") == 0) o->min_seconds = decimal(option, value, 0, 86400);
  else if (strcmp(option, "--max-seconds") == 0) o->max_seconds = decimal(option, value, 0.001, 86400);
  else if (strcmp(option, "--adoptions") == 0) o->adoptions = whole(option, value, 1, 10000);
  else if (strcmp(option, "--flush-bytes") == 0) o->flush_bytes = whole(option, value, 4096, (size_t)1 << 30);
  else if (strcmp(option, "--interval-ms") == 0) o->interval_ms = decimal(option, value, 0.001, 3600000);
  else if (strcmp(option, "--block-ms") == 0) o->block_ms = decimal(option, value, 0.001, 10000);
  else if (strcmp(option, "--threads") == 0) o->threads = whole(option, value, 1, 1024);
  else if (strcmp(option, "--cpus") == 0) read_cpus(o, value);
  else if (strcmp(option, "--count") == 0) o->count = whole(option, value, 1, 100000000);
  else bench_die("%s: unknown option", option);
}

options bench_options(int count, char **arguments) {
  options o = {.min_samples = 1024,
               .adoptions = 20,
               .threads = 1,
               .flush_bytes = (size_t)64 << 20,
               .min_seconds = 10,
               .max_seconds = 60,
               .interval_ms = 1000,
               .block_ms = 10};
  for (int i = 1; i < count; i++) {
    if (strcmp(arguments[i], "--memory") == 0) {
      o.memory = true;
      continue;
    }
    if (i + 1 == count) bench_die("%s: unknown, or its value is missing", arguments[i]);
    read_option(&o, arguments[i], arguments[i + 1]);
    i++;
  }
  if (!o.artifact || !o.histories || !o.candidates || !o.scores || !o.records || o.users == 0)
    bench_die("--artifact, --histories, --candidates, --users, --scores and --records are needed");
  if (o.memory && o.count) bench_die("--count and --memory are measured in runs of their own; give one of them");
  return o;
}
