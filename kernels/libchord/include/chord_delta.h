/*
 * From the bundle that is there and a difference (CHRX, docs/formats.md) to the bundle that is wanted, byte for byte; docs/delta.md says what
 * an application does with it.
 *
 * A library of its own beside libchord: C11, libc only, no allocation, no global state; safe from any number of threads. Deflate is not here:
 * the caller gives a function of a library made for it. An adapter for zlib is in delta/adapters.
 */
#ifndef CHORD_DELTA_H
#define CHORD_DELTA_H

#include "chord.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum chord_delta_status {
  CHORD_DELTA_OK = 0,
  CHORD_DELTA_BAD_ARGUMENT = 1, /* a null pointer, a struct of another size */
  CHORD_DELTA_DAMAGED = 2,      /* not a difference, or altered: the bytes are not what the format says */
  CHORD_DELTA_TOO_NEW = 3,      /* of a later version of the format */
  CHORD_DELTA_TOO_LARGE = 4,    /* the result would have more bytes than are allowed */
  CHORD_DELTA_OTHER_BASE = 5,   /* for another file than the one that is there */
  CHORD_DELTA_BAD_RESULT = 6,   /* what came of it is not the file that was promised */
  CHORD_DELTA_NOT_WRITTEN = 7   /* the caller's function could not write */
} chord_delta_status;

CHORD_API const char *chord_delta_status_text(chord_delta_status status);

typedef struct chord_delta {
  uint32_t struct_size;
  uint32_t segments;
  uint64_t base_bytes;
  uint64_t result_bytes;
  uint8_t base_sha256[32]; /* of the file that it is applied to */
  uint8_t result_sha256[32];
  const uint8_t *data; /* the difference: what chord_delta_open was given */
  size_t bytes;
} chord_delta;

/* Checks a whole difference, but for what it inflates to. A result of more than `largest` bytes is refused: give the length that signed metadata
 * say. `data` must stay as it is while it is used. On success fills `delta`, whose struct_size the caller has set. `diagnosis` may be null
 * everywhere. */
CHORD_API chord_delta_status chord_delta_open(const void *data, size_t bytes, uint64_t largest, chord_delta *delta, chord_diagnosis *diagnosis);

/* Goes on with one raw deflate stream (RFC 1951): takes what it needs from *data, moves both numbers on, and writes at most `room` bytes to
 * `out`, `*written` of them. 0 = go on, 1 = the stream has ended, anything else = it cannot be inflated. */
typedef int (*chord_inflate)(void *context, const uint8_t **data, size_t *bytes, uint8_t *out, size_t room, size_t *written);

/* For zlib: `context` is a z_stream after inflateInit2(stream, -15). */
int chord_inflate_zlib(void *context, const uint8_t **data, size_t *bytes, uint8_t *out, size_t room, size_t *written);

/* Takes the next `bytes` bytes of the result. 0 = done. */
typedef int (*chord_write)(void *context, const void *data, size_t bytes);

/* Reads back `bytes` bytes of the result from `offset` on, all of which were taken before. 0 = done. */
typedef int (*chord_read_back)(void *context, uint64_t offset, void *data, size_t bytes);

/* What chord_delta_apply works in. */
typedef struct chord_delta_work {
  uint8_t coded[16384 + 16];
  uint8_t block[16384];
} chord_delta_work;

/* Writes the result in pieces of at most 16,384 bytes, and reads back where it says something again; `read_back` may be null, and a difference
 * that needs it ends then with CHORD_DELTA_NOT_WRITTEN. The size and the SHA-256 of the base are compared before the first; what was written
 * counts only if this returns CHORD_DELTA_OK: then it had the promised SHA-256. */
CHORD_API chord_delta_status chord_delta_apply(const chord_delta *delta, const void *base, size_t base_bytes, chord_inflate inflate,
                                               void *inflate_context, chord_write write, chord_read_back read_back, void *result_context,
                                               chord_delta_work *work, chord_diagnosis *diagnosis);

#ifdef __cplusplus
}
#endif
#endif
