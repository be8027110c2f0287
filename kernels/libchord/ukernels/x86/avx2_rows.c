/* Row-wise kernels, AVX2: LayerNorm, quantisation, GELU, embeddings, candidate scores. */
#if defined(__x86_64__)
#include "avx2.h"

static CHORD_AVX2_HOT void norm_rows(const chord_norm *args) {
  const size_t dim = args->dim;
  const float inverse_dim = 1.0f / (float)dim;
  for (size_t row = 0; row < args->rows; row++) {
    const float *x = args->x + row * dim, *delta = args->delta ? args->delta + row * dim : NULL;
    float *sum_out = args->sum_out ? args->sum_out + row * dim : NULL, *norm_out = args->norm_out ? args->norm_out + row * dim : NULL;
    lanes v[512 / 16], sums = lanes_set1(0.0f), squares = sums, most = sums;
    for (size_t i = 0; i < dim / 16; i++) {
      v[i] = lanes_load(x + 16 * i);
      if (delta) v[i] = lanes_add(v[i], lanes_load(delta + 16 * i));
      sums = lanes_add(sums, v[i]);
      if (sum_out) lanes_store(sum_out + 16 * i, v[i]);
    }
    const float mean = lanes_fold(sums) * inverse_dim;
    for (size_t i = 0; i < dim / 16; i++) {
      const lanes centred = lanes_sub(v[i], lanes_set1(mean));
      squares = lanes_fma(centred, centred, squares);
    }
    const float variance = fmaf(lanes_fold(squares), inverse_dim, args->eps);
    const float scale = fmaf(variance, 0.0f, 1.0f / sqrtf(variance));
    const lanes factor = lanes_set1(scale), offset = lanes_set1(-(mean * scale));
    for (size_t i = 0; i < dim / 16; i++) {
      v[i] = lanes_fma(lanes_fma(v[i], factor, offset), lanes_load(args->gamma + 16 * i), lanes_load(args->beta + 16 * i));
      most = lanes_larger(most, lanes_abs(v[i]));
      if (norm_out) lanes_store(norm_out + 16 * i, v[i]);
    }
    if (!args->a) continue;
    const lanes inverse = lanes_set1(activation_scale(lanes_largest(most), args->a_scale + row));
    for (size_t i = 0; i < dim / 16; i++) store_qa8(args->a + row * args->a_stride + 16 * i, v[i], inverse);
  }
}

/* Rows side by side: their folds share shuffles, their divisions and roots are one instruction, and chains of one fill the waits of others. What
 * is past the last row repeats it. */
#define EACH_ROW for (size_t i = 0; i < 4; i++)

