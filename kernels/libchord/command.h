/* What the commands share, whose name is COMMAND: how one ends that is wrong, and a whole file in memory. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void die(const char *what, const char *value) {
  fprintf(stderr, COMMAND ": %s%s%s\n", value, *value ? ": " : "", what);
  exit(2);
}

static uint8_t *read_file(const char *path, size_t *bytes) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) die("cannot be read", path);
  const long size = ftell(file);
  uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
  rewind(file);
  if (!data || size < 0 || fread(data, 1, (size_t)size, file) != (size_t)size) die("cannot be read", path);
  fclose(file);
  *bytes = (size_t)size;
  return data;
}
