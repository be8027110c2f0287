/* Structs of chord.h that grow at their end, between callers and libraries of other versions. */
#include <string.h>

#include "internal.h"

enum { MOST_BYTES = 4096 }; /* a larger struct_size is one that nobody has set */

bool chord_take(const void *theirs, size_t first_version, void *own, size_t own_bytes) {
  uint32_t size;
  memcpy(&size, theirs, sizeof size);
  if (size < first_version || size > MOST_BYTES) return false;
  memset(own, 0, own_bytes);
  memcpy(own, theirs, size < own_bytes ? size : own_bytes);
  const uint8_t *unknown = theirs;
  for (size_t i = own_bytes; i < size; i++)
    if (unknown[i] != 0) return false;
  return true;
}

bool chord_give(const void *own, size_t own_bytes, size_t first_version, void *theirs) {
  uint32_t size;
  memcpy(&size, theirs, sizeof size);
  if (size < first_version || size > MOST_BYTES) return false;
  const size_t bytes = size < own_bytes ? size : own_bytes;
  memcpy((uint8_t *)theirs + sizeof size, (const uint8_t *)own + sizeof size, bytes - sizeof size);
  return true;
}
