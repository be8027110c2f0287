/*
 * Integer kernels, AVX512-VNNI. Activations are stored as uint8 (128 added), because vpdpbusd multiplies unsigned by signed;
 * the accumulators start at the correction -128 * (sum of the channel's codes), made at adoption.
 */
#if defined(__x86_64__)
#include "avx512.h"

/*
 * gcc 12 gives every vpdpbusd of a large tile a copy and a store to the stack, as if the accumulator could live there; through
 * inline assembly it stays in its register (50x64x64: 1384 ns as an intrinsic, 580 ns so, on one EPYC core).
 */
#if defined(__GNUC__) && !defined(__clang__)
CHORD_AVX512_INLINE __m512i dpbusd(__m512i sum, __m512i a, __m512i w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
  return sum;
}
#else
#define dpbusd _mm512_dpbusd_epi32
#endif

/* What a block of 16 channels needs to derive its codes, one 32-bit element a channel. */
typedef struct derivation {
  __m512i ratios;       /* Q15, twice in each element; 0 for off and int8 */
  __m512i least, most;  /* the grid's ends, four times in each element */
  __m512i keep;         /* ones for int8: the master's code stays */
  __m512 scales;
} derivation;

CHORD_AVX512_INLINE derivation derivation_of(const chord_channels *channels) {
  const __m512i widths = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)channels->widths));
  const __mmask16 two = _mm512_cmpeq_epi32_mask(widths, _mm512_set1_epi32(1)), four = _mm512_cmpeq_epi32_mask(widths, _mm512_set1_epi32(2)),
                  eight = _mm512_cmpeq_epi32_mask(widths, _mm512_set1_epi32(3));
  __m512i ratios = _mm512_maskz_cvtepu16_epi32(two, _mm256_loadu_si256((const __m256i *)channels->ratios2));
  ratios = _mm512_mask_cvtepu16_epi32(ratios, four, _mm256_loadu_si256((const __m256i *)channels->ratios4));
  __m512 scales = _mm512_mask_loadu_ps(_mm512_set1_ps(1.0f), two, channels->scales2);
  scales = _mm512_mask_loadu_ps(scales, four, channels->scales4);
  scales = _mm512_mask_loadu_ps(scales, eight, channels->scales8);
  return (derivation){
      .ratios = _mm512_or_si512(ratios, _mm512_slli_epi32(ratios, 16)),
      .least = _mm512_or_si512(_mm512_maskz_set1_epi32(two, (int)0xFEFEFEFEu), _mm512_maskz_set1_epi32(four, (int)0xF9F9F9F9u)),
      .most = _mm512_or_si512(_mm512_maskz_set1_epi32(two, 0x01010101), _mm512_maskz_set1_epi32(four, 0x07070707)),
      .keep = _mm512_maskz_set1_epi32(eight, -1),
      .scales = scales};
}

/* Codes of 64 elements whose ratios are those of their low and high 8 bytes in each 128-bit lane. */
CHORD_AVX512_INLINE __m512i derive64(__m512i codes, __m512i ratios_low, __m512i ratios_high, __m512i least, __m512i most, __m512i keep) {
  const __m512i low = _mm512_mulhrs_epi16(_mm512_srai_epi16(_mm512_unpacklo_epi8(codes, codes), 8), ratios_low);
  const __m512i high = _mm512_mulhrs_epi16(_mm512_srai_epi16(_mm512_unpackhi_epi8(codes, codes), 8), ratios_high);
  const __m512i derived = _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(low, high), least), most);
  return _mm512_ternarylogic_epi32(derived, codes, keep, 0xF8); /* derived | (codes & keep) */
}

