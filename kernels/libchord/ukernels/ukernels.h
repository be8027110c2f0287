/*
 * Micro-kernels: pure functions over raw pointers, without allocation, threads or state.
 *
 * Names: chord_<operation>_<operands>__<variant>, operands being
 *   f32   floats
 *   qa8   activations, 8 bits, one scale a row; stored as the variant likes (int8, or uint8 with 128 added)
 *   c8    weights in int8 panels: blocks of 16 channels; within a block, for each group of `depth_group` inputs, 16 channels x
 *         depth_group codes. A 4-group makes one 64-byte line.
 *   e     rows of an embedding table, int8 or int4
 *
 * All variants return the same bits, floats included. For that, sums over a row are taken in 16 lanes (lane = index mod 16)
 * that are folded 16 -> 8 -> 4 -> 2 -> 1 (lane i + lane i + half); every multiply-add is one fma; and no operation is
 * approximate. chord_ukernels_scalar is the definition of each of them.
 *
 * What is not finite is never lost, so that it is enough to look at the results: the scale of a row of activations that holds an infinity
 * or something that is not a number (NaN), is NaN, its codes any; so is every product with it. A norm whose variance overflows is NaN. ReLU and
 * the softmax keep NaN; ReLU makes a zero of every -0, and of -inf, which only an overflow gives. Nothing is cast that has no integer.
 *
 * Sizes: `dim`, `depth`, `width` are multiples of 16 and rows start at multiples of 64 bytes unless said otherwise.
 */
#ifndef CHORD_UKERNELS_H
#define CHORD_UKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "code.h"

enum { CHORD_LANES = 16 };

/* Sixteen channels to derive from int8 codes. Widths are the 2-bit codes of a strategy (0 off, 1 int2, 2 int4, 3 int8). */
typedef struct chord_channels {
  const int8_t *rows[16]; /* int8 codes, `depth` each, no alignment */
  const uint8_t *widths;  /* [16] */
  const int16_t *ratios2; /* [16] Q15 */
  const int16_t *ratios4;
  const float *scales2; /* [16] */
  const float *scales4;
  const float *scales8;
  size_t depth;
} chord_channels;

/* out[r][c] = act(fma(float(acc[r][c]) * scale[c], a_scale[r], bias[c])), acc = sum over depth of code * code. */
typedef struct chord_gemm {
  size_t rows;
  size_t blocks; /* of 16 channels */
  size_t depth;
  const uint8_t *a; /* [rows][a_stride] qa8 */
  size_t a_stride;
  const float *a_scale;      /* [rows] */
  const int8_t *panel;       /* [blocks][16 * panel_depth] */
  size_t panel_depth;        /* inputs in the panel, at least `depth`; packed weights: the same */
  const int32_t *correction; /* [blocks * 16], from `expand` or `pack` */
  const float *scale;
  const float *bias;
  float *out;
  size_t out_stride; /* floats */
  int relu;
  const int8_t *next; /* weights of products to come, which a kernel may ask for while it multiplies */
  size_t next_bytes;
} chord_gemm;

/* What a tile asks for, a line for every four inputs, when those before it asked for so many bytes: weights to come, or what it has. */
static inline const int8_t *chord_next(const chord_gemm *args, size_t asked) {
  return asked + 16 * args->depth <= args->next_bytes ? args->next + asked : args->panel;
}

/*
 * Weights below 8 bits as they lie in memory, without a sign: 16 channels x `depth` inputs a block. A 64-byte line holds
 * 8 / bits groups of four inputs: bits [bits * g, bits * (g + 1)) of byte 4 c + j are code + 2^(bits - 1) of channel c, input
 * 4 (g + (8 / bits) line) + j. depth is a multiple of 16.
 */
static inline size_t chord_packed_block_bytes(size_t depth, unsigned bits) { return 16 * depth * bits / 8; }

/*
 * v = x + delta (delta may be null); y = (v f - mean f) gamma + beta with f = 1 / sqrt(var + eps), over `dim`.
 * Each of sum_out (v), norm_out (y) and a (y quantised, with a_scale) may be null. sum_out or norm_out may be x.
 */
typedef struct chord_norm {
  size_t rows;
  size_t dim;
  const float *x; /* [rows][dim] */
  const float *delta;
  const float *gamma;
  const float *beta;
  float eps;
  float *sum_out;
  float *norm_out;
  uint8_t *a;
  size_t a_stride;
  float *a_scale;
} chord_norm;

/*
 * Rows first .. first + rows of causal scores to activations; `first` is a multiple of 16 and rows at most 16. For row i, over
 * t <= first + i: p = 2^(s - max s), w = p value_scale; codes of w as activations, zero from there up to `keys` (the next
 * multiple of 16), with the scale (max w / 127) (1 / sum p). Scores are overwritten.
 */
typedef struct chord_softmax {
  size_t rows;
  size_t first;
  size_t keys;
  float *scores; /* [rows][stride] */
  size_t stride;
  const float *value_scale;
  uint8_t *p; /* [rows][stride] qa8 */
  float *p_scale;
} chord_softmax;

/* Attention of one query with its key and value projections absorbed: for each head h
 *   s[t] = probe[h] . x[t];  p = 2^(s - max) / sum;  out[h] = sum over t of p[t] x[t]       (the sum in four chains, t mod 4) */
typedef struct chord_attend_last {
  size_t rows;
  size_t dim;
  size_t heads;
  const float *probe; /* [heads][dim] */
  const float *x;     /* [rows][dim] */
  float *work;        /* rows + 16 floats */
  float *out;         /* [heads][dim] */
} chord_attend_last;

