/* The end of every Arm matrix product, and the walk over row groups. Included by each variant's file. */
#ifndef CHORD_ARM_GEMM_H
#define CHORD_ARM_GEMM_H

#include "common.h"

/* Sums of `rows` x sixteen channels to floats; then relu where asked, then stored. */
CHORD_INLINE void chord_finish(const chord_gemm *args, size_t row, size_t channel, size_t rows, int32x4_t sum[4][4]) {
  const float *scale = args->scale + channel, *bias = args->bias + channel, *a_scale = args->a_scale + row;
  float *out = args->out + row * args->out_stride + channel;
  const float32x4_t scales[4] = {vld1q_f32(scale), vld1q_f32(scale + 4), vld1q_f32(scale + 8), vld1q_f32(scale + 12)};
  const float32x4_t biases[4] = {vld1q_f32(bias), vld1q_f32(bias + 4), vld1q_f32(bias + 8), vld1q_f32(bias + 12)};
  float32x4_t y[4][4];
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < 4; j++) y[i][j] = chord_rescale(sum[i][j], scales[j], a_scale[i], biases[j]);
  if (args->relu)
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < 4; j++) y[i][j] = vmaxq_f32(y[i][j], vdupq_n_f32(0.0f));
  for (size_t i = 0; i < rows; i++, out += args->out_stride)
    for (size_t j = 0; j < 4; j++) vst1q_f32(out + 4 * j, y[i][j]);
}

/*
 * Walks the rows four at a time, then the rest. TILE(args, row, block, rows) is inlined with a constant number of rows. The
 * arguments are copied: stores to `out` cannot change a local, so nothing is loaded twice.
 */
#define CHORD_GEMM_WALK(TILE, args)                                      \
  do {                                                                   \
    const chord_gemm local = *(args);                                    \
    for (size_t block = 0; block < local.blocks; block++) {              \
      size_t row = 0;                                                    \
      for (; row + 4 <= local.rows; row += 4) TILE(&local, row, block, 4); \
      switch (local.rows - row) {                                        \
        case 3: TILE(&local, row, block, 3); break;                      \
        case 2: TILE(&local, row, block, 2); break;                      \
        case 1: TILE(&local, row, block, 1); break;                      \
        default: break;                                                  \
      }                                                                  \
    }                                                                    \
  } while (0)

#endif
