#include "diagnosis.h"
#include "internal.h"

uint32_t chord_abi_version(void) { return CHORD_ABI_VERSION; }

const char *chord_status_text(chord_status status) {
  switch (status) {
    case CHORD_OK: return "done";
    case CHORD_BAD_ARGUMENT: return "an argument is not possible";
    case CHORD_BAD_MASTER: return "the master weights are damaged or not supported";
    case CHORD_BAD_STRATEGY: return "the strategy is damaged or belongs to another backbone";
    case CHORD_BAD_HISTORY: return "the history holds an id outside 0..items, no item, or an empty slot behind an item";
    case CHORD_BAD_CANDIDATE: return "a candidate is outside 1..items";
    case CHORD_NO_MEMORY: return "the memory given is smaller than the size asked for";
    case CHORD_BUSY: return "the spare weights are in use: try again";
    case CHORD_BAD_USER_VECTOR: return "the user vector is damaged or belongs to another backbone";
    case CHORD_NOT_FINITE: return "the result is not finite: an input, or the weights, are too large to compute with";
  }
  return "unknown status";
}

chord_status chord_fail(chord_diagnosis *diagnosis, chord_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  diagnose(diagnosis, format, arguments);
  va_end(arguments);
  return status;
}
