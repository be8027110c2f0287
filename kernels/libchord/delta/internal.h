/* What the files of the applier share. Nothing here is visible outside of the library. */
#ifndef CHORD_DELTA_INTERNAL_H
#define CHORD_DELTA_INTERNAL_H

#include <stdbool.h>

#include "../include/chord_delta.h"
#include "../src/bytes.h"
#include "../src/checksum.h"

enum { CHORD_DELTA_HEADER = 92, CHORD_DELTA_BLOCK = 16384, CHORD_DELTA_TABLE_AT = 84 };
enum { CHORD_DELTA_COPY = 0, CHORD_DELTA_ADD = 1, CHORD_DELTA_LITERAL = 2, CHORD_DELTA_AGAIN = 3 };

/* status.c: writes the diagnosis (may be null) and returns the status. */
chord_delta_status chord_delta_refuse(chord_diagnosis *diagnosis, chord_delta_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* segments.c: the segments one after the other, each checked against base and result. */
typedef struct chord_segments {
  const uint8_t *at, *end;
  uint32_t number, count;
  uint64_t base_bytes, result_bytes;
  uint64_t expected; /* where the next begins in the base, if it goes on where the last one ended */
  uint64_t total;
} chord_segments;

typedef struct chord_segment {
  uint32_t kind;
  uint32_t word;   /* bytes */
  uint32_t bits;   /* of a plane */
  uint64_t length; /* bytes of the result */
  uint64_t base;   /* where it begins there, or in the result if it is said again; 0 for a literal */
} chord_segment;

chord_segments chord_segments_of(const chord_delta *delta);
/* The next, or behind the last one a `length` of 0. */
chord_delta_status chord_segments_next(chord_segments *segments, chord_segment *segment, chord_diagnosis *diagnosis);

/* digest.c: SHA-256 of data that come in pieces of any size. It begins with `words` as CHORD_SHA256_START and ends with chord_sha256_end. */
typedef struct chord_delta_digest {
  uint32_t words[8];
  uint64_t bytes;
  uint8_t rest[64]; /* bytes % 64 of them */
} chord_delta_digest;

void chord_delta_digest_add(chord_delta_digest *state, const uint8_t *data, size_t size);

#endif
