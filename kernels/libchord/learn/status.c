#include "internal.h"
#include "../src/diagnosis.h"

const char *chord_learn_status_text(chord_learn_status status) {
  switch (status) {
    case CHORD_LEARN_OK: return "done";
    case CHORD_LEARN_BAD_ARGUMENT: return "an argument is not possible";
    case CHORD_LEARN_BAD_SAMPLES: return "the samples are damaged or belong to another backbone";
    case CHORD_LEARN_BAD_ADAPTER: return "the adapter is damaged or belongs to another backbone or strategy";
    case CHORD_LEARN_BAD_LESSON: return "a lesson lies outside its items, or an item outside the catalogue";
    case CHORD_LEARN_NO_MEMORY: return "the memory given is smaller than the size asked for";
    case CHORD_LEARN_NOT_FINITE: return "a number is not finite, or too large to compute with";
  }
  return "unknown status";
}

chord_learn_status chord_decline(chord_diagnosis *diagnosis, chord_learn_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  diagnose(diagnosis, format, arguments);
  va_end(arguments);
  return status;
}
