/* libFuzzer: read anything as a manifest, which is the part of a bundle with most ways to be written. What is read must be inside, and the same
 * again from a copy that ends where the memory does. */
#include <stdlib.h>
#include <string.h>

#include "../../../../kernels/libchord/verify/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  chord_manifest manifest;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  if (chord_manifest_read(copy, size, &manifest, &diagnosis) == CHORD_VERIFY_OK) {
    chord_level level;
    chord_listed listed;
    if (manifest.format_version < 1 || manifest.format_version > 5 || manifest.counter >> 53) abort();
    if (chord_json_enter(&manifest.members, '[', &level))
      while (chord_json_next(&manifest.members, &level) && chord_manifest_member(&manifest.members, &listed))
        if (listed.name.data < copy || listed.name.data + listed.name.bytes > copy + size || listed.bytes >> 53) abort();
  } else if (diagnosis.text[0] == 0) {
    abort(); /* no sentence */
  }
  free(copy);
  return 0;
}
