/* Row-wise float kernels, AVX-512: LayerNorm, quantisation, GELU, embeddings. */
#if defined(__x86_64__)
#include "avx512.h"

static CHORD_AVX512_HOT void norm_rows(const chord_norm *args) {
  const size_t dim = args->dim;
  const size_t vectors = dim / 16;
  const float inverse_dim = 1.0f / (float)dim;
  for (size_t row = 0; row < args->rows; row++) {
    const float *x = args->x + row * dim;
    __m512 v[512 / 16], sums = _mm512_setzero_ps(), squares = _mm512_setzero_ps(), most = _mm512_setzero_ps();
    for (size_t i = 0; i < vectors; i++) {
      v[i] = _mm512_loadu_ps(x + 16 * i);
      if (args->delta) v[i] = _mm512_add_ps(v[i], _mm512_loadu_ps(args->delta + row * dim + 16 * i));
      sums = _mm512_add_ps(sums, v[i]);
    }
    if (args->sum_out) for (size_t i = 0; i < vectors; i++) _mm512_storeu_ps(args->sum_out + row * dim + 16 * i, v[i]);
    const float mean = fold512(sums) * inverse_dim;
    for (size_t i = 0; i < vectors; i++) {
      const __m512 centred = _mm512_sub_ps(v[i], _mm512_set1_ps(mean));
      squares = _mm512_fmadd_ps(centred, centred, squares);
    }
    const float variance = fmaf(fold512(squares), inverse_dim, args->eps);
    const float scale = fmaf(variance, 0.0f, 1.0f / sqrtf(variance));
    const __m512 factor = _mm512_set1_ps(scale), offset = _mm512_set1_ps(-(mean * scale));
    for (size_t i = 0; i < vectors; i++) {
      v[i] = _mm512_fmadd_ps(_mm512_fmadd_ps(v[i], factor, offset), _mm512_loadu_ps(args->gamma + 16 * i), _mm512_loadu_ps(args->beta + 16 * i));
      most = larger512(most, _mm512_abs_ps(v[i]));
    }
    if (args->norm_out) for (size_t i = 0; i < vectors; i++) _mm512_storeu_ps(args->norm_out + row * dim + 16 * i, v[i]);
    if (!args->a) continue;
    uint8_t *a = args->a + row * args->a_stride;
    const __m512 inverse = _mm512_set1_ps(activation_scale(largest512(most), args->a_scale + row));
    for (size_t i = 0; i < vectors; i++) store_qa8(a + 16 * i, v[i], inverse);
  }
}

/*
 * Rows of 64, four at a time, so that their folds share shuffles and their divisions one instruction. Two passes, because one would be
 * a chain of 240 cycles, of which the processor sees less than two tiles at once. The last tile repeats its last row, which is
 * harmless: a tile is read before it is written.
 */
enum { NORM_CHUNK = 64, WIDE_CHUNK = 16 };

#define EACH_ROW(M) M(0, p) M(1, q) M(2, r) M(3, s)
#define ROW_OFFSET(i) const size_t at##i = 64 * (first + i < rows ? first + i : rows - 1);
#define LOAD_ROW(x, i, v)                                                                                                   \
  __m512 v##0 = _mm512_loadu_ps((x) + at##i), v##1 = _mm512_loadu_ps((x) + at##i + 16), v##2 = _mm512_loadu_ps((x) + at##i + 32), \
         v##3 = _mm512_loadu_ps((x) + at##i + 48);
