/* Header and segments of a difference, version 1 (docs/formats.md). */
#include <string.h>

#include "internal.h"

enum { CHECKSUM_BYTES = 4, MOST_SEGMENTS = 1 << 20, LONGEST_NUMBER = 5 };
#define LARGEST_BUNDLE UINT64_C(0xFFFFFFFE)
#define DAMAGED(...) return chord_delta_refuse(diagnosis, CHORD_DELTA_DAMAGED, __VA_ARGS__)

static chord_delta_status check_header(const uint8_t *data, size_t bytes, uint64_t largest, chord_diagnosis *diagnosis) {
  if (bytes < CHORD_DELTA_HEADER + CHECKSUM_BYTES)
    DAMAGED("difference: length: %zu bytes cannot hold a header and a checksum; fetch it again, or the whole bundle", bytes);
  if (memcmp(data, "CHRX", 4) != 0) DAMAGED("difference: magic: the data does not begin with CHRX; give another file");
  if (data[4] != 1)
    return chord_delta_refuse(diagnosis, CHORD_DELTA_TOO_NEW, "difference: version: %u is not 1; fetch the whole bundle", data[4]);
  if (data[5] != 0 || data[6] != 0 || data[7] != 0)
    return chord_delta_refuse(diagnosis, CHORD_DELTA_TOO_NEW, "difference: reserved: not all are zero; fetch the whole bundle");
  const uint64_t base = chord_get32(data + 40), result = chord_get32(data + 76), segments = chord_get32(data + 80);
  if (base > LARGEST_BUNDLE || result > LARGEST_BUNDLE || result > largest || segments > MOST_SEGMENTS)
    return chord_delta_refuse(diagnosis, CHORD_DELTA_TOO_LARGE,
                              "difference: sizes: a base of %llu bytes, a result of %llu or %llu segments are more than are allowed; fetch the whole bundle",
                              (unsigned long long)base, (unsigned long long)result, (unsigned long long)segments);
  const uint64_t table = chord_get32(data + CHORD_DELTA_TABLE_AT), stream = chord_get32(data + 88);
  if (CHORD_DELTA_HEADER + table + stream + CHECKSUM_BYTES != bytes)
    DAMAGED("difference: length: %zu bytes are not those that its header announces; fetch it again, or the whole bundle", bytes);
  uint32_t words[CHORD_CRC_WORDS]; /* 8 KB of stack */
  chord_crc32_table(words);
  if (chord_crc32(words, data, bytes - CHECKSUM_BYTES) != chord_get32(data + bytes - CHECKSUM_BYTES))
    DAMAGED("difference: CRC: the checksum does not match; the bytes are damaged, fetch it again, or the whole bundle");
  return CHORD_DELTA_OK;
}

chord_delta_status chord_delta_open(const void *data, size_t bytes, uint64_t largest, chord_delta *delta, chord_diagnosis *diagnosis) {
  const uint8_t *whole = data;
  if (!data || !delta || delta->struct_size < sizeof *delta)
    return chord_delta_refuse(diagnosis, CHORD_DELTA_BAD_ARGUMENT, "the data or the delta are null, or the struct_size is not that of chord_delta");
  chord_delta_status status = check_header(whole, bytes, largest, diagnosis);
  if (status != CHORD_DELTA_OK) return status;
  chord_delta found = {.struct_size = delta->struct_size, .segments = chord_get32(whole + 80), .base_bytes = chord_get32(whole + 40),
                       .result_bytes = chord_get32(whole + 76), .data = whole, .bytes = bytes};
  memcpy(found.base_sha256, whole + 8, sizeof found.base_sha256);
  memcpy(found.result_sha256, whole + 44, sizeof found.result_sha256);
  chord_segments segments = chord_segments_of(&found);
  chord_segment segment;
  do status = chord_segments_next(&segments, &segment, diagnosis);
  while (status == CHORD_DELTA_OK && segment.length > 0);
  if (status == CHORD_DELTA_OK) *delta = found;
  return status;
}

chord_segments chord_segments_of(const chord_delta *delta) {
  const uint8_t *table = delta->data + CHORD_DELTA_HEADER;
  return (chord_segments){.at = table, .end = table + chord_get32(delta->data + CHORD_DELTA_TABLE_AT), .count = delta->segments,
                          .base_bytes = delta->base_bytes, .result_bytes = delta->result_bytes};
}

/* Seven bits a byte, the lowest first, the top bit on all but the last; in as few bytes as it can be. */
static bool read_number(chord_segments *segments, uint64_t *value) {
  *value = 0;
  for (unsigned i = 0; i < LONGEST_NUMBER && segments->at < segments->end; i++) {
    const uint8_t byte = *segments->at++;
    *value |= (uint64_t)(byte & 127) << (7 * i);
    if (byte < 128) return byte != 0 || i == 0;
  }
  return false;
}

chord_delta_status chord_segments_next(chord_segments *segments, chord_segment *segment, chord_diagnosis *diagnosis) {
  const unsigned number = segments->number;
  *segment = (chord_segment){0};
  if (segments->number == segments->count) {
    if (segments->at == segments->end && segments->total == segments->result_bytes) return CHORD_DELTA_OK;
    DAMAGED("difference: segments: they do not make the whole result, or something follows them; fetch the whole bundle");
  }
  if (segments->at == segments->end)
    DAMAGED("difference: segments: there are %u and not %u; fetch the whole bundle", number, (unsigned)segments->count);
  const uint32_t form = *segments->at++, kind = form & 3, word = form >> 2 & 3, bits = form >> 4;
  const bool coded = kind == CHORD_DELTA_ADD || kind == CHORD_DELTA_LITERAL;
  if (word > 2 || bits > 2 || (form > CHORD_DELTA_AGAIN && !coded))
    DAMAGED("difference: segments: number %u is of the unknown form %u; fetch the whole bundle", number, (unsigned)form);
  uint64_t length, step = 0, base = 0;
  if (!read_number(segments, &length) || (kind != CHORD_DELTA_LITERAL && !read_number(segments, &step)))
    DAMAGED("difference: segments: a number ends outside of their table, or has more bytes than it needs; fetch the whole bundle");
  if (kind == CHORD_DELTA_AGAIN) {
    if (step < length || step > segments->total)
      DAMAGED("difference: segments: number %u says again what was not said; fetch the whole bundle", number);
    base = segments->total - step;
  } else if (kind != CHORD_DELTA_LITERAL) {
    /* What is negative becomes very large, and is refused with what is too large. All are below 2^36. */
    base = segments->expected + (step >> 1 ^ (0 - (step & 1)));
    if (base > segments->base_bytes || length > segments->base_bytes - base)
      DAMAGED("difference: segments: number %u is not inside of the base; fetch the whole bundle", number);
    segments->expected = base + length;
  }
  segments->total += length;
  if (length == 0 || length % (1u << word) != 0 || segments->total > segments->result_bytes)
    DAMAGED("difference: segments: number %u has no length of whole words inside of the result; fetch the whole bundle", number);
  segments->number++;
  *segment = (chord_segment){.kind = kind, .word = 1u << word, .bits = 2u << bits, .length = length, .base = base};
  return CHORD_DELTA_OK;
}
