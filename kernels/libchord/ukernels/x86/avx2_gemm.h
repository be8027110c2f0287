/*
 * The matrix product of the AVX2 and AVX-VNNI variants: the file that includes this defines GEMM_TARGET, GEMM_NAME, GEMM_PART (its part of
 * the code), START(j), the value at which half j of a block starts, GROUP(a), what is prepared of four activations, and DOT(sum, group, w).
 *
 * A tile is ROWS (at most six) rows by one block of 16 channels, two registers each. The sums are variables of their own because
 * gcc 12 keeps an array of accumulators in memory.
 */
#define ROWS_OF_TILE(M) M(0) M(1) M(2) M(3) M(4) M(5)
#define TILE_START(i) __m256i low##i = START(0), high##i = START(1);
#define TILE_STEP(i)                                 \
  if (i < rows) {                                    \
    const GROUP_TYPE group = GROUP(a + i * a_stride); \
    low##i = DOT(low##i, group, w0);                 \
    high##i = DOT(high##i, group, w1);               \
  }
#define TILE_STORE(i) \
  if (i < rows) gemm_store(args, row + i, block, low##i, high##i);

#define GEMM_INLINE static inline __attribute__((always_inline)) GEMM_TARGET

GEMM_INLINE void gemm_store(const chord_gemm *args, size_t row, size_t block, __m256i low, __m256i high) {
  const size_t channel = 16 * block;
  float *out = args->out + row * args->out_stride + channel;
  const __m256 a_scale = _mm256_set1_ps(args->a_scale[row]);
  __m256 y0 = _mm256_mul_ps(_mm256_cvtepi32_ps(low), _mm256_loadu_ps(args->scale + channel));
  __m256 y1 = _mm256_mul_ps(_mm256_cvtepi32_ps(high), _mm256_loadu_ps(args->scale + channel + 8));
  y0 = _mm256_fmadd_ps(y0, a_scale, _mm256_loadu_ps(args->bias + channel));
  y1 = _mm256_fmadd_ps(y1, a_scale, _mm256_loadu_ps(args->bias + channel + 8));
  if (args->relu) {
    y0 = _mm256_and_ps(y0, _mm256_cmp_ps(y0, _mm256_setzero_ps(), _CMP_NLE_UQ));
    y1 = _mm256_and_ps(y1, _mm256_cmp_ps(y1, _mm256_setzero_ps(), _CMP_NLE_UQ));
  }
  _mm256_storeu_ps(out, y0);
  _mm256_storeu_ps(out + 8, y1);
}

GEMM_INLINE __m256i broadcast4(const uint8_t *a) {
  int32_t group;
  memcpy(&group, a, 4);
  return _mm256_set1_epi32(group);
}

GEMM_INLINE void gemm_tile(const chord_gemm *args, const size_t rows, size_t row, size_t block, size_t asked) {
  const size_t a_stride = args->a_stride;
  const uint8_t *a = args->a + row * a_stride, *const end = a + args->depth;
  const int8_t *panel = args->panel + block * 16 * args->panel_depth;
  const int8_t *next = chord_next(args, asked);
  ROWS_OF_TILE(TILE_START)
  for (; a != end; a += 4, panel += 64, next += 64) {
    _mm_prefetch((const char *)next, _MM_HINT_T1);
    const __m256i w0 = _mm256_load_si256((const __m256i *)panel), w1 = _mm256_load_si256((const __m256i *)(panel + 32));
    ROWS_OF_TILE(TILE_STEP)
  }
  ROWS_OF_TILE(TILE_STORE)
}

/* One row: three chains over the depth besides the first hide the latency. */
GEMM_INLINE void gemv_tile(const chord_gemm *args, size_t block) {
  const uint8_t *a = args->a, *const end = a + args->depth;
  const int8_t *panel = args->panel + block * 16 * args->panel_depth;
  __m256i low0 = START(0), high0 = START(1), low1 = _mm256_setzero_si256(), high1 = low1, low2 = low1, high2 = low1, low3 = low1, high3 = low1;
#define GEMV_STEP(i)                                                                               \
  {                                                                                                \
    const GROUP_TYPE group = GROUP(a + 4 * i);                                                     \
    low##i = DOT(low##i, group, _mm256_load_si256((const __m256i *)(panel + 64 * i)));             \
    high##i = DOT(high##i, group, _mm256_load_si256((const __m256i *)(panel + 64 * i + 32)));      \
  }
  for (; a != end; a += 16, panel += 256) {
    GEMV_STEP(0) GEMV_STEP(1) GEMV_STEP(2) GEMV_STEP(3)
  }
#undef GEMV_STEP
  gemm_store(args, 0, block, _mm256_add_epi32(_mm256_add_epi32(low0, low1), _mm256_add_epi32(low2, low3)),
             _mm256_add_epi32(_mm256_add_epi32(high0, high1), _mm256_add_epi32(high2, high3)));
}

static GEMM_TARGET GEMM_PART void GEMM_NAME(const chord_gemm *args) {
  size_t asked = 0;
  for (size_t block = 0; block < args->blocks; block++) {
    if (args->rows == 1) {
      gemv_tile(args, block);
      continue;
    }
    size_t row = 0;
    for (; row + GEMM_ROWS <= args->rows; row += GEMM_ROWS, asked += 16 * args->depth) gemm_tile(args, GEMM_ROWS, row, block, asked);
    switch (args->rows - row) {
      case 5: gemm_tile(args, 5, row, block, asked); break;
      case 4: gemm_tile(args, 4, row, block, asked); break;
      case 3: gemm_tile(args, 3, row, block, asked); break;
      case 2: gemm_tile(args, 2, row, block, asked); break;
      case 1: gemm_tile(args, 1, row, block, asked); break;
      default: break;
    }
  }
}
