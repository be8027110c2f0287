/*
 * Four rows of activations (or two) by all channels of a panel, for neon.c, at depths up to 64. In assembly: the activations take sixteen registers,
 * and compilers spill them, at a third more instructions.
 *
 *   v0-v15    activations, 16 inputs each: row r, part k in v(4 r + k)
 *   v16-v19   sums of the four rows: first channel, then first pair, then the quad of channels
 *   v20-v23   the same of the second pair
 *   v24-v27   products of the channel at hand
 *   v28-v31   inputs of the channel at hand; one instruction loads them and moves the panel's pointer on
 *
 * A wide channel (W) widens after two products, a narrow one (N) after eight: their int16 sums fit (7 * 127 each). Rows go in pairs, which
 * keeps the multiplier busy.
 */
#ifndef CHORD_ARM_NEON_TILE_H
#define CHORD_ARM_NEON_TILE_H

#include "common.h"

#define LEFT_00 "v0"
#define LEFT_01 "v1"
#define LEFT_02 "v2"
#define LEFT_03 "v3"
#define LEFT_10 "v4"
#define LEFT_11 "v5"
#define LEFT_12 "v6"
#define LEFT_13 "v7"
#define LEFT_20 "v8"
#define LEFT_21 "v9"
#define LEFT_22 "v10"
#define LEFT_23 "v11"
#define LEFT_30 "v12"
#define LEFT_31 "v13"
#define LEFT_32 "v14"
#define LEFT_33 "v15"
/* Sums of the first and of the second pair of channels, for four and for two rows. */
#define FIRST_OF_4(f) f("v16", "v17", 0, 1) f("v18", "v19", 2, 3)
#define SECOND_OF_4(f) f("v20", "v21", 0, 1) f("v22", "v23", 2, 3)
#define FIRST_OF_2(f) f("v16", "v17", 0, 1)
#define SECOND_OF_2(f) f("v20", "v21", 0, 1)

/* 16, 32, 48 or 64 inputs of four rows. */
#define ROWS1 "ld1 {v0.16b}, [%[a]], %[a_stride]\n ld1 {v4.16b}, [%[a]], %[a_stride]\n" \
              "ld1 {v8.16b}, [%[a]], %[a_stride]\n ld1 {v12.16b}, [%[a]], %[a_stride]\n"
#define ROWS2 "ld1 {v0.16b-v1.16b}, [%[a]], %[a_stride]\n ld1 {v4.16b-v5.16b}, [%[a]], %[a_stride]\n" \
              "ld1 {v8.16b-v9.16b}, [%[a]], %[a_stride]\n ld1 {v12.16b-v13.16b}, [%[a]], %[a_stride]\n"
#define ROWS3 "ld1 {v0.16b-v2.16b}, [%[a]], %[a_stride]\n ld1 {v4.16b-v6.16b}, [%[a]], %[a_stride]\n" \
              "ld1 {v8.16b-v10.16b}, [%[a]], %[a_stride]\n ld1 {v12.16b-v14.16b}, [%[a]], %[a_stride]\n"
#define ROWS4 "ld1 {v0.16b-v3.16b}, [%[a]], %[a_stride]\n ld1 {v4.16b-v7.16b}, [%[a]], %[a_stride]\n" \
              "ld1 {v8.16b-v11.16b}, [%[a]], %[a_stride]\n ld1 {v12.16b-v15.16b}, [%[a]], %[a_stride]\n"
/* As many of the next channel. */
#define LOAD1 "ld1 {v28.16b}, [%[panel]], %[stride]\n"
#define LOAD2 "ld1 {v28.16b-v29.16b}, [%[panel]], %[stride]\n"
#define LOAD3 "ld1 {v28.16b-v30.16b}, [%[panel]], %[stride]\n"
#define LOAD4 "ld1 {v28.16b-v31.16b}, [%[panel]], %[stride]\n"

/* Products of part k, whose inputs are in `right`, of rows x and y to int16 sums p and q; `op` is smull for the first part. */
#define PART(op, p, q, x, y, k, right)                                                              \
  op " " p ".8h, " LEFT_##x##k ".8b, " right ".8b\n " op " " q ".8h, " LEFT_##y##k ".8b, " right ".8b\n" \
  "smlal2 " p ".8h, " LEFT_##x##k ".16b, " right ".16b\n smlal2 " q ".8h, " LEFT_##y##k ".16b, " right ".16b\n"
#define NARROW4(p, q, x, y)                                                                         \
  PART("smull", p, q, x, y, 0, "v28") PART("smlal", p, q, x, y, 1, "v29")                           \
  PART("smlal", p, q, x, y, 2, "v30") PART("smlal", p, q, x, y, 3, "v31")
/* The same to int32 sums a and b, by way of v24 and v25. */
#define WIDE_PART(widen, a, b, x, y, k, right) \
  PART("smull", "v24", "v25", x, y, k, right) widen " " a ".4s, v24.8h\n " widen " " b ".4s, v25.8h\n"
