/* What a sender does: strategies, user vectors and checksums, written apart from the library that checks them. */
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint32_t crc32_of(const uint8_t *data, size_t size) {
  static uint32_t table[256];
  for (uint32_t i = 0; i < 256 && !table[255]; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (0xEDB88320u & (0u - (value & 1u)));
    table[i] = value;
  }
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xFF];
  return ~crc;
}

static size_t strategy_bytes(uint32_t channels) { return 20 + (channels + 3) / 4 + 4; }

static void seal(uint8_t *data, size_t size) {
  const uint32_t crc = crc32_of(data, size - 4);
  memcpy(data + size - 4, &crc, 4);
}

/* A strategy whose widths depend on `seed`; exactly strategy_bytes(channels) bytes, to be freed. */
static inline uint8_t *make_strategy(const uint8_t fingerprint[8], uint32_t channels, unsigned seed) {
  const size_t size = strategy_bytes(channels);
  uint8_t *data = calloc(1, size);
  if (!data) abort();
  memcpy(data, "CHRD\1\0\0\0", 8);
  memcpy(data + 8, fingerprint, 8);
  memcpy(data + 16, &channels, 4);
  for (uint32_t i = 0; i < channels; i++) {
    seed = seed * 1664525u + 1013904223u;
    data[20 + i / 4] |= (uint8_t)((1 + (seed >> 16) % 3) << 2 * (i % 4));
  }
  seal(data, size);
  return data;
}

static size_t user_vector_bytes(uint32_t dim) { return 24 + dim + 4; }

/* A user vector whose codes depend on `seed`; exactly user_vector_bytes(dim) bytes, to be freed. */
static inline uint8_t *make_user_vector(const uint8_t fingerprint[8], uint32_t dim, unsigned seed) {
  const size_t size = user_vector_bytes(dim);
  const float scale = 0.01f;
  uint8_t *data = calloc(1, size);
  if (!data) abort();
  memcpy(data, "CHRU\1\0\0\0", 8);
  memcpy(data + 8, fingerprint, 8);
  memcpy(data + 16, &dim, 4);
  memcpy(data + 20, &scale, 4);
  for (uint32_t i = 0; i < dim; i++) {
    seed = seed * 1664525u + 1013904223u;
    data[24 + i] = (uint8_t)((seed >> 16) % 255 - 127);
  }
  seal(data, size);
  return data;
}

#endif
