/*
 * Armv8.0: no dot product. Sixteen products of one channel are two multiplications into eight int16 sums (2 * 127 * 127 fits)
 * and one pairwise addition into four int32 sums, so a panel holds each channel's inputs side by side:
 *
 *   panel block:  ch0 k0..k(depth-1) | ch1 k0..k(depth-1) | ... | ch15 k0..k(depth-1)      (depth_group = 16)
 *
 * A tile is 4 rows x 4 channels: 16 accumulators, each with four partial sums that are added at the end. At a depth of 64 the
 * activations of four rows stay in registers instead, channel after channel; and because a product with an int4 or int2 code
 * is at most 7 * 127, eight of them fit an int16 sum: such channels (`correction` = 1) widen once instead of four times.
 */
#if defined(__aarch64__)
#include "gemm.h"
#include "pack.h"

/* Four partial sums of one row and one channel, depth 64. */
CHORD_INLINE int32x4_t dot64(const int8x16_t left[4], const int8x16_t right[4], int narrow) {
  int16x8_t products = vmull_s8(vget_low_s8(left[0]), vget_low_s8(right[0]));
  products = vmlal_high_s8(products, left[0], right[0]);
  if (narrow) {
    for (int k = 1; k < 4; k++) {
      products = vmlal_s8(products, vget_low_s8(left[k]), vget_low_s8(right[k]));
      products = vmlal_high_s8(products, left[k], right[k]);
    }
    return vpaddlq_s16(products);
  }
  int32x4_t sum = vpaddlq_s16(products);
  for (int k = 1; k < 4; k++) {
    products = vmull_s8(vget_low_s8(left[k]), vget_low_s8(right[k]));
    products = vmlal_high_s8(products, left[k], right[k]);
    sum = vpadalq_s16(sum, products);
  }
  return sum;
}

CHORD_INLINE void channel64(size_t rows, const int8x16_t left[4][4], const int8_t *panel, int narrow, int32x4_t partial[4]) {
  int8x16_t right[4] = {vld1q_s8(panel), vld1q_s8(panel + 16), vld1q_s8(panel + 32), vld1q_s8(panel + 48)};
  partial[0] = dot64(left[0], right, narrow);
  if (rows > 1) partial[1] = dot64(left[1], right, narrow);
  /* Two rows at a time keep the multiplier busy; with more of them the compiler runs out of registers. Written without a loop,
   * which would not be unrolled around this. */
  if (rows > 2) {
    __asm__("" : "+w"(partial[0]), "+w"(partial[1]), "+w"(right[0]), "+w"(right[1]), "+w"(right[2]), "+w"(right[3]));
    partial[2] = dot64(left[2], right, narrow);
  }
  if (rows > 3) partial[3] = dot64(left[3], right, narrow);
}

/* Two neighbouring channels: their partial sums, added in pairs. */
CHORD_INLINE void pair64(size_t rows, const int8x16_t left[4][4], const int8_t *panel, const int32_t *narrow, int32x4_t sum[4]) {
  int32x4_t even[4], odd[4];
  if (narrow[0])
    channel64(rows, left, panel, 1, even);
  else
    channel64(rows, left, panel, 0, even);
  if (narrow[1])
    channel64(rows, left, panel + 64, 1, odd);
  else
    channel64(rows, left, panel + 64, 0, odd);
  for (size_t i = 0; i < rows; i++) sum[i] = vpaddq_s32(even[i], odd[i]);
  for (size_t i = 0; i < rows; i++) __asm__("" : "+w"(sum[i])); /* now, not later: four registers instead of eight */
}

/*
 * Four rows in assembly: with sixteen registers of activations compilers spill, at a third more instructions. v28 to v31 hold 64 inputs
 * of a channel; rows go in pairs, which keeps the multiplier busy.
 */
