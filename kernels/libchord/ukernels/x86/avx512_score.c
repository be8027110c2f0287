/* Scores of items against a hidden state, with AVX-512 and VNNI. */
#if defined(__x86_64__)
#include "avx512.h"

/* Thirty-two or (the last of an odd number of) sixteen codes as int16. */
CHORD_AVX512_INLINE __m512i table_words(const chord_table *table, size_t dim, size_t row, size_t i) {
  if (i + 32 > dim) return _mm512_zextsi256_si512(_mm256_cvtepi8_epi16(table16(table, dim, row, i)));
  if (table->bits == 8) return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(table->codes + row * dim + i)));
  const __m256i low = _mm256_castsi128_si256(table16(table, dim, row, i));
  return _mm512_cvtepi8_epi16(_mm256_inserti128_si256(low, table16(table, dim, row, i + 16), 1));
}

CHORD_AVX512_INLINE __m512i score_row(const size_t dim, const int16_t *h, const chord_table *items, size_t id) {
  __m512i sum = _mm512_setzero_si512();
  CHORD_UNROLL_4 for (size_t c = 0; c < dim; c += 32) {
    const __m512i query = c + 32 > dim ? _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(h + c))) : _mm512_loadu_si512(h + c);
    sum = _mm512_dpwssd_epi32(sum, query, table_words(items, dim, id, c));
  }
  return sum;
}

CHORD_AVX512_INLINE void score_rows(size_t count, const size_t dim, const unsigned bits, const int16_t *h, float h_scale,
                                    const chord_table *table, const int32_t *ids, uint32_t first, float *scores) {
  const chord_table items = {table->codes, table->scales, bits, table->rows};
  for (size_t start = 0; start < count; start += 16) {
    const size_t here = count - start < 16 ? count - start : 16;
    const __mmask16 there = (__mmask16)(0xFFFFu >> (16 - here));
    __m512i sums[16];
    __m512 scales;
    if (ids) {
      CHORD_UNROLL for (size_t i = 0; i < 16; i++) sums[i] = score_row(dim, h, &items, (size_t)ids[start + (i < here ? i : here - 1)]);
      scales = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), there, _mm512_maskz_loadu_epi32(there, ids + start), items.scales, 4);
    } else {
      CHORD_UNROLL for (size_t i = 0; i < 16; i++) sums[i] = score_row(dim, h, &items, first + start + (i < here ? i : here - 1));
      scales = _mm512_maskz_loadu_ps(there, items.scales + first + start);
    }
    const __m512 sum = _mm512_cvtepi32_ps(fold16_epi32_512(sums));
    _mm512_mask_storeu_ps(scores + start, there, _mm512_mul_ps(_mm512_mul_ps(sum, scales), _mm512_set1_ps(h_scale)));
  }
}

/* Codes of 8 bits, sixty-four at a time. */
CHORD_AVX512_WIDE void score_wide(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *table, const int32_t *ids,
                                  uint32_t first, float *scores) {
  const chord_table items = *table;
  for (size_t start = 0; start < count; start += 16) {
    const size_t here = count - start < 16 ? count - start : 16;
    __m512i sums[16];
    float scales[16];
    for (size_t i = 0; i < 16; i++) {
      const size_t at = start + (i < here ? i : here - 1), id = ids ? (size_t)ids[at] : first + at;
      const uint8_t *codes = items.codes + id * dim;
      __m512i even = _mm512_setzero_si512(), odd = even;
      for (size_t c = 0; c < dim; c += 64) {
        even = _mm512_dpwssd_epi32(even, _mm512_loadu_si512(h + c), _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(codes + c))));
        odd = _mm512_dpwssd_epi32(odd, _mm512_loadu_si512(h + c + 32), _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(codes + c + 32))));
      }
      sums[i] = _mm512_add_epi32(even, odd);
      scales[i] = items.scales[id];
    }
    const __m512 sum = _mm512_cvtepi32_ps(fold16_epi32_512(sums));
    const __m512 y = _mm512_mul_ps(_mm512_mul_ps(sum, _mm512_loadu_ps(scales)), _mm512_set1_ps(h_scale));
    _mm512_mask_storeu_ps(scores + start, (__mmask16)(0xFFFFu >> (16 - here)), y);
  }
}

/* The same in little code, for the other sizes. */
static CHORD_AVX512 CHORD_NOINLINE void score_any(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items,
                                                  const int32_t *ids, uint32_t first, float *scores) {
  for (size_t start = 0; start < count; start += 16) {
    const size_t here = count - start < 16 ? count - start : 16;
    __m512i sums[16];
    float scales[16] = {0};
    for (size_t i = 0; i < 16; i++) {
      const size_t at = start + (i < here ? i : here - 1), id = ids ? (size_t)ids[at] : first + at;
      scales[i] = items->scales[id];
      sums[i] = score_row(dim, h, items, id);
    }
    const __m512 sum = _mm512_cvtepi32_ps(fold16_epi32_512(sums));
    const __m512 y = _mm512_mul_ps(_mm512_mul_ps(sum, _mm512_loadu_ps(scales)), _mm512_set1_ps(h_scale));
    _mm512_mask_storeu_ps(scores + start, (__mmask16)(0xFFFFu >> (16 - here)), y);
  }
}

CHORD_AVX512_HOT void chord_score_q16_e__avx512vnni(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items,
                                                    const int32_t *ids, uint32_t first, float *scores) {
  if (dim == 64 && items->bits == 8)
    score_rows(count, 64, 8, h, h_scale, items, ids, first, scores);
  else if (dim % 64 == 0 && items->bits == 8)
    score_wide(count, dim, h, h_scale, items, ids, first, scores);
  else
    score_any(count, dim, h, h_scale, items, ids, first, scores);
}
#endif
