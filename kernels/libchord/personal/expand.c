/* A personal file (magic CHRP) becomes a master file. Its own rules are checked on the way, a master's by the engine's reader at the end. */
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 24, FINGERPRINT = 16, TABLE_FROM = 64, RECORD_BYTES = 128, MOST_WEIGHTS = 1 << 28 };

static const uint8_t width_bits[4] = {0, 2, 4, 8};

/* What the description says of all parts, before one of them is looked at. */
typedef struct outline {
  chord_place_in description, numbers;
  uint64_t channels;
  uint32_t entries;
} outline;

static chord_status damaged(chord_diagnosis *diagnosis, const char *what) {
  return chord_fail(diagnosis, CHORD_BAD_MASTER, "personal file: %s", what);
}

static chord_status read_outline(const uint8_t *file, size_t bytes, outline *found, chord_diagnosis *diagnosis) {
  if (!file) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "personal file: no data");
  if (bytes < HEADER_BYTES || memcmp(file, "CHRP", 4) != 0) return damaged(diagnosis, "this is none (magic is not CHRP)");
  if (chord_get32(file + 4) != 1)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "personal file: version %u is not 1, update the app", (unsigned)chord_get32(file + 4));
  if (chord_get32(file + 8) != bytes) return damaged(diagnosis, "it is cut off or has bytes too many");
  uint32_t table[CHORD_CRC_WORDS];
  chord_crc32_table(table);
  if (chord_crc32(table, file + FINGERPRINT, bytes - FINGERPRINT) != chord_get32(file + 12))
    return damaged(diagnosis, "the checksum is wrong, copy the file again");
  chord_place_in place = {.at = file + HEADER_BYTES, .left = bytes - HEADER_BYTES};
  chord_part_name name;
  chord_part_of part;
  uint64_t weights = 0;
  uint32_t kind, size;
  *found = (outline){.description = place};
  for (uint32_t left = chord_take_count(&place); left > 0 && !place.bad; left--, found->entries++) chord_take_config(&place, &name, &kind, &size);
  for (uint32_t left = chord_take_count(&place); left > 0 && !place.bad; left--) {
    chord_take_layer(&place, &part);
    weights += (uint64_t)part.shape[0] * part.shape[1];
    place.bad |= weights > MOST_WEIGHTS;
    found->channels += part.shape[0];
    found->entries += 3 + part.kind;
  }
  for (uint32_t left = chord_take_count(&place); left > 0 && !place.bad; left--, found->entries += 3) chord_take_table(&place, &part);
  for (uint32_t left = chord_take_count(&place); left > 0 && !place.bad; left--, found->entries++) chord_take_tensor(&place, &part);
  if (place.bad) return damaged(diagnosis, "its description is cut off, or has a part that none has");
  if (found->entries > CHORD_MAX_ENTRIES) return damaged(diagnosis, "it has too many parts for a master");
  found->numbers = place;
  return CHORD_OK;
}

static unsigned width_of(const uint8_t *widths, uint64_t channel) { return width_bits[widths[channel / 4] >> 2 * (channel % 4) & 3]; }

static uint64_t packed_bytes(uint64_t codes, unsigned width) { return (codes * width + 7) / 8; }

/* A channel's codes from its packed row. False: one is off the grid, or a pad bit is not zero. */
static bool unpack(const uint8_t *packed, uint32_t inputs, unsigned width, uint8_t *codes) {
  const unsigned per_byte = 8 / width, sign = 1u << (width - 1), mask = 2 * sign - 1;
  bool fine = true;
  for (uint32_t i = 0; i < inputs; i++) {
    const unsigned code = packed[i / per_byte] >> (i % per_byte * width) & mask;
    fine &= width == 2 || code != sign;
    codes[i] = (uint8_t)((code ^ sign) - sign);
  }
  const unsigned used = inputs % per_byte * width;
  return fine && (used == 0 || packed[inputs / per_byte] >> used == 0);
}

static void copy(uint8_t *to, const uint8_t *from, uint64_t bytes) {
  if (to) memcpy(to, from, (size_t)bytes);
}

