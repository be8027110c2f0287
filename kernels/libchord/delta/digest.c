/* SHA-256 of data that come in pieces of any size. */
#include <string.h>

#include "internal.h"

void chord_delta_digest_add(chord_delta_digest *state, const uint8_t *data, size_t size) {
  const size_t held = state->bytes % 64;
  state->bytes += size;
  if (held + size < 64) {
    if (size) memcpy(state->rest + held, data, size);
    return;
  }
  if (held) {
    memcpy(state->rest + held, data, 64 - held);
    chord_sha256_blocks(state->words, state->rest, 1);
    data += 64 - held;
    size -= 64 - held;
  }
  chord_sha256_blocks(state->words, data, size / 64);
  if (size % 64) memcpy(state->rest, data + size / 64 * 64, size % 64);
}
