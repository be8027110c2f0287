/*
 * Panels from rows of codes. A variant that includes this says how sixteen inputs of sixteen channels are stored: store16(panel,
 * panel_depth, k, codes[16]), `codes[c]` being inputs k .. k + 15 of channel c.
 */
#ifndef CHORD_ARM_PACK_H
#define CHORD_ARM_PACK_H

#include "common.h"

/* Rows become columns: four perfect shuffles. */
CHORD_INLINE void chord_transpose16(int8x16_t rows[16]) {
  for (int step = 0; step < 4; step++) {
    int8x16_t shuffled[16];
    for (int i = 0; i < 8; i++) {
      shuffled[2 * i] = vzip1q_s8(rows[i], rows[i + 8]);
      shuffled[2 * i + 1] = vzip2q_s8(rows[i], rows[i + 8]);
    }
    for (int i = 0; i < 16; i++) rows[i] = shuffled[i];
  }
}

/* Sixteen inputs from `k` on of sixteen rows; rows behind the last are zeros. */
CHORD_INLINE void chord_load16(size_t rows, size_t depth, const uint8_t *a, size_t k, int8x16_t codes[16]) {
  static const int8_t zeros[16];
  for (size_t i = 0; i < 16; i++) codes[i] = vld1q_s8(i < rows ? (const int8_t *)a + i * depth + k : zeros);
}

/* The two operations of a variant, whose corrections are zero. */
#define CHORD_PACK_OPERATIONS(variant)                                                                                               \
  CHORD_CODE_PART(variant)                                                                                                           \
  static void chord_pack_rows_qa8_c8__##variant(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, int32_t *correction) {   \
    memset(correction, 0, CHORD_LANES * sizeof(int32_t));                                                                            \
    for (size_t k = 0; k < depth; k += 16) {                                                                                         \
      int8x16_t codes[16];                                                                                                           \
      chord_load16(rows, depth, a, k, codes);                                                                                        \
      store16(panel, depth, k, codes);                                                                                               \
    }                                                                                                                                \
  }                                                                                                                                  \
  CHORD_CODE_PART(variant)                                                                                                           \
  static void chord_pack_columns_qa8_c8__##variant(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel,         \
                                                   size_t panel_depth, int32_t *correction) {                                        \
    memset(correction, 0, depth * sizeof(int32_t));                                                                                  \
    for (size_t c = 0; c < depth; c += 16) {                                                                                         \
      int8x16_t codes[16];                                                                                                           \
      chord_load16(rows, depth, a, c, codes);                                                                                        \
      chord_transpose16(codes);                                                                                                      \
      store16(panel + c * panel_depth, panel_depth, first, codes);                                                                   \
    }                                                                                                                                \
  }

#endif
