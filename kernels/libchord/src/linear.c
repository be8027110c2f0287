/*
 * A linear layer on its own. Expanded: int8 panels in the order of the channels. Direct: channels sorted by width, each width in
 * packed lines of its own, the results put back in order at the end.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "internal.h"

enum { LINEAR_MAGIC = 0x4c524843, ALIGNMENT = 64, MAX_ROWS = 1 << 20 };

/* Widths in the order of a direct layer. An off channel is stored with the narrowest codes, all zero. */
enum { WIDTHS = 3 };
static const unsigned width_bits[WIDTHS] = {8, 4, 2};

struct chord_linear {
  uint32_t magic;
  const chord_ukernels *kernels;
  size_t out, in, depth, lanes, max_rows;
  uint64_t weight_bytes;
  int direct, relu;
  float reach; /* no product is larger than this times the scale of its row of x; infinite: not known */
  size_t blocks[WIDTHS]; /* of 16 channels; expanded: all in blocks[0] */
  int8_t *weights;
  int32_t *corrections; /* [lanes], and so on */
  float *scales, *biases;
  uint32_t *order; /* lane -> channel; UINT32_MAX: none. Direct only. */
};

static int width_index(uint8_t width, int direct) { return !direct || width == 8 ? 0 : width == 4 ? 1 : 2; }

CHORD_COLD static chord_status plan(const chord_linear_options *theirs, const uint8_t *widths, chord_linear *layer,
                                    chord_diagnosis *diagnosis) {
  chord_linear_options own, *const options = &own;
  if (!theirs || !widths || !chord_take(theirs, CHORD_UP_TO(chord_linear_options, variant), options, sizeof *options))
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "linear: options or widths are missing, or something that this version does not know is set");
  if (options->out_channels == 0 || options->out_channels > CHORD_MAX_CHANNELS || options->in_features == 0 ||
      options->in_features > CHORD_MAX_DEPTH || options->max_rows == 0 || options->max_rows > MAX_ROWS || options->form > CHORD_LINEAR_DIRECT)
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "linear: a size or the form is not possible");
  const chord_variant *variant = chord_choose_variant(options->variant);
  if (!variant) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "linear: the variant is unknown, or this CPU does not support it");
  memset(layer, 0, sizeof *layer);
  layer->kernels = variant->ukernels;
  layer->out = options->out_channels;
  layer->in = options->in_features;
  layer->depth = chord_round_up(layer->in, 16);
  layer->max_rows = options->max_rows;
  layer->relu = options->relu != 0;
  const int packs = layer->kernels->gemm_qa8_c4 && layer->kernels->gemm_qa8_c2;
  if (options->form == CHORD_LINEAR_DIRECT && !packs)
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "linear: variant %s has no direct kernels", variant->name);
  const uint64_t panels = (uint64_t)chord_round_up(layer->out, 16) * layer->depth;
  int narrow = 0; /* packing saves bytes */
  for (size_t c = 0; c < layer->out; c++) narrow |= widths[c] != 8;
  layer->direct = options->form == CHORD_LINEAR_DIRECT ||
                  (options->form == CHORD_LINEAR_AUTO && packs && narrow && panels > CHORD_LINEAR_DIRECT_BYTES);
  size_t channels[WIDTHS] = {0};
  for (size_t c = 0; c < layer->out; c++) {
    if (widths[c] != 0 && widths[c] != 2 && widths[c] != 4 && widths[c] != 8)
      return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "linear: width %u is not 0, 2, 4 or 8", widths[c]);
    channels[width_index(widths[c], layer->direct)]++;
  }
  for (int i = 0; i < WIDTHS; i++) {
    layer->blocks[i] = (channels[i] + 15) / 16;
    layer->lanes += 16 * layer->blocks[i];
    layer->weight_bytes += (uint64_t)layer->blocks[i] * chord_packed_block_bytes(layer->depth, width_bits[i]);
  }
  return CHORD_OK;
}

/* Gives `rows`, codes of 16 channels, padded, only while packing, and the bytes of all. */
static uint64_t lay_out(chord_linear *layer, uint8_t *base, int8_t **rows) {
  chord_carver c = {.base = base};
  chord_carve(&c, sizeof *layer);
  layer->weights = chord_carve(&c, layer->weight_bytes);
  layer->corrections = chord_carve(&c, 4 * layer->lanes);
  layer->scales = chord_carve(&c, 4 * layer->lanes);
  layer->biases = chord_carve(&c, 4 * layer->lanes);
  layer->order = chord_carve(&c, 4 * layer->lanes);
  *rows = chord_carve(&c, 16 * layer->depth);
  return c.used + ALIGNMENT;
}