/* `count` (at most 4) rows from `first` on; v = x + delta has a place in `kept` if there is a delta. */
CHORD_AVX2_INLINE void norm_tile(const chord_norm *args, size_t first, size_t count, float *kept) {
  const size_t dim = args->dim;
  const __m128 inverse_dim = _mm_set1_ps(1.0f / (float)dim);
  const float *x = args->x, *delta = args->delta, *gamma = args->gamma, *beta = args->beta;
  size_t at[4];
  lanes sums[4], squares[4];
  CHORD_UNROLL EACH_ROW at[i] = (first + (i < count ? i : count - 1)) * dim, sums[i] = squares[i] = lanes_set1(0.0f);
  for (size_t c = 0; c < dim; c += 16) {
    lanes v[4];
    CHORD_UNROLL EACH_ROW {
      v[i] = lanes_load(x + at[i] + c);
      if (delta) v[i] = lanes_add(v[i], lanes_load(delta + at[i] + c));
      sums[i] = lanes_add(sums[i], v[i]);
    }
    if (kept) CHORD_UNROLL EACH_ROW lanes_store(kept + at[i] + c, v[i]);
  }
  if (kept) x = kept;
  float means[4], factors[4], offsets[4], inverses[4];
  const __m128 mean = _mm_mul_ps(fold_rows(sums[0], sums[1], sums[2], sums[3]), inverse_dim);
  _mm_storeu_ps(means, mean);
  for (size_t c = 0; c < dim; c += 16) CHORD_UNROLL EACH_ROW {
      const lanes centred = lanes_sub(lanes_load(x + at[i] + c), lanes_set1(means[i]));
      squares[i] = lanes_fma(centred, centred, squares[i]);
    }
  const __m128 variance = _mm_fmadd_ps(fold_rows(squares[0], squares[1], squares[2], squares[3]), inverse_dim, _mm_set1_ps(args->eps));
  const __m128 factor = _mm_fmadd_ps(variance, _mm_setzero_ps(), _mm_div_ps(_mm_set1_ps(1.0f), _mm_sqrt_ps(variance)));
  _mm_storeu_ps(factors, factor);
  _mm_storeu_ps(offsets, _mm_xor_ps(_mm_mul_ps(mean, factor), _mm_set1_ps(-0.0f)));
  float scratch[4 * 512], *out[4];
  __m256 most[4];
  CHORD_UNROLL EACH_ROW {
    out[i] = args->norm_out ? args->norm_out + at[i] : scratch + i * dim;
    most[i] = _mm256_setzero_ps();
  }
  /* Two rows at once are what fits the registers. */
  CHORD_UNROLL for (size_t pair = 0; pair < 4; pair += 2) {
    if (pair >= count) break;
    for (size_t c = 0; c < dim; c += 16) {
      lanes y[2];
      CHORD_UNROLL for (size_t j = 0; j < 2; j++) {
        const size_t i = pair + j;
        y[j] = lanes_fma(lanes_load(x + at[i] + c), lanes_set1(factors[i]), lanes_set1(offsets[i]));
        y[j] = lanes_fma(y[j], lanes_load(gamma + c), lanes_load(beta + c));
        const lanes magnitude = lanes_abs(y[j]);
        most[i] = larger256(most[i], larger256(magnitude.low, magnitude.high));
      }
      CHORD_UNROLL for (size_t j = 0; j < 2; j++) lanes_store(out[pair + j] + c, y[j]);
    }
  }
  if (!args->a) return;
  _mm_storeu_ps(inverses, activation_scales(largest_rows(most[0], most[1], most[2], most[3]), count, args->a_scale + first));
  for (size_t i = 0; i < count; i++) {
    const lanes inverse = lanes_set1(inverses[i]);
    for (size_t c = 0; c < dim; c += 16) store_qa8(args->a + (first + i) * args->a_stride + c, lanes_load(out[i] + c), inverse);
  }
}

CHORD_AVX2_HOT void chord_norm_f32__avx2(const chord_norm *arguments) {
  const chord_norm copy = *arguments, *const args = &copy;
  float *kept = args->sum_out ? args->sum_out : args->delta ? args->norm_out : NULL;
  if (args->rows == 1 || (args->delta && !kept)) {
    norm_rows(args);
    return;
  }
  for (size_t first = 0; first < args->rows; first += 4) norm_tile(args, first, args->rows - first < 4 ? args->rows - first : 4, kept);
}

CHORD_AVX2_HOT void chord_quantize_f32_qa8__avx2(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride,
                                             float *a_scale) {
  for (size_t first = 0; first < rows; first += 4) {
    const size_t count = rows - first < 4 ? rows - first : 4;
    const float *row[4];
    __m256 most[4];
    CHORD_UNROLL EACH_ROW row[i] = x + (first + (i < count ? i : count - 1)) * x_stride, most[i] = _mm256_setzero_ps();
    for (size_t c = 0; c < width; c += 16) CHORD_UNROLL EACH_ROW {
        const lanes magnitude = lanes_abs(lanes_load(row[i] + c));
        most[i] = larger256(most[i], larger256(magnitude.low, magnitude.high));
      }
    float inverses[4];
    _mm_storeu_ps(inverses, activation_scales(largest_rows(most[0], most[1], most[2], most[3]), count, a_scale + first));
    for (size_t i = 0; i < count; i++) {
      const lanes inverse = lanes_set1(inverses[i]);
      for (size_t c = 0; c < width; c += 16) store_qa8(a + (first + i) * a_stride + c, lanes_load(row[i] + c), inverse);
    }
  }
}

