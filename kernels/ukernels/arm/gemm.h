/* The end of every Arm matrix product, and the walk over row groups. Included by each variant's file. */
#ifndef CHORD_ARM_GEMM_H
#define CHORD_ARM_GEMM_H

#include "common.h"

/* Four vectors of sums, sixteen channels of one row, to floats; then relu where asked, then stored. */
CHORD_INLINE void chord_finish16(const chord_gemm *args, size_t row, size_t channel, const int32x4_t sum[4]) {
  float *out = args->out + row * args->out_stride + channel;
  float32x4_t y[4];
  for (size_t j = 0; j < 4; j++)
    y[j] = chord_rescale(sum[j], vld1q_f32(args->scale + channel + 4 * j), args->a_scale[row], vld1q_f32(args->bias + channel + 4 * j));
  if (args->relu)
    for (size_t j = 0; j < 4; j++) y[j] = vmaxq_f32(y[j], vdupq_n_f32(0.0f));
  for (size_t j = 0; j < 4; j++) vst1q_f32(out + 4 * j, y[j]);
}

/* Walks the rows four at a time, then the rest. TILE(args, row, block, rows) is inlined with a constant number of rows. */
#define CHORD_GEMM_WALK(TILE, args)                                          \
  do {                                                                       \
    for (size_t block = 0; block < (args)->blocks; block++) {                \
      size_t row = 0;                                                        \
      for (; row + 4 <= (args)->rows; row += 4) TILE((args), row, block, 4); \
      switch ((args)->rows - row) {                                          \
        case 3: TILE((args), row, block, 3); break;                          \
        case 2: TILE((args), row, block, 2); break;                          \
        case 1: TILE((args), row, block, 1); break;                          \
        default: break;                                                      \
      }                                                                      \
    }                                                                        \
  } while (0)

#endif
