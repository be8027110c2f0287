/* Attention, AVX2: what lies before and between its two products, and the last position's, which is in floats. */
#if defined(__x86_64__)
#include "../spread.h"
#include "avx2.h"

/* Sums of four codes in each 32-bit element. */
CHORD_AVX2_INLINE __m128i sum_fours(__m128i codes) {
  return _mm_madd_epi16(_mm_maddubs_epi16(_mm_set1_epi8(1), codes), _mm_set1_epi16(1));
}

/* Sixteen signed codes of a row from activations, or zeros. */
CHORD_AVX2_INLINE __m128i signed_codes(const uint8_t *a, int present) {
  return present ? _mm_xor_si128(_mm_loadu_si128((const __m128i *)a), _mm_set1_epi8(-128)) : _mm_setzero_si128();
}

CHORD_AVX2_HOT void chord_pack_rows_qa8_c8__avx2(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, int32_t *correction) {
  for (size_t quarter = 0; quarter < 4; quarter++) {
    __m128i sums = _mm_setzero_si128();
    for (size_t k = 0; k < depth; k += 16) {
      __m128i r[4];
      CHORD_UNROLL for (size_t i = 0; i < 4; i++) r[i] = signed_codes(a + (4 * quarter + i) * depth + k, 4 * quarter + i < rows);
      const __m128i low01 = _mm_unpacklo_epi32(r[0], r[1]), high01 = _mm_unpackhi_epi32(r[0], r[1]);
      const __m128i low23 = _mm_unpacklo_epi32(r[2], r[3]), high23 = _mm_unpackhi_epi32(r[2], r[3]);
      const __m128i lines[4] = {_mm_unpacklo_epi64(low01, low23), _mm_unpackhi_epi64(low01, low23), _mm_unpacklo_epi64(high01, high23),
                                _mm_unpackhi_epi64(high01, high23)};
      CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
        sums = _mm_add_epi32(sums, sum_fours(lines[i]));
        _mm_storeu_si128((__m128i *)(panel + (k / 4 + i) * 64 + 16 * quarter), lines[i]);
      }
    }
    _mm_storeu_si128((__m128i *)(correction + 4 * quarter), _mm_slli_epi32(_mm_sub_epi32(_mm_setzero_si128(), sums), 7));
  }
}

CHORD_AVX2_HOT void chord_pack_columns_qa8_c8__avx2(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel, size_t panel_depth,
                                                int32_t *correction) {
  panel += 16 * first;
  for (size_t c = 0; c < depth; c += 16, panel += 16 * panel_depth) {
    __m128i sums[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    for (size_t group = 0; group < 4; group++) {
      __m128i r[4];
      CHORD_UNROLL for (size_t i = 0; i < 4; i++) r[i] = signed_codes(a + (4 * group + i) * depth + c, 4 * group + i < rows);
      const __m128i low01 = _mm_unpacklo_epi8(r[0], r[1]), high01 = _mm_unpackhi_epi8(r[0], r[1]);
      const __m128i low23 = _mm_unpacklo_epi8(r[2], r[3]), high23 = _mm_unpackhi_epi8(r[2], r[3]);
      const __m128i line[4] = {_mm_unpacklo_epi16(low01, low23), _mm_unpackhi_epi16(low01, low23), _mm_unpacklo_epi16(high01, high23),
                               _mm_unpackhi_epi16(high01, high23)};
      CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
        sums[i] = _mm_add_epi32(sums[i], sum_fours(line[i]));
        _mm_storeu_si128((__m128i *)(panel + 64 * group + 16 * i), line[i]);
      }
    }
    CHORD_UNROLL for (size_t i = 0; i < 4; i++) {
      const __m128i before = first ? _mm_loadu_si128((const __m128i *)(correction - depth + c + 4 * i)) : _mm_setzero_si128();
      _mm_storeu_si128((__m128i *)(correction + c + 4 * i), _mm_sub_epi32(before, _mm_slli_epi32(sums[i], 7)));
    }
  }
}

/* In place: p = 2^(s - max), zero from `count` to the next multiple of 16; returns 1 / sum. */
CHORD_AVX2_INLINE float softmax(float *s, size_t count) {
  const size_t whole = (count - 1) / 16 * 16;
  const lane_mask rest = first_lanes(count - whole);
  const lanes tail = lanes_load(s + whole);
  lanes most = lanes_select(rest, tail, lanes_set1(-INFINITY));
  for (size_t t = 0; t < whole; t += 16) most = lanes_max(most, lanes_load(s + t));
  most = lanes_set1(lanes_most(most));
  lanes sums = lanes_set1(0.0f);
  for (size_t t = 0; t < whole; t += 16) {
    const lanes p = lanes_exp2(lanes_sub(lanes_load(s + t), most));
    lanes_store(s + t, p);
    sums = lanes_add(sums, p);
  }
  const lanes p = lanes_select(rest, lanes_exp2(lanes_sub(tail, most)), lanes_set1(0.0f));
  lanes_store(s + whole, p);
  return 1.0f / lanes_fold(lanes_add(sums, p));
}

