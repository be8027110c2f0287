/*
 * Applies a difference as an app would.
 *
 *   chord_delta OLD DIFFERENCE NEW [LARGEST]
 *
 * NEW is written beside its place and renamed. One line on stdout. Exit status: 0 = it is there, 1 = refused, 2 = the command is wrong or a file
 * cannot be read or written. Link with the adapter of zlib and -lz.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../../include/chord_delta.h"

#define COMMAND "chord_delta"
#include "../../command.h"

static int write_to(void *context, const void *data, size_t bytes) { return fwrite(data, 1, bytes, context) != bytes; }

static int read_back(void *context, uint64_t offset, void *data, size_t bytes) {
  const int done = fseek(context, (long)offset, SEEK_SET) == 0 && fread(data, 1, bytes, context) == bytes && fseek(context, 0, SEEK_END) == 0;
  return !done;
}

int main(int count, char **arguments) {
  static chord_delta_work work;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_delta delta = {.struct_size = sizeof delta};
  z_stream stream = {0};
  char part[4096];
  size_t base_bytes, bytes;
  if (count != 4 && count != 5) die("usage: chord_delta OLD DIFFERENCE NEW [LARGEST]", "");
  if (snprintf(part, sizeof part, "%s.part", arguments[3]) >= (int)sizeof part) die("is too long a name", arguments[3]);
  uint8_t *base = read_file(arguments[1], &base_bytes), *data = read_file(arguments[2], &bytes);
  chord_delta_status status = chord_delta_open(data, bytes, count == 5 ? strtoull(arguments[4], NULL, 10) : UINT64_MAX, &delta, &diagnosis);
  if (status == CHORD_DELTA_OK) {
    FILE *out = fopen(part, "w+b");
    if (!out || inflateInit2(&stream, -15) != Z_OK) die("cannot be written", part);
    status = chord_delta_apply(&delta, base, base_bytes, chord_inflate_zlib, &stream, write_to, read_back, out, &work, &diagnosis);
    inflateEnd(&stream);
    const int closed = fclose(out);
    if (status == CHORD_DELTA_OK && (closed != 0 || rename(part, arguments[3]) != 0)) die("cannot be written", arguments[3]);
    if (status != CHORD_DELTA_OK) remove(part);
  }
  free(base);
  free(data);
  if (status != CHORD_DELTA_OK) {
    printf("refused: %s (%s)\n", diagnosis.text, chord_delta_status_text(status));
    return 1;
  }
  printf("applied: %llu bytes from %zu\n", (unsigned long long)delta.result_bytes, bytes);
  return 0;
}
