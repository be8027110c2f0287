/*
 * Who made this file, is it whole, and is it not an older one? Answers for bundles (docs/bundle.md) and for signed envelopes of strategies
 * and user vectors (docs/formats.md); docs/trust.md says what an application keeps between two answers.
 *
 * A library of its own beside libchord: C11, libc only, no allocation, no global state; safe from any number of threads. Parsing, hashes,
 * counters and fingerprints are here. The arithmetic of Ed25519 is not: the caller gives a function of a library made for it, and where none
 * is given nothing is accepted. Adapters for libsodium and OpenSSL are in verify/adapters.
 */
#ifndef CHORD_VERIFY_H
#define CHORD_VERIFY_H

#include "chord.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum chord_verify_status {
  CHORD_VERIFY_OK = 0,
  CHORD_VERIFY_BAD_ARGUMENT = 1,  /* a null pointer, no key, a struct of another size */
  CHORD_VERIFY_NO_VERIFIER = 2,   /* no function that verifies Ed25519 was given: nothing is accepted */
  CHORD_VERIFY_DAMAGED = 3,       /* not a bundle or envelope, or altered: the bytes are not what the format says */
  CHORD_VERIFY_TOO_NEW = 4,       /* of a later version of the format */
  CHORD_VERIFY_UNSIGNED = 5,      /* a bundle without a signature */
  CHORD_VERIFY_UNKNOWN_KEY = 6,   /* the key that signed is not among those accepted, or is revoked */
  CHORD_VERIFY_BAD_SIGNATURE = 7, /* the signature fits no accepted key: altered, or made by somebody else */
  CHORD_VERIFY_OLDER = 8,         /* the counter or the serial is below the lowest that is accepted */
  CHORD_VERIFY_NOT_NOW = 9,       /* expired, not good yet, or good for a time only and no clock was given */
  CHORD_VERIFY_NOT_FOR_THIS = 10, /* for another subject or another backbone */
  CHORD_VERIFY_NO_MEMBER = 11     /* the bundle has no member of this name */
} chord_verify_status;

CHORD_API const char *chord_verify_status_text(chord_verify_status status);

/* Whether `signature` is a valid Ed25519 signature (RFC 8032) by `key` over `message`: 1 = yes, anything else = no. */
typedef int (*chord_ed25519_verify)(void *context, const uint8_t key[32], const uint8_t signature[64], const void *message, size_t bytes);

/* Adapters, each in a file of its own that needs its library: verify/adapters/ed25519_sodium.c, ed25519_openssl.c. `context` is not used. */
int chord_ed25519_sodium(void *context, const uint8_t key[32], const uint8_t signature[64], const void *message, size_t bytes);
int chord_ed25519_openssl(void *context, const uint8_t key[32], const uint8_t signature[64], const void *message, size_t bytes);

/* 1 where `verify` says yes and no library would say no: what they differ in (docs/formats.md) is refused before `verify` is asked. */
CHORD_API int chord_signature_valid(chord_ed25519_verify verify, void *context, const uint8_t key[32], const void *signature,
                                    size_t signature_bytes, const void *message, size_t bytes);

/* Whose signatures are accepted. Several keys while one takes another's place. */
typedef struct chord_trust {
  uint32_t struct_size;
  uint32_t key_count;
  const uint8_t (*keys)[32];   /* public keys as RFC 8032 writes them */
  const uint8_t (*revoked)[8]; /* identifiers of keys that are accepted no more: SHA-256 of the key, first 8 bytes */
  uint32_t revoked_count;
  uint32_t reserved; /* 0 */
  chord_ed25519_verify verify;
  void *context; /* given to `verify` as it is */
} chord_trust;

typedef struct chord_bundle {
  uint32_t struct_size;
  uint32_t format_version;
  uint64_t counter;       /* 0 = never counted, as all before format version 3 */
  uint8_t fingerprint[8]; /* of the backbone */
  uint8_t key_id[8];      /* of the key that signed */
  uint32_t members;       /* without the manifest and its signature */
  uint32_t reserved;
  const uint8_t *data; /* the file, and its size: what chord_bundle_open was given */
  size_t bytes;
} chord_bundle;

typedef struct chord_member {
  uint32_t struct_size;
  uint32_t name_bytes;
  const char *name; /* in the file, without a zero behind it */
  const void *data; /* in the file, at a multiple of 64 bytes from its beginning */
  size_t bytes;
} chord_member;

/* Checks a whole bundle: the container byte by byte, the signature over the manifest, and then what the manifest says, down to the SHA-256 of
 * every member. A counter below `minimum` is refused. `data` must stay as it is while the bundle is used: a file that somebody else can
 * write to is to be copied first. On success fills `bundle`, whose struct_size the caller has set. `diagnosis` may be null everywhere. */
CHORD_API chord_verify_status chord_bundle_open(const void *data, size_t bytes, const chord_trust *trust, uint64_t minimum,
                                                chord_bundle *bundle, chord_diagnosis *diagnosis);

/* A view of a member of an opened bundle, by name or by index (0 .. members - 1, in the order of the file). */
CHORD_API chord_verify_status chord_bundle_member(const chord_bundle *bundle, const char *name, chord_member *member,
                                                  chord_diagnosis *diagnosis);
CHORD_API chord_verify_status chord_bundle_member_at(const chord_bundle *bundle, uint32_t index, chord_member *member,
                                                     chord_diagnosis *diagnosis);

/* What an envelope must be to be accepted. */
typedef struct chord_envelope_terms {
  uint32_t struct_size;
  uint32_t subject_bytes;
  const uint8_t *subject;     /* whom it must be for; null = do not compare */
  const uint8_t *fingerprint; /* 8 bytes, of the master weights in use; null = do not compare */
  uint64_t minimum_serial;    /* that of the newest one adopted before; 0 or 1 = any */
  uint64_t now;               /* seconds since 1970 UTC; 0 = there is no clock, and an envelope with times is refused */
  uint64_t latest_seen;       /* the latest time known from before: the later of the two counts as now; 0 = none */
} chord_envelope_terms;

typedef struct chord_envelope {
  uint32_t struct_size;
  uint32_t subject_bytes;
  const uint8_t *subject; /* in the data */
  const uint8_t *payload; /* in the data: a whole strategy (CHRD) or user vector (CHRU), for chord_adopt or chord_adopt_user */
  size_t payload_bytes;
  uint64_t serial;
  uint64_t not_before;  /* 0 = always */
  uint64_t expires;     /* 0 = never */
  uint64_t latest_seen; /* to be kept and given the next time; 0 = no clock was given */
  uint8_t fingerprint[8];
  uint8_t key_id[8];
} chord_envelope;

/* Structure, key, signature, and only of what is signed: serial, times, subject, payload. On success fills `envelope`, whose struct_size the
 * caller has set. */
CHORD_API chord_verify_status chord_envelope_open(const void *data, size_t bytes, const chord_trust *trust, const chord_envelope_terms *terms,
                                                  chord_envelope *envelope, chord_diagnosis *diagnosis);

#ifdef __cplusplus
}
#endif
#endif
