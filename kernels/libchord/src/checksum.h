/* CRC-32 and SHA-256: what the engine and the verifier both need. */
#ifndef CHORD_CHECKSUM_H
#define CHORD_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

enum { CHORD_CRC_WORDS = 8 * 256 };
void chord_crc32_table(uint32_t table[CHORD_CRC_WORDS]);
uint32_t chord_crc32(const uint32_t table[CHORD_CRC_WORDS], const uint8_t *data, size_t size);
void chord_sha256(const uint8_t *data, size_t size, uint8_t digest[32]);

/* One block of 64 bytes. */
void chord_sha256_block(uint32_t state[8], const uint8_t *block);

#endif
