/* SHA-256 of data that come in pieces. */
#include <string.h>

#include "internal.h"

void chord_sha256_begin(chord_sha256_state *state) {
  *state = (chord_sha256_state){
      {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}, 0, {0}};
}

void chord_sha256_add(chord_sha256_state *state, const uint8_t *data, size_t size) {
  const size_t held = state->bytes % 64;
  state->bytes += size;
  if (held + size < 64) {
    if (size) memcpy(state->rest + held, data, size);
    return;
  }
  if (held) {
    memcpy(state->rest + held, data, 64 - held);
    chord_sha256_block(state->words, state->rest);
    data += 64 - held;
    size -= 64 - held;
  }
  for (; size >= 64; size -= 64, data += 64) chord_sha256_block(state->words, data);
  if (size) memcpy(state->rest, data, size);
}

void chord_sha256_end(chord_sha256_state *state, uint8_t digest[32]) {
  const size_t held = state->bytes % 64, end = held < 56 ? 64 : 128;
  uint8_t last[128] = {0};
  if (held) memcpy(last, state->rest, held);
  last[held] = 0x80;
  for (size_t i = 0; i < 8; i++) last[end - 1 - i] = (uint8_t)(state->bytes * 8 >> (8 * i));
  chord_sha256_block(state->words, last);
  if (end == 128) chord_sha256_block(state->words, last + 64);
  for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(state->words[i / 4] >> (24 - 8 * (i % 4)));
}