/*
 * out[r][c] = x[r][places[c]], or fill[c] where places[c] < 0. Places that are not negative count from 0 on, each one more than the one before;
 * others are ~ of the next that is not. 16 floats behind a row of x may be read.
 */
typedef struct chord_spread {
  size_t rows;
  size_t dim;
  const float *x; /* any alignment */
  size_t x_stride;
  const int32_t *places;
  const float *fill; /* any alignment */
  float *out;
  size_t out_stride;
} chord_spread;

/* Rows of a per-row quantised table. Code rows are `dim * bits / 8` bytes apart, without alignment. */
typedef struct chord_table {
  const uint8_t *codes;
  const float *scales;
  uint32_t bits; /* 8 or 4 */
  uint32_t rows;
} chord_table;

/* Code of nearly every inference lies together, so that after the caches were used by others all of it can be asked for at once (`read_code`
 * in score.c): instructions that are fetched when they are reached come one line after another. A part is a section of its own (code.h). */
typedef struct chord_code {
  const char *begin, *end; /* null where the file format has no such sections */
} chord_code;

typedef struct chord_ukernels {
  chord_code code[3]; /* of all inferences; of those with rows of 64; of those with other rows */
  uint32_t depth_group; /* of the panels: 4, 8 or 16 */
  uint8_t zero;         /* how activations store the code 0: 0, or 128 */

  /* Adoption: codes at the chosen widths into one panel block; scale[16] of those widths; correction[16] for `gemm`. */
  void (*expand_c8)(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale);
  /* The same codes, row-major: out[16][depth]. */
  void (*derive_rows)(const chord_channels *channels, int8_t *out, float *scale);

  /* Per row: scale = max|x| / 127, code = x * (127 / max|x|), rounded once to the nearest integer; a row whose
   * maximum is below CHORD_SMALLEST_MAX has codes 0. */
  void (*quantize_f32_qa8)(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride, float *a_scale);
  void (*gemm_qa8_c8)(const chord_gemm *args);
  /* The same with 64 channels (blocks = 4), whose rows are quantised at once, as quantize_f32_qa8 does it, instead of being stored (a row of a
   * product is NaN as a whole, or has none); `out` is unused. Codes and scales may take the place of the input's. Null: not there, do one after the other. */
  void (*gemm_qa8_c8_qa8)(const chord_gemm *args, uint8_t *codes, size_t codes_stride, float *scales);
  /* The same from packed lines of 4 or 2 bits (panel points to them; correction is unused). Null: not there, use panels. */
  void (*gemm_qa8_c4)(const chord_gemm *args);
  void (*gemm_qa8_c2)(const chord_gemm *args);
  void (*norm_f32)(const chord_norm *args);
  void (*gelu_f32)(size_t count, float *x);

  /* out[t] = fma(position code, position scale, item code * item scale) for slot[t]; positions.codes null: items only. */
  void (*embed_e_f32)(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, const chord_table *positions,
                      const int32_t *slots, float *out);
  /* The same rows as activations, their codes and scales unchanged. */
  void (*gather_e_qa8)(size_t rows, size_t dim, const chord_table *items, const int32_t *ids, uint8_t *a, size_t a_stride,
                       float *a_scale);
  /* Activations as weights, for `rows` (at most 16) rows of codes; what lies behind them is zero. The first makes one block, a channel a
   * row, of `depth` inputs. The second makes inputs first .. first + 16 (first is a multiple of 16) of depth / 16 blocks, a channel a
   * column, in panels of `panel_depth` inputs; correction[depth] is for products over the first `first` + 16 inputs, and that of the
   * 16 inputs before lies at correction - depth. Products with the second take activations from softmax_f32_qa8 only. */
  void (*pack_rows_qa8_c8)(size_t rows, size_t depth, const uint8_t *a, int8_t *panel, int32_t *correction);
  void (*pack_columns_qa8_c8)(size_t rows, size_t depth, const uint8_t *a, size_t first, int8_t *panel, size_t panel_depth,
                              int32_t *correction);
  void (*softmax_f32_qa8)(const chord_softmax *args);
  void (*attend_last_f32)(const chord_attend_last *args);
  /* out[c] = sum over t of p[t] * x[t][c], in four chains (t mod 4). */
  void (*mix_rows_f32)(size_t rows, size_t dim, const float *p, const float *x, float *out);
  /* out[k] = sum over c of x[c] * codes[c][k] in four chains (c mod 4), c < count; code rows `stride` bytes apart. */
  void (*combine_rows_f32)(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out);
  void (*spread_f32)(const chord_spread *args);

  /* scores[i] = (float(sum of h[c] * code[ids[i]][c]) * row scale) * h_scale, ids null: rows first..first+count. Integer sums. */
  void (*score_q16_e)(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items, const int32_t *ids,
                      uint32_t first, float *scores);
} chord_ukernels;

static inline size_t chord_round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

typedef struct chord_variant {
  const char *name;
  uint32_t needs; /* of the CPU: bits of dispatch.c */
  const chord_ukernels *ukernels;
} chord_variant;

/* The rows of variants.inc. A row with a null name ends the table. */
extern const chord_variant chord_variants[];

#define CHORD_VARIANT(name, needs) extern const chord_ukernels chord_ukernels_##name;
#include "variants.inc"
#undef CHORD_VARIANT

#endif
