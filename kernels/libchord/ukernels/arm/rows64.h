/*
 * Rows of 64 floats for rows.c: a row is sixteen registers (v0 to v15), read and written once. In assembly, because it reads, writes and picks
 * four registers at a time, which must be neighbours; compilers that are to arrange it copy and spill instead.
 *
 *   v16-v23   temporaries                  s27   127
 *   v24       numbers of the low bytes     s28   1 / 127
 *   s25       1 / 64                       s29   CHORD_SMALLEST_MAX
 *   s26       eps                          v30, v31   one number each
 */
#ifndef CHORD_ARM_ROWS64_H
#define CHORD_ARM_ROWS64_H

#include "common.h"

static const struct {
  float numbers[8];
  uint8_t low_bytes[16];
  float rounding[16];
} chord_row64 = {
    {1.0f / 64.0f, 0.0f, 127.0f, 1.0f / 127.0f, CHORD_SMALLEST_MAX, 0.0f, 0.0f, 0.0f},
    {0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60},
    {CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND,
     CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND, CHORD_ROUND}};

#define NUMBERS "ldr s25, [%[numbers]]\n ldp s27, s28, [%[numbers], #8]\n ldr s29, [%[numbers], #16]\n ldr q24, [%[numbers], #32]\n"

/* Four instructions on neighbouring registers, from t, u and v on. */
#define ON_4(op, t0, t1, t2, t3, u0, u1, u2, u3)                                                      \
  op " v" #t0 ".4s, v" #u0 ".4s\n" op " v" #t1 ".4s, v" #u1 ".4s\n" op " v" #t2 ".4s, v" #u2 ".4s\n" op " v" #t3 ".4s, v" #u3 ".4s\n"
#define ON_4_4(op, t0, t1, t2, t3, u0, u1, u2, u3, v0, v1, v2, v3)                                    \
  op " v" #t0 ".4s, v" #u0 ".4s, v" #v0 ".4s\n" op " v" #t1 ".4s, v" #u1 ".4s, v" #v1 ".4s\n"         \
  op " v" #t2 ".4s, v" #u2 ".4s, v" #v2 ".4s\n" op " v" #t3 ".4s, v" #u3 ".4s, v" #v3 ".4s\n"
#define SUM_4_4(op, t0, t1, t2, t3, u0, u1, u2, u3) ON_4_4(op, t0, t1, t2, t3, t0, t1, t2, t3, u0, u1, u2, u3)
#define FMLA_BY_31(t0, t1, t2, t3, u0, u1, u2, u3)                                                    \
  "fmla v" #t0 ".4s, v" #u0 ".4s, v31.s[0]\n fmla v" #t1 ".4s, v" #u1 ".4s, v31.s[0]\n"               \
  "fmla v" #t2 ".4s, v" #u2 ".4s, v31.s[0]\n fmla v" #t3 ".4s, v" #u3 ".4s, v31.s[0]\n"

#define LOAD_ROW(from)                                                                                \
  "ld1 {v0.4s-v3.4s}, [" from "], #64\n ld1 {v4.4s-v7.4s}, [" from "], #64\n"                         \
  "ld1 {v8.4s-v11.4s}, [" from "], #64\n ld1 {v12.4s-v15.4s}, [" from "], #64\n"
/* Pairs, because a store of four registers keeps V1 waiting. */
#define STORE_4(to, r0, r1, r2, r3) "stp q" #r2 ", q" #r3 ", [" to ", #32]\n stp q" #r0 ", q" #r1 ", [" to "], #64\n"
#define STORE_ROW(to) STORE_4(to, 0, 1, 2, 3) STORE_4(to, 4, 5, 6, 7) STORE_4(to, 8, 9, 10, 11) STORE_4(to, 12, 13, 14, 15)
#define ADD_ROW(from)                                                                                 \
  "ld1 {v16.4s-v19.4s}, [" from "], #64\n ld1 {v20.4s-v23.4s}, [" from "], #64\n"                     \
  SUM_4_4("fadd", 0, 1, 2, 3, 16, 17, 18, 19) "ld1 {v16.4s-v19.4s}, [" from "], #64\n"                \
  SUM_4_4("fadd", 4, 5, 6, 7, 20, 21, 22, 23) "ld1 {v20.4s-v23.4s}, [" from "], #64\n"                \
  SUM_4_4("fadd", 8, 9, 10, 11, 16, 17, 18, 19) SUM_4_4("fadd", 12, 13, 14, 15, 20, 21, 22, 23)

