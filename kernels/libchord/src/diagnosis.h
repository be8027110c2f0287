/* A sentence for the caller, no longer than the struct that the caller knows. */
#ifndef CHORD_DIAGNOSIS_H
#define CHORD_DIAGNOSIS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "../include/chord.h"

static inline void diagnose(chord_diagnosis *diagnosis, const char *format, va_list arguments) {
  if (!diagnosis || diagnosis->struct_size <= offsetof(chord_diagnosis, text)) return;
  const size_t room = diagnosis->struct_size - offsetof(chord_diagnosis, text);
  vsnprintf(diagnosis->text, room < sizeof diagnosis->text ? room : sizeof diagnosis->text, format, arguments);
}

#endif
