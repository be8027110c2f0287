#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void bench_die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", bench_program);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

file bench_map(const char *path) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  struct stat about;
  if (descriptor < 0 || fstat(descriptor, &about) != 0) bench_die("%s: cannot be read (%s)", path, strerror(errno));
  if (!S_ISREG(about.st_mode)) bench_die("%s: is no plain file", path);
  if (about.st_size == 0) bench_die("%s: is empty", path);
  const void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) bench_die("%s: cannot be mapped (%s)", path, strerror(errno));
  close(descriptor);
  return (file){data, (size_t)about.st_size};
}

void *bench_allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (!memory) bench_die("%zu bytes of memory are not to be had", bytes);
  return memset(memory, 1, bytes);
}

int bench_create(const char *path) {
  const int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) bench_die("%s: cannot be made (%s)", path, strerror(errno));
  return descriptor;
}

void bench_write(int descriptor, const char *path, const void *data, size_t bytes) {
  for (const char *at = data; bytes > 0;) {
    const ssize_t written = write(descriptor, at, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) bench_die("%s: cannot be written (%s); free some space there", path, strerror(errno));
    at += written;
    bytes -= (size_t)written;
  }
}

static const char *pid_path;

static void remove_pid_file(void) { unlink(pid_path); }

void bench_pid_file(const char *path) {
  char text[32];
  const int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
  const int descriptor = bench_create(path);
  pid_path = path;
  atexit(remove_pid_file);
  bench_write(descriptor, path, text, (size_t)length);
  close(descriptor);
}

void bench_pin(const options *o) {
  if (o->pinned && sched_setaffinity(0, sizeof o->cpus, &o->cpus) != 0)
    bench_die("--cpus: this process may not run there (%s); give processors that are online", strerror(errno));
}

static volatile sig_atomic_t stop_signal;

static void stop(int signal_number) { stop_signal = signal_number; }

void bench_catch_signals(void) {
  const int ours[] = {SIGHUP, SIGINT, SIGTERM};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
    struct sigaction before, action;
    memset(&action, 0, sizeof action);
    action.sa_handler = stop;
    /* What was ignored when we were started, as by nohup, stays so. */
    if (sigaction(ours[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(ours[i], &action, NULL);
  }
  /* A file above the limit of the shell is to be an error of write, not a death. */
  signal(SIGXFSZ, SIG_IGN);
}

int bench_stop_signal(void) { return stop_signal; }

/* A field in kB of a file of /proc/self; 0 where there is none. */
static uint64_t proc_bytes(const char *path, const char *field) {
  FILE *stream = fopen(path, "re");
  if (!stream) return 0;
  char line[256];
  unsigned long long kilobytes = 0;
  const size_t length = strlen(field);
  while (fgets(line, sizeof line, stream))
    if (strncmp(line, field, length) == 0 && line[length] == ':') kilobytes = strtoull(line + length + 1, NULL, 10);
  fclose(stream);
  return kilobytes * 1024;
}

/* The kernel's running totals in status lag by some 64 pages; smaps_rollup counts the pages that are there. */
static uint64_t memory_bytes(const char *total) {
  const uint64_t counted = proc_bytes("/proc/self/smaps_rollup", "Rss"), running = proc_bytes("/proc/self/status", total);
  if (running == 0) bench_die("/proc/self/status: has no %s, so memory is not to be known", total);
  return counted > running ? counted : running;
}

uint64_t bench_resident_bytes(void) { return memory_bytes("VmRSS"); }

uint64_t bench_peak_bytes(void) { return memory_bytes("VmHWM"); }

void bench_reset_peak(void) {
  const int descriptor = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  if (write(descriptor, "5", 1) != 1)
    fprintf(stderr, "%s: the kernel does not reset the peak of memory; it counts from the start\n", bench_program);
  close(descriptor);
}
