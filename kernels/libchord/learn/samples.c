/* Samples of other people on the wire, "CHRS" (docs/formats.md). Inflating is the platform's; everything else is here. */
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 24, CRC_BYTES = 4, MOST_VARINT = 5 };

static chord_learn_status refuse(chord_diagnosis *diagnosis, const char *sentence) {
  return chord_decline(diagnosis, CHORD_LEARN_BAD_SAMPLES, "samples: %s", sentence);
}

chord_learn_status chord_samples_open(const chord_model *model, const void *data, size_t bytes, chord_samples *samples,
                                      chord_diagnosis *diagnosis) {
  chord_samples found = {0};
  if (!chord_is_model(model) || (!data && bytes) || !samples || !chord_give(&found, sizeof found, sizeof found, samples))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "the model or the data is null, or the struct_size of samples is not set");
  const uint8_t *at = data;
  if (bytes > CHORD_SAMPLES_MOST_BYTES) return refuse(diagnosis, "length: more than 65,536 bytes, which none have; fetch them again");
  if (bytes < HEADER_BYTES + CRC_BYTES) return refuse(diagnosis, "length: too few bytes for a header and a checksum; they are truncated");
  if (memcmp(at, "CHRS", 4) != 0) return refuse(diagnosis, "magic: the data does not begin with CHRS; these are no samples");
  if (at[4] != 1) return refuse(diagnosis, "version: it is not 1; update the app or match again");
  if (at[5] | at[6] | at[7]) return refuse(diagnosis, "reserved: bytes 5 to 7 are not zero, which version 1 does not know; update the app");
  if (memcmp(at + 8, model->fingerprint, 8) != 0)
    return refuse(diagnosis, "fingerprint: they are for another backbone; match again for this one");
  found.segments = chord_get16(at + 16);
  found.samples = chord_get16(at + 18);
  found.items = chord_get32(at + 20);
  if (found.items > CHORD_SAMPLES_MOST_ITEMS || !found.items != !found.segments || found.samples < found.segments ||
      found.samples + found.segments > found.items)
    return refuse(diagnosis, "counts: segments, samples and items do not go together, or are too many; match again");
  if (chord_crc32(model->crc, at, bytes - CRC_BYTES) != chord_get32(at + bytes - CRC_BYTES))
    return refuse(diagnosis, "CRC: the checksum does not match; they are damaged, fetch them again");
  found.offset = HEADER_BYTES;
  found.deflated = (uint32_t)bytes - HEADER_BYTES - CRC_BYTES;
  found.most = found.segments * MOST_VARINT + (found.items + 7) / 8 + MOST_VARINT + found.items * (MOST_VARINT + 2);
  chord_give(&found, sizeof found, sizeof found, samples);
  return CHORD_LEARN_OK;
}

typedef struct reader {
  const uint8_t *at, *end;
} reader;

/* Seven bits a byte, the lowest first, in as few bytes as it can be, and below 2^30. */
static bool varint(reader *r, uint32_t *value) {
  *value = 0;
  for (unsigned index = 0; index < MOST_VARINT && r->at < r->end; index++) {
    const uint8_t byte = *r->at++;
    if (index == 4 && byte > 3) return false; /* 2^30 or more */
    *value |= (uint32_t)(byte & 127) << 7 * index;
    if (byte < 128) return *value < 1u << 30 && (byte != 0 || index == 0);
  }
  return false;
}