static chord_status put_layer(chord_image *image, chord_place_in *numbers, const chord_part_of *layer, const uint8_t *widths, uint64_t first,
                              chord_diagnosis *diagnosis) {
  const uint32_t out = layer->shape[0], inputs = layer->shape[1], three[2] = {3, out}, two[2] = {2, out};
  uint64_t row_bytes = 0, on = 0;
  for (uint32_t c = 0; c < out; c++) {
    const unsigned width = width_of(widths, first + c);
    row_bytes += packed_bytes(inputs, width);
    on += width != 0;
  }
  const uint8_t *row = chord_take_bytes(numbers, row_bytes), *scale = chord_take_bytes(numbers, 4 * on);
  const uint8_t *bias = layer->kind ? chord_take_bytes(numbers, 4 * (uint64_t)out) : NULL;
  if (numbers->bad) return damaged(diagnosis, "it ends before its last number");
  uint8_t *codes = chord_put_entry(image, "layers/", layer->name, "/codes", CHORD_I8, 2, layer->shape);
  uint8_t *scales = chord_put_entry(image, "layers/", layer->name, "/scales", CHORD_F32, 2, three);
  uint8_t *ratios = chord_put_entry(image, "layers/", layer->name, "/ratios", CHORD_I16, 2, two);
  if (layer->kind) copy(chord_put_entry(image, "layers/", layer->name, "/bias", CHORD_F32, 1, layer->shape), bias, 4 * (uint64_t)out);
  if (!codes) return CHORD_OK;
  for (size_t c = 0; c < out; c++) {
    static const float one = 1.0f;
    static const int16_t least = 1;
    const unsigned width = width_of(widths, first + c);
    if (width == 0) memset(codes + c * inputs, 0, inputs);
    else if (!unpack(row, inputs, width, codes + c * inputs)) return damaged(diagnosis, "a code is outside the grid, or a pad bit is not zero");
    for (size_t i = 0; i < 3; i++) memcpy(scales + 4 * (i * out + c), width ? scale : (const uint8_t *)&one, 4);
    for (size_t i = 0; i < 2; i++) memcpy(ratios + 2 * (i * out + c), &least, 2);
    row += packed_bytes(inputs, width);
    scale += width ? 4 : 0;
  }
  return CHORD_OK;
}

static chord_status put_table(chord_image *image, chord_place_in *numbers, const chord_part_of *table, chord_diagnosis *diagnosis) {
  static const uint32_t two = 2;
  const uint32_t rows = table->shape[0], columns = (uint32_t)packed_bytes(table->shape[1], table->kind), shape[2] = {rows, columns};
  const int32_t bits[2] = {(int32_t)table->kind, (int32_t)table->shape[1]};
  const uint64_t code_bytes = (uint64_t)rows * columns;
  const uint8_t *codes = chord_take_bytes(numbers, code_bytes), *scales = chord_take_bytes(numbers, 4 * (uint64_t)rows);
  if (numbers->bad) return damaged(diagnosis, "it ends before its last number");
  copy(chord_put_entry(image, "embeddings/", table->name, "/codes", table->kind == 8 ? CHORD_I8 : CHORD_U8, 2, shape), codes, code_bytes);
  copy(chord_put_entry(image, "embeddings/", table->name, "/scales", CHORD_F32, 1, shape), scales, 4 * (uint64_t)rows);
  copy(chord_put_entry(image, "embeddings/", table->name, "/bits", CHORD_I32, 1, &two), (const uint8_t *)bits, sizeof bits);
  return CHORD_OK;
}

/* Every part in the order of the file, which is a master's, into the image or past it. */
static chord_status put_parts(const outline *found, chord_image *image, chord_diagnosis *diagnosis) {
  static const chord_dtype dtypes[] = {0, CHORD_I32, CHORD_F32, CHORD_UTF8, CHORD_I32};
  chord_place_in description = found->description, numbers = found->numbers;
  chord_status status = CHORD_OK;
  chord_part_of part;
  image->used = TABLE_FROM + RECORD_BYTES * (uint64_t)found->entries; /* a multiple of 64 */
  for (uint32_t left = chord_take_count(&description); left > 0; left--) {
    chord_part_name name;
    uint32_t kind, shape[2];
    const uint8_t *value = chord_take_config(&description, &name, &kind, &shape[1]);
    const uint32_t dims = kind == 4 ? 2 : 1;
    shape[0] = dims == 2 ? 1 : shape[1];
    copy(chord_put_entry(image, "config/", name, "", dtypes[kind], dims, shape), value, (uint64_t)shape[1] * (kind == 3 ? 1 : 4));
  }
  const uint8_t *widths = chord_take_bytes(&numbers, (found->channels + 3) / 4);
  if (!widths) return damaged(diagnosis, "it ends before its last number");
  for (uint64_t i = found->channels; i % 4 != 0; i++)
    if (width_of(widths, i) != 0) return damaged(diagnosis, "a pad bit of the widths is not zero");
  uint64_t first = 0;
  for (uint32_t left = chord_take_count(&description); left > 0 && status == CHORD_OK; left--, first += part.shape[0]) {
    chord_take_layer(&description, &part);
    status = put_layer(image, &numbers, &part, widths, first, diagnosis);
  }
  if (status != CHORD_OK) return status;
  for (uint32_t left = chord_take_count(&description); left > 0 && status == CHORD_OK; left--) {
    chord_take_table(&description, &part);
    status = put_table(image, &numbers, &part, diagnosis);
  }
  if (status != CHORD_OK) return status;
  for (uint32_t left = chord_take_count(&description); left > 0; left--) {
    chord_take_tensor(&description, &part);
    uint64_t bytes = 4;
    for (uint32_t i = 0; i < part.dims; i++) bytes *= part.shape[i];
    const uint8_t *values = chord_take_bytes(&numbers, bytes);
    if (!values) return damaged(diagnosis, "it ends before its last number");
    copy(chord_put_entry(image, "tensors/", part.name, "", CHORD_F32, part.dims, part.shape), values, bytes);
  }
  if (numbers.left != 0) return damaged(diagnosis, "bytes follow its last number");
  return image->bad ? damaged(diagnosis, "a name is longer than a master's can be") : CHORD_OK;
}

