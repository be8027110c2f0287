/* Row-wise float kernels, AVX-512: LayerNorm, quantisation, GELU, embeddings. */
#if defined(__x86_64__)
#include <math.h>

#include "avx512.h"

/* `dim` is a constant where it is called, so that a row of 64 lives in registers. */
CHORD_AVX512_INLINE void norm_rows(const chord_norm *args, const size_t dim) {
  const size_t vectors = dim / 16;
  const float inverse_dim = 1.0f / (float)dim;
  for (size_t row = 0; row < args->rows; row++) {
    const float *x = args->x + row * dim;
    __m512 v[512 / 16], sums = _mm512_setzero_ps(), squares = _mm512_setzero_ps(), most = _mm512_setzero_ps();
    CHORD_UNROLL for (size_t i = 0; i < vectors; i++) {
      v[i] = _mm512_loadu_ps(x + 16 * i);
      if (args->delta) v[i] = _mm512_add_ps(v[i], _mm512_loadu_ps(args->delta + row * dim + 16 * i));
      sums = _mm512_add_ps(sums, v[i]);
    }
    if (args->sum_out) CHORD_UNROLL for (size_t i = 0; i < vectors; i++) _mm512_storeu_ps(args->sum_out + row * dim + 16 * i, v[i]);
    const __m512 mean = _mm512_set1_ps(fold512(sums) * inverse_dim);
    CHORD_UNROLL for (size_t i = 0; i < vectors; i++) {
      v[i] = _mm512_sub_ps(v[i], mean);
      squares = _mm512_fmadd_ps(v[i], v[i], squares);
    }
    const __m512 factor = _mm512_set1_ps(1.0f / sqrtf(fmaf(fold512(squares), inverse_dim, args->eps)));
    CHORD_UNROLL for (size_t i = 0; i < vectors; i++) {
      v[i] = _mm512_fmadd_ps(_mm512_mul_ps(v[i], factor), _mm512_loadu_ps(args->gamma + 16 * i), _mm512_loadu_ps(args->beta + 16 * i));
      most = _mm512_max_ps(most, _mm512_abs_ps(v[i]));
    }
    if (args->norm_out) CHORD_UNROLL for (size_t i = 0; i < vectors; i++) _mm512_storeu_ps(args->norm_out + row * dim + 16 * i, v[i]);
    if (!args->a) continue;
    uint8_t *a = args->a + row * args->a_stride;
    const __m512 inverse = _mm512_set1_ps(activation_scale(max512(most), args->a_scale + row));
    if (dim == 64)
      store64_qa8(a, v, inverse);
    else
      for (size_t i = 0; i < vectors; i++) store_qa8(a + 16 * i, v[i], inverse);
  }
}

CHORD_AVX512 void chord_norm_f32__avx512(const chord_norm *args) {
  if (args->dim == 64)
    norm_rows(args, 64);
  else
    norm_rows(args, args->dim);
}

CHORD_AVX512_INLINE void quantize_rows(size_t rows, const size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride,
                                       float *a_scale) {
  for (size_t row = 0; row < rows; row++, x += x_stride, a += a_stride) {
    __m512 most = _mm512_setzero_ps();
    if (width == 64) {
      __m512 v[4];
      CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
        v[i] = _mm512_loadu_ps(x + 16 * i);
        most = _mm512_max_ps(most, _mm512_abs_ps(v[i]));
      }
      store64_qa8(a, v, _mm512_set1_ps(activation_scale(max512(most), a_scale + row)));
      continue;
    }
    for (size_t i = 0; i < width; i += 16) most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
    const __m512 inverse = _mm512_set1_ps(activation_scale(max512(most), a_scale + row));
    for (size_t i = 0; i < width; i += 16) store_qa8(a + i, _mm512_loadu_ps(x + i), inverse);
  }
}

CHORD_AVX512 void chord_quantize_f32_qa8__avx512(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride,
                                                 float *a_scale) {
  if (width == 64)
    quantize_rows(rows, 64, x, x_stride, a, a_stride, a_scale);
  else
    quantize_rows(rows, width, x, x_stride, a, a_stride, a_scale);
}

CHORD_AVX512 void chord_gelu_f32__avx512(size_t count, float *x) {
  for (size_t i = 0; i < count; i += 16) {
    const __m512 v = _mm512_loadu_ps(x + i), magnitude = _mm512_abs_ps(v);
    const __m512 z = _mm512_mul_ps(magnitude, _mm512_set1_ps(CHORD_SQRT_HALF));
    const __m512 one = _mm512_set1_ps(1.0f);
    const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(_mm512_set1_ps(CHORD_ERF_P), z, one));
    __m512 p = _mm512_set1_ps(CHORD_ERF_A5);
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(CHORD_ERF_A4));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(CHORD_ERF_A3));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(CHORD_ERF_A2));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(CHORD_ERF_A1));
    const __m512 tail = exp512(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(z, z)));
    const __m512 erf = _mm512_sub_ps(one, _mm512_mul_ps(_mm512_mul_ps(p, t), tail));
    _mm512_storeu_ps(x + i, _mm512_mul_ps(_mm512_fmadd_ps(magnitude, erf, v), _mm512_set1_ps(0.5f)));
  }
}

CHORD_AVX512 void chord_embed_e_f32__avx512(size_t rows, size_t dim, const chord_table *items, const int32_t *ids,
                                            const chord_table *positions, const int32_t *slots, float *out) {
  for (size_t row = 0; row < rows; row++) {
    const size_t id = (size_t)ids[row], slot = positions ? (size_t)slots[row] : 0;
    const __m512 scale = _mm512_set1_ps(items->scales[id]), position_scale = _mm512_set1_ps(positions ? positions->scales[slot] : 0.0f);
    for (size_t i = 0; i < dim; i += 16, out += 16) {
      __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(table16(items, dim, id, i))), scale);
      if (positions)
        x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(table16(positions, dim, slot, i))), position_scale, x);
      _mm512_storeu_ps(out, x);
    }
  }
}

CHORD_AVX512 void chord_gather_e_qa8__avx512(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, uint8_t *a,
                                             size_t a_stride, float *a_scale) {
  for (size_t row = 0; row < rows; row++) {
    const size_t id = (size_t)ids[row];
    for (size_t i = 0; i < dim; i += 16)
      _mm_storeu_si128((__m128i *)(a + row * a_stride + i), _mm_xor_si128(table16(items, dim, id, i), _mm_set1_epi8(-128)));
    a_scale[row] = items->scales[id];
  }
}
#endif
