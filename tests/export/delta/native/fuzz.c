/* A difference with its checksum made right is applied to a base of its own, or refused. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../../../../kernels/libchord/include/chord_delta.h"

static unsigned char result[65536];
static size_t written;

static int take(void *context, const void *data, size_t bytes) {
  size_t *left = context;
  if (bytes > *left) abort();
  memcpy(result + written, data, bytes);
  written += bytes;
  *left -= bytes;
  return 0;
}

static int read_back(void *context, uint64_t offset, void *data, size_t bytes) {
  (void)context;
  if (offset > written || bytes > written - offset) abort();
  memcpy(data, result + offset, bytes);
  return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *input, size_t bytes) {
  enum { BASE = 96, LARGEST = 65536 };
  if (bytes < BASE + 96) return 0;
  unsigned char *base = malloc(BASE), *data = malloc(bytes - BASE);
  memcpy(base, input, BASE);
  memcpy(data, input + BASE, bytes -= BASE);
  const unsigned long crc = crc32(crc32(0, NULL, 0), data, (uInt)(bytes - 4));
  for (int i = 0; i < 4; i++) data[bytes - 4 + (size_t)i] = (unsigned char)(crc >> (8 * i));
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_delta delta = {.struct_size = sizeof delta};
  if (chord_delta_open(data, bytes, LARGEST, &delta, &diagnosis) == CHORD_DELTA_OK) {
    chord_delta_work *work = malloc(sizeof *work);
    z_stream stream = {0};
    size_t left = (size_t)delta.result_bytes;
    written = 0;
    if (inflateInit2(&stream, -15) != Z_OK) abort();
    const chord_delta_status status = chord_delta_apply(&delta, base, BASE, chord_inflate_zlib, &stream, take, read_back, &left, work,
                                                        &diagnosis);
    if (status == CHORD_DELTA_OK && left != 0) abort();
    inflateEnd(&stream);
    free(work);
  }
  free(base);
  free(data);
  return 0;
}
