/* Which kernel variants exist, which of them this CPU can run, and which one is taken. A new variant is one row here. */
#include <string.h>

#include "internal.h"

#if defined(__x86_64__)
#include <cpuid.h>

static unsigned xgetbv0(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/* Bits of CPUID leaf 7 and whether the system saves the registers (XCR0): YMM needs 0x6, ZMM 0xE6. */
static int x86_supports(unsigned ebx7, unsigned ecx7, unsigned eax71, unsigned xcr0) {
  unsigned a, b, c, d, a1 = 0, b1, c1, d1;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  const unsigned fma_movbe_osxsave_avx = 1u << 12 | 1u << 27 | 1u << 28;
  if ((c & fma_movbe_osxsave_avx) != fma_movbe_osxsave_avx || (xgetbv0() & xcr0) != xcr0) return 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  if (a >= 1) __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
  return (b & ebx7) == ebx7 && (c & ecx7) == ecx7 && (a1 & eax71) == eax71;
}

enum { AVX2 = 1 << 5, AVX512F = 1 << 16, AVX512DQ = 1 << 17, AVX512BW = 1 << 30, AVX512_VNNI = 1 << 11, AVX_VNNI = 1 << 4 };
#define AVX512VL (1u << 31)

static int has_avx2(void) { return x86_supports(AVX2, 0, 0, 0x6); }
static int has_avxvnni(void) { return x86_supports(AVX2, 0, AVX_VNNI, 0x6); }
static int has_avx512vnni(void) { return x86_supports(AVX2 | AVX512F | AVX512DQ | (unsigned)AVX512BW | AVX512VL, AVX512_VNNI, 0, 0xE6); }
#endif

#if defined(__aarch64__)
#include <sys/auxv.h>

/* Bits of the kernel's ABI (asm/hwcap.h), written out because old headers lack the newer ones. */
enum { AUX_HWCAP = 16, AUX_HWCAP2 = 26, HWCAP_DOT_PRODUCT = 1 << 20, HWCAP2_INT8_MATRIX = 1 << 13 };

static int has_dotprod(void) { return (getauxval(AUX_HWCAP) & HWCAP_DOT_PRODUCT) != 0; }
static int has_i8mm(void) { return has_dotprod() && (getauxval(AUX_HWCAP2) & HWCAP2_INT8_MATRIX) != 0; }
#endif

static int always(void) { return 1; }

const chord_variant chord_variants[] = {
#if defined(__x86_64__)
    {"avx512vnni", has_avx512vnni, &chord_ukernels_avx512vnni},
    {"avxvnni", has_avxvnni, &chord_ukernels_avxvnni},
    {"avx2", has_avx2, &chord_ukernels_avx2},
#endif
#if defined(__aarch64__)
    {"i8mm", has_i8mm, &chord_ukernels_i8mm},
    {"dotprod", has_dotprod, &chord_ukernels_dotprod},
    {"neon", always, &chord_ukernels_neon}, /* part of every armv8 CPU */
#endif
    {"scalar", always, &chord_ukernels_scalar},
    {NULL, NULL, NULL},
};

const char *chord_variant_name(uint32_t index) {
  for (uint32_t i = 0; chord_variants[i].name; i++)
    if (i == index) return chord_variants[i].name;
  return NULL;
}

int chord_variant_supported(uint32_t index) { return chord_variant_name(index) ? chord_variants[index].supported() : 0; }

const chord_variant *chord_choose_variant(const char *name) {
  for (const chord_variant *variant = chord_variants; variant->name; variant++)
    if ((!name || strcmp(name, variant->name) == 0) && variant->supported()) return variant;
  return NULL;
}
