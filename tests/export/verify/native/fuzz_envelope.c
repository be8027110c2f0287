/* libFuzzer: open anything as an envelope, as it comes and with the identifier of the key mended, under a verifier that says yes. */
#include <stdlib.h>
#include <string.h>

#include "../../../../kernels/libchord/include/chord_verify.h"
#include "../../../../kernels/libchord/src/checksum.h"

static const uint8_t key[1][32] = {{2, 3}};

static int yes(void *context, const uint8_t *k, const uint8_t *signature, const void *message, size_t bytes) {
  (void)context, (void)k, (void)signature, (void)message, (void)bytes;
  return 1;
}

static void attempt(const uint8_t *data, size_t size) {
  const chord_trust trust = {.struct_size = sizeof trust, .key_count = 1, .keys = key, .verify = yes};
  const chord_envelope_terms terms = {.struct_size = sizeof terms, .minimum_serial = 2, .now = 1800000000};
  chord_envelope envelope = {.struct_size = sizeof envelope};
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  if (chord_envelope_open(data, size, &trust, &terms, &envelope, &diagnosis) != CHORD_VERIFY_OK) {
    if (diagnosis.text[0] == 0) abort(); /* no sentence */
    return;
  }
  if (envelope.payload < data || envelope.payload + envelope.payload_bytes + 64 != data + size || envelope.payload_bytes < 16) abort();
  if (envelope.subject + envelope.subject_bytes != envelope.payload || envelope.serial < 2) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t digest[32], *copy = malloc(size ? size : 1);
  memcpy(copy, data, size);
  attempt(copy, size);
  chord_sha256(key[0], 32, digest);
  if (size >= 40) memcpy(copy + 32, digest, 8);
  attempt(copy, size);
  free(copy);
  return 0;
}