CHORD_AVX2 void chord_gelu_f32__avx2(size_t count, float *x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  for (size_t i = 0; i < count; i += 8) {
    const __m256 v = _mm256_loadu_ps(x + i), magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
    const __m256 z = _mm256_mul_ps(magnitude, _mm256_set1_ps(CHORD_SQRT_HALF));
    const __m256 t = _mm256_div_ps(one, _mm256_fmadd_ps(_mm256_set1_ps(CHORD_ERF_P), z, one));
    __m256 p = _mm256_set1_ps(CHORD_ERF_A5);
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(CHORD_ERF_A4));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(CHORD_ERF_A3));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(CHORD_ERF_A2));
    p = _mm256_fmadd_ps(p, t, _mm256_set1_ps(CHORD_ERF_A1));
    const __m256 tail = exp256(_mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(z, z)));
    const __m256 erf = _mm256_sub_ps(one, _mm256_mul_ps(_mm256_mul_ps(p, t), tail));
    _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_fmadd_ps(magnitude, erf, v), _mm256_set1_ps(0.5f)));
  }
}

CHORD_AVX2_HOT void chord_embed_e_f32__avx2(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, const chord_table *positions,
                                        const int32_t *slots, float *out) {
  for (size_t row = 0; row < rows; row++) {
    const size_t id = (size_t)ids[row], slot = positions ? (size_t)slots[row] : 0;
    const lanes scale = lanes_set1(items->scales[id]), position_scale = lanes_set1(positions ? positions->scales[slot] : 0.0f);
    for (size_t i = 0; i < dim; i += 16, out += 16) {
      lanes x = lanes_mul(lanes_of_codes(table16(items, dim, id, i)), scale);
      if (positions) x = lanes_fma(lanes_of_codes(table16(positions, dim, slot, i)), position_scale, x);
      lanes_store(out, x);
    }
  }
}

CHORD_AVX2 void chord_gather_e_qa8__avx2(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, uint8_t *a, size_t a_stride,
                                         float *a_scale) {
  for (size_t row = 0; row < rows; row++) {
    const size_t id = (size_t)ids[row];
    for (size_t i = 0; i < dim; i += 16)
      _mm_storeu_si128((__m128i *)(a + row * a_stride + i), _mm_xor_si128(table16(items, dim, id, i), _mm_set1_epi8(-128)));
    a_scale[row] = items->scales[id];
  }
}

/* Sums of the elements of eight vectors, in order. */
CHORD_AVX2_INLINE __m256i fold8_epi32(const __m256i x[8]) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(x[0], x[1]), _mm256_hadd_epi32(x[2], x[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(x[4], x[5]), _mm256_hadd_epi32(x[6], x[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

CHORD_AVX2_HOT void chord_score_q16_e__avx2(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items,
                                        const int32_t *ids, uint32_t first, float *scores) {
  for (size_t start = 0; start < count; start += 8) {
    const size_t here = count - start < 8 ? count - start : 8;
    __m256i sums[8];
    float scales[8];
    for (size_t i = 0; i < 8; i++) {
      const size_t at = start + (i < here ? i : here - 1), id = ids ? (size_t)ids[at] : first + at;
      scales[i] = items->scales[id];
      sums[i] = _mm256_setzero_si256();
      for (size_t c = 0; c < dim; c += 16) {
        const __m256i query = _mm256_loadu_si256((const __m256i *)(h + c));
        sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(query, _mm256_cvtepi8_epi16(table16(items, dim, id, c))));
      }
    }
    const __m256 sum = _mm256_cvtepi32_ps(fold8_epi32(sums));
    const __m256 y = _mm256_mul_ps(_mm256_mul_ps(sum, _mm256_loadu_ps(scales)), _mm256_set1_ps(h_scale));
    _mm256_maskstore_ps(scores + start, first_lanes(here).low, y);
  }
}
#endif
