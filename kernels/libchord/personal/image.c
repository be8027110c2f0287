/* A master file is written: the records and the places of the data, the header last. */
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 64, RECORD_BYTES = 128, NAME_BYTES = 88, ALIGNMENT = 64 };

static uint8_t *put_text(uint8_t *at, const void *text, size_t bytes) {
  memcpy(at, text, bytes);
  return at + bytes;
}

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, sizeof value); }
static void put64(uint8_t *at, uint64_t value) { memcpy(at, &value, sizeof value); }

uint8_t *chord_put_entry(chord_image *image, const char *group, chord_part_name name, const char *part, chord_dtype dtype, uint32_t dims,
                         const uint32_t *shape) {
  static const uint8_t element_bytes[] = {0, 1, 1, 2, 4, 4, 1};
  const uint64_t offset = image->used;
  uint64_t bytes = element_bytes[dtype];
  for (uint32_t i = 0; i < dims; i++) bytes *= shape[i];
  image->bad |= strlen(group) + name.bytes + strlen(part) > NAME_BYTES;
  image->used = (offset + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  const uint32_t index = image->entries++;
  if (!image->data) return NULL;
  uint8_t *record = image->data + HEADER_BYTES + (size_t)index * RECORD_BYTES;
  uint8_t *end = put_text(put_text(put_text(record, group, strlen(group)), name.text, name.bytes), part, strlen(part));
  memset(end, 0, (size_t)(record + RECORD_BYTES - end));
  put32(record + 88, dtype);
  put32(record + 92, dims);
  for (uint32_t i = 0; i < dims; i++) put32(record + 96 + 4 * i, shape[i]);
  put64(record + 112, offset);
  put64(record + 120, bytes);
  memset(image->data + offset + bytes, 0, (size_t)(image->used - offset - bytes));
  return image->data + offset;
}

void chord_put_header(const chord_image *image) {
  uint32_t table[CHORD_CRC_WORDS];
  chord_crc32_table(table);
  memcpy(image->data, "CHRM", 4);
  put32(image->data + 4, 1);
  put64(image->data + 8, image->used);
  put32(image->data + 16, image->entries);
  put32(image->data + 20, chord_crc32(table, image->data + 24, (size_t)image->used - 24));
}
