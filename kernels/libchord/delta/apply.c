/* A difference is applied: block by block, and proven at the end. */
#include <string.h>

#include "internal.h"

/* The stream of differences, and how much of it is left. */
typedef struct chord_source {
  chord_inflate inflate;
  void *context;
  const uint8_t *data;
  size_t bytes;
  bool ended;
} chord_source;

static chord_delta_status broken(const char *why, chord_diagnosis *diagnosis) {
  return chord_delta_refuse(diagnosis, CHORD_DELTA_DAMAGED, "difference: stream: %s; fetch the whole bundle", why);
}

/* Fills `out`, or says with `*written` how much came before the stream ended or gave nothing more. */
static chord_delta_status inflate(chord_source *source, uint8_t *out, size_t room, size_t *written, chord_diagnosis *diagnosis) {
  *written = 0;
  while (*written < room && !source->ended) {
    const size_t left = source->bytes;
    size_t more = 0;
    const int answer = source->inflate(source->context, &source->data, &source->bytes, out + *written, room - *written, &more);
    if (more > room - *written || source->bytes > left || (answer != 0 && answer != 1)) return broken("it cannot be inflated", diagnosis);
    *written += more;
    source->ended = answer == 1;
    if (!source->ended && more == 0 && source->bytes == left) break;
  }
  return CHORD_DELTA_OK;
}

static chord_delta_status take(chord_source *source, uint8_t *out, size_t bytes, chord_diagnosis *diagnosis) {
  size_t written;
  const chord_delta_status status = inflate(source, out, bytes, &written, diagnosis);
  if (status != CHORD_DELTA_OK) return status;
  return written == bytes ? CHORD_DELTA_OK : broken("it ends early", diagnosis);
}

static chord_delta_status check_end(chord_source *source, chord_diagnosis *diagnosis) {
  uint8_t further;
  size_t written;
  const chord_delta_status status = inflate(source, &further, 1, &written, diagnosis);
  if (status != CHORD_DELTA_OK) return status;
  if (written > 0) return broken("it goes on behind the last segment", diagnosis);
  if (!source->ended) return broken("it has no end", diagnosis);
  return source->bytes == 0 ? CHORD_DELTA_OK : broken("something follows it", diagnosis);
}

/* Adds differences, in planes, to the words of a block. */
static void add(uint8_t *block, const uint8_t *coded, uint32_t words, uint32_t word, uint32_t bits) {
  const uint32_t planes = 8 * word / bits, stride = (words * bits + 7) / 8, mask = (1u << bits) - 1;
  for (uint32_t i = 0; i < words; i++, block += word) {
    const uint8_t *at = coded + i * bits / 8;
    uint32_t zigzag = 0;
    for (uint32_t plane = 0; plane < planes; plane++, at += stride) zigzag |= (*at >> (i * bits % 8) & mask) << (plane * bits);
    uint32_t sum = zigzag >> 1 ^ (0 - (zigzag & 1));
    for (uint32_t k = 0; k < word; k++) sum += (uint32_t)block[k] << (8 * k);
    for (uint32_t k = 0; k < word; k++) block[k] = (uint8_t)(sum >> (8 * k));
  }
}

static chord_delta_status check_base(const chord_delta *delta, const uint8_t *base, size_t bytes, chord_diagnosis *diagnosis) {
  uint8_t digest[32];
  if (bytes == delta->base_bytes) {
    chord_sha256(base, bytes, digest);
    if (memcmp(digest, delta->base_sha256, sizeof digest) == 0) return CHORD_DELTA_OK;
  }
  return chord_delta_refuse(diagnosis, CHORD_DELTA_OTHER_BASE, "difference: base: it is for another file of %llu bytes; fetch the whole bundle",
                            (unsigned long long)delta->base_bytes);
}

chord_delta_status chord_delta_apply(const chord_delta *delta, const void *base, size_t base_bytes, chord_inflate inflate_with,
                                     void *inflate_context, chord_write write, chord_read_back read_back, void *result_context,
                                     chord_delta_work *work, chord_diagnosis *diagnosis) {
  if (!delta || delta->struct_size < sizeof *delta || !delta->data || (!base && base_bytes != 0) || !inflate_with || !write || !work)
    return chord_delta_refuse(diagnosis, CHORD_DELTA_BAD_ARGUMENT, "a pointer is null, or the struct_size is not that of chord_delta");
  chord_delta_status status = check_base(delta, base, base_bytes, diagnosis);
  if (status != CHORD_DELTA_OK) return status;
  chord_segments segments = chord_segments_of(delta);
  chord_source source = {.inflate = inflate_with, .context = inflate_context, .data = segments.end,
                         .bytes = (size_t)(delta->data + delta->bytes - 4 - segments.end)};
  chord_delta_digest digest = {.words = CHORD_SHA256_START};
  chord_segment segment;
  while ((status = chord_segments_next(&segments, &segment, diagnosis)) == CHORD_DELTA_OK && segment.length > 0) {
    for (uint64_t start = 0; start < segment.length; start += CHORD_DELTA_BLOCK) {
      const uint64_t left = segment.length - start;
      const uint32_t length = left < CHORD_DELTA_BLOCK ? (uint32_t)left : CHORD_DELTA_BLOCK;
      if (segment.kind == CHORD_DELTA_LITERAL)
        memset(work->block, 0, length);
      else if (segment.kind == CHORD_DELTA_AGAIN) {
        if (!read_back || read_back(result_context, segment.base + start, work->block, length) != 0)
          return chord_delta_refuse(diagnosis, CHORD_DELTA_NOT_WRITTEN, "the result could not be read back");
      } else
        memcpy(work->block, (const uint8_t *)base + segment.base + start, length);
      if (segment.kind == CHORD_DELTA_ADD || segment.kind == CHORD_DELTA_LITERAL) {
        const uint32_t words = length / segment.word;
        status = take(&source, work->coded, 8 * segment.word / segment.bits * ((words * segment.bits + 7) / 8), diagnosis);
        if (status != CHORD_DELTA_OK) return status;
        add(work->block, work->coded, words, segment.word, segment.bits);
      }
      chord_delta_digest_add(&digest, work->block, length);
      if (write(result_context, work->block, length) != 0)
        return chord_delta_refuse(diagnosis, CHORD_DELTA_NOT_WRITTEN, "the result could not be written");
    }
  }
  if (status == CHORD_DELTA_OK) status = check_end(&source, diagnosis);
  if (status != CHORD_DELTA_OK) return status;
  uint8_t found[32];
  chord_sha256_end(digest.words, digest.rest, digest.bytes, found);
  if (memcmp(found, delta->result_sha256, sizeof found) != 0)
    return chord_delta_refuse(diagnosis, CHORD_DELTA_BAD_RESULT, "difference: result: it is not the file that was promised; fetch the whole bundle");
  return CHORD_DELTA_OK;
}
