/* Which kernel variants exist, which of them this CPU can run, and which one is taken. */
#include <string.h>

#include "internal.h"

/* What the rows of variants.inc may ask for. AVX2 is with FMA; AVX512 is F, DQ, BW and VL. */
enum { NONE = 0, AVX2 = 1 << 0, AVX512 = 1 << 1, AVX512_VNNI = 1 << 2, AVX_VNNI = 1 << 3, DOTPROD = 1 << 4, I8MM = 1 << 5 };

#if defined(__x86_64__)
#include <cpuid.h>

static unsigned xgetbv0(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static bool all(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

/* Bits of CPUID, as far as the system saves the registers (XCR0): YMM needs 0x6, ZMM 0xE6. */
static uint32_t features(void) {
  unsigned a, b, c, d, a1 = 0, b1, c1, d1;
  const unsigned fma_osxsave_avx = 1u << 12 | 1u << 27 | 1u << 28;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !all(c, fma_osxsave_avx) || !all(xgetbv0(), 0x6)) return NONE;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !all(b, 1u << 5)) return NONE;
  if (a >= 1) __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
  uint32_t found = AVX2;
  if (all(a1, 1u << 4)) found |= AVX_VNNI;
  if (!all(xgetbv0(), 0xE6)) return found;
  if (all(b, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)) found |= AVX512;
  if (all(c, 1u << 11)) found |= AVX512_VNNI;
  return found;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

/* Bits of the kernel's ABI (asm/hwcap.h), written out because old headers lack the newer ones. */
enum { AUX_HWCAP = 16, AUX_HWCAP2 = 26, HWCAP_DOT_PRODUCT = 1 << 20, HWCAP2_INT8_MATRIX = 1 << 13 };

static uint32_t features(void) {
  return (getauxval(AUX_HWCAP) & HWCAP_DOT_PRODUCT ? DOTPROD : NONE) | (getauxval(AUX_HWCAP2) & HWCAP2_INT8_MATRIX ? I8MM : NONE);
}
#else
static uint32_t features(void) { return NONE; }
#endif

const chord_variant chord_variants[] = {
#define CHORD_VARIANT(name, needs) {#name, needs, &chord_ukernels_##name},
#include "../ukernels/variants.inc"
#undef CHORD_VARIANT
    {NULL, NONE, NULL},
};

const char *chord_variant_name(uint32_t index) {
  for (uint32_t i = 0; chord_variants[i].name; i++)
    if (i == index) return chord_variants[i].name;
  return NULL;
}

int chord_variant_supported(uint32_t index) { return chord_variant_name(index) && (chord_variants[index].needs & ~features()) == 0; }

const chord_variant *chord_choose_variant(const char *name) {
  const uint32_t found = features();
  for (const chord_variant *variant = chord_variants; variant->name; variant++)
    if ((!name || strcmp(name, variant->name) == 0) && (variant->needs & ~found) == 0) return variant;
  return NULL;
}