static chord_status measure(const void *file, size_t bytes, outline *parts, uint64_t *master_bytes, chord_diagnosis *diagnosis) {
  chord_image image = {0};
  chord_status status = read_outline(file, bytes, parts, diagnosis);
  if (status == CHORD_OK) status = put_parts(parts, &image, diagnosis);
  *master_bytes = image.used;
  return status;
}

/* A strategy (magic CHRD): header, codes, checksum. */
enum { STRATEGY_HEADER = 20, STRATEGY_CRC = 4 };

static uint32_t strategy_bytes_of(const outline *parts) { return STRATEGY_HEADER + (uint32_t)((parts->channels + 3) / 4) + STRATEGY_CRC; }

chord_status chord_personal_query(const void *file, size_t bytes, chord_personal *found, chord_diagnosis *diagnosis) {
  chord_personal own = {0};
  if (!found || !chord_give(&own, sizeof own, sizeof own, found))
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "personal file: found is null, or its struct_size is not set");
  outline parts;
  const chord_status status = measure(file, bytes, &parts, &own.master_bytes, diagnosis);
  if (status != CHORD_OK) return status;
  own.channels = (uint32_t)parts.channels;
  own.strategy_bytes = strategy_bytes_of(&parts);
  memcpy(own.fingerprint, (const uint8_t *)file + FINGERPRINT, sizeof own.fingerprint);
  chord_give(&own, sizeof own, sizeof own, found);
  return CHORD_OK;
}

chord_status chord_personal_expand(const void *file, size_t bytes, void *master, size_t master_bytes, chord_diagnosis *diagnosis) {
  if (!master || (uintptr_t)master % 4 != 0)
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "personal file: the memory must be there, and start at a multiple of 4 bytes");
  outline parts;
  uint64_t needed;
  chord_status status = measure(file, bytes, &parts, &needed, diagnosis);
  if (status != CHORD_OK) return status;
  if (master_bytes < needed)
    return chord_fail(diagnosis, CHORD_NO_MEMORY, "personal file: the master needs %llu bytes", (unsigned long long)needed);
  chord_image image = {.data = master};
  memset(master, 0, TABLE_FROM);
  status = put_parts(&parts, &image, diagnosis);
  if (status != CHORD_OK) return status;
  chord_put_header(&image);
  chord_master whole;
  status = chord_master_read(master, (size_t)image.used, true, &whole, diagnosis);
  if (status != CHORD_OK) memset(master, 0, TABLE_FROM);
  return status;
}

chord_status chord_personal_strategy(const void *file, size_t bytes, const uint8_t fingerprint[8], void *strategy, size_t strategy_bytes,
                                     chord_diagnosis *diagnosis) {
  if (!fingerprint || !strategy) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "personal file: a pointer is null");
  outline parts;
  uint64_t unused;
  const chord_status status = measure(file, bytes, &parts, &unused, diagnosis);
  if (status != CHORD_OK) return status;
  const uint32_t needed = strategy_bytes_of(&parts), channels = (uint32_t)parts.channels;
  if (strategy_bytes < needed) return chord_fail(diagnosis, CHORD_NO_MEMORY, "personal file: the strategy needs %u bytes", (unsigned)needed);
  uint8_t *out = strategy, *codes = out + STRATEGY_HEADER;
  const uint8_t *widths = parts.numbers.at;
  uint32_t off = 0, table[CHORD_CRC_WORDS];
  memset(out, 0, needed);
  for (uint32_t c = 0; c < channels; c++) {
    const bool on = width_of(widths, c) != 0;
    codes[c / 4] |= (uint8_t)((on ? 3u : 0u) << 2 * (c % 4));
    off |= !on;
  }
  memcpy(out, "CHRD\1", 5);
  out[6] = (uint8_t)off;
  memcpy(out + 8, fingerprint, 8);
  memcpy(out + 16, &channels, sizeof channels);
  chord_crc32_table(table);
  const uint32_t crc = chord_crc32(table, out, needed - STRATEGY_CRC);
  memcpy(out + needed - STRATEGY_CRC, &crc, sizeof crc);
  return CHORD_OK;
}
