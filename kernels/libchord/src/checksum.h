/* CRC-32 and SHA-256: what the engine and the verifier both need. */
#ifndef CHORD_CHECKSUM_H
#define CHORD_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

enum { CHORD_CRC_WORDS = 8 * 256 };
void chord_crc32_table(uint32_t table[CHORD_CRC_WORDS]);
uint32_t chord_crc32(const uint32_t table[CHORD_CRC_WORDS], const uint8_t *data, size_t size);
void chord_sha256(const uint8_t *data, size_t size, uint8_t digest[32]);

/* The same of data that come in pieces: from this state on, in blocks of 64 bytes, then what is left of all `bytes`. */
#define CHORD_SHA256_START \
  {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
void chord_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);
void chord_sha256_end(uint32_t state[8], const uint8_t *rest, uint64_t bytes, uint8_t digest[32]);

#endif