typedef struct scratch {
  uint8_t *a;     /* [max_rows][depth] activations */
  float *a_scale; /* [max_rows] */
  float *row;     /* [depth] a padded copy */
  float *results; /* [max_rows][lanes] */
} scratch;

static uint64_t lay_out_scratch(const chord_linear *layer, uint8_t *base, scratch *s) {
  chord_carver c = {.base = base};
  const uint64_t rows = layer->max_rows;
  *s = (scratch){.a = chord_carve(&c, rows * layer->depth), .a_scale = chord_carve(&c, 4 * rows), .row = chord_carve(&c, 4 * layer->depth),
                 .results = chord_carve(&c, 4 * rows * layer->lanes)};
  return c.used + ALIGNMENT;
}

static uint8_t *aligned(void *memory) { return (uint8_t *)(((uintptr_t)memory + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1)); }

chord_status chord_linear_sizes(const chord_linear_options *options, const uint8_t *widths, uint64_t *layer_bytes, uint64_t *scratch_bytes,
                                chord_diagnosis *diagnosis) {
  chord_linear layer;
  if (!layer_bytes || !scratch_bytes) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "a pointer is null");
  const chord_status status = plan(options, widths, &layer, diagnosis);
  if (status != CHORD_OK) return status;
  int8_t *rows;
  scratch s;
  *layer_bytes = lay_out(&layer, NULL, &rows);
  *scratch_bytes = lay_out_scratch(&layer, NULL, &s);
  return CHORD_OK;
}

/* Packed lines of `bits` from sixteen padded rows of codes. */
static void pack_block(const int8_t *rows, size_t depth, unsigned bits, int8_t *out) {
  const size_t groups = 8 / bits;
  memset(out, 0, chord_packed_block_bytes(depth, bits));
  for (size_t c = 0; c < 16; c++)
    for (size_t k = 0; k < depth; k++) {
      const size_t group = k / 4;
      const unsigned code = (unsigned)(rows[c * depth + k] + (1 << (bits - 1)));
      int8_t *byte = out + group / groups * 64 + 4 * c + k % 4;
      *byte = (int8_t)((uint8_t)*byte | code << (group % groups * bits));
    }
}

chord_status chord_linear_open(const chord_linear_options *options, const int8_t *codes, const float *scales, const uint8_t *widths,
                               const float *bias, void *memory, size_t memory_bytes, chord_linear **out, chord_diagnosis *diagnosis) {
  static const int8_t least[WIDTHS] = {-127, -7, -2}, most[WIDTHS] = {127, 7, 1};
  static const uint8_t whole[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
  static const int16_t no_ratios[16];
  chord_linear wanted;
  if (!codes || !scales || !memory || !out) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "a pointer is null");
  const chord_status status = plan(options, widths, &wanted, diagnosis);
  if (status != CHORD_OK) return status;
  int8_t *rows;
  const uint64_t needed = lay_out(&wanted, NULL, &rows);
  if (memory_bytes < needed) return chord_fail(diagnosis, CHORD_NO_MEMORY, "linear: the layer needs %llu bytes", (unsigned long long)needed);
  for (size_t c = 0; c < wanted.out; c++) {
    const int grid = width_index(widths[c], 1);
    for (size_t k = 0; k < wanted.in; k++) {
      const int8_t code = codes[c * wanted.in + k];
      if (code < least[grid] || code > most[grid] || (widths[c] == 0 && code != 0))
        return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "linear: channel %zu has a code outside the grid of %u bits", c, widths[c]);
    }
    if (!(fabsf(scales[c]) <= 3e38f) || (bias && !(fabsf(bias[c]) <= 3e38f)))
      return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "linear: the scale or bias of channel %zu is not finite", c);
    const float reach = bias && fabsf(bias[c]) > FLT_MAX / 2.0f ? INFINITY : fabsf(scales[c]) * (127.0f * 127.0f * (float)wanted.in);
    wanted.reach = reach > wanted.reach ? reach : wanted.reach;
  }
  chord_linear *layer = (chord_linear *)aligned(memory);
  *layer = wanted;
  lay_out(layer, (uint8_t *)layer, &rows);
  int8_t *weights = layer->weights;
  for (int i = 0, lane = 0; i < WIDTHS; i++) {
    size_t channel = 0;
    for (size_t block = 0; block < layer->blocks[i]; block++, lane += 16) {
      memset(rows, 0, 16 * layer->depth);
      chord_channels channels = {.widths = whole, .ratios2 = no_ratios, .ratios4 = no_ratios, .scales2 = layer->scales + lane,
                                 .scales4 = layer->scales + lane, .scales8 = layer->scales + lane, .depth = layer->depth};
      for (size_t c = 0; c < 16; c++) {
        while (channel < layer->out && width_index(widths[channel], layer->direct) != i) channel++;
        const bool present = channel < layer->out;
        if (present) memcpy(rows + c * layer->depth, codes + channel * layer->in, layer->in);
        channels.rows[c] = rows + c * layer->depth;
        layer->scales[lane + (int)c] = present ? scales[channel] : 1.0f;
        layer->biases[lane + (int)c] = present && bias ? bias[channel] : 0.0f;
        layer->order[lane + (int)c] = present ? (uint32_t)channel : UINT32_MAX;
        channel += present;
      }
      float same_scales[16];
      if (i == 0)
        layer->kernels->expand_c8(&channels, weights, layer->corrections + lane, same_scales);
      else
        pack_block(rows, layer->depth, width_bits[i], weights);
      weights += chord_packed_block_bytes(layer->depth, width_bits[i]);
    }
  }
  layer->magic = LINEAR_MAGIC;
  *out = layer;
  return CHORD_OK;
}

