/* CRC-32 and SHA-256: what the engine and the verifier both need. */
#ifndef CHORD_CHECKSUM_H
#define CHORD_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

enum { CHORD_CRC_WORDS = 8 * 256 };
void chord_crc32_table(uint32_t table[CHORD_CRC_WORDS]);
uint32_t chord_crc32(const uint32_t table[CHORD_CRC_WORDS], const uint8_t *data, size_t size);
void chord_sha256(const uint8_t *data, size_t size, uint8_t digest[32]);

/* The same of data that come in pieces. */
typedef struct chord_sha256_state {
  uint32_t words[8];
  uint64_t bytes;
  uint8_t rest[64]; /* bytes % 64 of them */
} chord_sha256_state;

void chord_sha256_begin(chord_sha256_state *state);
void chord_sha256_add(chord_sha256_state *state, const uint8_t *data, size_t size);
void chord_sha256_end(chord_sha256_state *state, uint8_t digest[32]);

#endif
