/* CRC-32 (zlib's polynomial) and SHA-256 (FIPS 180-4): the portable forms, and the choice of the CPU's instructions where data are long. */
#include "checksum.h"

#include <string.h>

#include "internal.h"

void chord_crc32_table(uint32_t table[CHORD_CRC_WORDS]) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
    table[i] = crc;
  }
  for (uint32_t i = 256; i < CHORD_CRC_WORDS; i++) table[i] = table[i - 256] >> 8 ^ table[table[i - 256] & 255u];
}

/* From a checksum's state on, eight bytes a step. */
static uint32_t crc32_portable(const uint32_t *table, uint32_t crc, const uint8_t *data, size_t size) {
  for (; size >= 8; size -= 8, data += 8) {
    uint32_t low, high;
    memcpy(&low, data, 4);
    memcpy(&high, data + 4, 4);
    low ^= crc;
    crc = table[7 * 256 + (low & 255)] ^ table[6 * 256 + (low >> 8 & 255)] ^ table[5 * 256 + (low >> 16 & 255)] ^
          table[4 * 256 + (low >> 24)] ^ table[3 * 256 + (high & 255)] ^ table[2 * 256 + (high >> 8 & 255)] ^
          table[1 * 256 + (high >> 16 & 255)] ^ table[high >> 24];
  }
  for (; size > 0; size--, data++) crc = crc >> 8 ^ table[(crc ^ *data) & 255u];
  return crc;
}

static const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha256_block(uint32_t state[8], const uint8_t *block) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; i++)
    w[i] = w[i - 16] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
           (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
  memcpy(s, state, sizeof s);
  /* The eight variables change names instead of places: in round i, the first one is s[-i mod 8]. */
  for (unsigned i = 0; i < 64; i += 8)
#if defined(__GNUC__)
#pragma GCC unroll 8
#endif
    for (unsigned j = 0; j < 8; j++) {
      const uint32_t a = s[-j & 7], b = s[(1 - j) & 7], c = s[(2 - j) & 7], e = s[(4 - j) & 7], f = s[(5 - j) & 7], g = s[(6 - j) & 7];
      const uint32_t t1 = s[(7 - j) & 7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + sha256_constants[i + j] + w[i + j];
      s[(3 - j) & 7] += t1;
      s[(7 - j) & 7] = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));
    }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

#if defined(__x86_64__)
#include "checksum_x86.h"
#elif defined(__aarch64__) && defined(__linux__)
#include "checksum_arm.h"
#endif

/* Asking the CPU takes as long as this many bytes do. */
enum { LONG = 4096 };

uint32_t chord_crc32(const uint32_t table[CHORD_CRC_WORDS], const uint8_t *data, size_t size) {
  uint32_t crc = 0xFFFFFFFFu;
#if defined(CHORD_HAS_FAST_CHECKSUMS)
  if (size >= LONG && cpu_has_crc32()) {
    crc = crc32_fast(table, crc, data, size / 64);
    data += size / 64 * 64;
    size %= 64;
  }
#endif
  return ~crc32_portable(table, crc, data, size);
}

void chord_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks) {
#if defined(CHORD_HAS_FAST_CHECKSUMS)
  if (64 * blocks >= LONG && cpu_has_sha256()) {
    sha256_fast(state, data, blocks);
    return;
  }
#endif
  for (; blocks > 0; blocks--, data += 64) sha256_block(state, data);
}

CHORD_COLD void chord_sha256_end(uint32_t state[8], const uint8_t *rest, uint64_t bytes, uint8_t digest[32]) {
  const size_t size = bytes % 64, end = size < 56 ? 64 : 128;
  uint8_t last[128] = {0};
  if (size) memcpy(last, rest, size);
  last[size] = 0x80;
  for (size_t i = 0; i < 8; i++) last[end - 1 - i] = (uint8_t)(bytes * 8 >> (8 * i));
  chord_sha256_blocks(state, last, end / 64);
  for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

void chord_sha256(const uint8_t *data, size_t size, uint8_t digest[32]) {
  uint32_t state[8] = CHORD_SHA256_START;
  chord_sha256_blocks(state, data, size / 64);
  chord_sha256_end(state, data + size / 64 * 64, size, digest);
}
