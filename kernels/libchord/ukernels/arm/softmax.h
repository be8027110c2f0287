/*
 * chord_softmax_f32_qa8 for attend.c: sixteen scores at a time; only the last sixteen of a row need the causal mask. In assembly, because the
 * result of an fma takes the place of its addend: of each constant of the polynomial four copies are loaded at once, and made nowhere.
 *
 *   v0-v15    temporaries                 v22   CHORD_EXP2_LOW     v26-v29   the mask of the last sixteen; v26: 127 / heaviest
 *   v16-v19   sums of p in sixteen lanes  v23   CHORD_ROUND        v30       numbers of the low bytes
 *   v20       the heaviest w              v24   CHORD_EXP2_P4      v31       -infinity
 *   v21       the largest score
 */
#ifndef CHORD_ARM_SOFTMAX_H
#define CHORD_ARM_SOFTMAX_H

#include "common.h"

#define FOUR_OF(x) x, x, x, x
static const struct {
  float low, round, p4, infinity, divisor, unit, least, unused;
  uint8_t low_bytes[16];
  float p3[16], p2[16], p1[16], one[16], rounding[16];
} chord_softmax_constants = {CHORD_EXP2_LOW,
                             CHORD_ROUND,
                             CHORD_EXP2_P4,
                             -__builtin_inff(),
                             127.0f,
                             1.0f / 127.0f,
                             CHORD_SMALLEST_MAX,
                             0.0f,
                             {0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60},
                             {FOUR_OF(FOUR_OF(CHORD_EXP2_P3))},
                             {FOUR_OF(FOUR_OF(CHORD_EXP2_P2))},
                             {FOUR_OF(FOUR_OF(CHORD_EXP2_P1))},
                             {FOUR_OF(FOUR_OF(1.0f))},
                             {FOUR_OF(FOUR_OF(CHORD_ROUND))}};

#define FOUR(op, lanes, t0, t1, t2, t3, u0, u1, u2, u3, v0, v1, v2, v3)                               \
  op " v" #t0 lanes ", v" #u0 lanes ", v" #v0 lanes "\n" op " v" #t1 lanes ", v" #u1 lanes ", v" #v1 lanes "\n" \
  op " v" #t2 lanes ", v" #u2 lanes ", v" #v2 lanes "\n" op " v" #t3 lanes ", v" #u3 lanes ", v" #v3 lanes "\n"
#define FOUR_FLOATS(op, ...) FOUR(op, ".4s", __VA_ARGS__)

/* The largest score of a row, in all lanes of v21; leaves the mask in v26 to v29. */
#define LARGEST                                                                                       \
  "mov v21.16b, v31.16b\n mov %[at], %[s]\n mov %[left], %[blocks]\n cbz %[left], 2f\n"               \
  "1: ld1 {v0.4s-v3.4s}, [%[at]], #64\n subs %[left], %[left], #1\n"                                  \
  "fmax v0.4s, v0.4s, v1.4s\n fmax v2.4s, v2.4s, v3.4s\n fmax v21.4s, v21.4s, v0.4s\n fmax v21.4s, v21.4s, v2.4s\n b.ne 1b\n" \
  "2: ld1 {v0.4s-v3.4s}, [%[at]]\n ld1 {v26.4s-v29.4s}, [%[present]]\n"                               \
  FOUR("bif", ".16b", 0, 1, 2, 3, 31, 31, 31, 31, 26, 27, 28, 29)                                     \
  "fmax v0.4s, v0.4s, v1.4s\n fmax v2.4s, v2.4s, v3.4s\n fmax v21.4s, v21.4s, v0.4s\n fmax v21.4s, v21.4s, v2.4s\n" \
  "fmaxv s21, v21.4s\n dup v21.4s, v21.s[0]\n"

/* p = 2^(s - largest) of sixteen scores to v8 to v11, as chord_exp2. (One integer mla for shift and addition would be slow on N1.) */
#define POWERS                                                                                        \
  "ld1 {v0.4s-v3.4s}, [%[at]]\n"                                                                      \
  FOUR_FLOATS("fsub", 0, 1, 2, 3, 0, 1, 2, 3, 21, 21, 21, 21) FOUR_FLOATS("fmax", 0, 1, 2, 3, 0, 1, 2, 3, 22, 22, 22, 22) \
  FOUR_FLOATS("fadd", 12, 13, 14, 15, 0, 1, 2, 3, 23, 23, 23, 23) "ld1 {v4.4s-v7.4s}, [%[p3]]\n"      \
  FOUR_FLOATS("fsub", 8, 9, 10, 11, 12, 13, 14, 15, 23, 23, 23, 23)                                   \
  FOUR_FLOATS("fsub", 0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11) "ld1 {v8.4s-v11.4s}, [%[p2]]\n"           \
  FOUR_FLOATS("fmla", 4, 5, 6, 7, 24, 24, 24, 24, 0, 1, 2, 3)                                         \
  FOUR_FLOATS("fmla", 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3) "ld1 {v4.4s-v7.4s}, [%[p1]]\n"            \
  FOUR_FLOATS("fmla", 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3) "ld1 {v8.4s-v11.4s}, [%[one]]\n"          \
  FOUR_FLOATS("fmla", 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3) "ld1 {v4.4s-v7.4s}, [%[v]], #64\n"        \
  "shl v12.4s, v12.4s, #23\n shl v13.4s, v13.4s, #23\n shl v14.4s, v14.4s, #23\n shl v15.4s, v15.4s, #23\n"          \
  FOUR_FLOATS("add", 8, 9, 10, 11, 8, 9, 10, 11, 12, 13, 14, 15)