static CHORD_AVX512 void chord_expand_c8__avx512vnni(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  const derivation d = derivation_of(channels);
  const __m512i ratios_low = _mm512_unpacklo_epi32(d.ratios, d.ratios), ratios_high = _mm512_unpackhi_epi32(d.ratios, d.ratios);
  const __m512i offset = _mm512_set1_epi8(-128);
  __m512i sums = _mm512_setzero_si512();
  for (size_t start = 0; start < channels->depth; start += 64) {
    const size_t left = channels->depth - start, lines = left >= 64 ? 16 : left / 4;
    const __mmask16 present = (__mmask16)(0xFFFFu >> (16 - lines));
    __m512i r[16];
    CHORD_UNROLL for (int c = 0; c < 16; c++) r[c] = _mm512_maskz_loadu_epi32(present, channels->rows[c] + start);
    transpose16(r);
    CHORD_UNROLL for (size_t line = 0; line < 16; line++) {
      if (line >= lines) break;
      const __m512i codes = derive64(r[line], ratios_low, ratios_high, d.least, d.most, d.keep);
      sums = _mm512_dpbusd_epi32(sums, offset, codes);
      _mm512_store_si512(panel + (start / 4 + line) * 64, codes);
    }
  }
  _mm512_storeu_si512(correction, _mm512_sub_epi32(_mm512_setzero_si512(), sums));
  _mm512_storeu_ps(scale, d.scales);
}

static CHORD_AVX512 void chord_derive_rows__avx512vnni(const chord_channels *channels, int8_t *out, float *scale) {
  const derivation d = derivation_of(channels);
  int32_t ratios[16], least[16], most[16], keep[16];
  _mm512_storeu_si512(ratios, d.ratios);
  _mm512_storeu_si512(least, d.least);
  _mm512_storeu_si512(most, d.most);
  _mm512_storeu_si512(keep, d.keep);
  for (size_t c = 0; c < 16; c++) {
    const __m512i ratio = _mm512_set1_epi32(ratios[c]);
    for (size_t start = 0; start < channels->depth; start += 64, out += 64) {
      const size_t left = channels->depth - start;
      const __mmask16 present = (__mmask16)(left >= 64 ? 0xFFFFu : 0xFFFFu >> (16 - left / 4));
      const __m512i codes = derive64(_mm512_maskz_loadu_epi32(present, channels->rows[c] + start), ratio, ratio, _mm512_set1_epi32(least[c]),
                                     _mm512_set1_epi32(most[c]), _mm512_set1_epi32(keep[c]));
      _mm512_mask_storeu_epi32(out, present, codes);
      if (left < 64) out -= 64 - left;
    }
  }
  _mm512_storeu_ps(scale, d.scales);
}

CHORD_AVX512_INLINE __m512 gemm_value(const chord_gemm *args, size_t row, size_t block, __m512i sum) {
  const size_t channel = 16 * block;
  const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(args->scale + channel));
  const __m512 y = _mm512_fmadd_ps(product, _mm512_set1_ps(args->a_scale[row]), _mm512_loadu_ps(args->bias + channel));
  return relu_if512(args->relu, y);
}

CHORD_AVX512_INLINE void gemm_store(const chord_gemm *args, size_t row, size_t block, __m512i sum) {
  _mm512_storeu_ps(args->out + row * args->out_stride + 16 * block, gemm_value(args, row, block, sum));
}

CHORD_AVX512_INLINE __m512i broadcast4(const uint8_t *a) {
  int32_t group;
  memcpy(&group, a, 4);
  return _mm512_set1_epi32(group);
}

/*
 * The sums of a tile, six rows by four blocks. Each is a variable of its own: gcc 12 keeps an array of accumulators in memory and
 * stores every one of them in every step, which makes the loop 2.5 times slower.
 */
#define SUMS_OF_ROW(S, i) S(i, 0) S(i, 1) S(i, 2) S(i, 3)
#define SUMS(S) SUMS_OF_ROW(S, 0) SUMS_OF_ROW(S, 1) SUMS_OF_ROW(S, 2) SUMS_OF_ROW(S, 3) SUMS_OF_ROW(S, 4) SUMS_OF_ROW(S, 5)
#define SUM_START(i, j) __m512i sum##i##j = j < blocks ? _mm512_loadu_si512(args->correction + 16 * (block + j)) : _mm512_setzero_si512();
#define SUM_STEP(i, j) \
  if (j < blocks) sum##i##j = dpbusd(sum##i##j, group, w##j);