#define WIDE1(a, b, x, y) WIDE_PART("saddlp", a, b, x, y, 0, "v28")
#define WIDE2(a, b, x, y) WIDE1(a, b, x, y) WIDE_PART("sadalp", a, b, x, y, 1, "v29")
#define WIDE3(a, b, x, y) WIDE2(a, b, x, y) WIDE_PART("sadalp", a, b, x, y, 2, "v30")
#define WIDE4(a, b, x, y) WIDE3(a, b, x, y) WIDE_PART("sadalp", a, b, x, y, 3, "v31")

/* Neighbouring sums in a and b, added, then those in c and d. */
#define ADD_PAIRS(lanes, a, b, c, d) "addp " a lanes ", " a lanes ", " c lanes "\n addp " b lanes ", " b lanes ", " d lanes "\n"
#define WIDEN(a, b) "saddlp " a ".4s, " a ".8h\n saddlp " b ".4s, " b ".8h\n"

/* The second channel of a pair; a and b hold the sums of the first, then those of both. */
#define THEN_WIDE(WIDE, a, b, x, y) WIDE("v26", "v27", x, y) ADD_PAIRS(".4s", a, b, "v26", "v27")
#define WW1(a, b, x, y) THEN_WIDE(WIDE1, a, b, x, y)
#define WW2(a, b, x, y) THEN_WIDE(WIDE2, a, b, x, y)
#define WW3(a, b, x, y) THEN_WIDE(WIDE3, a, b, x, y)
#define WW4(a, b, x, y) THEN_WIDE(WIDE4, a, b, x, y)
#define NW4(a, b, x, y) WIDEN(a, b) THEN_WIDE(WIDE4, a, b, x, y)
#define WN4(a, b, x, y) NARROW4("v24", "v25", x, y) WIDEN("v24", "v25") ADD_PAIRS(".4s", a, b, "v24", "v25")
#define NN4(a, b, x, y) NARROW4("v24", "v25", x, y) ADD_PAIRS(".8h", a, b, "v24", "v25")
#define WIDENED_NN4(a, b, x, y) NN4(a, b, x, y) WIDEN(a, b)
#define PAIR(LOAD, sums, FIRST, SECOND) LOAD sums(FIRST) LOAD sums(SECOND)

/* A pair whose kinds are bits `even` and `odd` of [narrow]; uses the labels 1 to 4. */
#define MIXED_PAIR(sums, even, odd)                                                                 \
  "tbz %w[narrow], #" even ", 3f\n tbz %w[narrow], #" odd ", 2f\n"                                  \
  PAIR(LOAD4, sums, NARROW4, WIDENED_NN4) "b 1f\n"                                                  \
  "2:\n" PAIR(LOAD4, sums, NARROW4, NW4) "b 1f\n"                                                   \
  "3: tbnz %w[narrow], #" odd ", 4f\n" PAIR(LOAD4, sums, WIDE4, WW4) "b 1f\n"                       \
  "4:\n" PAIR(LOAD4, sums, WIDE4, WN4)                                                              \
  "1:\n"
#define ADD_SECOND_OF_4(lanes) ADD_PAIRS(lanes, "v16", "v17", "v20", "v21") ADD_PAIRS(lanes, "v18", "v19", "v22", "v23")
#define ADD_SECOND_OF_2(lanes) ADD_PAIRS(lanes, "v16", "v17", "v20", "v21")

/* y = fma(float(sum) * scale, a_scale, bias), relu, store. The biases lie four times in memory: the result of an fma takes the place of its
 * addend, so that each row needs its own. Uses the label 5. */
#define FINISH_4                                                                                    \
  "ldr q24, [%[scale]], #16\n ld1 {v20.4s-v23.4s}, [%[biases]], #64\n ldr q25, [%[a_scale]]\n"      \
  "scvtf v16.4s, v16.4s\n scvtf v17.4s, v17.4s\n scvtf v18.4s, v18.4s\n scvtf v19.4s, v19.4s\n"     \
  "fmul v16.4s, v16.4s, v24.4s\n fmul v17.4s, v17.4s, v24.4s\n"                                     \
  "fmul v18.4s, v18.4s, v24.4s\n fmul v19.4s, v19.4s, v24.4s\n"                                     \
  "fmla v20.4s, v16.4s, v25.s[0]\n fmla v21.4s, v17.4s, v25.s[1]\n"                                 \
  "fmla v22.4s, v18.4s, v25.s[2]\n fmla v23.4s, v19.4s, v25.s[3]\n"                                 \
  "cbz %w[relu], 5f\n movi v24.4s, #0\n"                                                            \
  "fmax v20.4s, v20.4s, v24.4s\n fmax v21.4s, v21.4s, v24.4s\n"                                     \
  "fmax v22.4s, v22.4s, v24.4s\n fmax v23.4s, v23.4s, v24.4s\n"                                     \
  "5: str q20, [%[out0]], #16\n str q21, [%[out1]], #16\n str q22, [%[out2]], #16\n str q23, [%[out3]], #16\n"