#define STORE_ROW(out, i, v)                  \
  _mm512_storeu_ps((out) + at##i, v##0);      \
  _mm512_storeu_ps((out) + at##i + 16, v##1); \
  _mm512_storeu_ps((out) + at##i + 32, v##2); \
  _mm512_storeu_ps((out) + at##i + 48, v##3);
#define NORM_ADD(i, v)                                            \
  ROW_OFFSET(i)                                                   \
  LOAD_ROW(x, i, v)                                               \
  if (delta) {                                                    \
    LOAD_ROW(delta, i, v##_delta)                                 \
    v##0 = _mm512_add_ps(v##0, v##_delta0), v##1 = _mm512_add_ps(v##1, v##_delta1); \
    v##2 = _mm512_add_ps(v##2, v##_delta2), v##3 = _mm512_add_ps(v##3, v##_delta3); \
  }
#define NORM_STORE_SUM(i, v) STORE_ROW(sum_out, i, v)
#define SUM4(v) _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(v##0, v##1), v##2), v##3)
#define NORM_CENTRE(i, v)                                                                        \
  {                                                                                              \
    const __m512 m = _mm512_shuffle_f32x4(mean, mean, 0x55 * i);                                 \
    v##0 = _mm512_sub_ps(v##0, m), v##1 = _mm512_sub_ps(v##1, m), v##2 = _mm512_sub_ps(v##2, m); \
    v##3 = _mm512_sub_ps(v##3, m);                                                               \
  }
#define SQUARES4(v) _mm512_fmadd_ps(v##3, v##3, _mm512_fmadd_ps(v##2, v##2, _mm512_fmadd_ps(v##1, v##1, _mm512_mul_ps(v##0, v##0))))

/* From the sums of squares of rows and their means to what the norm multiplies by and adds. */
CHORD_AVX512_INLINE void norm_factors(size_t rows, float inverse_dim, float eps, float *factors, float *offsets) {
  for (size_t row = 0; row < rows; row += 16) {
    const __m512 variance = _mm512_fmadd_ps(_mm512_load_ps(factors + row), _mm512_set1_ps(inverse_dim), _mm512_set1_ps(eps));
    const __m512 factor =
        _mm512_fmadd_ps(variance, _mm512_setzero_ps(), _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_sqrt_ps(variance)));
    _mm512_store_ps(factors + row, factor);
    const __m512 product = _mm512_mul_ps(_mm512_load_ps(offsets + row), factor);
    _mm512_store_ps(offsets + row, _mm512_sub_ps(_mm512_setzero_ps(), product));
  }
}

/* v = x + delta into sum_out (null when there is nothing to add and nobody asks); factors[row] and offsets[row] of the norm. */
CHORD_AVX512_INLINE void norm_statistics(size_t rows, const float *x, const float *delta, float eps, float *sum_out, float *factors,
                                         float *offsets) {
  for (size_t first = 0; first < rows; first += 4) {
    EACH_ROW(NORM_ADD)
    if (sum_out) {
      EACH_ROW(NORM_STORE_SUM)
    }
    const __m512 mean = _mm512_mul_ps(fold_rows(SUM4(p), SUM4(q), SUM4(r), SUM4(s)), _mm512_set1_ps(1.0f / 64.0f));
    EACH_ROW(NORM_CENTRE)
    _mm_store_ps(offsets + first, gather_rows(mean));
    _mm_store_ps(factors + first, gather_rows(fold_rows(SQUARES4(p), SQUARES4(q), SQUARES4(r), SQUARES4(s))));
  }
  norm_factors(rows, 1.0f / 64.0f, eps, factors, offsets);
}

#define NORM_APPLY(i, v)                                                                                                            \
  ROW_OFFSET(i)                                                                                                                     \
  LOAD_ROW(x, i, v)                                                                                                                 \
  {                                                                                                                                 \
    const __m512 factor = _mm512_set1_ps(factors[at##i / 64]), offset = _mm512_set1_ps(offsets[at##i / 64]);                        \
    v##0 = _mm512_fmadd_ps(_mm512_fmadd_ps(v##0, factor, offset), gamma0, beta0);                                                   \
    v##1 = _mm512_fmadd_ps(_mm512_fmadd_ps(v##1, factor, offset), gamma1, beta1);                                                   \
    v##2 = _mm512_fmadd_ps(_mm512_fmadd_ps(v##2, factor, offset), gamma2, beta2);                                                   \
    v##3 = _mm512_fmadd_ps(_mm512_fmadd_ps(v##3, factor, offset), gamma3, beta3);                                                   \
  }
#define NORM_STORE(i, v) STORE_ROW(norm_out, i, v)
#define STORE_CODES(i, v) _mm512_storeu_si512(a + at##i / 64 * a_stride, codes_of_64(128, v##0, v##1, v##2, v##3, SPREAD_ROW(inverse, i)));

CHORD_AVX512_INLINE void norm_apply(size_t rows, const float *x, const float *factors, const float *offsets, const chord_norm *args,
                                    float *norm_out, uint8_t *a, float *a_scale) {
  const size_t a_stride = args->a_stride;
  const __m512 gamma0 = _mm512_loadu_ps(args->gamma), gamma1 = _mm512_loadu_ps(args->gamma + 16), gamma2 = _mm512_loadu_ps(args->gamma + 32),
               gamma3 = _mm512_loadu_ps(args->gamma + 48);
  const __m512 beta0 = _mm512_loadu_ps(args->beta), beta1 = _mm512_loadu_ps(args->beta + 16), beta2 = _mm512_loadu_ps(args->beta + 32),
               beta3 = _mm512_loadu_ps(args->beta + 48);
  for (size_t first = 0; first < rows; first += 4) {
    EACH_ROW(NORM_APPLY)
    if (norm_out) {
      EACH_ROW(NORM_STORE)
    }
    if (!a) continue;
    const size_t count = rows - first < 4 ? rows - first : 4;
    const __m128 inverse = activation_scales(larger_rows(ABS_MAX4(p), ABS_MAX4(q), ABS_MAX4(r), ABS_MAX4(s)), count, a_scale + first);
    EACH_ROW(STORE_CODES)
  }
}

/*
 * Rows of another multiple of 64, four at a time: each step has a vector of every row, so that four chains run side by side. What is too long for
 * the registers is read again, in the first cache: that is why the passes take turns every WIDE_CHUNK rows.
 */
#define WIDE_ROW(i, v)                                                  \
  const size_t at##v = (first + i < rows ? first + i : rows - 1) * dim; \
  __m512 chain##v = _mm512_setzero_ps();
#define WIDE_ADD(i, v)                                                                        \
  __m512 v = _mm512_loadu_ps(x + at##v + c);                                                  \
  if (delta) v = _mm512_add_ps(v, _mm512_loadu_ps(delta + at##v + c));                        \
  chain##v = _mm512_add_ps(chain##v, v);
#define WIDE_STORE_SUM(i, v) _mm512_storeu_ps(sum_out + at##v + c, v);
#define WIDE_MEAN(i, v)                                               \
  const __m512 mean##v = _mm512_shuffle_f32x4(mean, mean, 0x55 * i); \
  chain##v = _mm512_setzero_ps();
#define WIDE_SQUARE(i, v)                                                             \
  const __m512 v = _mm512_sub_ps(_mm512_loadu_ps(sums + at##v + c), mean##v);         \
  chain##v = _mm512_fmadd_ps(v, v, chain##v);

CHORD_AVX512_INLINE void wide_statistics(size_t rows, size_t dim, const float *x, const float *delta, float eps, float *sum_out, float *factors,
                                         float *offsets) {
  const float inverse_dim = 1.0f / (float)dim, *const sums = sum_out ? sum_out : x;
  for (size_t first = 0; first < rows; first += 4) {
    EACH_ROW(WIDE_ROW)
    for (size_t c = 0; c < dim; c += 16) {
      EACH_ROW(WIDE_ADD)
      if (sum_out) {
        EACH_ROW(WIDE_STORE_SUM)
      }
    }
    const __m512 mean = _mm512_mul_ps(fold_rows(chainp, chainq, chainr, chains), _mm512_set1_ps(inverse_dim));
    EACH_ROW(WIDE_MEAN)
    for (size_t c = 0; c < dim; c += 16) {
      EACH_ROW(WIDE_SQUARE)
    }
    _mm_store_ps(offsets + first, gather_rows(mean));
    _mm_store_ps(factors + first, gather_rows(fold_rows(chainp, chainq, chainr, chains)));
  }
  norm_factors(rows, inverse_dim, eps, factors, offsets);
}

#define WIDE_FACTORS(i, v)                                                                  \
  const size_t own_##v = first + i < rows ? first + i : rows - 1, at##v = own_##v * dim;      \
  const __m512 times_##v = _mm512_set1_ps(factors[first + i]), plus_##v = _mm512_set1_ps(offsets[first + i]); \
  __m512 most##v = _mm512_set1_ps(__builtin_nanf("")); /* so that a row of what is no number has no largest magnitude */
#define WIDE_VALUE(v, c) \
  _mm512_fmadd_ps(_mm512_fmadd_ps(_mm512_loadu_ps(x + at##v + (c)), times_##v, plus_##v), _mm512_loadu_ps(gamma + (c)), _mm512_loadu_ps(beta + (c)))
#define WIDE_APPLY(i, v)                     \
  const __m512 v = WIDE_VALUE(v, c);         \
  most##v = ABS_MAX(most##v, v);
#define WIDE_STORE(i, v) _mm512_storeu_ps(norm_out + at##v + c, v);
#define WIDE_AGAIN(v, c) (norm_out ? _mm512_loadu_ps(norm_out + at##v + (c)) : WIDE_VALUE(v, c))
#define WIDE_CODES(i, v)                                                                                                        \
  _mm512_storeu_si512(a + own_##v * a_stride + c, codes_of_64(128, WIDE_AGAIN(v, c), WIDE_AGAIN(v, c + 16), WIDE_AGAIN(v, c + 32), \
                                                             WIDE_AGAIN(v, c + 48), SPREAD_ROW(inverse, i)));

CHORD_AVX512_INLINE void wide_apply(size_t rows, size_t dim, const float *x, const float *factors, const float *offsets, const float *gamma,
                                    const float *beta, float *norm_out, uint8_t *a, size_t a_stride, float *a_scale) {
  for (size_t first = 0; first < rows; first += 4) {
    EACH_ROW(WIDE_FACTORS)
    for (size_t c = 0; c < dim; c += 16) {
      EACH_ROW(WIDE_APPLY)
      if (norm_out) {
        EACH_ROW(WIDE_STORE)
      }
    }
    if (!a) continue;
    const size_t count = rows - first < 4 ? rows - first : 4;
    const __m128 inverse = activation_scales(larger_rows(mostp, mostq, mostr, mosts), count, a_scale + first);
    for (size_t c = 0; c < dim; c += 64) {
      EACH_ROW(WIDE_CODES)
    }
  }
}

CHORD_AVX512_64 void norm_rows_of_64(const chord_norm *args) {
  _Alignas(64) float factors[NORM_CHUNK], offsets[NORM_CHUNK];
  for (size_t start = 0; start < args->rows; start += NORM_CHUNK) {
    const size_t rows = args->rows - start < NORM_CHUNK ? args->rows - start : NORM_CHUNK, at = start * 64;
    /* The second pass reads v where the first one left it. */
    float *norm_out = args->norm_out ? args->norm_out + at : NULL;
    float *sum_out = args->sum_out ? args->sum_out + at : args->delta ? norm_out : NULL;
    norm_statistics(rows, args->x + at, args->delta ? args->delta + at : NULL, args->eps, sum_out, factors, offsets);
    norm_apply(rows, sum_out ? sum_out : args->x + at, factors, offsets, args, norm_out, args->a ? args->a + start * args->a_stride : NULL,
               args->a ? args->a_scale + start : NULL);
  }
}

CHORD_AVX512_WIDE void norm_wide_rows(const chord_norm *args) {
  _Alignas(64) float factors[WIDE_CHUNK], offsets[WIDE_CHUNK];
  for (size_t start = 0; start < args->rows; start += WIDE_CHUNK) {
    const size_t rows = args->rows - start < WIDE_CHUNK ? args->rows - start : WIDE_CHUNK, at = start * args->dim;
    float *norm_out = args->norm_out ? args->norm_out + at : NULL;
    float *sum_out = args->sum_out ? args->sum_out + at : args->delta ? norm_out : NULL;
    wide_statistics(rows, args->dim, args->x + at, args->delta ? args->delta + at : NULL, args->eps, sum_out, factors, offsets);
    wide_apply(rows, args->dim, sum_out ? sum_out : args->x + at, factors, offsets, args->gamma, args->beta, norm_out,
               args->a ? args->a + start * args->a_stride : NULL, args->a_stride, args->a ? args->a_scale + start : NULL);
  }
}

CHORD_AVX512_HOT void chord_norm_f32__avx512(const chord_norm *args) {
  const int sum_has_a_place = !args->delta || args->sum_out || args->norm_out;
  if (args->dim == 64 && args->rows > 1 && sum_has_a_place)
    norm_rows_of_64(args);
  else if (args->dim % 64 == 0 && args->rows > 1 && sum_has_a_place)
    norm_wide_rows(args);
  else
    norm_rows(args);
}

#define QUANTIZE_LOAD(i, v)                                            \
  const size_t at##i = 64 * (first + i < rows ? first + i : rows - 1); \
  const float *row##i = x + at##i / 64 * x_stride;                     \
  const __m512 v##0 = _mm512_loadu_ps(row##i), v##1 = _mm512_loadu_ps(row##i + 16), v##2 = _mm512_loadu_ps(row##i + 32), \
               v##3 = _mm512_loadu_ps(row##i + 48);

CHORD_AVX512_64 void quantize_rows_of_64(size_t rows, const float *x, size_t x_stride, uint8_t *a, size_t a_stride, float *a_scale) {
  for (size_t first = 0; first < rows; first += 4) {
    EACH_ROW(QUANTIZE_LOAD)
    const size_t count = rows - first < 4 ? rows - first : 4;
    const __m128 inverse = activation_scales(larger_rows(LARGER4(p), LARGER4(q), LARGER4(r), LARGER4(s)), count, a_scale + first);
    EACH_ROW(STORE_CODES)
  }
}

#define WIDE_QUANTIZE_ROW(i, v)                                                                                              \
  const size_t own_##v = first + i < rows ? first + i : rows - 1;                                                             \
  const float *from##v = x + own_##v * x_stride;                                                                              \
  __m512 most##v = _mm512_setzero_ps();
#define WIDE_LARGEST(i, v) most##v = larger512(most##v, _mm512_abs_ps(_mm512_loadu_ps(from##v + c)));
#define WIDE_ROW_CODES(i, v)                                                                                                 \
  _mm512_storeu_si512(a + own_##v * a_stride + c,                                                                             \
                      codes_of_64(128, _mm512_loadu_ps(from##v + c), _mm512_loadu_ps(from##v + c + 16), _mm512_loadu_ps(from##v + c + 32), \
                                  _mm512_loadu_ps(from##v + c + 48), SPREAD_ROW(inverse, i)));

CHORD_AVX512_WIDE void quantize_wide_rows(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride,
                                            float *a_scale) {
  for (size_t first = 0; first < rows; first += 4) {
    EACH_ROW(WIDE_QUANTIZE_ROW)
    for (size_t c = 0; c < width; c += 16) {
      EACH_ROW(WIDE_LARGEST)
    }
    const size_t count = rows - first < 4 ? rows - first : 4;
    const __m128 inverse = activation_scales(larger_rows(mostp, mostq, mostr, mosts), count, a_scale + first);
    for (size_t c = 0; c < width; c += 64) {
      EACH_ROW(WIDE_ROW_CODES)
    }
  }
}

CHORD_AVX512_HOT void chord_quantize_f32_qa8__avx512(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride,
                                                 float *a_scale) {
  if (width == 64) {
    quantize_rows_of_64(rows, x, x_stride, a, a_stride, a_scale);
    return;
  }
  if (width % 64 == 0 && rows > 1) {
    quantize_wide_rows(rows, width, x, x_stride, a, a_stride, a_scale);
    return;
  }
  for (size_t row = 0; row < rows; row++, x += x_stride, a += a_stride) {
    __m512 most = _mm512_setzero_ps();
    for (size_t i = 0; i < width; i += 16) most = larger512(most, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
    const __m512 inverse = _mm512_set1_ps(activation_scale(largest512(most), a_scale + row));
    for (size_t i = 0; i < width; i += 16) store_qa8(a + i, _mm512_loadu_ps(x + i), inverse);
  }
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

CHORD_AVX512_INLINE void embed_rows(size_t rows, const size_t dim, chord_table items, const int32_t *ids, chord_table positions,
                                    const int32_t *slots, float *out) {
  for (size_t row = 0; row < rows; row++) {
    const size_t id = (size_t)ids[row], slot = positions.codes ? (size_t)slots[row] : 0;
    const __m512 scale = _mm512_set1_ps(items.scales[id]), position_scale = _mm512_set1_ps(positions.codes ? positions.scales[slot] : 0.0f);
    CHORD_UNROLL_4 for (size_t i = 0; i < dim; i += 16, out += 16) {
      __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(table16(&items, dim, id, i))), scale);
      if (positions.codes)
        x = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(table16(&positions, dim, slot, i))), position_scale, x);
      _mm512_storeu_ps(out, x);
    }
  }
}

/* The same in little code, for the other sizes. */
CHORD_AVX512_WIDE void embed_any(size_t rows, size_t dim, chord_table items, const int32_t *ids, chord_table positions, const int32_t *slots,
                                 float *out) {
  embed_rows(rows, dim, items, ids, positions, slots, out);
}

CHORD_AVX512_HOT void chord_embed_e_f32__avx512(size_t rows, size_t dim, const chord_table *items, const int32_t *ids,
                                            const chord_table *positions, const int32_t *slots, float *out) {
  /* Tables by value: a vector store may alias anything, so their fields would be read again after each one. */
  const chord_table none = {0}, table = *items, places = positions ? *positions : none;
  if (dim == 64 && table.bits == 8 && places.bits == 8)
    embed_rows(rows, 64, (chord_table){table.codes, table.scales, 8, table.rows}, ids,
               (chord_table){places.codes, places.scales, 8, places.rows}, slots, out);
  else
    embed_any(rows, dim, table, ids, places, slots, out);
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
