/* The master file (magic CHRM): every rule of docs/formats.md is checked before anything is read through it. What passes is byte for byte
 * what a writer writes; whether this engine runs it is the question of plan.c. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 64, RECORD_BYTES = 128, NAME_BYTES = 88, ALIGNMENT = 64 };

/* Floats of a master beyond this are no weights that the engine runs: they could overflow on the way through the model. */
#define LARGEST_FLOAT CHORD_LARGEST_WEIGHT

static uint32_t read32(const uint8_t *p) {
  uint32_t value;
  memcpy(&value, p, sizeof value);
  return value;
}

static uint64_t read64(const uint8_t *p) {
  uint64_t value;
  memcpy(&value, p, sizeof value);
  return value;
}

static uint64_t aligned(uint64_t offset) { return (offset + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static bool zeros(const uint8_t *p, uint64_t bytes) {
  uint8_t any = 0;
  for (uint64_t i = 0; i < bytes; i++) any |= p[i];
  return any == 0;
}

/* Without overlong forms, surrogates, and numbers beyond U+10FFFF. */
static bool utf8(const uint8_t *p, uint64_t bytes) {
  for (uint64_t i = 0; i < bytes;) {
    const uint8_t lead = p[i++];
    if (lead < 0x80) continue;
    if (lead < 0xC2 || lead > 0xF4) return false;
    const uint64_t more = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    if (more > bytes - i) return false;
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (uint64_t end = i + more; i < end; i++, low = 0x80, high = 0xBF)
      if (p[i] < low || p[i] > high) return false;
  }
  return true;
}

static const uint8_t *record(const chord_master *master, uint32_t index) {
  return master->data + HEADER_BYTES + (size_t)index * RECORD_BYTES;
}

static size_t name_length(const uint8_t *r) {
  const uint8_t *end = memchr(r, 0, NAME_BYTES);
  return end ? (size_t)(end - r) : NAME_BYTES;
}

static chord_entry entry_at(const chord_master *master, uint32_t index) {
  const uint8_t *r = record(master, index);
  chord_entry entry = {.data = master->data + read64(r + 112), .bytes = read64(r + 120), .index = index, .dtype = read32(r + 88), .dims = read32(r + 92)};
  for (size_t i = 0; i < 4; i++) entry.shape[i] = read32(r + 96 + 4 * i);
  return entry;
}

static chord_status refuse(const chord_master *master, uint32_t index, chord_diagnosis *diagnosis, const char *what) {
  const uint8_t *r = record(master, index);
  return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: entry '%.*s' %s", (int)name_length(r), (const char *)r, what);
}

/* A record by itself, its place in the file (`end` is that of the data before it), and the zeros before it. */
static chord_status check_record(const chord_master *master, uint32_t index, uint64_t *end, chord_diagnosis *diagnosis) {
  static const uint8_t element_bytes[] = {0, 1, 1, 2, 4, 4, 1};
  const uint8_t *r = record(master, index);
  const size_t length = name_length(r);
  bool fine = length != 0 && utf8(r, length) && zeros(r + length, NAME_BYTES - length);
  for (uint32_t i = 0; i < index && fine; i++) fine = memcmp(r, record(master, i), NAME_BYTES) != 0;
  if (!fine) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: the name of entry %u is empty, repeated or malformed", (unsigned)index);
  const uint32_t dtype = read32(r + 88), dims = read32(r + 92);
  const uint64_t offset = read64(r + 112), bytes = read64(r + 120);
  if (dtype < CHORD_I8 || dtype > CHORD_UTF8 || dims > 4 || (dtype == CHORD_UTF8 && dims != 1))
    return refuse(master, index, diagnosis, "has an unknown type or shape");
  uint64_t count = 1;
  for (uint32_t i = 0; i < 4; i++) {
    const uint32_t size = read32(r + 96 + 4 * (size_t)i);
    const bool possible = i >= dims ? size == 0 : size == 0 ? dtype == CHORD_UTF8 : count <= master->bytes / size;
    if (!possible) return refuse(master, index, diagnosis, "has an impossible shape");
    if (i < dims) count *= size;
  }
  if (count * element_bytes[dtype] != bytes) return refuse(master, index, diagnosis, "has another size than its shape");
  if (offset != aligned(*end) || offset > master->bytes || bytes > master->bytes - offset)
    return refuse(master, index, diagnosis, "does not stand at its place, or leaves the file");
  if (!zeros(master->data + *end, offset - *end)) return refuse(master, index, diagnosis, "comes after bytes that are not zero");
  *end = offset + bytes;
  return CHORD_OK;
}

static bool has_shape(const chord_entry *entry, chord_dtype dtype, uint32_t dims, uint32_t first, uint32_t second) {
  return entry->dtype == (uint32_t)dtype && entry->dims == dims && (dims < 1 || entry->shape[0] == first) &&
         (dims < 2 || entry->shape[1] == second);
}

/* Whether all are up to `largest` in magnitude, which is finite, and above 0 where they have to be: as bits, floats have the order of integers. */
static bool all_up_to(const chord_entry *entry, float largest, bool positive) {
  const uint32_t *bits = entry->data, kept = positive ? UINT32_MAX : INT32_MAX, first = positive;
  uint32_t most, wrong = 0;
  memcpy(&most, &largest, sizeof most);
  for (uint64_t i = 0; i < entry->bytes / sizeof *bits; i++) wrong |= (bits[i] & kept) - first > most - first;
  return !wrong;
}

static bool all_finite(const chord_entry *entry, bool positive) { return all_up_to(entry, FLT_MAX, positive); }

/* The codes of both grids are symmetric; `bits` 4 has two codes a byte, and a last half of zero where `columns` is odd. */
static bool on_grid(const chord_entry *entry, uint32_t bits, uint32_t columns) {
  const uint8_t *codes = entry->data;
  const uint64_t ones = bits == 8 ? 0x0101010101010101 : 0x1111111111111111, least = ones << (bits - 1);
  uint64_t found = 0, word = 0, i = 0;
  /* A code is the least one where `word` is 0: only a zero borrows, and only from behind a first one. */
  for (; i + 8 <= entry->bytes; i += 8) {
    memcpy(&word, codes + i, 8);
    word ^= least;
    found |= (word - ones) & ~word & least;
  }
  word = 0;
  if (i < entry->bytes) memcpy(&word, codes + i, (size_t)(entry->bytes - i));
  word ^= least;
  bool fine = ((found | ((word - ones) & ~word)) & least) == 0;
  if (bits == 4 && columns % 2 != 0)
    for (uint64_t row = 1; row <= entry->shape[0]; row++) fine &= codes[row * entry->shape[1] - 1] >> 4 == 0;
  return fine;
}

static bool begins(const chord_master *master, uint32_t index, const char *group) {
  const size_t length = strlen(group);
  return index < master->entries && memcmp(record(master, index), group, length) == 0 && name_length(record(master, index)) > length;
}

/* Whether entry `index` is `part` of what entry `first` names in its first `prefix` bytes. */
static bool is_part(const chord_master *master, uint32_t index, uint32_t first, size_t prefix, const char *part) {
  const size_t length = strlen(part);
  if (index >= master->entries || name_length(record(master, index)) != prefix + length) return false;
  return memcmp(record(master, index), record(master, first), prefix) == 0 && memcmp(record(master, index) + prefix, part, length) == 0;
}

/* "<group><name>/codes" and the `count` parts that must follow: the length of "<group><name>/", or 0. */
static size_t whole_group(const chord_master *master, uint32_t index, const char *group, const char *const *parts, uint32_t count) {
  const uint8_t *r = record(master, index);
  const size_t start = strlen(group), length = name_length(r);
  const uint8_t *slash = memchr(r + start, '/', length - start);
  if (!slash || slash == r + start) return 0;
  const size_t prefix = (size_t)(slash - r) + 1;
  for (uint32_t i = 0; i < count; i++)
    if (!is_part(master, index + i, index, prefix, parts[i])) return 0;
  return prefix;
}

static chord_status check_config(const chord_master *master, uint32_t index, chord_diagnosis *diagnosis) {
  const chord_entry entry = entry_at(master, index);
  const bool number = has_shape(&entry, CHORD_I32, 1, 1, 0) || (has_shape(&entry, CHORD_F32, 1, 1, 0) && all_finite(&entry, false));
  const bool word = entry.dtype == CHORD_UTF8 && utf8(entry.data, entry.bytes);
  if (!number && !word && !has_shape(&entry, CHORD_I32, 2, 1, entry.shape[1]))
    return refuse(master, index, diagnosis, "is not a number, a text or a list of integers");
  return CHORD_OK;
}

static chord_status check_layer(const chord_master *master, uint32_t *index, chord_diagnosis *diagnosis) {
  static const char *const parts[] = {"codes", "scales", "ratios"};
  const uint32_t i = *index;
  const size_t prefix = whole_group(master, i, "layers/", parts, 3);
  if (prefix == 0) return refuse(master, i, diagnosis, "does not begin a layer of codes, scales and ratios in this order");
  const chord_entry codes = entry_at(master, i), scales = entry_at(master, i + 1), ratios = entry_at(master, i + 2);
  const uint32_t out = codes.shape[0];
  if (!has_shape(&codes, CHORD_I8, 2, out, codes.shape[1]) || !on_grid(&codes, 8, 0))
    return refuse(master, i, diagnosis, "is not int8 [out, in] without -128");
  if (!has_shape(&scales, CHORD_F32, 2, 3, out) || !all_finite(&scales, true))
    return refuse(master, i + 1, diagnosis, "is not positive float32 [3, out]");
  bool fine = has_shape(&ratios, CHORD_I16, 2, 2, out);
  for (uint64_t r = 0; fine && r < ratios.bytes / 2; r++) fine = ((const int16_t *)ratios.data)[r] >= 1;
  if (!fine) return refuse(master, i + 2, diagnosis, "is not int16 [2, out] of 1 or more");
  *index += 3;
  if (!is_part(master, i + 3, i, prefix, "bias")) return CHORD_OK;
  const chord_entry bias = entry_at(master, i + 3);
  *index += 1;
  return has_shape(&bias, CHORD_F32, 1, out, 0) && all_finite(&bias, false) ? CHORD_OK
                                                                            : refuse(master, i + 3, diagnosis, "is not finite float32 [out]");
}

static chord_status check_table(const chord_master *master, uint32_t *index, chord_diagnosis *diagnosis) {
  static const char *const parts[] = {"codes", "scales", "bits"};
  const uint32_t i = *index;
  if (whole_group(master, i, "embeddings/", parts, 3) == 0)
    return refuse(master, i, diagnosis, "does not begin a table of codes, scales and bits in this order");
  const chord_entry codes = entry_at(master, i), scales = entry_at(master, i + 1), bits = entry_at(master, i + 2);
  const int32_t *values = bits.data;
  if (!has_shape(&bits, CHORD_I32, 1, 2, 0) || (values[0] != 8 && values[0] != 4) || values[1] < 1)
    return refuse(master, i + 2, diagnosis, "is not int32 [8 or 4, dim]");
  const uint32_t rows = codes.shape[0], dim = (uint32_t)values[1];
  const bool whole = values[0] == 8;
  if (!has_shape(&codes, whole ? CHORD_I8 : CHORD_U8, 2, rows, whole ? dim : dim / 2 + dim % 2) || !on_grid(&codes, whole ? 8 : 4, dim))
    return refuse(master, i, diagnosis, "holds no codes on the grid, or in another type or shape than 'bits' asks for");
  if (!has_shape(&scales, CHORD_F32, 1, rows, 0) || !all_finite(&scales, true))
    return refuse(master, i + 1, diagnosis, "is not positive float32 [rows]");
  *index += 3;
  return CHORD_OK;
}

/* What the entries mean, group by group in the order of the format. */
static chord_status check_entries(const chord_master *master, chord_diagnosis *diagnosis) {
  chord_status status = CHORD_OK;
  uint32_t i = 0;
  while (status == CHORD_OK && begins(master, i, "config/")) status = check_config(master, i++, diagnosis);
  while (status == CHORD_OK && begins(master, i, "layers/")) status = check_layer(master, &i, diagnosis);
  while (status == CHORD_OK && begins(master, i, "embeddings/")) status = check_table(master, &i, diagnosis);
  for (; status == CHORD_OK && begins(master, i, "tensors/"); i++) {
    const chord_entry tensor = entry_at(master, i);
    if (tensor.dtype != CHORD_F32 || !all_finite(&tensor, false)) status = refuse(master, i, diagnosis, "is not finite float32");
  }
  if (status != CHORD_OK) return status;
  return i == master->entries ? CHORD_OK : refuse(master, i, diagnosis, "has no place in a master, or not this one");
}

static bool intact(const uint8_t *file, size_t bytes) {
  uint32_t table[CHORD_CRC_WORDS];
  chord_crc32_table(table);
  return chord_crc32(table, file + 24, bytes - 24) == read32(file + 20);
}

chord_status chord_master_read(const void *data, size_t bytes, bool summed, chord_master *master, chord_diagnosis *diagnosis) {
  const uint8_t *p = data;
  if (!data) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "master weights: no data");
  if ((uintptr_t)data % 4 != 0) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "master weights: must start at a multiple of 4 bytes");
  if (bytes < HEADER_BYTES || memcmp(p, "CHRM", 4) != 0)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: this is no master file (magic is not CHRM)");
  const uint32_t version = read32(p + 4);
  if (version != 1 && version != 2)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: version %u is none of 1 and 2", (unsigned)version);
  if (read64(p + 8) != bytes) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: the file is cut off or has bytes too many");
  const uint32_t used = version == 2 ? CHORD_ORIGIN + 12 : CHORD_ORIGIN;
  if (!zeros(p + used, HEADER_BYTES - used)) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: reserved header bytes are not zero");
  *master = (chord_master){.data = p, .bytes = bytes, .entries = read32(p + 16), .grown = version == 2};
  uint64_t end = HEADER_BYTES + (uint64_t)master->entries * RECORD_BYTES;
  if (master->entries > CHORD_MAX_ENTRIES || end > bytes) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: too many entries");
  if (summed && !intact(p, bytes))
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: the checksum is wrong, copy the file again");
  chord_status status = CHORD_OK;
  for (uint32_t i = 0; i < master->entries && status == CHORD_OK; i++) status = check_record(master, i, &end, diagnosis);
  if (status != CHORD_OK) return status;
  if (aligned(end) != bytes || !zeros(p + end, bytes - end))
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: bytes follow the last entry");
  status = check_entries(master, diagnosis);
  if (status != CHORD_OK) return status;
  chord_entry entry;
  if (!chord_master_find(master, "config/architecture", &entry) || entry.dtype != CHORD_UTF8)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: the text 'config/architecture' is missing");
  if (!chord_master_find(master, "embeddings/item_embedding/codes", &entry))
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: 'embeddings/item_embedding' is missing");
  const uint32_t before = read32(p + CHORD_ORIGIN + 8);
  if (master->grown && (before == 0 || before >= entry.shape[0] - 1))
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: they cannot have grown from %u items", (unsigned)before);
  return CHORD_OK;
}