/* Of the results: looked at only in rows of which a product might have overflowed, or whose input was not finite. */
static chord_status look_at(const chord_linear *layer, size_t rows, const float *a_scale, const float *y) {
  for (size_t row = 0; row < rows; row++) {
    if (a_scale[row] * layer->reach < FLT_MAX / 2.0f) continue;
    for (size_t c = 0; c < layer->out; c++)
      if (!(fabsf(y[row * layer->out + c]) <= FLT_MAX)) return CHORD_NOT_FINITE;
  }
  return CHORD_OK;
}

chord_status chord_linear_run(const chord_linear *layer, size_t rows, const float *x, float *y, void *memory, size_t memory_bytes) {
  if (!layer || layer->magic != LINEAR_MAGIC || !x || !y || !memory || rows > layer->max_rows || !chord_fits(rows, layer->in, sizeof *x) ||
      !chord_fits(rows, layer->out, sizeof *y))
    return CHORD_BAD_ARGUMENT;
  scratch s;
  if (memory_bytes < lay_out_scratch(layer, NULL, &s)) return CHORD_NO_MEMORY;
  lay_out_scratch(layer, aligned(memory), &s);
  const chord_ukernels *kernels = layer->kernels;
  const size_t depth = layer->depth, lanes = layer->lanes;
  if (layer->in == depth) {
    kernels->quantize_f32_qa8(rows, depth, x, depth, s.a, depth, s.a_scale);
  } else {
    memset(s.row, 0, 4 * depth);
    for (size_t row = 0; row < rows; row++) {
      memcpy(s.row, x + row * layer->in, 4 * layer->in);
      kernels->quantize_f32_qa8(1, depth, s.row, depth, s.a + row * depth, depth, s.a_scale + row);
    }
  }
  const bool in_place = !layer->direct && layer->out == lanes;
  chord_gemm gemm = {.rows = rows, .depth = depth, .a = s.a, .a_stride = depth, .a_scale = s.a_scale, .panel = layer->weights,
                     .panel_depth = depth, .correction = layer->corrections, .scale = layer->scales, .bias = layer->biases, .out = in_place ? y : s.results,
                     .out_stride = lanes, .relu = layer->relu};
  void (*const products[WIDTHS])(const chord_gemm *) = {kernels->gemm_qa8_c8, kernels->gemm_qa8_c4, kernels->gemm_qa8_c2};
  for (int i = 0; i < WIDTHS; i++) {
    gemm.blocks = layer->blocks[i];
    if (gemm.blocks == 0) continue;
    products[i](&gemm);
    const size_t done = 16 * gemm.blocks;
    gemm.panel += gemm.blocks * chord_packed_block_bytes(depth, width_bits[i]);
    gemm.correction += done;
    gemm.scale += done;
    gemm.bias += done;
    gemm.out += done;
  }
  for (size_t row = 0; !in_place && row < rows; row++)
    for (size_t lane = 0; lane < lanes; lane++)
      if (layer->order[lane] != UINT32_MAX) y[row * layer->out + layer->order[lane]] = s.results[row * lanes + lane];
  return look_at(layer, rows, s.a_scale, y);
}