/* Four registers of partial sums from v20 on to s20; the order of chord_fold. */
#define FOLD                                                                                          \
  "fadd v20.4s, v20.4s, v22.4s\n fadd v21.4s, v21.4s, v23.4s\n fadd v20.4s, v20.4s, v21.4s\n"         \
  "ext v21.16b, v20.16b, v20.16b, #8\n fadd v20.2s, v20.2s, v21.2s\n faddp s20, v20.2s\n"

/* The row's mean to s30, 1 / its standard deviation to s31: no number where the variance is infinite. */
#define MEAN                                                                                          \
  ON_4_4("fadd", 20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 6, 7) SUM_4_4("fadd", 20, 21, 22, 23, 8, 9, 10, 11) \
  SUM_4_4("fadd", 20, 21, 22, 23, 12, 13, 14, 15) FOLD "fmul s30, s20, s25\n"
#define SQUARES_OF(op, u0, u1, u2, u3)                                                                \
  ON_4_4("fsub", 16, 17, 18, 19, u0, u1, u2, u3, 31, 31, 31, 31) ON_4_4(op, 20, 21, 22, 23, 16, 17, 18, 19, 16, 17, 18, 19)
#define FACTOR                                                                                        \
  "dup v31.4s, v30.s[0]\n" SQUARES_OF("fmul", 0, 1, 2, 3) SQUARES_OF("fmla", 4, 5, 6, 7)              \
  SQUARES_OF("fmla", 8, 9, 10, 11) SQUARES_OF("fmla", 12, 13, 14, 15) FOLD                            \
  "fmadd s20, s20, s25, s26\n movi v22.2s, #0\n fsqrt s23, s20\n fmov s21, #1.0\n fdiv s31, s21, s23\n fmadd s31, s20, s22, s31\n"

/* y = fma(fma(v, factor, -(mean factor)), gamma, beta). The result of an fma takes the place of its addend: ld4r makes four copies at once. */
#define AFFINE_4(u0, u1, u2, u3)                                                                      \
  "ld4r {v16.4s-v19.4s}, [%[four]]\n ld1 {v20.4s-v23.4s}, [%[gamma]], #64\n"                          \
  FMLA_BY_31(16, 17, 18, 19, u0, u1, u2, u3) "ld1 {v" #u0 ".4s-v" #u3 ".4s}, [%[beta]], #64\n"        \
  ON_4_4("fmla", u0, u1, u2, u3, 16, 17, 18, 19, 20, 21, 22, 23)
#define AFFINE                                                                                        \
  "fnmul s30, s30, s31\n dup v16.4s, v30.s[0]\n str q16, [%[four]]\n mov %[gamma], %[all_gamma]\n mov %[beta], %[all_beta]\n" \
  AFFINE_4(0, 1, 2, 3) AFFINE_4(4, 5, 6, 7) AFFINE_4(8, 9, 10, 11) AFFINE_4(12, 13, 14, 15)

