/* Both forms of SHA-256 and CRC-32 against each other at every length around a block and at any address, and against known answers. */
#include <string.h>

#include "../../../kernels/libchord/src/checksum.c"
#include "check.h"

enum { MOST = 9000 };
static uint8_t data[MOST + 64], million[1000000];
static uint32_t table[CHORD_CRC_WORDS];

/* One piece, with the portable form alone, padded by hand. */
static void sha256_slowly(const uint8_t *from, size_t size, uint8_t digest[32]) {
  uint32_t state[8] = CHORD_SHA256_START;
  uint8_t last[128] = {0};
  const size_t whole = size / 64, end = size % 64 < 56 ? 64 : 128;
  for (size_t i = 0; i < whole; i++) sha256_block(state, from + 64 * i);
  memcpy(last, from + 64 * whole, size % 64);
  last[size % 64] = 0x80;
  for (size_t i = 0; i < 8; i++) last[end - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
  for (size_t i = 0; i < end; i += 64) sha256_block(state, last + i);
  for (size_t i = 0; i < 32; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

static void known(const char *text, const char *hex) {
  uint8_t digest[32];
  char found[65];
  chord_sha256((const uint8_t *)text, strlen(text), digest);
  for (int i = 0; i < 32; i++) snprintf(found + 2 * i, 3, "%02x", digest[i]);
  CHECK(strcmp(found, hex) == 0);
}

int main(void) {
  uint32_t seed = 1;
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
  chord_crc32_table(table);
#if defined(CHORD_HAS_FAST_CHECKSUMS)
  const bool hashes = cpu_has_sha256(), checks = cpu_has_crc32();
#else
  const bool hashes = false, checks = false;
#endif
  for (size_t size = 0; size <= MOST; size += size < 200 || (size > LONG - 70 && size < LONG + 200) ? 1 : 61) {
    const uint8_t *from = data + size % 64;
    uint8_t one[32], other[32];
    chord_sha256(from, size, one);
    sha256_slowly(from, size, other);
    CHECK(memcmp(one, other, sizeof one) == 0);
    CHECK(chord_crc32(table, from, size) == ~crc32_portable(table, 0xFFFFFFFFu, from, size));
#if defined(CHORD_HAS_FAST_CHECKSUMS)
    if (size < 64) continue;
    uint32_t fast[8] = CHORD_SHA256_START, slow[8] = CHORD_SHA256_START;
    for (size_t i = 0; i < size / 64; i++) sha256_block(slow, from + 64 * i);
    if (hashes) sha256_fast(fast, from, size / 64);
    CHECK(!hashes || memcmp(fast, slow, sizeof fast) == 0);
    CHECK(!checks || crc32_fast(table, seed, from, size / 64) == crc32_portable(table, seed, from, size / 64 * 64));
#endif
  }
  /* FIPS 180-4's examples, and the check value of CRC-32. */
  known("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  known("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  known("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(chord_crc32(table, (const uint8_t *)"123456789", 9) == 0xCBF43926u);
  uint8_t digest[32];
  memset(million, 'a', sizeof million);
  chord_sha256(million, sizeof million, digest);
  CHECK(memcmp(digest, "\xcd\xc7\x6e\x5c\x99\x14\xfb\x92\x81\xa1\xc7\xe2\x84\xd7\x3e\x67\xf1\x80\x9a\x48\xa4\x97\x20\x0e\x04\x6d\x39\xcc\xc7\x11\x2c\xd0", 32) == 0);
  printf("SHA-256 %s, CRC-32 %s\n", hashes ? "instructions" : "portable", checks ? "instructions" : "portable");
  return 0;
}
