/* libFuzzer: open anything as a bundle, as it comes and with the CRCs of its members mended, under a verifier that says yes to every signature.
 * What opens must give views that lie inside. CHORD_KEY is the file of the key's 32 bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../../kernels/libchord/include/chord_verify.h"
#include "../../../../kernels/libchord/src/checksum.h"

static uint8_t key[1][32];
static uint32_t crc_table[CHORD_CRC_WORDS];

static int yes(void *context, const uint8_t *k, const uint8_t *signature, const void *message, size_t bytes) {
  (void)context, (void)k, (void)signature;
  volatile uint8_t last = 0; /* all of the message can be read */
  for (size_t i = 0; i < bytes; i++) last = ((const uint8_t *)message)[i];
  (void)last;
  return 1;
}

static void attempt(const uint8_t *data, size_t size) {
  const chord_trust trust = {.struct_size = sizeof trust, .key_count = 1, .keys = key, .verify = yes};
  chord_bundle bundle = {.struct_size = sizeof bundle};
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  if (chord_bundle_open(data, size, &trust, 0, &bundle, &diagnosis) != CHORD_VERIFY_OK) {
    if (diagnosis.text[0] == 0) abort(); /* no sentence */
    return;
  }
  for (uint32_t i = 0; i < bundle.members; i++) {
    chord_member member = {.struct_size = sizeof member};
    if (chord_bundle_member_at(&bundle, i, &member, NULL) != CHORD_VERIFY_OK) abort();
    if ((const uint8_t *)member.data < data || (const uint8_t *)member.data + member.bytes > data + size) abort();
  }
}

static uint32_t get(const uint8_t *at, int bytes) {
  uint32_t value = 0;
  while (bytes-- > 0) value = value << 8 | at[bytes];
  return value;
}

/* Follows the directory as far as it makes sense. */
static void mend(uint8_t *data, size_t size) {
  if (size < 22) return;
  uint64_t at = get(data + size - 6, 4);
  while (at + 46 <= size && memcmp(data + at, "PK\1\2", 4) == 0) {
    const uint64_t local = get(data + at + 42, 4), bytes = get(data + at + 20, 4);
    if (local + 30 <= size) {
      const uint64_t start = local + 30 + get(data + local + 26, 2) + get(data + local + 28, 2);
      if (start + bytes <= size) {
        const uint32_t crc = chord_crc32(crc_table, data + start, (size_t)bytes);
        memcpy(data + at + 16, &crc, 4);
        memcpy(data + local + 14, &crc, 4);
      }
    }
    at += 46 + get(data + at + 28, 2);
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  FILE *file = fopen(getenv("CHORD_KEY"), "rb");
  if (!file || fread(key, 1, 32, file) != 32) abort();
  fclose(file);
  chord_crc32_table(crc_table);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  attempt(copy, size);
  mend(copy, size);
  attempt(copy, size);
  free(copy);
  return 0;
}
