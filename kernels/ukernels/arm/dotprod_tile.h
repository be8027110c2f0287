/*
 * Four rows of 64 activations by all channels of a panel, for dotprod.c, eight channels at a time. In assembly: 28 of 32 registers hold
 * something all the time, and compilers spill.
 *
 *   v0-v15    activations, 16 inputs each: row r, part k in v(4 r + k)
 *   v16-v19   sums of the four rows, first quarter of a block; v20-v23: the second
 *   v24-v27   four times four inputs of the first quarter; v28-v31: of the second
 */
#ifndef CHORD_ARM_DOTPROD_TILE_H
#define CHORD_ARM_DOTPROD_TILE_H

#include "common.h"

/* Four inputs, word `lane` of part k, of the four rows. */
#define DOT(s0, s1, s2, s3, right, k0, k1, k2, k3, lane)                                              \
  "sdot v" #s0 ".4s, v" #right ".16b, v" #k0 ".4b[" #lane "]\n sdot v" #s1 ".4s, v" #right ".16b, v" #k1 ".4b[" #lane "]\n" \
  "sdot v" #s2 ".4s, v" #right ".16b, v" #k2 ".4b[" #lane "]\n sdot v" #s3 ".4s, v" #right ".16b, v" #k3 ".4b[" #lane "]\n"
#define FIRST_QUARTER(k0, k1, k2, k3)                                                                 \
  DOT(16, 17, 18, 19, 24, k0, k1, k2, k3, 0) DOT(16, 17, 18, 19, 25, k0, k1, k2, k3, 1)               \
  DOT(16, 17, 18, 19, 26, k0, k1, k2, k3, 2) DOT(16, 17, 18, 19, 27, k0, k1, k2, k3, 3)
#define SECOND_QUARTER(k0, k1, k2, k3)                                                                \
  DOT(20, 21, 22, 23, 28, k0, k1, k2, k3, 0) DOT(20, 21, 22, 23, 29, k0, k1, k2, k3, 1)               \
  DOT(20, 21, 22, 23, 30, k0, k1, k2, k3, 2) DOT(20, 21, 22, 23, 31, k0, k1, k2, k3, 3)
/* One quarter is loaded while the other is multiplied. */
#define LOAD_FIRST "ld1 {v24.16b-v27.16b}, [%[panel]], #64\n"
#define LOAD_SECOND "ld1 {v28.16b-v31.16b}, [%[second]], #64\n"
#define DOT_PART(k0, k1, k2, k3) FIRST_QUARTER(k0, k1, k2, k3) LOAD_FIRST SECOND_QUARTER(k0, k1, k2, k3) LOAD_SECOND

#define ZERO_4(a, b, c, d) "movi v" #a ".4s, #0\n movi v" #b ".4s, #0\n movi v" #c ".4s, #0\n movi v" #d ".4s, #0\n"
/* float(sum) * scale */
#define CONVERT_4(a, b, c, d, scale)                                                                  \
  "scvtf v" #a ".4s, v" #a ".4s\n scvtf v" #b ".4s, v" #b ".4s\n scvtf v" #c ".4s, v" #c ".4s\n scvtf v" #d ".4s, v" #d ".4s\n" \
  "fmul v" #a ".4s, v" #a ".4s, v" #scale ".4s\n fmul v" #b ".4s, v" #b ".4s, v" #scale ".4s\n"       \
  "fmul v" #c ".4s, v" #c ".4s, v" #scale ".4s\n fmul v" #d ".4s, v" #d ".4s, v" #scale ".4s\n"
#define RESCALE_4(a, b, c, d, s0, s1, s2, s3)                                                         \
  "fmla v" #a ".4s, v" #s0 ".4s, v30.s[0]\n fmla v" #b ".4s, v" #s1 ".4s, v30.s[1]\n"                 \
  "fmla v" #c ".4s, v" #s2 ".4s, v30.s[2]\n fmla v" #d ".4s, v" #s3 ".4s, v30.s[3]\n"
#define RELU_4(a, b, c, d)                                                                            \
  "fmax v" #a ".4s, v" #a ".4s, v31.4s\n fmax v" #b ".4s, v" #b ".4s, v31.4s\n fmax v" #c ".4s, v" #c ".4s, v31.4s\n" \
  "fmax v" #d ".4s, v" #d ".4s, v31.4s\n"

/* Rows row .. row + 3 by all blocks (at least one); the bias of channel c lies at biases[c / 4][0 .. 3][c % 4]. */
__attribute__((target("arch=armv8.2-a+dotprod"))) static void chord_dotprod_tile(const chord_gemm *args, size_t row, const float *biases) {
  const uint8_t *a = args->a + row * args->a_stride;
  const int8_t *panel = args->panel, *second = panel + 4 * 64;
  const float *scale = args->scale, *const end = scale + args->blocks * CHORD_LANES;
  float *out0 = args->out + row * args->out_stride, *out1 = out0 + args->out_stride, *out2 = out1 + args->out_stride;
  float *out3 = out2 + args->out_stride;
  __asm__ volatile(
      "ld1 {v0.16b-v3.16b}, [%[a]], %[a_stride]\n ld1 {v4.16b-v7.16b}, [%[a]], %[a_stride]\n"
      "ld1 {v8.16b-v11.16b}, [%[a]], %[a_stride]\n ld1 {v12.16b-v15.16b}, [%[a]], %[a_stride]\n"
      "0:\n" LOAD_FIRST LOAD_SECOND ZERO_4(16, 17, 18, 19) ZERO_4(20, 21, 22, 23)
      DOT_PART(0, 4, 8, 12) DOT_PART(1, 5, 9, 13) DOT_PART(2, 6, 10, 14)
      FIRST_QUARTER(3, 7, 11, 15) "ld1 {v24.4s-v27.4s}, [%[biases]], #64\n" SECOND_QUARTER(3, 7, 11, 15)
      "ldp q28, q29, [%[scale]], #32\n ldr q30, [%[a_scale]]\n"
      "add %[panel], %[panel], #256\n add %[second], %[second], #256\n"
      CONVERT_4(16, 17, 18, 19, 28) CONVERT_4(20, 21, 22, 23, 29) RESCALE_4(24, 25, 26, 27, 16, 17, 18, 19)
      "ld1 {v16.4s-v19.4s}, [%[biases]], #64\n" RESCALE_4(16, 17, 18, 19, 20, 21, 22, 23)
      "cbz %w[relu], 1f\n movi v31.4s, #0\n" RELU_4(24, 25, 26, 27) RELU_4(16, 17, 18, 19)
      "1: stp q24, q16, [%[out0]], #32\n stp q25, q17, [%[out1]], #32\n stp q26, q18, [%[out2]], #32\n stp q27, q19, [%[out3]], #32\n"
      "cmp %[scale], %[end]\n b.ne 0b\n"
      : [a] "+r"(a), [panel] "+r"(panel), [second] "+r"(second), [scale] "+r"(scale), [biases] "+r"(biases), [out0] "+r"(out0),
        [out1] "+r"(out1), [out2] "+r"(out2), [out3] "+r"(out3)
      : [a_stride] "r"(args->a_stride), [a_scale] "r"(args->a_scale + row), [end] "r"(end), [relu] "r"(args->relu)
      : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",
        "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}

#endif
