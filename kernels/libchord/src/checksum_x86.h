/* Checksums with the instructions of x86 CPUs. For checksum.c alone. */
#include <cpuid.h>
#include <immintrin.h>

#define CHORD_HAS_FAST_CHECKSUMS 1

static bool cpu_has_crc32(void) {
  unsigned a, b, c = 0, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & 1u << 1) != 0; /* PCLMULQDQ */
}

static bool cpu_has_sha256(void) {
  unsigned a, b = 0, c = 0, d;
  const unsigned ssse3_sse41 = 1u << 9 | 1u << 19;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & ssse3_sse41) != ssse3_sse41) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29) != 0;
}

/* A remainder moved on by 64 bytes: each half times x^(512 + 32) or x^(512 - 32), modulo the polynomial, bits in zlib's order. */
__attribute__((target("pclmul"))) static inline __m128i fold(__m128i x) {
  const __m128i by = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  return _mm_xor_si128(_mm_clmulepi64_si128(x, by, 0x00), _mm_clmulepi64_si128(x, by, 0x11));
}

/* Of `blocks` blocks of 64 bytes, at least one: all of them become 64 bytes with the same remainder. */
__attribute__((target("pclmul"))) static uint32_t crc32_fast(const uint32_t *table, uint32_t crc, const uint8_t *data, size_t blocks) {
  __m128i x[4];
  for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128((const __m128i *)data + i);
  x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
  for (data += 64; --blocks > 0; data += 64)
    for (int i = 0; i < 4; i++) x[i] = _mm_xor_si128(fold(x[i]), _mm_loadu_si128((const __m128i *)data + i));
  return crc32_portable(table, 0, (const uint8_t *)x, sizeof x);
}

__attribute__((target("sha,sse4.1,ssse3"))) static void sha256_fast(uint32_t state[8], const uint8_t *data, size_t blocks) {
  const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
  __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
  for (; blocks > 0; blocks--, data += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; i++) w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)data + i), order);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      const __m128i sum = _mm_add_epi32(w[i % 4], _mm_loadu_si128((const __m128i *)(sha256_constants + 4 * i)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
      const __m128i w7 = _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4);
      if (i < 12) w[i % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), w7), w[(i + 3) % 4]);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  badc = _mm_shuffle_epi32(abef, 0x1B); /* in memory: f e b a -> a b e f */
  hgfe = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(badc, hgfe, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(hgfe, badc, 8));
}
