/* What the files of chord_personal share. */
#ifndef CHORD_PERSONAL_INTERNAL_H
#define CHORD_PERSONAL_INTERNAL_H

#include "../include/chord_personal.h"
#include "../src/bytes.h"
#include "../src/internal.h"

/* A place in a file. What is past its end is null, and so is everything after that. */
typedef struct chord_place_in {
  const uint8_t *at;
  uint64_t left;
  bool bad;
} chord_place_in;

typedef struct chord_part_name {
  const uint8_t *text;
  size_t bytes;
} chord_part_name;

/* A layer, a table or a tensor as the description has it. */
typedef struct chord_part_of {
  chord_part_name name;
  uint32_t dims, shape[4];
  uint32_t kind; /* layer: 1 with a bias; table: bits */
} chord_part_of;

/* description.c: steps through the description. All of them set `bad` at what no description has. */
const uint8_t *chord_take_bytes(chord_place_in *place, uint64_t bytes);
uint32_t chord_take_count(chord_place_in *place);
/* `kind` of a configuration value is 1 .. 4, its numbers or letters are `count` at the returned place. */
const uint8_t *chord_take_config(chord_place_in *place, chord_part_name *name, uint32_t *kind, uint32_t *count);
void chord_take_layer(chord_place_in *place, chord_part_of *part);
void chord_take_table(chord_place_in *place, chord_part_of *part);
void chord_take_tensor(chord_place_in *place, chord_part_of *part);

/* image.c: a master file, entry by entry in the order of its data; without an image it is only measured. */
typedef struct chord_image {
  uint8_t *data;
  uint64_t used;
  uint32_t entries;
  bool bad; /* an entry has a name that is too long */
} chord_image;

/* Begins an entry "<group><name><part>" and gives the place of its data: null where it is only measured. */
uint8_t *chord_put_entry(chord_image *image, const char *group, chord_part_name name, const char *part, chord_dtype dtype, uint32_t dims,
                         const uint32_t *shape);
/* The header, last: before it is written the image is none. */
void chord_put_header(const chord_image *image);

#endif