bool chord_master_find(chord_master *master, const char *name, chord_entry *entry) {
  for (uint32_t i = 0; i < master->entries; i++) {
    const size_t length = name_length(record(master, i));
    if (strlen(name) != length || memcmp(record(master, i), name, length) != 0) continue;
    *entry = entry_at(master, i);
    master->asked[i / 32] |= 1u << i % 32;
    return true;
  }
  return false;
}

chord_status chord_master_all_asked(const chord_master *master, chord_diagnosis *diagnosis) {
  for (uint32_t i = 0; i < master->entries; i++) {
    const uint8_t *r = record(master, i);
    if (!(master->asked[i / 32] >> i % 32 & 1))
      return chord_fail(diagnosis, CHORD_BAD_MASTER, "engine: entry '%.*s' of the master weights is none that this architecture has",
                        (int)name_length(r), (const char *)r);
  }
  return CHORD_OK;
}

chord_status chord_master_get(chord_master *master, const char *name, chord_dtype dtype, uint32_t dims, uint32_t first, uint32_t second,
                              chord_entry *entry, chord_diagnosis *diagnosis) {
  if (!chord_master_find(master, name, entry))
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "engine: '%s' is missing from the master weights", name);
  if (!has_shape(entry, dtype, dims, first, second))
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "engine: '%s' has another type or shape than the configuration of the master asks for", name);
  return CHORD_OK;
}

