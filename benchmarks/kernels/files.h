/* What the programs of benchmarks share: what must be there, and a whole file in memory. */
#include <stdio.h>
#include <stdlib.h>

static void *need(void *pointer, const char *what) {
  if (pointer) return pointer;
  fprintf(stderr, "%s: %s\n", __BASE_FILE__, what);
  exit(2);
}

static void *read_all(const char *path, size_t *bytes) {
  FILE *file = need(fopen(path, "rb"), path);
  fseek(file, 0, SEEK_END);
  *bytes = (size_t)ftell(file);
  rewind(file);
  void *data = need(malloc(*bytes + 1), "no memory");
  if (fread(data, 1, *bytes, file) != *bytes) need(NULL, path);
  fclose(file);
  return data;
}
