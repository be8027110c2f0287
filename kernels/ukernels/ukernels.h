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
 * Sizes: `dim`, `depth`, `width` are multiples of 16 and rows start at multiples of 64 bytes unless said otherwise.
 */
#ifndef CHORD_UKERNELS_H
#define CHORD_UKERNELS_H

#include <stddef.h>
#include <stdint.h>

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
  const int32_t *correction; /* [blocks * 16], from `expand` or `pack_attention` */
  const float *scale;
  const float *bias;
  float *out;
  size_t out_stride; /* floats */
  int relu;
} chord_gemm;

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
 * One head of causal attention, ready for two products in 8 bits: queries as activations, keys as weights with a channel a
 * position, values as weights with a channel a column. Each row of each is quantised like an activation, over its `width`.
 */
typedef struct chord_attention {
  size_t rows;  /* real positions */
  size_t width; /* of the head */
  size_t depth; /* width, rounded up to 16: what lies between is zero */
  size_t keys;  /* rows, rounded up to 16: likewise */
  const float *qkv;   /* the head's query in the first row; its key lies `dim` floats on, its value 2 `dim` */
  size_t qkv_stride;  /* floats */
  size_t dim;
  uint8_t *q;              /* [rows][depth] qa8 */
  float *q_scale;          /* [rows] */
  int8_t *key_panel;       /* [keys / 16][16 * depth] c8 */
  int32_t *key_correction; /* [keys] */
  float *key_scale;        /* [keys] */
  int8_t *value_panel;       /* [depth / 16][16 * keys] c8 */
  int32_t *value_correction; /* [keys / 16][depth]: for products over the first 16, 32, ... positions */
  float *value_scale;        /* [keys] */
  int8_t *scratch;           /* [32][depth] */
} chord_attention;

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

/* Rows of a per-row quantised table. Code rows are `dim * bits / 8` bytes apart, without alignment. */
typedef struct chord_table {
  const uint8_t *codes;
  const float *scales;
  uint32_t bits; /* 8 or 4 */
  uint32_t rows;
} chord_table;

typedef struct chord_ukernels {
  uint32_t depth_group; /* of the panels: 4, 8 or 16 */

  /* Adoption: codes at the chosen widths into one panel block; scale[16] of those widths; correction[16] for `gemm`. */
  void (*expand_c8)(const chord_channels *channels, int8_t *panel, int32_t *correction, float *scale);
  /* The same codes, row-major: out[16][depth]. */
  void (*derive_rows)(const chord_channels *channels, int8_t *out, float *scale);

  /* Per row: scale = max|x| / 127, code = x * (127 / max|x|), rounded once to the nearest integer; a row whose
   * maximum is below CHORD_SMALLEST_MAX has codes 0. */
  void (*quantize_f32_qa8)(size_t rows, size_t width, const float *x, size_t x_stride, uint8_t *a, size_t a_stride, float *a_scale);
  void (*gemm_qa8_c8)(const chord_gemm *args);
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
  void (*pack_attention_f32_qa8)(const chord_attention *args);
  void (*softmax_f32_qa8)(const chord_softmax *args);
  void (*attend_last_f32)(const chord_attend_last *args);
  /* out[c] = sum over t of p[t] * x[t][c], in four chains (t mod 4). */
  void (*mix_rows_f32)(size_t rows, size_t dim, const float *p, const float *x, float *out);
  /* out[k] = sum over c of x[c] * codes[c][k] in four chains (c mod 4), c < count; code rows `stride` bytes apart. */
  void (*combine_rows_f32)(size_t count, size_t dim, const float *x, const int8_t *codes, size_t stride, float *out);

  /* scores[i] = (float(sum of h[c] * code[ids[i]][c]) * row scale) * h_scale, ids null: rows first..first+count. Integer sums. */
  void (*score_q16_e)(size_t count, size_t dim, const int16_t *h, float h_scale, const chord_table *items, const int32_t *ids,
                      uint32_t first, float *scores);
} chord_ukernels;

static inline size_t chord_round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

typedef struct chord_variant {
  const char *name;
  int (*supported)(void);
  const chord_ukernels *ukernels;
} chord_variant;

/* Fastest first; the last one is "scalar", which every CPU supports. A row with a null name ends the table. */
extern const chord_variant chord_variants[];

extern const chord_ukernels chord_ukernels_scalar;
#if defined(__x86_64__)
extern const chord_ukernels chord_ukernels_avx2;
extern const chord_ukernels chord_ukernels_avxvnni;
extern const chord_ukernels chord_ukernels_avx512vnni;
#endif
#if defined(__aarch64__)
extern const chord_ukernels chord_ukernels_neon;
extern const chord_ukernels chord_ukernels_dotprod;
extern const chord_ukernels chord_ukernels_i8mm;
#endif

#endif
