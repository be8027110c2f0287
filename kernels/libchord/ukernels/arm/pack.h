/*
 * Panels from rows of codes. A variant that includes this says how sixteen inputs of sixteen channels are stored: STORE16(panel,
 * panel_depth, k, codes[16]), `codes[c]` being inputs k .. k + 15 of channel c.
 */
#ifndef CHORD_ARM_PACK_H
#define CHORD_ARM_PACK_H

#include "common.h"

typedef void chord_store16(int8_t *panel, size_t panel_depth, size_t k, const int8x16_t codes[16]);

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

CHORD_INLINE void chord_pack_rows(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, chord_store16 *store16) {
  for (size_t k = 0; k < depth; k += 16) {
    int8x16_t codes[16];
    for (size_t i = 0; i < 16; i++) codes[i] = i < rows ? vld1q_s8((const int8_t *)a + i * depth + k) : vdupq_n_s8(0);
    store16(panel, depth, k, codes);
  }
}

CHORD_INLINE void chord_pack_columns(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel, size_t panel_depth,
                                     chord_store16 *store16) {
  for (size_t c = 0; c < depth; c += 16) {
    int8x16_t codes[16];
    for (size_t i = 0; i < 16; i++) codes[i] = i < rows ? vld1q_s8((const int8_t *)a + i * depth + c) : vdupq_n_s8(0);
    chord_transpose16(codes);
    store16(panel + c * panel_depth, panel_depth, first, codes);
  }
}

/* The two operations of a variant, whose corrections are zero. Sixteen rows at once are the common case. */
#define CHORD_PACK_OPERATIONS(variant)                                                                                               \
  static void chord_pack_rows_qa8_c8__##variant(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, int32_t *correction) {   \
    memset(correction, 0, CHORD_LANES * sizeof(int32_t));                                                                            \
    if (rows == 16)                                                                                                                  \
      chord_pack_rows(16, depth, a, panel, store16);                                                                                 \
    else                                                                                                                             \
      chord_pack_rows(rows, depth, a, panel, store16);                                                                               \
  }                                                                                                                                  \
  static void chord_pack_columns_qa8_c8__##variant(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel,         \
                                                   size_t panel_depth, int32_t *correction) {                                        \
    memset(correction, 0, depth * sizeof(int32_t));                                                                                  \
    if (rows == 16)                                                                                                                  \
      chord_pack_columns(16, depth, a, first, panel, panel_depth, store16);                                                          \
    else                                                                                                                             \
      chord_pack_columns(rows, depth, a, first, panel, panel_depth, store16);                                                        \
  }

#endif
