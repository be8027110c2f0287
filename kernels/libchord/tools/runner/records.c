#include "runner.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__aarch64__)
#define ABI "arm64-v8a"
#elif defined(__x86_64__)
#define ABI "x86_64"
#elif defined(__arm__)
#define ABI "armeabi-v7a"
#elif defined(__riscv)
#define ABI "riscv64"
#else
#define ABI "x86"
#endif

static const char *records_path;
static int records;
/* Times are written by hand, since printf of a million decimals takes longer than the calls. A full buffer is written, a whole line always. */
static char buffer[1 << 16];
static size_t used;

void record_open(const char *path) {
  records_path = path;
  records = bench_create(path);
}

static void flush(void) {
  bench_write(records, records_path, buffer, used);
  used = 0;
}

static void put(const char *text, size_t length) {
  if (used + length > sizeof buffer) flush();
  memcpy(buffer + used, text, length);
  used += length;
}

static void put_text(const char *text) { put(text, strlen(text)); }

static void put_number(double value, int decimals) {
  char text[64];
  put(text, (size_t)snprintf(text, sizeof text, "%.*f", decimals, value));
}

/* Nanoseconds as us with three decimals. */
static void put_us(uint64_t ns) {
  char text[32], *at = text + sizeof text;
  for (int digit = 0; digit < 3; digit++, ns /= 10) *--at = (char)('0' + ns % 10);
  *--at = '.';
  do {
    *--at = (char)('0' + ns % 10);
    ns /= 10;
  } while (ns > 0);
  put(at, (size_t)(text + sizeof text - at));
}

static void put_times(const uint64_t *ns, size_t count) {
  put_text("\"us\":[");
  for (size_t i = 0; i < count; i++) {
    if (i) put_text(",");
    put_us(ns[i]);
  }
  put_text("]}\n");
  flush();
}

void record_start(const model *m, const options *o) {
  put_text("{\"event\":\"start\",\"version\":1,\"program\":\"");
  put_text(bench_program);
  put_text("\",\"abi\":\"" ABI "\",\"runtime\":\"");
  put_text(m->runtime);
  put_text("\",\"variant\":");
  if (m->variant) {
    put_text("\"");
    put_text(m->variant);
    put_text("\"");
  } else put_text("null");
  put_text(",\"pid\":");
  put_number((double)getpid(), 0);
  put_text(",\"cpus\":[");
  cpu_set_t allowed;
  const char *between = "";
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) bench_die("the processors of this process are not to be known");
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed)) {
      put_text(between);
      put_number(cpu, 0);
      between = ",";
    }
  put_text("],\"threads\":");
  put_number((double)m->threads, 0);
  put_text(",\"mode\":\"");
  put_text(bench_mode_name(o->mode));
  put_text("\"}\n");
  flush();
}

void record_load(uint64_t ns) {
  put_text("{\"event\":\"load\",\"us\":");
  put_us(ns);
  put_text(",\"runtime_us\":null}\n");
  flush();
}

void record_adopt(const uint64_t *ns, size_t count) {
  put_text("{\"event\":\"adopt\",");
  put_times(ns, count);
}

void record_first(uint64_t ns) {
  put_text("{\"event\":\"first\",\"us\":");
  put_us(ns);
  put_text("}\n");
  flush();
}

void record_checked(const model *m) {
  put_text("{\"event\":\"checked\",\"users\":");
  put_number((double)m->users, 0);
  put_text(",\"candidates\":");
  put_number((double)m->per_user, 0);
  put_text("}\n");
  flush();
}

void record_warmup(const warmup *w) {
  put_text("{\"event\":\"warmup\",\"calls\":");
  put_number((double)w->calls, 0);
  put_text(",\"seconds\":");
  put_number(w->seconds, 6);
  put_text(w->converged ? ",\"converged\":true}\n" : ",\"converged\":false}\n");
  flush();
}

void record_block(double at_s, size_t batch, const uint64_t *ns, size_t count) {
  put_text("{\"event\":\"block\",\"at_s\":");
  put_number(at_s, 6);
  put_text(",\"batch\":");
  put_number((double)batch, 0);
  put_text(",");
  put_times(ns, count);
}

void record_counts(size_t calls, uint64_t instructions, double adoption_instructions) {
  put_text("{\"event\":\"counts\",\"calls\":");
  put_number((double)calls, 0);
  put_text(",\"instructions\":");
  put_number((double)instructions, 0);
  put_text(",\"adoption_instructions\":");
  if (adoption_instructions < 0) put_text("null");
  else put_number(adoption_instructions, 3);
  put_text("}\n");
  flush();
}

void record_memory(uint64_t peak, uint64_t before) {
  put_text("{\"event\":\"memory\",\"peak_bytes\":");
  put_number((double)peak, 0);
  put_text(",\"before_bytes\":");
  put_number((double)before, 0);
  put_text("}\n");
  flush();
}

void record_end(size_t samples, double seconds) {
  put_text("{\"event\":\"end\",\"samples\":");
  put_number((double)samples, 0);
  put_text(",\"seconds\":");
  put_number(seconds, 6);
  put_text("}\n");
  flush();
}
