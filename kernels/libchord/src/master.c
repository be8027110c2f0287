/* The master file (magic CHRM): every offset, size, name and shape is checked before anything is read through it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 64, RECORD_BYTES = 128, NAME_BYTES = 88, MAX_ENTRIES = 4096 };

/* Floats of a master beyond this are no weights, and could overflow on the way through the model. */
#define LARGEST_FLOAT 1e4f

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

static const uint8_t *record(const chord_master *master, uint32_t index) {
  return master->data + HEADER_BYTES + (size_t)index * RECORD_BYTES;
}

static chord_status check_record(const chord_master *master, uint32_t index, uint64_t *end, chord_diagnosis *diagnosis) {
  static const uint8_t element_bytes[] = {0, 1, 1, 2, 4, 4, 1};
  const uint8_t *r = record(master, index);
  if (r[0] == 0) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: entry %u has no name", (unsigned)index);
  char name[NAME_BYTES + 1] = {0};
  memcpy(name, r, NAME_BYTES);
  const uint32_t dtype = read32(r + 88), dims = read32(r + 92);
  const uint64_t offset = read64(r + 112), bytes = read64(r + 120);
  if (dtype < CHORD_I8 || dtype > CHORD_UTF8 || dims > 4)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: entry '%s' has an unknown type", name);
  uint64_t count = 1;
  for (uint32_t i = 0; i < 4; i++) {
    const uint32_t size = read32(r + 96 + 4 * (size_t)i);
    if (i < dims && size != 0 && count > UINT64_MAX / 8 / size)
      return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: entry '%s' has an impossible shape", name);
    if (i < dims) count *= size;
    if (i >= dims && size != 0) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: entry '%s' has a shape beyond its dimensions", name);
  }
  if (count * element_bytes[dtype] != bytes)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: entry '%s' has %llu bytes, which is not its shape", name,
                      (unsigned long long)bytes);
  if (offset % 64 != 0 || offset < *end || bytes > master->bytes || offset > master->bytes - bytes)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: entry '%s' does not lie inside the file, or overlaps", name);
  *end = offset + bytes;
  return CHORD_OK;
}

chord_status chord_master_read(const void *data, size_t bytes, chord_master *master, chord_diagnosis *diagnosis) {
  const uint8_t *p = data;
  if (!data) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "master weights: no data");
  if ((uintptr_t)data % 4 != 0) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "master weights: must start at a multiple of 4 bytes");
  if (bytes < HEADER_BYTES || memcmp(p, "CHRM", 4) != 0)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: this is no master file (magic is not CHRM)");
  if (read32(p + 4) != 1) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: version %u is not 1", (unsigned)read32(p + 4));
  if (read64(p + 8) != bytes) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: the file is cut off or has bytes too many");
  *master = (chord_master){.data = p, .bytes = bytes, .entries = read32(p + 16)};
  if (master->entries > MAX_ENTRIES || HEADER_BYTES + (uint64_t)master->entries * RECORD_BYTES > bytes)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: too many entries");
  uint32_t table[CHORD_CRC_WORDS];
  chord_crc32_table(table);
  if (chord_crc32(table, p + 24, bytes - 24) != read32(p + 20))
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: the checksum is wrong, copy the file again");
  uint64_t end = HEADER_BYTES + (uint64_t)master->entries * RECORD_BYTES;
  for (uint32_t i = 0; i < master->entries; i++) {
    const chord_status status = check_record(master, i, &end, diagnosis);
    if (status != CHORD_OK) return status;
  }
  return CHORD_OK;
}

bool chord_master_find(const chord_master *master, const char *name, chord_entry *entry) {
  for (uint32_t i = 0; i < master->entries; i++) {
    const uint8_t *r = record(master, i);
    if (strncmp((const char *)r, name, NAME_BYTES) != 0) continue;
    *entry = (chord_entry){.data = master->data + read64(r + 112), .bytes = read64(r + 120), .dtype = read32(r + 88), .dims = read32(r + 92)};
    for (size_t j = 0; j < 4; j++) entry->shape[j] = read32(r + 96 + 4 * j);
    return true;
  }
  return false;
}

chord_status chord_master_get(const chord_master *master, const char *name, chord_dtype dtype, uint32_t dims, uint32_t first,
                              uint32_t second, chord_entry *entry, chord_diagnosis *diagnosis) {
  if (!chord_master_find(master, name, entry)) return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: '%s' is missing", name);
  if (entry->dtype != (uint32_t)dtype || entry->dims != dims || (dims > 0 && entry->shape[0] != first) ||
      (dims > 1 && entry->shape[1] != second))
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: '%s' has another type or shape than its configuration asks for", name);
  return CHORD_OK;
}

chord_status chord_master_floats(const chord_master *master, const char *name, uint32_t dims, uint32_t first, uint32_t second,
                                 bool positive, const float **out, chord_diagnosis *diagnosis) {
  chord_entry entry;
  const chord_status status = chord_master_get(master, name, CHORD_F32, dims, first, second, &entry, diagnosis);
  if (status != CHORD_OK) return status;
  const float *values = entry.data;
  for (uint64_t i = 0; i < entry.bytes / 4; i++)
    if (!(fabsf(values[i]) <= LARGEST_FLOAT) || (positive && values[i] < 0.0f))
      return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: '%s' holds a number that is no weight", name);
  *out = values;
  return CHORD_OK;
}

chord_status chord_master_int(const chord_master *master, const char *key, int64_t least, int64_t most, uint32_t *out,
                              chord_diagnosis *diagnosis) {
  char name[NAME_BYTES];
  snprintf(name, sizeof name, "config/%s", key);
  chord_entry entry = {0};
  const chord_status status = chord_master_get(master, name, CHORD_I32, 1, 1, 0, &entry, diagnosis);
  if (status != CHORD_OK) return status;
  int32_t value;
  memcpy(&value, entry.data, sizeof value);
  if (value < least || value > most)
    return chord_fail(diagnosis, CHORD_BAD_MASTER, "master weights: %s = %d is outside the %lld..%lld that this engine runs", name, (int)value,
                      (long long)least, (long long)most);
  *out = (uint32_t)value;
  return CHORD_OK;
}