#define LEFT(row) [l##row##0] "w"(left[row][0]), [l##row##1] "w"(left[row][1]), [l##row##2] "w"(left[row][2]), [l##row##3] "w"(left[row][3])
#define ALL_LEFT LEFT(0), LEFT(1), LEFT(2), LEFT(3)
#define LOAD_CHANNEL(at) "ldp q28, q29, [%[panel], #" #at "]\n ldp q30, q31, [%[panel], #" #at " + 32]\n"
/* First and further products of part k of a row; vr is the register of that part. */
#define START_PRODUCTS(sum, row, k, vr) "smull " sum ".8h, %[l" #row #k "].8b, " vr ".8b\n"
#define MORE_PRODUCTS(sum, row, k, vr) "smlal " sum ".8h, %[l" #row #k "].8b, " vr ".8b\n"
#define UPPER_PRODUCTS(sum, row, k, vr) "smlal2 " sum ".8h, %[l" #row #k "].16b, " vr ".16b\n"
#define NARROW_PART(op, a, b, x, y, k, vr) op(a, x, k, vr) op(b, y, k, vr) UPPER_PRODUCTS(a, x, k, vr) UPPER_PRODUCTS(b, y, k, vr)
#define NARROW_ROWS(a, b, x, y)                                                                       \
  NARROW_PART(START_PRODUCTS, a, b, x, y, 0, "v28") NARROW_PART(MORE_PRODUCTS, a, b, x, y, 1, "v29")  \
  NARROW_PART(MORE_PRODUCTS, a, b, x, y, 2, "v30") NARROW_PART(MORE_PRODUCTS, a, b, x, y, 3, "v31")
#define WIDE_PART(widen, a, b, x, y, k, vr)                   \
  NARROW_PART(START_PRODUCTS, "v24", "v25", x, y, k, vr)      \
  widen " " a ".4s, v24.8h\n " widen " " b ".4s, v25.8h\n"
#define WIDE_ROWS(a, b, x, y)                                                                         \
  WIDE_PART("saddlp", a, b, x, y, 0, "v28") WIDE_PART("sadalp", a, b, x, y, 1, "v29")                 \
  WIDE_PART("sadalp", a, b, x, y, 2, "v30") WIDE_PART("sadalp", a, b, x, y, 3, "v31")
#define EACH_SUM(f) f("%[s0]", "v20") f("%[s1]", "v21") f("%[s2]", "v22") f("%[s3]", "v23")
#define ADD_PAIRS(sum, other) "addp " sum ".8h, " sum ".8h, " other ".8h\n"
#define WIDEN(sum, other) "saddlp " sum ".4s, " sum ".8h\n"
/* A channel whose products are added, in pairs, to those of the channel before. */
#define NARROW_PAIR(a, b, c, d)                                                                                             \
  NARROW_ROWS("v24", "v25", 0, 1) ADD_PAIRS(a, "v24") ADD_PAIRS(b, "v25") NARROW_ROWS("v24", "v25", 2, 3) ADD_PAIRS(c, "v24") \
  ADD_PAIRS(d, "v25")
#define SUM_OPERANDS(how) [s0] how(sum[0]), [s1] how(sum[1]), [s2] how(sum[2]), [s3] how(sum[3])

/* Four narrow channels: four of their int16 sums still fit one (4 * 8 * 127 * 7), so they are widened once for all four. */
CHORD_INLINE void narrow_quad64(const int8x16_t left[4][4], const int8_t *panel, int32x4_t sum[4]) {
  __asm__(LOAD_CHANNEL(0) NARROW_ROWS("%[s0]", "%[s1]", 0, 1) NARROW_ROWS("%[s2]", "%[s3]", 2, 3)
          LOAD_CHANNEL(64) NARROW_PAIR("%[s0]", "%[s1]", "%[s2]", "%[s3]")
          LOAD_CHANNEL(128) NARROW_ROWS("v20", "v21", 0, 1) NARROW_ROWS("v22", "v23", 2, 3)
          LOAD_CHANNEL(192) NARROW_PAIR("v20", "v21", "v22", "v23")
          EACH_SUM(ADD_PAIRS) EACH_SUM(WIDEN)
          : SUM_OPERANDS("=&w")
          : [panel] "r"(panel), ALL_LEFT, "m"(*(const int8_t(*)[256])panel)
          : "v20", "v21", "v22", "v23", "v24", "v25", "v28", "v29", "v30", "v31");
}