#define SUM_STORE(i, j) \
  if (i < rows && j < blocks) gemm_store(args, row + i, block + j, sum##i##j);
#define ROW_STEP(i)                                     \
  if (i < rows) {                                       \
    const __m512i group = broadcast4(a + i * a_stride); \
    SUMS_OF_ROW(SUM_STEP, i)                            \
  }

CHORD_AVX512_INLINE void gemm_tile(const chord_gemm *args, const size_t rows, const size_t blocks, size_t row, size_t block, size_t asked) {
  const size_t block_bytes = 16 * args->panel_depth, a_stride = args->a_stride;
  const uint8_t *a = args->a + row * a_stride, *const end = a + args->depth;
  const int8_t *panel = args->panel + block * block_bytes;
  const int8_t *next = chord_next(args, asked);
  SUMS(SUM_START)
  for (; a != end; a += 4, panel += 64, next += 64) {
    _mm_prefetch((const char *)next, _MM_HINT_T1);
    const __m512i w0 = _mm512_load_si512(panel), w1 = blocks > 1 ? _mm512_load_si512(panel + block_bytes) : w0,
                  w2 = blocks > 2 ? _mm512_load_si512(panel + 2 * block_bytes) : w0,
                  w3 = blocks > 3 ? _mm512_load_si512(panel + 3 * block_bytes) : w0;
    ROW_STEP(0) ROW_STEP(1) ROW_STEP(2) ROW_STEP(3) ROW_STEP(4) ROW_STEP(5)
  }
  SUMS(SUM_STORE)
}

/* One block: two chains a row hide the latency of vpdpbusd. */
#define NARROW_ROWS(M) M(0) M(1) M(2) M(3) M(4) M(5)
#define NARROW_START(i) __m512i even##i = correction, odd##i = _mm512_setzero_si512();
#define NARROW_STEP(i)                                       \
  if (i < rows) {                                            \
    even##i = dpbusd(even##i, broadcast4(a + i * a_stride), w0);    \
    odd##i = dpbusd(odd##i, broadcast4(a + i * a_stride + 4), w1); \
  }
#define NARROW_STORE(i) \
  if (i < rows) gemm_store(args, row + i, block, _mm512_add_epi32(even##i, odd##i));

CHORD_AVX512_INLINE void narrow_tile(const chord_gemm *args, const size_t rows, size_t row, size_t block) {
  const size_t a_stride = args->a_stride;
  const uint8_t *a = args->a + row * a_stride, *const end = a + args->depth;
  const int8_t *panel = args->panel + block * 16 * args->panel_depth;
  const __m512i correction = _mm512_loadu_si512(args->correction + 16 * block);
  NARROW_ROWS(NARROW_START)
  for (; a != end; a += 8, panel += 128) {
    const __m512i w0 = _mm512_load_si512(panel), w1 = _mm512_load_si512(panel + 64);
    NARROW_ROWS(NARROW_STEP)
  }
  NARROW_ROWS(NARROW_STORE)
}

/* One row: four chains over the depth hide the latency of vpdpbusd. */
#define CHAINS(S) SUMS_OF_ROW(S, 0) SUMS_OF_ROW(S, 1) SUMS_OF_ROW(S, 2) SUMS_OF_ROW(S, 3)
#define CHAIN_START(i, j) \
  __m512i sum##i##j = i == 0 && j < blocks ? _mm512_loadu_si512(args->correction + 16 * (block + j)) : _mm512_setzero_si512();
#define CHAIN_STEP(i, j) \
  if (j < blocks) sum##i##j = dpbusd(sum##i##j, group##i, _mm512_load_si512(panel + j * block_bytes + 64 * i));
#define CHAIN_STORE(j) \
  if (j < blocks) gemm_store(args, row, block + j, _mm512_add_epi32(_mm512_add_epi32(sum0##j, sum1##j), _mm512_add_epi32(sum2##j, sum3##j)));

CHORD_AVX512_INLINE void gemv_tile(const chord_gemm *args, const size_t blocks, size_t row, size_t block) {
  const size_t block_bytes = 16 * args->panel_depth;
  const uint8_t *a = args->a + row * args->a_stride, *const end = a + args->depth;
  const int8_t *panel = args->panel + block * block_bytes;
  CHAINS(CHAIN_START)
  for (; a != end; a += 16, panel += 256) {
    const __m512i group0 = broadcast4(a), group1 = broadcast4(a + 4), group2 = broadcast4(a + 8), group3 = broadcast4(a + 12);
    CHAINS(CHAIN_STEP)
  }
  CHAIN_STORE(0) CHAIN_STORE(1) CHAIN_STORE(2) CHAIN_STORE(3)
}

/* How many of `left` rows the next tile takes. Few sizes, because each is code that a cold call has to fetch. */
static inline size_t rows_of_tile(size_t left) { return left >= 6 ? 6 : left >= 2 ? 2 : 1; }

CHORD_AVX512_INLINE void some_rows(const chord_gemm *args, const size_t rows, const size_t blocks, size_t row, size_t block, size_t asked) {
  if (blocks > 1)
    gemm_tile(args, rows, blocks, row, block, asked);
  else
    narrow_tile(args, rows, row, block);
}

/* `asked`: bytes of the weights to come, in and out. */
CHORD_AVX512_INLINE size_t gemm_blocks(const chord_gemm *args, const size_t blocks, size_t block, size_t asked) {
  for (size_t row = 0, rows; row < args->rows; row += rows, asked += 16 * args->depth) switch (rows = rows_of_tile(args->rows - row)) {
      case 6: some_rows(args, 6, blocks, row, block, asked); break;
      case 2: some_rows(args, 2, blocks, row, block, asked); break;
      default: gemv_tile(args, blocks, row, block); break;
    }
  return asked;
}

static CHORD_AVX512_HOT void chord_gemm_qa8_c8__avx512vnni(const chord_gemm *arguments) {
  /* A copy of its own: a vector store may alias anything, so the fields would be read again after each one. */
  const chord_gemm copy = *arguments, *const args = &copy;
  size_t block = 0, asked = 0;
  for (; block + 4 <= args->blocks; block += 4) asked = gemm_blocks(args, 4, block, asked);
  switch (args->blocks - block) {
    case 3: gemm_blocks(args, 3, block, asked); break;
    case 2: gemm_blocks(args, 2, block, asked); break;
    case 1: gemm_blocks(args, 1, block, asked); break;
    default: break;
  }
}

/* Rows of 64 channels that are quantised while they are in registers; rows past the last one of a tile repeat row 0. */
#define ROW_VALUES(i)                                                                                    \
  const __m512 v##i##0 = gemm_value(args, row + (i < rows ? i : 0), 0, i < rows ? sum##i##0 : sum00),    \
               v##i##1 = gemm_value(args, row + (i < rows ? i : 0), 1, i < rows ? sum##i##1 : sum01),    \
               v##i##2 = gemm_value(args, row + (i < rows ? i : 0), 2, i < rows ? sum##i##2 : sum02),    \
               v##i##3 = gemm_value(args, row + (i < rows ? i : 0), 3, i < rows ? sum##i##3 : sum03);
#define ROW_CODES(i, inverse, part) \
  if (i < rows) _mm512_storeu_si512(codes + codes_stride * (row + i), codes_of_64(128, v##i##0, v##i##1, v##i##2, v##i##3, SPREAD_ROW(inverse, part)));

CHORD_AVX512_INLINE void quantising_tile(const chord_gemm *args, const size_t rows, size_t row, uint8_t *codes, size_t codes_stride,
                                         float *scales, size_t asked) {
  const size_t block_bytes = 16 * args->panel_depth, a_stride = args->a_stride, block = 0, blocks = 4;
  const uint8_t *a = args->a + row * a_stride, *const end = a + args->depth;
  const int8_t *panel = args->panel;
  const int8_t *next = chord_next(args, asked);
  SUMS(SUM_START)
  for (; a != end; a += 4, panel += 64, next += 64) {
    _mm_prefetch((const char *)next, _MM_HINT_T1);
    const __m512i w0 = _mm512_load_si512(panel), w1 = _mm512_load_si512(panel + block_bytes), w2 = _mm512_load_si512(panel + 2 * block_bytes),
                  w3 = _mm512_load_si512(panel + 3 * block_bytes);
    ROW_STEP(0) ROW_STEP(1) ROW_STEP(2) ROW_STEP(3) ROW_STEP(4) ROW_STEP(5)
  }
  ROW_VALUES(0) ROW_VALUES(1) ROW_VALUES(2) ROW_VALUES(3)
  const __m128 inverse = activation_scales(larger_rows(ABS_MAX4(v0), ABS_MAX4(v1), ABS_MAX4(v2), ABS_MAX4(v3)), rows < 4 ? rows : 4, scales + row);
  ROW_CODES(0, inverse, 0) ROW_CODES(1, inverse, 1) ROW_CODES(2, inverse, 2) ROW_CODES(3, inverse, 3)
  if (rows > 4) {
    ROW_VALUES(4) ROW_VALUES(5)
    const __m512 most4 = ABS_MAX4(v4), most5 = ABS_MAX4(v5);
    const __m128 others = activation_scales(larger_rows(most4, most5, most4, most5), rows - 4, scales + row + 4);
    ROW_CODES(4, others, 0) ROW_CODES(5, others, 1)
  }
}

CHORD_AVX512_64 void chord_gemm_qa8_c8_qa8__avx512vnni(const chord_gemm *arguments, uint8_t *codes, size_t codes_stride, float *scales) {
  const chord_gemm copy = *arguments, *const args = &copy;
  for (size_t row = 0, rows, asked = 0; row < args->rows; row += rows, asked += 16 * args->depth) switch (rows = rows_of_tile(args->rows - row)) {
      case 6: quantising_tile(args, 6, row, codes, codes_stride, scales, asked); break;
      case 2: quantising_tile(args, 2, row, codes, codes_stride, scales, asked); break;
      default: quantising_tile(args, 1, row, codes, codes_stride, scales, asked); break;
    }
}

/*
 * Weights of 4 or 2 bits, unpacked in registers. They are unsigned in memory (2^(bits - 1) added), so here the weights are vpdpbusd's
 * unsigned operand and the activations the signed one; 2^(bits - 1) times the row's sum of activations comes off at the end.
 */
#define PACKED_ROWS(M) M(0) M(1) M(2) M(3)
#define PACKED_START(i)                    \
  __m512i even##i = _mm512_setzero_si512(); \
  __m512i odd##i = _mm512_setzero_si512();
#define PACKED_STEP(i)                                                                                                           \
  if (i < rows) {                                                                                                                \
    const __m512i code = _mm512_xor_si512(broadcast4(a + i * a_stride + 4 * group), _mm512_set1_epi8(-128));                     \
    if (group % 2 == 0)                                                                                                          \
      even##i = dpbusd(even##i, w, code);                                                                                        \
    else                                                                                                                         \
      odd##i = dpbusd(odd##i, w, code);                                                                                          \
  }
#define PACKED_STORE(i) \
  if (i < rows)         \
    gemm_store(args, row + i, block, _mm512_sub_epi32(_mm512_add_epi32(even##i, odd##i), _mm512_set1_epi32(a_sums[i] * (1 << (bits - 1)))));

CHORD_AVX512_INLINE void packed_tile(const chord_gemm *args, const unsigned bits, const size_t rows, size_t row, size_t block,
                                     const int32_t *a_sums) {
  const size_t a_stride = args->a_stride, groups = 8 / bits;
  const uint8_t *a = args->a + row * a_stride, *const end = a + args->depth;
  const int8_t *line = args->panel + block * chord_packed_block_bytes(args->depth, bits);
  const __m512i mask = _mm512_set1_epi8((char)((1 << bits) - 1));
  PACKED_ROWS(PACKED_START)
  for (; a != end; a += 4 * groups, line += 64) {
    const __m512i packed = _mm512_load_si512(line);
    CHORD_UNROLL for (size_t group = 0; group < groups; group++) {
      const __m512i w = _mm512_and_si512(_mm512_srli_epi32(packed, (unsigned)group * bits), mask);
      PACKED_ROWS(PACKED_STEP)
    }
  }
  PACKED_ROWS(PACKED_STORE)
}

/* One row by four blocks: eight chains. */
#define PACKED_BLOCK_STEP(j)                                                                                                      \
  {                                                                                                                               \
    const __m512i packed = _mm512_load_si512(line + j * block_bytes);                                                             \
    CHORD_UNROLL for (size_t group = 0; group < groups; group++) {                                                                \
      const __m512i w = _mm512_and_si512(_mm512_srli_epi32(packed, (unsigned)group * bits), mask);                                \
      if (group % 2 == 0)                                                                                                         \
        even##j = dpbusd(even##j, w, code[group]);                                                                                \
      else                                                                                                                        \
        odd##j = dpbusd(odd##j, w, code[group]);                                                                                  \
    }                                                                                                                             \
  }
#define PACKED_BLOCK_STORE(j) gemm_store(args, row, block + j, _mm512_sub_epi32(_mm512_add_epi32(even##j, odd##j), offset));

CHORD_AVX512_INLINE void packed_gemv(const chord_gemm *args, const unsigned bits, size_t row, size_t block, int32_t a_sum) {
  const size_t groups = 8 / bits, block_bytes = chord_packed_block_bytes(args->depth, bits);
  const uint8_t *a = args->a + row * args->a_stride, *const end = a + args->depth;
  const int8_t *line = args->panel + block * block_bytes;
  const __m512i mask = _mm512_set1_epi8((char)((1 << bits) - 1)), offset = _mm512_set1_epi32(a_sum * (1 << (bits - 1)));
  PACKED_ROWS(PACKED_START)
  for (; a != end; a += 4 * groups, line += 64) {
    __m512i code[4];
    CHORD_UNROLL for (size_t group = 0; group < groups; group++)
      code[group] = _mm512_xor_si512(broadcast4(a + 4 * group), _mm512_set1_epi8(-128));
    PACKED_ROWS(PACKED_BLOCK_STEP)
  }
  PACKED_ROWS(PACKED_BLOCK_STORE)
}

CHORD_AVX512_INLINE void packed_gemm(const chord_gemm *args, const unsigned bits) {
  for (size_t row = 0; row < args->rows; row += 4) {
    const size_t rows = args->rows - row < 4 ? args->rows - row : 4;
    int32_t a_sums[4] = {0};
    for (size_t i = 0; i < rows; i++) {
      __m512i sum = _mm512_setzero_si512();
      for (size_t k = 0; k < args->depth; k += 16) {
        const __m128i codes = _mm_loadu_si128((const __m128i *)(args->a + (row + i) * args->a_stride + k));
        sum = _mm512_add_epi32(sum, _mm512_cvtepu8_epi32(codes));
      }
      a_sums[i] = _mm512_reduce_add_epi32(sum) - 128 * (int32_t)args->depth;
    }
    size_t block = 0;
    for (; rows == 1 && block + 4 <= args->blocks; block += 4) packed_gemv(args, bits, row, block, a_sums[0]);
    for (; block < args->blocks; block++) switch (rows) {
        case 4: packed_tile(args, bits, 4, row, block, a_sums); break;
        case 3: packed_tile(args, bits, 3, row, block, a_sums); break;
        case 2: packed_tile(args, bits, 2, row, block, a_sums); break;
        default: packed_tile(args, bits, 1, row, block, a_sums); break;
      }
  }
}

static CHORD_AVX512 void chord_gemm_qa8_c4__avx512vnni(const chord_gemm *args) { packed_gemm(args, 4); }
static CHORD_AVX512 void chord_gemm_qa8_c2__avx512vnni(const chord_gemm *args) { packed_gemm(args, 2); }

CHORD_CODE_DECLARE(avx512)
CHORD_CODE_DECLARE(avx512_64)
CHORD_CODE_DECLARE(avx512_wide)

const chord_ukernels chord_ukernels_avx512vnni = {
    .code = {CHORD_CODE(avx512), CHORD_CODE(avx512_64), CHORD_CODE(avx512_wide)},
    .depth_group = 4,
    .zero = 128,
    .expand_c8 = chord_expand_c8__avx512vnni,
    .derive_rows = chord_derive_rows__avx512vnni,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__avx512,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__avx512vnni,
    .gemm_qa8_c4 = chord_gemm_qa8_c4__avx512vnni,
    .gemm_qa8_c2 = chord_gemm_qa8_c2__avx512vnni,
    .norm_f32 = chord_norm_f32__avx512,
    .gelu_f32 = chord_gelu_f32__avx512,
    .embed_e_f32 = chord_embed_e_f32__avx512,
    .gather_e_qa8 = chord_gather_e_qa8__avx512,
    .gemm_qa8_c8_qa8 = chord_gemm_qa8_c8_qa8__avx512vnni,
    .pack_rows_qa8_c8 = chord_pack_rows_qa8_c8__avx512,
    .pack_columns_qa8_c8 = chord_pack_columns_qa8_c8__avx512,
    .softmax_f32_qa8 = chord_softmax_f32_qa8__avx512,
    .attend_last_f32 = chord_attend_last_f32__avx512,
    .mix_rows_f32 = chord_mix_rows_f32__avx512,
    .combine_rows_f32 = chord_combine_rows_f32__avx512,
    .spread_f32 = chord_spread_f32__avx512,
    .score_q16_e = chord_score_q16_e__avx512vnni,
};
#endif
