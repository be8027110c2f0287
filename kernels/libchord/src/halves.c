/*
 * Activations of 16 bits in two halves: codes of 8 bits, and codes of 8 bits of what these leave, so that products with them are two of the
 * ordinary kind. The low halves lie behind `max_length` rows of `a`, `a_scale` and `wide`, where what belongs to them is made.
 */
#include "internal.h"

void chord_quantize_halves(chord_session *s, size_t rows, size_t width, const float *x) {
  const chord_ukernels *kernels = s->model->kernels;
  const size_t low = s->model->max_length;
  float *rest = s->wide + low * s->wide_stride;
  kernels->quantize_f32_qa8(rows, width, x, width, s->a, s->a_stride, s->a_scale);
  for (size_t row = 0; row < rows; row++) {
    const uint8_t *code = s->a + row * s->a_stride;
    for (size_t i = 0; i < width; i++)
      rest[row * width + i] = x[row * width + i] - (float)(int8_t)(uint8_t)(code[i] - kernels->zero) * s->a_scale[row];
  }
  kernels->quantize_f32_qa8(rows, width, rest, width, s->a + low * s->a_stride, s->a_stride, s->a_scale + low);
}

void chord_multiply_halves(chord_session *s, const chord_gemm *gemm, const float *zeros) {
  const chord_ukernels *kernels = s->model->kernels;
  const size_t low = s->model->max_length, width = 16 * gemm->blocks;
  const float *rest = s->wide + low * s->wide_stride;
  chord_gemm half = *gemm;
  half.relu = 0;
  kernels->gemm_qa8_c8(&half);
  half.a += low * s->a_stride;
  half.a_scale += low;
  half.bias = zeros;
  half.out = s->wide + low * s->wide_stride;
  half.out_stride = width;
  kernels->gemm_qa8_c8(&half);
  for (size_t row = 0; row < gemm->rows; row++) {
    float *out = gemm->out + row * gemm->out_stride;
    for (size_t i = 0; i < width; i++) {
      const float y = out[i] + rest[row * width + i];
      out[i] = gemm->relu && y <= 0.0f ? 0.0f : y;
    }
  }
}