/* Codes and scale, as chord_codes and chord_inverse_of. */
#define MAGNITUDES(u0, u1, u2, u3) ON_4("fabs", 20, 21, 22, 23, u0, u1, u2, u3) SUM_4_4("fmax", 16, 17, 18, 19, 20, 21, 22, 23)
#define TWO_OF_ROUNDING "ld1 {v16.4s-v19.4s}, [%[rounding]]\n ld1 {v20.4s-v23.4s}, [%[rounding]]\n"
#define CODES(to, from) "tbl v" #to ".16b, {" from "}, v24.16b\n"
#define QUANTIZE                                                                                      \
  ON_4("fabs", 16, 17, 18, 19, 0, 1, 2, 3) MAGNITUDES(4, 5, 6, 7) MAGNITUDES(8, 9, 10, 11) MAGNITUDES(12, 13, 14, 15) \
  "fmax v16.4s, v16.4s, v17.4s\n fmax v18.4s, v18.4s, v19.4s\n fmax v16.4s, v16.4s, v18.4s\n fmaxv s30, v16.4s\n" \
  "fdiv s31, s27, s30\n movi v17.2s, #0\n fmul s16, s30, s28\n fmadd s16, s30, s17, s16\n fcmge s30, s30, s29\n" \
  "str s16, [%[a_scale]], #4\n" TWO_OF_ROUNDING                                                       \
  "and v31.8b, v31.8b, v30.8b\n"                                                                      \
  FMLA_BY_31(16, 17, 18, 19, 0, 1, 2, 3) FMLA_BY_31(20, 21, 22, 23, 4, 5, 6, 7)                       \
  CODES(0, "v16.16b-v19.16b") CODES(1, "v20.16b-v23.16b") TWO_OF_ROUNDING                             \
  FMLA_BY_31(16, 17, 18, 19, 8, 9, 10, 11) FMLA_BY_31(20, 21, 22, 23, 12, 13, 14, 15)                 \
  CODES(2, "v16.16b-v19.16b") CODES(3, "v20.16b-v23.16b") "st1 {v0.16b-v3.16b}, [%[a]], %[a_stride]\n"

#define ROW_REGISTERS                                                                                 \
  "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", \
  "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"

/* As chord_quantize_f32_qa8__neon, at least one row. */
static void chord_quantize_rows64(size_t rows, const float *x, size_t x_stride, uint8_t *a, size_t a_stride, float *a_scale) {
  const size_t skip = (x_stride - 64) * sizeof(float);
  __asm__ volatile(NUMBERS "0:\n" LOAD_ROW("%[x]") "add %[x], %[x], %[skip]\n subs %[rows], %[rows], #1\n" QUANTIZE "b.ne 0b\n"
                   : [rows] "+r"(rows), [x] "+r"(x), [a] "+r"(a), [a_scale] "+r"(a_scale)
                   : [skip] "r"(skip), [a_stride] "r"(a_stride), [numbers] "r"(chord_row64.numbers), [rounding] "r"(chord_row64.rounding)
                   : ROW_REGISTERS);
}

/* As chord_norm_f32__neon, at least one row. */
static void chord_norm_rows64(const chord_norm *args) {
  size_t rows = args->rows;
  const float *x = args->x, *delta = args->delta, *gamma, *beta;
  float *sum_out = args->sum_out, *norm_out = args->norm_out, *a_scale = args->a_scale, four[4];
  uint8_t *a = args->a;
  __asm__ volatile(NUMBERS "ldr s26, [%[eps]]\n"
                   "0:\n" LOAD_ROW("%[x]")
                   "cbz %[delta], 1f\n" ADD_ROW("%[delta]")
                   "1: cbz %[sum_out], 2f\n" STORE_ROW("%[sum_out]")
                   "2:\n" MEAN FACTOR AFFINE
                   "cbz %[norm_out], 3f\n" STORE_ROW("%[norm_out]")
                   "3: cbz %[a], 4f\n" QUANTIZE
                   "4: subs %[rows], %[rows], #1\n b.ne 0b\n"
                   : [rows] "+r"(rows), [x] "+r"(x), [delta] "+r"(delta), [sum_out] "+r"(sum_out), [norm_out] "+r"(norm_out), [a] "+r"(a),
                     [a_scale] "+r"(a_scale), [gamma] "=&r"(gamma), [beta] "=&r"(beta)
                   : [a_stride] "r"(args->a_stride), [numbers] "r"(chord_row64.numbers), [rounding] "r"(chord_row64.rounding),
                     [eps] "r"(&args->eps), [four] "r"(four), [all_gamma] "r"(args->gamma), [all_beta] "r"(args->beta)
                   : ROW_REGISTERS);
}

#endif
