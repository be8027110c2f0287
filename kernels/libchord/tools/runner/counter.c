#include "runner.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int bench_counter_open(void) {
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
  attributes.disabled = 1;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  const int counter = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
  if (counter < 0)
    fprintf(stderr, "%s: instructions are not counted (%s): %s\n", bench_program, strerror(errno),
            errno == EACCES || errno == EPERM ? "/proc/sys/kernel/perf_event_paranoid has to be 2 or less"
                                              : "this processor, or its emulator, shows no counter");
  return counter;
}

void bench_counter_start(int counter) {
  if (counter < 0) return;
  ioctl(counter, PERF_EVENT_IOC_RESET, 0);
  ioctl(counter, PERF_EVENT_IOC_ENABLE, 0);
}

uint64_t bench_counter_stop(int counter) {
  uint64_t value = 0;
  if (counter < 0) return 0;
  if (ioctl(counter, PERF_EVENT_IOC_DISABLE, 0) != 0 || read(counter, &value, sizeof value) != sizeof value)
    bench_die("the counter of instructions cannot be read (%s)", strerror(errno));
  return value;
}
