/* What the files of the verifier share. Nothing here is visible outside of the library. */
#ifndef CHORD_VERIFY_INTERNAL_H
#define CHORD_VERIFY_INTERNAL_H

#include <stdbool.h>

#include "../include/chord_verify.h"
#include "../src/bytes.h"
#include "../src/checksum.h"

enum { CHORD_KEY_BYTES = 32, CHORD_KEY_ID_BYTES = 8, CHORD_SIGNATURE_BYTES = 64, CHORD_FINGERPRINT_BYTES = 8 };
#define CHORD_LARGEST_NUMBER ((UINT64_C(1) << 53) - 1) /* counters, serials, times: what JSON and a Java double count exactly */

/* status.c: writes the diagnosis (may be null) and returns the status. */
chord_verify_status chord_refuse(chord_diagnosis *diagnosis, chord_verify_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* trust.c: what can be asked before anything is read; the identifier of a key; whether an identifier is revoked. */
chord_verify_status chord_trust_check(const chord_trust *trust, chord_diagnosis *diagnosis);
void chord_key_id(const uint8_t key[CHORD_KEY_BYTES], uint8_t id[CHORD_KEY_ID_BYTES]);
bool chord_is_revoked(const chord_trust *trust, const uint8_t id[CHORD_KEY_ID_BYTES]);
void chord_hex(const uint8_t *data, size_t bytes, char *text); /* 2 characters a byte and a zero */

/* container.c: walks the members in the order of the file. Every byte outside of the members' data is compared with what a writer writes, and
 * none is read outside of the file, whatever is in it. */
typedef struct chord_walk {
  const uint8_t *data;
  uint64_t directory; /* its offset: where the members end */
  uint64_t end;       /* of the directory */
  uint64_t next;      /* offset of the next entry of the directory */
  uint64_t position;  /* of the next local header */
  uint32_t left;      /* entries to come */
} chord_walk;

typedef struct chord_place {
  const char *name;
  uint32_t name_bytes;
  uint32_t crc;
  const uint8_t *data;
  size_t bytes;
} chord_place;

chord_verify_status chord_walk_start(const uint8_t *data, size_t bytes, chord_walk *walk, chord_diagnosis *diagnosis);
chord_verify_status chord_walk_next(chord_walk *walk, chord_place *place, chord_diagnosis *diagnosis);
/* Whether a member before `place` has its name, whatever the case: a phone's file system may not tell A from a. Quadratic over all members,
 * so to be asked of signed ones only. */
bool chord_is_repeated(const chord_walk *walk, const chord_place *place);

/* json.c: a reader of one spelling of JSON, that of json.dumps(..., sort_keys=True, indent=1, ensure_ascii=False). Once something is not so,
 * `bad` is set and stays, and everything else answers false. */
typedef struct chord_json {
  const uint8_t *at, *end;
  uint32_t depth;
  uint32_t values;
  bool bad;
} chord_json;

typedef struct chord_text { /* as it is written, without the quotes */
  const uint8_t *data;
  size_t bytes;
} chord_text;

typedef struct chord_level { /* an object or a list that is being read */
  uint32_t count;
  uint8_t close;
  chord_text key; /* of the member of an object that comes next */
} chord_level;

bool chord_json_enter(chord_json *json, uint8_t open, chord_level *level); /* '{' or '[' */
bool chord_json_next(chord_json *json, chord_level *level);                /* false at its end */
bool chord_json_string(chord_json *json, chord_text *text);
bool chord_json_integer(chord_json *json, uint64_t *value); /* 0 .. 2^53 - 1 */
bool chord_json_null(chord_json *json);
bool chord_json_skip(chord_json *json); /* any value */
bool chord_text_is(chord_text text, const char *other);

/* manifest.c: what the verifier takes from a manifest. */
typedef struct chord_manifest {
  uint64_t format_version;
  uint64_t counter;
  uint8_t fingerprint[CHORD_FINGERPRINT_BYTES];
  uint8_t key_id[CHORD_KEY_ID_BYTES];
  chord_json members; /* at the list */
} chord_manifest;

typedef struct chord_listed {
  chord_text name;
  uint64_t bytes;
  uint8_t sha256[32];
} chord_listed;

chord_verify_status chord_manifest_read(const uint8_t *data, size_t bytes, chord_manifest *manifest, chord_diagnosis *diagnosis);
bool chord_manifest_member(chord_json *json, chord_listed *listed);

#endif