/* w = p value_scale in place of the scores, the sums of p, the heaviest w. */
#define WEIGHTS                                                                                       \
  "movi v16.4s, #0\n movi v17.4s, #0\n movi v18.4s, #0\n movi v19.4s, #0\n movi v20.4s, #0\n"         \
  "mov %[at], %[s]\n mov %[v], %[value_scale]\n mov %[left], %[blocks]\n"                             \
  "3:\n" POWERS "cbnz %[left], 4f\n" FOUR("and", ".16b", 8, 9, 10, 11, 8, 9, 10, 11, 26, 27, 28, 29)  \
  "4:\n" FOUR_FLOATS("fmul", 4, 5, 6, 7, 4, 5, 6, 7, 8, 9, 10, 11)                                    \
  FOUR_FLOATS("fadd", 16, 17, 18, 19, 16, 17, 18, 19, 8, 9, 10, 11) "stp q4, q5, [%[at]]\n stp q6, q7, [%[at], #32]\n add %[at], %[at], #64\n" \
  "fmax v4.4s, v4.4s, v5.4s\n fmax v6.4s, v6.4s, v7.4s\n fmax v20.4s, v20.4s, v4.4s\n fmax v20.4s, v20.4s, v6.4s\n" \
  "subs %[left], %[left], #1\n b.pl 3b\n"

/* (heaviest / 127) (1 / sum p), the sum as chord_fold; then the codes. */
#define SCALE_AND_CODES                                                                               \
  "ldp s0, s1, [%[numbers], #16]\n ldr s2, [%[numbers], #24]\n fmov s3, #1.0\n"                       \
  "fadd v16.4s, v16.4s, v18.4s\n fadd v17.4s, v17.4s, v19.4s\n fmaxv s20, v20.4s\n fadd v16.4s, v16.4s, v17.4s\n" \
  "ext v17.16b, v16.16b, v16.16b, #8\n fdiv s26, s0, s20\n fadd v16.2s, v16.2s, v17.2s\n faddp s16, v16.2s\n"     \
  "fmul s1, s20, s1\n movi v4.2s, #0\n fcmge s2, s20, s2\n fmadd s1, s20, s4, s1\n fdiv s3, s3, s16\n" \
  "and v26.8b, v26.8b, v2.8b\n fmul s1, s1, s3\n"                                                      \
  "str s1, [%[p_scale]], #4\n mov %[at], %[s]\n mov %[left], %[blocks]\n"                             \
  "5: ld1 {v4.4s-v7.4s}, [%[at]], #64\n ld1 {v0.4s-v3.4s}, [%[rounding]]\n subs %[left], %[left], #1\n" \
  "fmla v0.4s, v4.4s, v26.s[0]\n fmla v1.4s, v5.4s, v26.s[0]\n fmla v2.4s, v6.4s, v26.s[0]\n fmla v3.4s, v7.4s, v26.s[0]\n" \
  "tbl v0.16b, {v0.16b-v3.16b}, v30.16b\n st1 {v0.16b}, [%[p]], #16\n b.pl 5b\n"

/* At least one row. `present` holds ones for the scores that count among the last sixteen of the first row, then 15 zeros. */
static void chord_softmax_rows(const chord_softmax *args, const uint32_t *present) {
  size_t rows = args->rows, left;
  const size_t blocks = args->first / 16, s_step = args->stride * sizeof(float), p_step = args->stride - 16 * (blocks + 1);
  float *s = args->scores, *p_scale = args->p_scale, *at;
  const float *v;
  uint8_t *p = args->p;
  __asm__ volatile("ld3r {v22.4s-v24.4s}, [%[numbers]]\n ldr s31, [%[numbers], #12]\n ldr q30, [%[numbers], #32]\n dup v31.4s, v31.s[0]\n"
                   "0:\n" LARGEST WEIGHTS SCALE_AND_CODES
                   "add %[s], %[s], %[s_step]\n add %[p], %[p], %[p_step]\n sub %[present], %[present], #4\n"
                   "subs %[rows], %[rows], #1\n b.ne 0b\n"
                   : [rows] "+r"(rows), [left] "=&r"(left), [s] "+r"(s), [at] "=&r"(at), [v] "=&r"(v), [p] "+r"(p), [p_scale] "+r"(p_scale),
                     [present] "+r"(present)
                   : [blocks] "r"(blocks), [s_step] "r"(s_step), [p_step] "r"(p_step), [value_scale] "r"(args->value_scale),
                     [numbers] "r"(&chord_softmax_constants), [p3] "r"(chord_softmax_constants.p3), [p2] "r"(chord_softmax_constants.p2),
                     [p1] "r"(chord_softmax_constants.p1), [one] "r"(chord_softmax_constants.one),
                     [rounding] "r"(chord_softmax_constants.rounding)
                   : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
                     "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v26", "v27", "v28", "v29", "v30", "v31");
}

#endif