/* One channel: four partial sums of each row. */
CHORD_INLINE void narrow_channel64(const int8x16_t left[4][4], const int8_t *panel, int32x4_t sum[4]) {
  __asm__(LOAD_CHANNEL(0) NARROW_ROWS("%[s0]", "%[s1]", 0, 1) NARROW_ROWS("%[s2]", "%[s3]", 2, 3) EACH_SUM(WIDEN)
          : SUM_OPERANDS("=&w")
          : [panel] "r"(panel), ALL_LEFT, "m"(*(const int8_t(*)[64])panel)
          : "v28", "v29", "v30", "v31");
}

CHORD_INLINE void wide_channel64(const int8x16_t left[4][4], const int8_t *panel, int32x4_t sum[4]) {
  __asm__(LOAD_CHANNEL(0) WIDE_ROWS("%[s0]", "%[s1]", 0, 1) WIDE_ROWS("%[s2]", "%[s3]", 2, 3)
          : SUM_OPERANDS("=&w")
          : [panel] "r"(panel), ALL_LEFT, "m"(*(const int8_t(*)[64])panel)
          : "v24", "v25", "v28", "v29", "v30", "v31");
}

CHORD_INLINE void mixed_pair64(const int8x16_t left[4][4], const int8_t *panel, const int32_t *narrow, int32x4_t sum[4]) {
  int32x4_t odd[4];
  if (narrow[0])
    narrow_channel64(left, panel, sum);
  else
    wide_channel64(left, panel, sum);
  if (narrow[1])
    narrow_channel64(left, panel + 64, odd);
  else
    wide_channel64(left, panel + 64, odd);
  for (size_t i = 0; i < 4; i++) sum[i] = vpaddq_s32(sum[i], odd[i]);
}

CHORD_INLINE int all_narrow(const int32_t narrow[4]) {
  uint64_t flags[2];
  memcpy(flags, narrow, sizeof flags);
  return (flags[0] & flags[1]) == 0x100000001u;
}

CHORD_INLINE void tile64(const chord_gemm *args, size_t row, size_t rows) {
  int8x16_t left[4][4];
  chord_load64(args, row, rows, left);
  const int8_t *panel = args->panel;
  const float32x4_t a_scale = chord_row_scales(args, row, rows);
  float *out = args->out + row * args->out_stride;
  const size_t out_stride = args->out_stride;
  const int relu = args->relu;
  for (size_t channel = 0; channel < args->blocks * CHORD_LANES; channel += 4, panel += 4 * 64, out += 4) {
    int32x4_t sum[4], high[4];
    const int32_t *narrow = args->correction + channel;
    if (rows == 4 && all_narrow(narrow)) {
      narrow_quad64(left, panel, sum);
    } else if (rows == 4) {
      mixed_pair64(left, panel, narrow, sum);
      mixed_pair64(left, panel + 2 * 64, narrow + 2, high);
      for (size_t i = 0; i < 4; i++) sum[i] = vpaddq_s32(sum[i], high[i]);
    } else {
      pair64(rows, left, panel, narrow, sum);
      pair64(rows, left, panel + 2 * 64, narrow + 2, high);
      for (size_t i = 0; i < rows; i++) sum[i] = vpaddq_s32(sum[i], high[i]);
    }
    const float32x4_t scale = vld1q_f32(args->scale + channel), bias = vld1q_f32(args->bias + channel);
    float32x4_t y[4];
    for (size_t i = 0; i < rows; i++) y[i] = chord_rescale(sum[i], scale, a_scale[i], bias);
    if (relu)
      for (size_t i = 0; i < rows; i++) y[i] = vmaxq_f32(y[i], vdupq_n_f32(0.0f));
    for (size_t i = 0; i < rows; i++) vst1q_f32(out + i * out_stride, y[i]);
  }
}

