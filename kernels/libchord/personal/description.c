/* The description of a personal file: names, shapes and configuration, each behind its length. */
#include <string.h>

#include "internal.h"

enum { MOST_PARTS = 1024, MOST_DIMS = 4 };

const uint8_t *chord_take_bytes(chord_place_in *place, uint64_t bytes) {
  if (place->bad || bytes > place->left) {
    place->bad = true;
    return NULL;
  }
  const uint8_t *at = place->at;
  place->at += (size_t)bytes;
  place->left -= bytes;
  return at;
}

static uint32_t number(chord_place_in *place, unsigned bytes) {
  const uint8_t *at = chord_take_bytes(place, bytes);
  return !at ? 0 : bytes == 4 ? chord_get32(at) : bytes == 2 ? chord_get16(at) : *at;
}

static void take_name(chord_place_in *place, chord_part_name *name) {
  name->bytes = number(place, 1);
  name->text = chord_take_bytes(place, name->bytes);
  place->bad = place->bad || name->bytes == 0 || memchr(name->text, 0, name->bytes);
}

uint32_t chord_take_count(chord_place_in *place) {
  const uint32_t count = number(place, 2);
  place->bad |= count > MOST_PARTS;
  return count;
}

const uint8_t *chord_take_config(chord_place_in *place, chord_part_name *name, uint32_t *kind, uint32_t *count) {
  enum { TEXT = 3, INTEGERS = 4 };
  take_name(place, name);
  *kind = number(place, 1);
  place->bad |= *kind < 1 || *kind > INTEGERS;
  *count = *kind >= TEXT ? number(place, 2) : 1;
  place->bad |= *kind == INTEGERS && *count == 0;
  return chord_take_bytes(place, (uint64_t)*count * (*kind == TEXT ? 1 : 4));
}

/* Dimensions of at least 1, and fewer than 2^31 elements. */
static void take_shape(chord_place_in *place, chord_part_of *part) {
  uint64_t elements = 1;
  for (uint32_t i = 0; i < part->dims; i++) {
    part->shape[i] = number(place, 4);
    place->bad |= part->shape[i] == 0 || part->shape[i] > INT32_MAX / elements;
    if (place->bad) return;
    elements *= part->shape[i];
  }
}

void chord_take_layer(chord_place_in *place, chord_part_of *part) {
  *part = (chord_part_of){.dims = 2};
  take_name(place, &part->name);
  take_shape(place, part);
  part->kind = number(place, 1);
  place->bad |= part->kind > 1;
}

void chord_take_table(chord_place_in *place, chord_part_of *part) {
  *part = (chord_part_of){.dims = 2};
  take_name(place, &part->name);
  take_shape(place, part);
  part->kind = number(place, 1);
  place->bad |= part->kind != 4 && part->kind != 8;
}

void chord_take_tensor(chord_place_in *place, chord_part_of *part) {
  *part = (chord_part_of){0};
  take_name(place, &part->name);
  const uint32_t dims = number(place, 1);
  place->bad |= dims > MOST_DIMS;
  part->dims = place->bad ? 0 : dims;
  take_shape(place, part);
}