CHORD_AVX2_HOT void chord_softmax_f32_qa8__avx2(const chord_softmax *arguments) {
  const chord_softmax copy = *arguments, *const args = &copy;
  for (size_t row = 0; row < args->rows; row++) {
    float *s = args->scores + row * args->stride;
    const float inverse_sum = softmax(s, args->first + row + 1);
    lanes most = lanes_set1(0.0f);
    for (size_t t = 0; t < args->keys; t += 16) {
      const lanes w = lanes_mul(lanes_load(s + t), lanes_load(args->value_scale + t));
      lanes_store(s + t, w);
      most = lanes_larger(most, w);
    }
    float scale;
    const lanes inverse = lanes_set1(activation_scale(lanes_largest(most), &scale));
    args->p_scale[row] = scale * inverse_sum;
    for (size_t t = 0; t < args->keys; t += 16) store_qa8(args->p + row * args->stride + t, lanes_load(s + t), inverse);
  }
}

CHORD_AVX2_INLINE void mix(size_t rows, size_t dim, const float *p, const float *x, float factor, float *out) {
  for (size_t c = 0; c < dim; c += 16) {
    lanes sums[4];
    CHORD_UNROLL for (size_t i = 0; i < 4; i++) sums[i] = lanes_set1(0.0f);
    size_t t = 0;
    for (; t + 4 <= rows; t += 4)
      CHORD_UNROLL for (size_t i = 0; i < 4; i++)
        sums[i] = lanes_fma(lanes_set1(p[t + i]), lanes_load(x + (t + i) * dim + c), sums[i]);
    CHORD_UNROLL for (size_t i = 0; i < 3; i++)
      if (t + i < rows) sums[i] = lanes_fma(lanes_set1(p[t + i]), lanes_load(x + (t + i) * dim + c), sums[i]);
    lanes_store(out + c, lanes_mul(lanes_add(lanes_add(sums[0], sums[1]), lanes_add(sums[2], sums[3])), lanes_set1(factor)));
  }
}

CHORD_AVX2_HOT void chord_mix_rows_f32__avx2(size_t rows, size_t dim, const float *p, const float *x, float *out) {
  mix(rows, dim, p, x, 1.0f, out);
}

CHORD_AVX2_HOT void chord_attend_last_f32__avx2(const chord_attend_last *args) {
  const size_t dim = args->dim;
  for (size_t head = 0; head < args->heads; head++) {
    const float *probe = args->probe + head * dim;
    for (size_t t = 0; t < args->rows; t++) {
      lanes sums = lanes_set1(0.0f);
      for (size_t c = 0; c < dim; c += 16) sums = lanes_fma(lanes_load(probe + c), lanes_load(args->x + t * dim + c), sums);
      args->work[t] = lanes_fold(sums);
    }
    const float inverse = softmax(args->work, args->rows);
    mix(args->rows, dim, args->work, args->x, inverse, args->out + head * dim);
  }
}

CHORD_AVX2_HOT void chord_combine_rows_f32__avx2(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out) {
  for (size_t k = 0; k < dim; k += 16) {
    lanes sums[4];
    CHORD_UNROLL for (size_t i = 0; i < 4; i++) sums[i] = lanes_set1(0.0f);
    for (size_t c = 0; c < count; c += 4)
      CHORD_UNROLL for (size_t i = 0; i < 4; i++)
        if (c + i < count) {
          const __m128i row = _mm_loadu_si128((const __m128i *)(codes + (c + i) * stride + k));
          sums[i] = lanes_fma(lanes_set1(x[c + i]), lanes_of_codes(row), sums[i]);
        }
    lanes_store(out + k, lanes_add(lanes_add(sums[0], sums[1]), lanes_add(sums[2], sums[3])));
  }
}

CHORD_AVX2_INLINE void spread(const chord_spread args) {
  for (size_t c = 0; c < args.dim; c += 8) {
    const int32_t next = args.places[c], first = next < 0 ? ~next : next;
    const __m256i places = _mm256_loadu_si256((const __m256i *)(args.places + c)), from = _mm256_sub_epi32(places, _mm256_set1_epi32(first));
    const __m256 fill = _mm256_loadu_ps(args.fill + c), off = _mm256_castsi256_ps(places);
    const float *x = args.x + first;
    float *out = args.out + c;
    for (size_t row = 0; row < args.rows; row++, x += args.x_stride, out += args.out_stride)
      _mm256_storeu_ps(out, _mm256_blendv_ps(_mm256_permutevar8x32_ps(_mm256_loadu_ps(x), from), fill, off));
  }
}

CHORD_AVX2 void chord_spread_f32__avx2(const chord_spread *args) {
  CHORD_SPREAD_SOME_ROWS(args, spread)
}
#endif