chord_status chord_master_floats(chord_master *master, const char *name, uint32_t dims, uint32_t first, uint32_t second, bool positive,
                                 const float **out, chord_diagnosis *diagnosis) {
  chord_entry entry;
  const chord_status status = chord_master_get(master, name, CHORD_F32, dims, first, second, &entry, diagnosis);
  if (status != CHORD_OK) return status;
  const float *values = *out = entry.data;
  if (all_up_to(&entry, LARGEST_FLOAT, positive)) return CHORD_OK;
  for (uint64_t i = 0; i < entry.bytes / 4; i++)
    if (!(fabsf(values[i]) <= LARGEST_FLOAT) || (positive && !(values[i] > 0.0f)))
      return chord_fail(diagnosis, CHORD_BAD_MASTER, "engine: '%s' holds %g, and it runs %s up to 10000", name, (double)values[i],
                        positive ? "positive numbers" : "numbers");
  return CHORD_OK;
}

chord_status chord_master_int(chord_master *master, const char *key, int64_t least, int64_t most, uint32_t *out,
                              chord_diagnosis *diagnosis) {
  char name[NAME_BYTES];
  snprintf(name, sizeof name, "config/%s", key);
  chord_entry entry = {0};
  const chord_status status = chord_master_get(master, name, CHORD_I32, 1, 1, 0, &entry, diagnosis);
  if (status != CHORD_OK) return status;
  int32_t value;
  memcpy(&value, entry.data, sizeof value);
  if (value < least || value > most)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "engine: %s = %d is outside the %lld..%lld that it runs", name, (int)value,
                      (long long)least, (long long)most);
  *out = (uint32_t)value;
  return CHORD_OK;
}
