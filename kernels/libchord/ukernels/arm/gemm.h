/* The end of every Arm matrix product, and the walk over row groups. Included by each variant's file. */
#ifndef CHORD_ARM_GEMM_H
#define CHORD_ARM_GEMM_H

#include "common.h"

void chord_gemm_qa8_c4__dotprod(const chord_gemm *args);
void chord_gemm_qa8_c2__dotprod(const chord_gemm *args);

/* Scales of the activations of up to four rows, in one register. */
CHORD_INLINE float32x4_t chord_row_scales(const chord_gemm *args, size_t row, size_t rows) {
  const float *scale = args->a_scale + row;
  return (float32x4_t){scale[0], rows > 1 ? scale[1] : 0.0f, rows > 2 ? scale[2] : 0.0f, rows > 3 ? scale[3] : 0.0f};
}

/* Sums [channel / 4][row] to floats; then relu where asked, then stored. */
CHORD_INLINE void chord_finish(const chord_gemm *args, float32x4_t a_scale, size_t row, size_t channel, size_t rows, size_t quarters,
                               int32x4_t sum[][4]) {
  const float *scale = args->scale + channel, *bias = args->bias + channel;
  float *out = args->out + row * args->out_stride + channel;
  const size_t out_stride = args->out_stride;
  float32x4_t y[4][4];
  for (size_t j = 0; j < quarters; j++) {
    const float32x4_t scales = vld1q_f32(scale + 4 * j), biases = vld1q_f32(bias + 4 * j);
    for (size_t i = 0; i < rows; i++) y[j][i] = chord_rescale(sum[j][i], scales, a_scale[i], biases);
  }
  if (args->relu)
    for (size_t j = 0; j < quarters; j++)
      for (size_t i = 0; i < rows; i++) y[j][i] = vmaxq_f32(y[j][i], vdupq_n_f32(0.0f));
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < quarters; j++) vst1q_f32(out + i * out_stride + 4 * j, y[j][i]);
}

/* Four rows of 64 activations, kept in registers while all channels pass by; rows behind the last repeat it. */
CHORD_INLINE void chord_load64(const chord_gemm *args, size_t row, size_t rows, int8x16_t left[4][4]) {
  for (size_t i = 0; i < 4; i++) {
    const int8_t *a = (const int8_t *)(args->a + (row + (i < rows ? i : rows - 1)) * args->a_stride);
    for (size_t k = 0; k < 4; k++) left[i][k] = vld1q_s8(a + 16 * k);
  }
}

/* Calls TILE(args, row, rows) with a constant number of rows, so that it is inlined three times: for four rows, two and one. Three that are left
 * over are computed with the row before them once more. */
#define CHORD_GEMM_ROWS(TILE, args)                                     \
  do {                                                                  \
    size_t row = 0;                                                     \
    for (;; row--) {                                                    \
      for (; row + 4 <= (args)->rows; row += 4) TILE((args), row, 4);   \
      if ((args)->rows - row != 3 || row == 0) break;                   \
    }                                                                   \
    if ((args)->rows - row >= 2) {                                      \
      TILE((args), row, 2);                                             \
      row += 2;                                                         \
    }                                                                   \
    if (row < (args)->rows) TILE((args), row, 1);                       \
  } while (0)

/*
 * Depths of 64 (of panels that end there) go through TILE64, which walks all blocks for its rows. Others go through TILE block by block: `one` is the
 * product of all rows and a single block. Both are copies: stores to `out` cannot change a local, so nothing is loaded twice.
 */
#define CHORD_GEMM_WALK(TILE64, TILE, args)                        \
  do {                                                             \
    if ((args)->depth == 64 && (args)->panel_depth == 64) {                                     \
      const chord_gemm all = *(args);                              \
      CHORD_GEMM_ROWS(TILE64, &all);                               \
    } else {                                                       \
      chord_gemm one = *(args);                                    \
      for (size_t block = 0; block < (args)->blocks; block++) {    \
        CHORD_GEMM_ROWS(TILE, &one);                               \
        one.panel += CHORD_LANES * one.panel_depth;                      \
        one.correction += CHORD_LANES;                             \
        one.scale += CHORD_LANES;                                  \
        one.bias += CHORD_LANES;                                   \
        one.out += CHORD_LANES;                                    \
      }                                                            \
    }                                                              \
  } while (0)

#endif