CHORD_INLINE void tile(const chord_gemm *args, size_t row, size_t rows) {
  const int8_t *a[4];
  for (size_t i = 0; i < rows; i++) a[i] = (const int8_t *)(args->a + (row + i) * args->a_stride);
#pragma GCC unroll 1
  for (size_t channel = 0; channel < CHORD_LANES; channel += 4) {
    const int8_t *panel = args->panel + channel * args->panel_depth;
    int32x4_t partial[4][4], sum[1][4];
    for (size_t i = 0; i < rows; i++)
      for (size_t c = 0; c < 4; c++) partial[i][c] = vdupq_n_s32(0);
    for (size_t k = 0; k < args->depth; k += 16) {
      int8x16_t left[4], right[4];
      for (size_t i = 0; i < rows; i++) left[i] = vld1q_s8(a[i] + k);
      for (size_t c = 0; c < 4; c++) right[c] = vld1q_s8(panel + c * args->panel_depth + k);
      for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < 4; c++) {
          int16x8_t products = vmull_s8(vget_low_s8(left[i]), vget_low_s8(right[c]));
          products = vmlal_high_s8(products, left[i], right[c]);
          partial[i][c] = vpadalq_s16(partial[i][c], products);
        }
    }
    for (size_t i = 0; i < rows; i++)
      sum[0][i] = vpaddq_s32(vpaddq_s32(partial[i][0], partial[i][1]), vpaddq_s32(partial[i][2], partial[i][3]));
    chord_finish(args, chord_row_scales(args, row, rows), row, channel, rows, 1, sum);
  }
}

static void chord_gemm_qa8_c8__neon(const chord_gemm *args) { CHORD_GEMM_WALK(tile64, tile, args); }

static void chord_expand_c8__neon(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale) {
  chord_derive_rows__neon(channels, panel, scale);
  for (size_t c = 0; c < CHORD_LANES; c++) correction[c] = channels->widths[c] != 3;
}

/* Channel by channel. */
CHORD_INLINE void store16(int8_t *panel, size_t panel_depth, size_t k, const int8x16_t codes[16]) {
  for (size_t c = 0; c < 16; c++) vst1q_s8(panel + c * panel_depth + k, codes[c]);
}

CHORD_PACK_OPERATIONS(neon)

const chord_ukernels chord_ukernels_neon = {
    .depth_group = 16,
    .expand_c8 = chord_expand_c8__neon,
    .derive_rows = chord_derive_rows__neon,
    .quantize_f32_qa8 = chord_quantize_f32_qa8__neon,
    .gemm_qa8_c8 = chord_gemm_qa8_c8__neon,
    .norm_f32 = chord_norm_f32__neon,
    .gelu_f32 = chord_gelu_f32__neon,
    .embed_e_f32 = chord_embed_e_f32__neon,
    .gather_e_qa8 = chord_gather_e_qa8__neon,
    .pack_rows_qa8_c8 = chord_pack_rows_qa8_c8__neon,
    .pack_columns_qa8_c8 = chord_pack_columns_qa8_c8__neon,
    .softmax_f32_qa8 = chord_softmax_f32_qa8__neon,
    .attend_last_f32 = chord_attend_last_f32__neon,
    .mix_rows_f32 = chord_mix_rows_f32__neon,
    .combine_rows_f32 = chord_combine_rows_f32__neon,
    .score_q16_e = chord_score_q16_e__neon,
};
#else
typedef int chord_not_this_architecture; /* ISO C wants a declaration in every file */
#endif
