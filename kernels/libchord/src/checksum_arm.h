/* Checksums with the instructions of 64-bit Arm CPUs. For checksum.c alone. */
#include <arm_neon.h>
#include <sys/auxv.h>

#define CHORD_HAS_FAST_CHECKSUMS 1

/* Bits of the kernel's ABI (asm/hwcap.h). */
enum { CPU_BITS = 16, CPU_SHA256 = 1 << 6, CPU_CRC32 = 1 << 7 };
static bool cpu_has_crc32(void) { return (getauxval(CPU_BITS) & CPU_CRC32) != 0; }
static bool cpu_has_sha256(void) { return (getauxval(CPU_BITS) & CPU_SHA256) != 0; }

__attribute__((target("arch=armv8-a+crc"))) static uint32_t crc32_fast(const uint32_t *table, uint32_t crc, const uint8_t *data, size_t blocks) {
  (void)table;
  for (blocks *= 8; blocks > 0; blocks--, data += 8) {
    uint64_t word;
    memcpy(&word, data, 8);
    __asm__("crc32x %w0, %w0, %x1" : "+r"(crc) : "r"(word));
  }
  return crc;
}

__attribute__((target("arch=armv8-a+crypto"))) static void sha256_fast(uint32_t state[8], const uint8_t *data, size_t blocks) {
  uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
  for (; blocks > 0; blocks--, data += 64) {
    const uint32x4_t abcd_before = abcd, efgh_before = efgh;
    uint32x4_t w[4];
    for (int i = 0; i < 4; i++) w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
    for (int i = 0; i < 16; i++) {
      const uint32x4_t sum = vaddq_u32(w[0], vld1q_u32(sha256_constants + 4 * i)), abcd_now = abcd;
      abcd = vsha256hq_u32(abcd, efgh, sum);
      efgh = vsha256h2q_u32(efgh, abcd_now, sum);
      const uint32x4_t next = vsha256su1q_u32(vsha256su0q_u32(w[0], w[1]), w[2], w[3]);
      w[0] = w[1], w[1] = w[2], w[2] = w[3], w[3] = next;
    }
    abcd = vaddq_u32(abcd, abcd_before);
    efgh = vaddq_u32(efgh, efgh_before);
  }
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}