chord_learn_status chord_samples_read(const chord_model *model, const chord_samples *given, const void *payload, size_t payload_bytes,
                                      int32_t *items, chord_lesson *lessons, chord_diagnosis *diagnosis) {
  chord_samples samples;
  if (!chord_is_model(model) || !given || !chord_take(given, sizeof samples, &samples, sizeof samples) || (!payload && payload_bytes) ||
      (samples.items && (!items || !lessons)) || samples.items > CHORD_SAMPLES_MOST_ITEMS || samples.segments > samples.items ||
      samples.samples > samples.items)
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "a pointer is null, or samples is not what chord_samples_open gave");
  if (payload_bytes > samples.most)
    return refuse(diagnosis, "deflate: the payload is longer or shorter than its counts say; match again");
  const size_t count = samples.items;
  const uint8_t *const start = payload_bytes ? payload : (const uint8_t *)"";
  reader r = {start, start + payload_bytes}, lengths = r;

  uint32_t sum = 0;
  for (uint32_t i = 0; i < samples.segments; i++) {
    uint32_t length;
    if (!varint(&r, &length)) return refuse(diagnosis, "segments: the payload ends before they do, or a number is too large or too long");
    if (length < 2 || length > count - sum)
      return refuse(diagnosis, "segments: their lengths do not make the number of items, or one has fewer than two; match again");
    sum += length;
  }
  if (sum != count) return refuse(diagnosis, "segments: their lengths do not make the number of items; match again");

  const uint8_t *marks = r.at;
  if ((size_t)(r.end - r.at) < (count + 7) / 8) return refuse(diagnosis, "marks: the payload ends before they do; match again");
  r.at += (count + 7) / 8;
  uint32_t found = 0;
  for (uint32_t i = 0, begin = 0; i < samples.segments; i++) {
    uint32_t length;
    const uint32_t before = found;
    varint(&lengths, &length);
    for (uint32_t place = begin; place < begin + length; place++)
      if (marks[place / 8] >> place % 8 & 1) {
        if (place == begin || found == samples.samples)
          return refuse(diagnosis, "marks: one on the first item of a segment, or too many; match again");
        lessons[found++] = (chord_lesson){begin, place};
      }
    if (found == before) return refuse(diagnosis, "marks: a segment has none; match again");
    begin += length;
  }
  if (found != samples.samples || (count % 8 && marks[count / 8] >> count % 8))
    return refuse(diagnosis, "marks: they are not as many as the samples, or one is behind the last item; match again");

  uint32_t known;
  if (!varint(&r, &known) || known > count) return refuse(diagnosis, "table: more items than there are places; match again");
  const reader table = r;
  uint32_t id = 0;
  for (uint32_t i = 0; i < known; i++) {
    uint32_t step;
    if (!varint(&r, &step)) return refuse(diagnosis, "table: the payload ends before it does, or a number is too large or too long");
    if (step == 0 || step > model->items - id)
      return refuse(diagnosis, "table: its items do not rise within those of the catalogue; match again");
    id += step;
  }
  const uint8_t *low = r.at, *high = r.at + count;
  if ((size_t)(r.end - r.at) != 2 * count)
    return refuse(diagnosis, "items: the payload ends before they do, or something follows; match again");
  uint32_t used[CHORD_SAMPLES_MOST_ITEMS / 32] = {0}, different = 0;
  for (size_t i = 0; i < count; i++) {
    const uint32_t place = low[i] | (uint32_t)high[i] << 8, bit = 1u << place % 32;
    if (place >= known) return refuse(diagnosis, "items: they are not those of the table; match again");
    different += !(used[place / 32] & bit);
    used[place / 32] |= bit;
  }
  if (different != known) return refuse(diagnosis, "items: one of the table occurs nowhere; match again");
  /* All is well: each place to its id. The table is read once more, a part at a time, so that no memory is needed. */
  enum { PART = 512 };
  int32_t ids[PART];
  r = table;
  id = 0;
  for (uint32_t first = 0; first < known; first += PART) {
    const uint32_t many = known - first < PART ? known - first : PART;
    for (uint32_t i = 0; i < many; i++) {
      uint32_t step;
      varint(&r, &step);
      ids[i] = (int32_t)(id += step);
    }
    for (size_t i = 0; i < count; i++) {
      const uint32_t place = low[i] | (uint32_t)high[i] << 8;
      if (place - first < many) items[i] = ids[place - first];
    }
  }
  return CHORD_LEARN_OK;
}
