/*
 * Four rows of activations (or two) by all channels of a panel, for neon.c, at depths up to 64. In assembly: the activations take sixteen registers,
 * and compilers spill them, at a third more instructions.
 *
 *   v0-v15       activations, 16 inputs each: row r, part k in v(4 r + k)
 *   v16-v19  S   sums of the four rows: first channel, then first pair, then the quad of channels
 *   v20-v23  H   the same of the second pair
 *   v24-v27  T   products of the channel at hand
 *   v28-v31      inputs of the channel at hand; one instruction loads them and moves the panel's pointer on
 *
 * A wide channel widens after two products, a narrow one after eight: their int16 sums fit (7 * 127 each). Rows take turns, so that no
 * multiplication waits for the one before, and what follows a channel's products comes behind the load for the next one.
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
#define SET_S0 "v16"
#define SET_S1 "v17"
#define SET_S2 "v18"
#define SET_S3 "v19"
#define SET_H0 "v20"
#define SET_H1 "v21"
#define SET_H2 "v22"
#define SET_H3 "v23"
#define SET_T0 "v24"
#define SET_T1 "v25"
#define SET_T2 "v26"
#define SET_T3 "v27"
/* f for each of 4 or 2 rows */
#define EACH_4(f, ...) f(0, __VA_ARGS__) f(1, __VA_ARGS__) f(2, __VA_ARGS__) f(3, __VA_ARGS__)
#define EACH_2(f, ...) f(0, __VA_ARGS__) f(1, __VA_ARGS__)

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

/* Products of part k, whose inputs are in `right`, to the int16 sums of a set; `op` is smull for the first part. */
#define LOWER(row, op, set, k, right) op " " SET_##set##row ".8h, " LEFT_##row##k ".8b, " right ".8b\n"
#define UPPER(row, set, k, right) "smlal2 " SET_##set##row ".8h, " LEFT_##row##k ".16b, " right ".16b\n"
#define PART(rows, op, set, k, right) EACH_##rows(LOWER, op, set, k, right) EACH_##rows(UPPER, set, k, right)
#define NARROW(rows, set)                                                                           \
  PART(rows, "smull", set, 0, "v28") PART(rows, "smlal", set, 1, "v29") PART(rows, "smlal", set, 2, "v30") \
  PART(rows, "smlal", set, 3, "v31")

/* The same to int32 sums, by way of T. */
#define WIDEN_PART(row, op, set) op " " SET_##set##row ".4s, " SET_T##row ".8h\n"
#define WIDE_PART(rows, op, set, k, right) PART(rows, "smull", T, k, right) EACH_##rows(WIDEN_PART, op, set)
#define WIDE1(rows, set) WIDE_PART(rows, "saddlp", set, 0, "v28")
#define WIDE2(rows, set) WIDE1(rows, set) WIDE_PART(rows, "sadalp", set, 1, "v29")
#define WIDE3(rows, set) WIDE2(rows, set) WIDE_PART(rows, "sadalp", set, 2, "v30")
#define WIDE4(rows, set) WIDE3(rows, set) WIDE_PART(rows, "sadalp", set, 3, "v31")

/* Neighbouring sums of a set, added, then those of another. */
#define ADD(row, lanes, set, other) "addp " SET_##set##row lanes ", " SET_##set##row lanes ", " SET_##other##row lanes "\n"
#define WIDEN(row, set) "saddlp " SET_##set##row ".4s, " SET_##set##row ".8h\n"

/* A wide channel, added to the one before: sums in v26 and v27, two rows at a time. */
#define TWO_PRODUCTS(x, y, k, right)                                                                \
  "smull v24.8h, " LEFT_##x##k ".8b, " right ".8b\n smull v25.8h, " LEFT_##y##k ".8b, " right ".8b\n" \
  "smlal2 v24.8h, " LEFT_##x##k ".16b, " right ".16b\n smlal2 v25.8h, " LEFT_##y##k ".16b, " right ".16b\n"
#define TWO_WIDE_PART(op, x, y, k, right) TWO_PRODUCTS(x, y, k, right) op " v26.4s, v24.8h\n " op " v27.4s, v25.8h\n"
#define TWO_WIDE1(x, y) TWO_WIDE_PART("saddlp", x, y, 0, "v28")
#define TWO_WIDE2(x, y) TWO_WIDE1(x, y) TWO_WIDE_PART("sadalp", x, y, 1, "v29")
#define TWO_WIDE3(x, y) TWO_WIDE2(x, y) TWO_WIDE_PART("sadalp", x, y, 2, "v30")
#define TWO_WIDE4(x, y) TWO_WIDE3(x, y) TWO_WIDE_PART("sadalp", x, y, 3, "v31")
#define ADD_TWO(set, x, y)                                                                          \
  "addp " SET_##set##x ".4s, " SET_##set##x ".4s, v26.4s\n addp " SET_##set##y ".4s, " SET_##set##y ".4s, v27.4s\n"
