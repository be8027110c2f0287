#include "internal.h"
#include "../src/diagnosis.h"

const char *chord_verify_status_text(chord_verify_status status) {
  switch (status) {
    case CHORD_VERIFY_OK: return "done";
    case CHORD_VERIFY_BAD_ARGUMENT: return "an argument is not possible";
    case CHORD_VERIFY_NO_VERIFIER: return "there is nothing here that verifies Ed25519, so nothing is accepted";
    case CHORD_VERIFY_DAMAGED: return "the file is damaged or was altered";
    case CHORD_VERIFY_TOO_NEW: return "the file is of a later version than this app reads";
    case CHORD_VERIFY_UNSIGNED: return "the bundle is not signed";
    case CHORD_VERIFY_UNKNOWN_KEY: return "the key that signed is not accepted, or is revoked";
    case CHORD_VERIFY_BAD_SIGNATURE: return "the signature fits no accepted key";
    case CHORD_VERIFY_OLDER: return "the file is older than one that was accepted before";
    case CHORD_VERIFY_NOT_NOW: return "the file is not good at this time";
    case CHORD_VERIFY_NOT_FOR_THIS: return "the file is for another subject or backbone";
    case CHORD_VERIFY_NO_MEMBER: return "the bundle has no member of this name";
  }
  return "unknown status";
}

chord_verify_status chord_refuse(chord_diagnosis *diagnosis, chord_verify_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  diagnose(diagnosis, format, arguments);
  va_end(arguments);
  return status;
}
