/* Runs a fuzz program where there is no libFuzzer: each seed as it is, and some thousand times with random damage, the same in every run.
 *
 *   replay ROUNDS SEED...
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static uint32_t next(void) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 16);
}

/* A number wherever it stands: a size is in both headers of a member, twice. */
static void replace(uint8_t *data, size_t size, const uint8_t *at, uint32_t large) {
  uint8_t number[4];
  memcpy(number, at, 4);
  for (size_t i = 0; i + 4 <= size; i++)
    if (memcmp(data + i, number, 4) == 0) memcpy(data + i, &large, 4);
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  if (LLVMFuzzerInitialize) LLVMFuzzerInitialize(&count, &arguments);
  for (int i = 2; i < count; i++) {
    FILE *file = fopen(arguments[i], "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) return 2;
    const size_t size = (size_t)ftell(file);
    uint8_t *seed = malloc(size);
    rewind(file);
    if (fread(seed, 1, size, file) != size) return 2;
    fclose(file);
    LLVMFuzzerTestOneInput(seed, size);
    for (int round = atoi(arguments[1]); round > 0; round--) {
      size_t left = size;
      uint8_t *data = malloc(size);
      memcpy(data, seed, size);
      for (uint32_t changes = 1 + next() % 4; changes > 0 && left > 8; changes--) {
        /* Half of them near the end, where the directory of a bundle is. Large numbers are what overflows. */
        const size_t place = next() % 2 ? next() % left : left - 1 - next() % (left < 800 ? left : 800), room = left - place;
        const uint32_t large = 0xFFFFFFFFu - next() % 128;
        const size_t cut = 1 + next() % 8;
        if (next() % 2 && room >= 4) replace(data, left, data + place, large);
        else if (next() % 4 == 0 && room > cut) memmove(data + place, data + place + cut, room - cut), left -= cut;
        else data[place] ^= (uint8_t)(1u << next() % 8);
      }
      LLVMFuzzerTestOneInput(data, left);
      free(data);
    }
    free(seed);
  }
  puts("replayed");
  return 0;
}