#define ADD_WIDE_2(parts, set) TWO_WIDE##parts(0, 1) ADD_TWO(set, 0, 1)
#define ADD_WIDE_4(parts, set) ADD_WIDE_2(parts, set) TWO_WIDE##parts(2, 3) ADD_TWO(set, 2, 3)

/* Two channels: their kinds are bits `even` and `odd` of [narrow]. Uses the labels 1 to 4. */
#define MIXED_PAIR(rows, set, even, odd)                                                            \
  "tbz %w[narrow], #" even ", 3f\n tbz %w[narrow], #" odd ", 2f\n"                                  \
  LOAD4 NARROW(rows, set) LOAD4 NARROW(rows, T) EACH_##rows(ADD, ".8h", set, T) EACH_##rows(WIDEN, set) "b 1f\n" \
  "2:\n" LOAD4 NARROW(rows, set) LOAD4 EACH_##rows(WIDEN, set) ADD_WIDE_##rows(4, set) "b 1f\n"    \
  "3: tbnz %w[narrow], #" odd ", 4f\n" LOAD4 WIDE4(rows, set) LOAD4 ADD_WIDE_##rows(4, set) "b 1f\n" \
  "4:\n" LOAD4 WIDE4(rows, set) LOAD4 NARROW(rows, T) EACH_##rows(WIDEN, T) EACH_##rows(ADD, ".4s", set, T) \
  "1:\n"

/* y = fma(float(sum) * scale, a_scale, bias), relu, store. The biases lie four times in memory: the result of an fma takes the place of its
 * addend, so that each row needs its own. Uses the label 5. */
#define FINISH_LOADS(rows) "ldr q28, [%[scale]], #16\n ldr " ROW_SCALES_##rows ", [%[a_scale]]\n ld1 {v24.4s-v27.4s}, [%[biases]], #64\n"
#define ROW_SCALES_4 "q29"
#define ROW_SCALES_2 "d29"
#define CONVERT(row, unused) "scvtf " SET_S##row ".4s, " SET_S##row ".4s\n"
#define SCALE(row, unused) "fmul " SET_S##row ".4s, " SET_S##row ".4s, v28.4s\n"
#define RESCALE(row, unused) "fmla " SET_T##row ".4s, " SET_S##row ".4s, v29.s[" #row "]\n"
#define RELU(row, unused) "fmax " SET_T##row ".4s, " SET_T##row ".4s, v28.4s\n"
#define STORE(row, unused) "str " STORE_##row ", [%[out" #row "]], #16\n"
#define STORE_0 "q24"
#define STORE_1 "q25"
#define STORE_2 "q26"
#define STORE_3 "q27"
#define FINISH(rows)                                                                                \
  EACH_##rows(CONVERT, ) EACH_##rows(SCALE, ) EACH_##rows(RESCALE, )                                \
  "cbz %w[relu], 5f\n movi v28.4s, #0\n" EACH_##rows(RELU, ) "5:\n" EACH_##rows(STORE, )

/* Depth 64. Four channels all narrow: four of their int16 sums still fit one (4 * 8 * 127 * 7), so they are widened once. */
#define MIXED_CHANNELS(rows)                                                                        \
  "0: ldr %w[narrow], [%[flags]], #16\n cmp %w[narrow], #15\n b.ne 7f\n"                            \
  LOAD4 NARROW(rows, S) LOAD4 NARROW(rows, T) LOAD4 EACH_##rows(ADD, ".8h", S, T)                   \
  NARROW(rows, H) LOAD4 NARROW(rows, T) EACH_##rows(ADD, ".8h", H, T)                               \
  FINISH_LOADS(rows) EACH_##rows(ADD, ".8h", S, H) EACH_##rows(WIDEN, S)                                  \
  "6:\n" FINISH(rows) "cmp %[scale], %[end]\n b.ne 0b\n b 8f\n"                                    \
  "7:\n" MIXED_PAIR(rows, S, "0", "1") MIXED_PAIR(rows, H, "2", "3")                                \
  FINISH_LOADS(rows) EACH_##rows(ADD, ".4s", S, H) "b 6b\n"                                               \
  "8:\n"
/* Any codes at a depth of 16, 32 or 48; four rows. */
#define WIDE_CHANNELS(parts)                                                                        \
  "0:\n" LOAD##parts WIDE##parts(4, S) LOAD##parts ADD_WIDE_4(parts, S)                             \
  LOAD##parts WIDE##parts(4, H) LOAD##parts ADD_WIDE_4(parts, H)                                    \
  FINISH_LOADS(4) EACH_4(ADD, ".4s", S, H) FINISH(4) "cmp %[scale], %[end]\n b.ne 0b\n"

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
    TILE(ROWS3, WIDE_CHANNELS(3));
  else if (parts == 2)
    TILE(ROWS2, WIDE_CHANNELS(2));
  else
    TILE(ROWS1, WIDE_CHANNELS(1));
  (void)narrow;
}

#endif
