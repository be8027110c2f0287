#include "internal.h"
#include "../src/diagnosis.h"

const char *chord_delta_status_text(chord_delta_status status) {
  switch (status) {
    case CHORD_DELTA_OK: return "done";
    case CHORD_DELTA_BAD_ARGUMENT: return "an argument is not possible";
    case CHORD_DELTA_DAMAGED: return "the difference is damaged or was altered";
    case CHORD_DELTA_TOO_NEW: return "the difference is of a later version than this app reads";
    case CHORD_DELTA_TOO_LARGE: return "the result would be larger than is allowed";
    case CHORD_DELTA_OTHER_BASE: return "the difference is for another file";
    case CHORD_DELTA_BAD_RESULT: return "the result is not the file that was promised";
    case CHORD_DELTA_NOT_WRITTEN: return "the result could not be written";
  }
  return "unknown status";
}

chord_delta_status chord_delta_refuse(chord_diagnosis *diagnosis, chord_delta_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  diagnose(diagnosis, format, arguments);
  va_end(arguments);
  return status;
}
