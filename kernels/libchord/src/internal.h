/* What the files of the engine share. Nothing here is visible outside of the library. */
#ifndef CHORD_INTERNAL_H
#define CHORD_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../include/chord.h"
#include "../ukernels/ukernels.h"
#include "checksum.h"

/* Limits that keep every size computation and every int32 accumulator far from overflow. */
enum {
  CHORD_MAX_DIM = 512,
  CHORD_MAX_LENGTH = 1024,
  CHORD_MAX_DEPTH = 65536,
  CHORD_MAX_CHANNELS = 1 << 20,
  CHORD_MAX_LAYERS = 256
};

/* Floats of a master are no larger in magnitude. */
#define CHORD_LARGEST_WEIGHT 1e4f

/* Runs once a model, layer or message: small is enough. */
#if defined(__GNUC__)
#define CHORD_COLD __attribute__((cold))
#else
#define CHORD_COLD
#endif

/* status.c: writes the diagnosis (may be null) and returns the status. */
chord_status chord_fail(chord_diagnosis *diagnosis, chord_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* abi.c: structs that grow at their end, the first 4 bytes being their size as the caller knows it. `first_version` is what the smallest one
 * has, up to this field. */
#define CHORD_UP_TO(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))
/* The caller's struct, with zeros where it ends early. False: it is smaller than the first one, or sets what this version does not know. */
bool chord_take(const void *theirs, size_t first_version, void *own, size_t own_bytes);
/* Writes as much as the caller's struct has; its size stays. False: it is smaller than the first one. */
bool chord_give(const void *own, size_t own_bytes, size_t first_version, void *theirs);

/* Whether [a][b] elements of `bytes` bytes can lie in memory at all: if not, no pointer is moved by such a number. */
static inline bool chord_fits(size_t a, size_t b, size_t bytes) { return a == 0 || b <= SIZE_MAX / bytes / a; }

/* master.c: the container. An entry points into the file; nothing is copied. */
typedef enum chord_dtype { CHORD_I8 = 1, CHORD_U8 = 2, CHORD_I16 = 3, CHORD_I32 = 4, CHORD_F32 = 5, CHORD_UTF8 = 6 } chord_dtype;

typedef struct chord_entry {
  const void *data;
  uint64_t bytes;
  uint32_t index;
  uint32_t dtype;
  uint32_t dims;
  uint32_t shape[4];
} chord_entry;

enum { CHORD_MAX_ENTRIES = 4096 };

/* Where the header of a grown master names the one it was: 8 bytes of fingerprint, and its number of items. */
enum { CHORD_ORIGIN = 24 };

typedef struct chord_master {
  const uint8_t *data;
  size_t bytes;
  uint32_t entries;
  bool grown; /* version 2 */
  uint32_t asked[CHORD_MAX_ENTRIES / 32]; /* bit i: entry i has been found by its name */
} chord_master;

/* Everything that docs/formats.md says of a master, whatever its architecture; its checksum if `summed`. */
chord_status chord_master_read(const void *data, size_t bytes, bool summed, chord_master *master, chord_diagnosis *diagnosis);

/* Of a master that has been read. Refusals begin with "engine: ": the file is whole, and not for this engine. */
bool chord_master_find(chord_master *master, const char *name, chord_entry *entry);
/* Like find, but the entry must be there, of this type and shape. */
chord_status chord_master_get(chord_master *master, const char *name, chord_dtype dtype, uint32_t dims, uint32_t first, uint32_t second,
                              chord_entry *entry, chord_diagnosis *diagnosis);
chord_status chord_master_floats(chord_master *master, const char *name, uint32_t dims, uint32_t first, uint32_t second, bool positive,
                                 const float **out, chord_diagnosis *diagnosis);
chord_status chord_master_int(chord_master *master, const char *key, int64_t least, int64_t most, uint32_t *out,
                              chord_diagnosis *diagnosis);
/* Refuses a master with an entry that nobody has asked for. */
chord_status chord_master_all_asked(const chord_master *master, chord_diagnosis *diagnosis);

typedef struct chord_plan chord_plan; /* plan.h */

/* How a strategy layer is kept ready for inference. */
typedef enum chord_form {
  CHORD_PANEL,   /* int8 panels of all its channels over all its inputs */
  CHORD_WINDOWS, /* Caser's horizontal filters: a panel of the virtual channels (slot in the window, filter), each over `dim` inputs */
  CHORD_ROWS     /* int8 codes row by row */
} chord_form;

/* Queries and keys are kept where both are on: see fill.c. */
typedef enum chord_part { CHORD_OTHER, CHORD_QUERY, CHORD_KEY } chord_part;

/* What a layer and the next one may become in a slot: one product, in the place of one of them. See merge.c. */
typedef enum chord_merging {
  CHORD_ALONE,
  CHORD_MEETING, /* the next one transposed, after this one; here */
  CHORD_FOLLOWED /* the next one after this one; there */
} chord_merging;

/* What the layer that reads it gets of a channel that is off; or its lane is kept; or the residual stream gets its bias, if lanes are saved by that. */
typedef enum chord_leaves { CHORD_KEPT, CHORD_STREAM, CHORD_BIAS, CHORD_BIAS_RELU, CHORD_BIAS_GELU } chord_leaves;

typedef struct chord_layer {
  const int8_t *codes;   /* in the master: [out][in] */
  const float *scales;   /* [3][out] for widths 2, 4, 8 */
  const int16_t *ratios; /* [2][out] for widths 2, 4 */
  const float *bias;     /* [out], or null */
  uint32_t out;
  uint32_t in;
  uint32_t first;    /* index of its first channel in the strategy */
  uint32_t row;      /* inputs of one (virtual) channel in the master */
  uint32_t depth;    /* inputs of one (virtual) channel in a slot, padded to 16: at most so many */
  uint32_t virtuals; /* (virtual) channels */
  uint32_t groups;   /* of its channels that are padded to 16 each: the heads of queries, keys and values */
  uint32_t reads;    /* its inputs are the channels of so many layers before it; 0: of none */
  uint32_t spread;   /* inputs that each of its channels is to the layer that reads it */
  chord_form form;
  chord_part part;
  chord_leaves leaves;
  chord_merging merging;
  float factor;       /* folded into its scales and bias: log2 e / sqrt(head width) for queries */
  uint32_t groups_at; /* its first group in a slot's groups */
  uint32_t places_at; /* of the residual stream: its first channel in a slot's places */
} chord_layer;

/* A group of a layer's channels in a slot. */
typedef struct chord_group {
  uint32_t first; /* lane of the slot, a multiple of 16 unless groups are joined */
  uint32_t width; /* lanes, a multiple of 16 */
  uint32_t count; /* channels that are kept */
  bool left;      /* of queries and keys: the last of `count` stands for what queries leave that are off */
  bool joined;    /* only `count` lanes are its own: the next group begins behind them */
} chord_group;

/* Where a layer lies in a slot. All of them lie side by side, in their order. */
typedef struct chord_extent {
  size_t weights; /* offset of its codes */
  size_t lanes;   /* of its channels in scales, corrections and biases */
  uint32_t blocks; /* of 16 lanes; 0: a neighbour's product holds it */
  uint32_t depth;  /* inputs of a lane, a multiple of 16 */
} chord_extent;

/* One complete set of adopted weights. Two of them take turns (adopt.c). */
typedef struct chord_slot {
  int8_t *weights;
  float *scales;
  int32_t *corrections;
  float *biases; /* zero for windows */
  chord_extent *extents; /* of each layer */
  chord_group *groups;
  int32_t *places; /* of layers that write into the residual stream: see chord_spread; only where lanes are saved */
  uint8_t *widths; /* strategy codes, one byte a channel */
  uint64_t generation;     /* one more than that of the slot that it followed: no two adoptions have the same */
  uint32_t entered;      /* readers, while it was the one in use; written when it is no longer */
  _Atomic uint32_t left; /* of these */
} chord_slot;

/* Scratch of one inference, as a backbone asks for it. */
typedef struct chord_room {
  size_t rows;   /* of x, y, wide and a; at least max_length */
  size_t narrow; /* floats in a row of `y`, at least dim */
  size_t wide;   /* of `wide` */
  size_t inputs; /* of its widest layer: a row of `a` */
  size_t work;   /* floats */
} chord_room;

/* All that the engine knows of an architecture: one value, in the file of its name. */
typedef struct chord_backbone {
  const char *name; /* "architecture" in the master's configuration */
  chord_code code; /* read at once before hidden() */
  /* Reads and checks configuration and tensors, its layers in the order of the channel table. */
  void (*plan)(chord_plan *plan);
  chord_room (*room)(const chord_model *model);
  /* session->hidden, after `count` items in session->ids at session->slots. */
  void (*hidden)(chord_session *session, const chord_slot *slot, size_t count);
  /* Makes of a user vector [dim] what hidden() reads in session->user. Null: the vector is added to what hidden() gives. */
  void (*user)(const chord_model *model, float *values);
} chord_backbone;

/* Where a backbone keeps what it reads from the configuration: a struct of its own file, all zero at first. */
enum { CHORD_OWN_BYTES = 2048 };
#define CHORD_OWN(type, model) ((type *)(void *)(model)->own)
#define CHORD_OWN_FITS(type) _Static_assert(sizeof(type) <= CHORD_OWN_BYTES, "CHORD_OWN_BYTES are too few for " #type)

/* Scratch of adoption. */
typedef struct chord_scratch {
  int8_t *rows[3];  /* 16 rows of the deepest layer: copies of the master's, at their widths, with the columns that are kept */
  uint32_t *order;  /* which channels of the master the lanes of a layer are */
  uint32_t *from;   /* which columns of the master the inputs of a layer are */
  uint32_t *off;    /* queries that are off */
  float *constants; /* what columns leave that are not kept (twice as many), */
  int16_t *codes;   /* and in integers */
  void *merging;    /* chord_merge_bytes, if layers merge */
} chord_scratch;

enum { CHORD_MODEL_MAGIC = 0x4d524843, CHORD_SESSION_MAGIC = 0x53524843 };

struct chord_model {
  uint32_t magic;
  const chord_ukernels *kernels;
  const char *variant;
  const chord_backbone *backbone;
  uint32_t items, max_length, dim, channels, layer_count;
  uint8_t fingerprint[8];
  chord_table table;
  chord_layer layers[CHORD_MAX_LAYERS];
  const float *item_bias; /* [items + 1], added to the scores; or null */
  _Alignas(max_align_t) unsigned char own[CHORD_OWN_BYTES]; /* of the backbone: see CHORD_OWN */
  uint64_t weight_bytes, lane_count; /* of one slot, at most */
  uint32_t group_count, place_count;
  chord_scratch scratch;
  chord_slot slots[2];
  _Atomic uint32_t current;  /* which slot is in use, and how many readers have entered it: see adopt.c */
  _Atomic uint32_t adopting;
  uint32_t crc[CHORD_CRC_WORDS];
};

enum { CHORD_PART = 256, CHORD_SPARE = 1024 };

struct chord_session {
  uint32_t magic;
  chord_model *model;
  int32_t *ids;      /* [max_length] items of the history without empty slots */
  int32_t *slots;    /* [max_length] */
  size_t count;      /* of `ids`, when `hidden` is theirs under the strategy of `generation` and this user vector; else 0 */
  uint64_t generation;
  float *hidden;     /* [dim] */
  float largest;     /* magnitude of `hidden` */
  float *user_values; /* [dim], as the backbone wants them */
  const float *user; /* user_values; null = no user vector */
  int16_t *query;    /* [dim] hidden state in 16 bits */
  float query_scale;
  float *x;          /* [rows][dim] residual stream, or embeddings; at least [2][CHORD_SPARE] */
  float *y;          /* [rows][narrow] */
  float *wide;       /* [rows][widest] projections */
  float *work;       /* attention */
  float *block;      /* scores of CHORD_PART items of the catalogue */
  uint8_t *a;        /* [rows][a_stride] quantised activations */
  float *a_scale;
  size_t a_stride, wide_stride;
};

/* Hands out parts of a memory block, aligned to 64; with a null base it only counts. It counts in 64 bits also where size_t has 32: what is
 * larger than any memory is then found to be larger than the memory given. */
typedef struct chord_carver {
  uint8_t *base;
  uint64_t used;
} chord_carver;

static inline void *chord_carve(chord_carver *c, uint64_t bytes) {
  void *part = c->base ? c->base + (size_t)c->used : NULL;
  c->used += (bytes + 63) / 64 * 64;
  return part;
}

/* backbones.c: what the engine runs; null past the last one. */
const chord_backbone *chord_backbone_at(uint32_t index);

/* plan.c: reads the configuration, finds and checks all tensors, lays out the memory. */
chord_status chord_plan_model(chord_master *master, const chord_options *options, chord_model *model, chord_diagnosis *diagnosis);
uint64_t chord_model_layout(chord_model *model, uint8_t *base);
uint64_t chord_session_layout(const chord_model *model, chord_session *session, uint8_t *base);

/* strategy.c: checks everything; then unpack gives one byte (its 2-bit code) a channel, with up to three bytes more. */
chord_status chord_verify(const chord_model *model, const uint8_t *data, size_t bytes, chord_diagnosis *diagnosis);
void chord_unpack(const chord_model *model, const uint8_t *data, uint8_t *codes);

/* fill.c: fills a slot from its widths; codes [count][in] and scales of channels of a layer whose rows are multiples of 16 long, those of `order`
 * or, if it is null, the first: of channels that are off, and lanes that are none, zeros. */
void chord_fill_slot(const chord_model *model, chord_slot *slot);
void chord_derive(const chord_model *model, chord_slot *slot, const chord_layer *layer, const uint32_t *order, size_t count, int8_t *codes,
                  float *scales);

/* merge.c: such a product of `layer` and the next one, both dim x dim, into its extent of the slot; the results' order is in scratch. */
size_t chord_merge_bytes(size_t dim);
void chord_merge(const chord_model *model, chord_slot *slot, const chord_layer *layer);

/* adopt.c */
chord_slot *chord_acquire(chord_model *model);
void chord_release(chord_slot *slot);

/* attention.c: causal attention. `qkv` is the product that gives queries (times log2 e / sqrt(head width)), keys and values side by side,
 * with room for them in its `out`, in `groups`: those of all heads' queries, then keys, then values. Keys or values of no lanes (with one
 * head) are the product's input. The heads, joined, come out as activations of `width` channels, all of the values', in `a`, which may be the
 * product's own. `out` [rows][width] and `work` (chord_attend_bytes of the widest head, aligned to 64) are scratch. */
size_t chord_attend_bytes(size_t rows, size_t width);
void chord_attend(const chord_ukernels *kernels, const chord_gemm *qkv, const chord_group *groups, size_t heads, size_t width, void *work,
                  float *out, uint8_t *a, size_t a_stride, float *a_scale);

static inline const chord_extent *chord_extent_of(const chord_model *model, const chord_slot *slot, const chord_layer *layer) {
  return slot->extents + (layer - model->layers);
}

/* How far ahead of a product weights are asked for, at most: more would push out of the caches what is read before. */
enum { CHORD_AHEAD = 1 << 18 };

/* `rows` rows, which lie quantised in the session, times the panels of `layer` and of those behind it that read the same input: `blocks`
 * of 16 channels in all. A product of many rows has time to ask for two of its kind, so the weights that come next are those at twice its own place:
 * the last block has one row and no time. */
static inline chord_gemm chord_product(const chord_session *s, const chord_slot *slot, const chord_layer *layer, size_t blocks, size_t rows,
                                       int relu, float *out, size_t out_stride) {
  const chord_extent *e = chord_extent_of(s->model, slot, layer), *last = slot->extents + s->model->layer_count - 1;
  const size_t end = last->weights + (size_t)last->blocks * 16 * last->depth;
  const size_t next = e->weights + 16 * blocks * e->depth + (e->weights < CHORD_AHEAD ? e->weights : CHORD_AHEAD);
  return (chord_gemm){.rows = rows, .blocks = blocks, .depth = e->depth, .a = s->a, .a_stride = s->a_stride, .a_scale = s->a_scale,
                      .panel = slot->weights + e->weights, .panel_depth = e->depth, .correction = slot->corrections + e->lanes,
                      .scale = slot->scales + e->lanes, .bias = slot->biases + e->lanes, .out = out, .out_stride = out_stride,
                      .relu = relu, .next = slot->weights + (next < end ? next : end), .next_bytes = next < end ? end - next : 0};
}

/* halves.c: `rows` rows [width] to the session as activations of 16 bits, and a product of `chord_product` with them. The session must have
 * twice `max_length` rows; `zeros` are as many as the product has channels. */
void chord_quantize_halves(chord_session *session, size_t rows, size_t width, const float *x);
void chord_multiply_halves(chord_session *session, const chord_gemm *gemm, const float *zeros);

/* score.c: session->hidden and session->query after a history (session->count items), unless they are still those of the call before, or of a
 * hidden state as it is given; the scores of items `ids`, or of first, first + 1, ... when these are null. States and scores that are not
 * finite are refused. */
chord_status chord_encode(chord_session *session, const int32_t *history, size_t length);
chord_status chord_take_hidden(chord_session *session, const float *hidden);
chord_status chord_score(const chord_session *session, size_t count, const int32_t *ids, uint32_t first, float *scores);

static inline bool chord_usable(const chord_session *session) { return session && session->magic == CHORD_SESSION_MAGIC; }

/* dispatch.c */
const chord_variant *chord_choose_variant(const char *name);

#endif
