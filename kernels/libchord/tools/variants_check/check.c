#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { GUARD = 64, GUARD_BYTE = 0xA5 };

const chord_ukernels *const reference = &chord_ukernels_scalar;
const chord_ukernels *tested;
static const char *variant_name;
static size_t comparisons, differences;

/* xorshift64*: repeatable on every machine. */
static uint64_t state = 88172645463325252ull;
uint32_t random_bits(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)((state * 2685821657736338717ull) >> 32);
}
float random_float(void) { return ((float)(random_bits() >> 8) / 8388608.0f - 1.0f) * 3.0f; }
int8_t random_code(void) { return (int8_t)((int)(random_bits() % 255) - 127); }

static void *owned[64];
static size_t owned_bytes[64], owned_count;

void *block(size_t bytes) {
  uint8_t *memory = aligned_alloc(64, (bytes + GUARD + 63) / 64 * 64);
  if (!memory || owned_count == 64) exit(2);
  memset(memory, 0, bytes);
  memset(memory + bytes, GUARD_BYTE, GUARD);
  owned[owned_count] = memory;
  owned_bytes[owned_count++] = bytes;
  return memory;
}
float *floats(size_t count) { return block(count * sizeof(float)); }
float *random_floats(size_t count) {
  float *x = floats(count);
  for (size_t i = 0; i < count; i++) x[i] = random_float();
  return x;
}

void fail(const char *operation, const char *shape, const char *what) {
  differences++;
  printf("DIFFERENT %s %s %s: %s\n", variant_name, operation, shape, what);
}

void release(const char *operation, const char *shape) {
  for (size_t i = 0; i < owned_count; i++) {
    const uint8_t *end = (const uint8_t *)owned[i] + owned_bytes[i];
    for (size_t j = 0; j < GUARD; j++)
      if (end[j] != GUARD_BYTE) {
        fail(operation, shape, "wrote behind a buffer");
        break;
      }
    free(owned[i]);
  }
  owned_count = 0;
  comparisons++;
}

void same_floats(const char *operation, const char *shape, const float *a, const float *b, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (memcmp(a + i, b + i, sizeof *a) != 0 && (a[i] == a[i] || b[i] == b[i])) {
      char what[96];
      snprintf(what, sizeof what, "element %zu is %.9g instead of %.9g", i, (double)b[i], (double)a[i]);
      fail(operation, shape, what);
      return;
    }
}

void same_bytes(const char *operation, const char *shape, const void *a, const void *b, size_t bytes) {
  if (memcmp(a, b, bytes) != 0) fail(operation, shape, "bytes differ");
}

void same_codes(const char *operation, const char *shape, const uint8_t *a, const uint8_t *b, size_t rows, size_t width, size_t stride) {
  const uint8_t bias = a[width - 1] ^ b[width - 1];
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < width; i++)
      if (a[r * stride + i] != (b[r * stride + i] ^ bias) || (bias & 0x7F)) {
        fail(operation, shape, "codes differ");
        return;
      }
}

size_t check_variant(const chord_variant *variant) {
  tested = variant->ukernels;
  variant_name = variant->name;
  differences = comparisons = 0;
  check_products();
  check_rows();
  check_attention();
  check_not_finite();
  printf("%s: %zu comparisons, %zu differences\n", variant->name, comparisons, differences);
  return differences;
}