#define FINISH_2                                                                                    \
  "ldr q24, [%[scale]], #16\n ld1 {v20.4s-v23.4s}, [%[biases]], #64\n ldr d25, [%[a_scale]]\n"      \
  "scvtf v16.4s, v16.4s\n scvtf v17.4s, v17.4s\n"                                                  \
  "fmul v16.4s, v16.4s, v24.4s\n fmul v17.4s, v17.4s, v24.4s\n"                                     \
  "fmla v20.4s, v16.4s, v25.s[0]\n fmla v21.4s, v17.4s, v25.s[1]\n"                                 \
  "cbz %w[relu], 5f\n movi v24.4s, #0\n"                                                            \
  "fmax v20.4s, v20.4s, v24.4s\n fmax v21.4s, v21.4s, v24.4s\n"                                     \
  "5: str q20, [%[out0]], #16\n str q21, [%[out1]], #16\n"

/* Depth 64. Four channels all narrow: four of their int16 sums still fit one (4 * 8 * 127 * 7), so they are widened once. */
#define MIXED_CHANNELS(rows)                                                                        \
  "0: ldr %w[narrow], [%[flags]], #16\n cmp %w[narrow], #15\n b.ne 7f\n"                            \
  PAIR(LOAD4, FIRST_OF_##rows, NARROW4, NN4) PAIR(LOAD4, SECOND_OF_##rows, NARROW4, NN4)            \
  ADD_SECOND_OF_##rows(".8h") FIRST_OF_##rows(WIDEN_SUMS)                                           \
  "6:\n" FINISH_##rows "cmp %[scale], %[end]\n b.ne 0b\n b 8f\n"                                   \
  "7:\n" MIXED_PAIR(FIRST_OF_##rows, "0", "1") MIXED_PAIR(SECOND_OF_##rows, "2", "3")               \
  ADD_SECOND_OF_##rows(".4s") "b 6b\n"                                                              \
  "8:\n"
#define WIDEN_SUMS(a, b, x, y) WIDEN(a, b)
/* Any codes at a depth of 16, 32 or 48. */
#define WIDE_CHANNELS(LOAD, WIDE, WW)                                                               \
  "0:\n" PAIR(LOAD, FIRST_OF_4, WIDE, WW) PAIR(LOAD, SECOND_OF_4, WIDE, WW) ADD_SECOND_OF_4(".4s")  \
  FINISH_4 "cmp %[scale], %[end]\n b.ne 0b\n"

#define TILE(rows, channels)                                                                        \
  __asm__ volatile(rows channels                                                                    \
                   : [a] "+r"(a), [panel] "+r"(panel), [flags] "+r"(flags), [narrow] "=&r"(narrow), [scale] "+r"(scale),   \
                     [biases] "+r"(biases), [out0] "+r"(out0), [out1] "+r"(out1), [out2] "+r"(out2), [out3] "+r"(out3)     \
                   : [a_stride] "r"(args->a_stride), [stride] "r"(args->panel_depth), [a_scale] "r"(args->a_scale + row),  \
                     [end] "r"(end), [relu] "r"(args->relu)                                         \
                   : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", \
                     "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", \
                     "v31")

/* `rows` rows (4; 2 where parts is 4) from `row` on by all blocks (at least one) at a depth of 16 * parts; the bias of channel c lies at
 * biases[c / 4][0 .. 3][c % 4]. Bit c of every fourth correction says that channel c behind it is narrow, which counts where parts is 4. */
CHORD_INLINE void chord_neon_tile(const chord_gemm *args, size_t parts, size_t row, size_t rows, const float *biases) {
  const uint8_t *a = args->a + row * args->a_stride;
  const int8_t *panel = args->panel;
  const int32_t *flags = args->correction;
  const float *scale = args->scale, *const end = scale + args->blocks * CHORD_LANES;
  float *out0 = args->out + row * args->out_stride, *out1 = out0 + args->out_stride, *out2 = out1 + args->out_stride;
  float *out3 = out2 + args->out_stride;
  uint32_t narrow;
  if (rows == 2)
    TILE("ld1 {v0.16b-v3.16b}, [%[a]], %[a_stride]\n ld1 {v4.16b-v7.16b}, [%[a]], %[a_stride]\n", MIXED_CHANNELS(2));
  else if (parts == 4)
    TILE(ROWS4, MIXED_CHANNELS(4));
  else if (parts == 3)
    TILE(ROWS3, WIDE_CHANNELS(LOAD3, WIDE3, WW3));
  else if (parts == 2)
    TILE(ROWS2, WIDE_CHANNELS(LOAD2, WIDE2, WW2));
  else
    TILE(ROWS1, WIDE_CHANNELS(LOAD1, WIDE1, WW1));
  (void)narrow;
}

#endif
