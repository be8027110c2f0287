/* The applier for tests: everything into memory, and how much was written when it said no. */
#include <string.h>
#include <zlib.h>

#include "../../../../kernels/libchord/include/chord_delta.h"

typedef struct room {
  unsigned char *at;
  size_t left, written, largest;
} room;

static int write_to(void *context, const void *data, size_t bytes) {
  room *into = context;
  if (bytes > into->left) return 1;
  memcpy(into->at, data, bytes);
  into->at += bytes;
  into->left -= bytes;
  into->written += bytes;
  if (bytes > into->largest) into->largest = bytes;
  return 0;
}

static int read_back(void *context, uint64_t offset, void *data, size_t bytes) {
  const room *into = context;
  if (offset > into->written || bytes > into->written - offset) return 1;
  memcpy(data, into->at - into->written + offset, bytes);
  return 0;
}

CHORD_API int apply(const void *base, size_t base_bytes, const void *data, size_t bytes, uint64_t largest, void *out, size_t out_bytes,
                    size_t *written, chord_diagnosis *diagnosis) {
  chord_delta delta = {.struct_size = sizeof delta};
  chord_delta_work work;
  room into = {.at = out, .left = out_bytes};
  *written = 0;
  chord_delta_status status = chord_delta_open(data, bytes, largest, &delta, diagnosis);
  if (status != CHORD_DELTA_OK) return (int)status;
  z_stream stream = {0};
  if (inflateInit2(&stream, -15) != Z_OK) return -1;
  status = chord_delta_apply(&delta, base, base_bytes, chord_inflate_zlib, &stream, write_to, read_back, &into, &work, diagnosis);
  inflateEnd(&stream);
  *written = into.written;
  return into.largest > 16384 ? -2 : (int)status;
}
