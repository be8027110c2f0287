/* The signed envelope, version 1 (docs/formats.md). */
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 40, LEAST_PAYLOAD = 16, LARGEST_SUBJECT = 24, MAX_BYTES = 1 << 20 };
#define DAMAGED(...) return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, __VA_ARGS__)

static chord_verify_status check_structure(const uint8_t *data, size_t bytes, chord_diagnosis *diagnosis) {
  const size_t least = HEADER_BYTES + LEAST_PAYLOAD + CHORD_SIGNATURE_BYTES;
  if (bytes > MAX_BYTES) DAMAGED("envelope: length: %zu bytes are more than any envelope has (%d)", bytes, MAX_BYTES);
  if (bytes < least) DAMAGED("envelope: length: %zu bytes cannot hold an envelope; it is truncated, fetch it again", bytes);
  if (memcmp(data, "CHRE", 4) != 0) DAMAGED("envelope: magic: the data does not begin with CHRE; it is not a signed envelope");
  if (data[4] != 1) return chord_refuse(diagnosis, CHORD_VERIFY_TOO_NEW, "envelope: version: %u is not 1; update the app", data[4]);
  if (data[5] > LARGEST_SUBJECT) DAMAGED("envelope: subject: %u bytes are more than %d; fetch it again", data[5], LARGEST_SUBJECT);
  if (data[6] != 0 || data[7] != 0)
    return chord_refuse(diagnosis, CHORD_VERIFY_TOO_NEW, "envelope: reserved: bytes 6 and 7 are not zero; update the app");
  if (bytes < least + data[5])
    DAMAGED("envelope: length: %zu bytes cannot hold its subject and a payload; it is truncated, fetch it again", bytes);
  return CHORD_VERIFY_OK;
}

static chord_verify_status check_signature(const uint8_t *data, size_t bytes, const chord_trust *trust, chord_diagnosis *diagnosis) {
  const uint8_t *id = data + 32, *key = NULL;
  char text[2 * CHORD_KEY_ID_BYTES + 1];
  chord_hex(id, CHORD_KEY_ID_BYTES, text);
  if (chord_is_revoked(trust, id))
    return chord_refuse(diagnosis, CHORD_VERIFY_UNKNOWN_KEY,
                        "envelope: key: %s, with which it was signed, is revoked; fetch one signed with a current key", text);
  for (uint32_t i = 0; i < trust->key_count && !key; i++) {
    uint8_t own[CHORD_KEY_ID_BYTES];
    chord_key_id(trust->keys[i], own);
    if (memcmp(own, id, sizeof own) == 0) key = trust->keys[i];
  }
  if (!key)
    return chord_refuse(diagnosis, CHORD_VERIFY_UNKNOWN_KEY,
                        "envelope: key: %s, with which it was signed, is none of those accepted; fetch one signed with a current key", text);
  const size_t signed_bytes = bytes - CHORD_SIGNATURE_BYTES;
  if (!chord_signature_valid(trust->verify, trust->context, key, data + signed_bytes, CHORD_SIGNATURE_BYTES, data, signed_bytes))
    return chord_refuse(diagnosis, CHORD_VERIFY_BAD_SIGNATURE,
                        "envelope: signature: it does not fit: the envelope was altered; fetch it again from its maker");
  return CHORD_VERIFY_OK;
}

static chord_verify_status check_serial(uint64_t serial, uint64_t minimum, chord_diagnosis *diagnosis) {
  if (serial < 1 || serial > CHORD_LARGEST_NUMBER)
    DAMAGED("envelope: serial: %llu is outside 1 .. 2^53 - 1; make it again", (unsigned long long)serial);
  if (serial < minimum)
    return chord_refuse(diagnosis, CHORD_VERIFY_OLDER,
                        "envelope: serial: %llu is older than %llu, the lowest accepted; fetch the current one", (unsigned long long)serial,
                        (unsigned long long)minimum);
  return CHORD_VERIFY_OK;
}

static chord_verify_status check_times(const chord_envelope *envelope, bool clock, chord_diagnosis *diagnosis) {
  const unsigned long long from = envelope->not_before, until = envelope->expires, latest = envelope->latest_seen;
  if (from > CHORD_LARGEST_NUMBER || until > CHORD_LARGEST_NUMBER)
    DAMAGED("envelope: times: %llu and %llu are not both in 0 .. 2^53 - 1, seconds since 1970; make it again", from, until);
  if (until != 0 && until <= from)
    DAMAGED("envelope: times: it expires at %llu, which is not after its beginning at %llu; make it again", until, from);
  if (!clock && (from != 0 || until != 0))
    return chord_refuse(diagnosis, CHORD_VERIFY_NOT_NOW,
                        "envelope: times: it is good for a time only, and no clock was given to compare with; give `now`");
  if (clock && latest < from)
    return chord_refuse(diagnosis, CHORD_VERIFY_NOT_NOW,
                        "envelope: times: it is good from %llu on and it is %llu (seconds since 1970); wait, or set the clock", from, latest);
  if (clock && until != 0 && latest >= until)
    return chord_refuse(diagnosis, CHORD_VERIFY_NOT_NOW,
                        "envelope: times: it expired at %llu and it is %llu (seconds since 1970); fetch the current one", until, latest);
  return CHORD_VERIFY_OK;
}

static chord_verify_status check_whom(const chord_envelope *envelope, const chord_envelope_terms *terms, chord_diagnosis *diagnosis) {
  if (terms->subject && (terms->subject_bytes != envelope->subject_bytes ||
                         memcmp(terms->subject, envelope->subject, envelope->subject_bytes) != 0)) {
    char text[2 * LARGEST_SUBJECT + 1];
    chord_hex(envelope->subject, envelope->subject_bytes, text);
    return chord_refuse(diagnosis, CHORD_VERIFY_NOT_FOR_THIS, "envelope: subject: it is for %s, not for this one",
                        envelope->subject_bytes ? text : "nobody");
  }
  if (memcmp(envelope->payload, "CHRD", 4) != 0 && memcmp(envelope->payload, "CHRU", 4) != 0)
    DAMAGED("envelope: payload: it is neither a strategy (CHRD) nor a user vector (CHRU); fetch it again");
  if (terms->fingerprint && memcmp(terms->fingerprint, envelope->fingerprint, CHORD_FINGERPRINT_BYTES) != 0) {
    char text[2 * CHORD_FINGERPRINT_BYTES + 1];
    chord_hex(envelope->fingerprint, CHORD_FINGERPRINT_BYTES, text);
    return chord_refuse(diagnosis, CHORD_VERIFY_NOT_FOR_THIS, "envelope: fingerprint: it is for backbone %s; fetch one for this backbone", text);
  }
  return CHORD_VERIFY_OK;
}

chord_verify_status chord_envelope_open(const void *data, size_t bytes, const chord_trust *trust, const chord_envelope_terms *terms,
                                        chord_envelope *envelope, chord_diagnosis *diagnosis) {
  const uint8_t *at = data;
  if ((!data && bytes != 0) || !terms || terms->struct_size < sizeof *terms || !envelope || envelope->struct_size < sizeof *envelope)
    return chord_refuse(diagnosis, CHORD_VERIFY_BAD_ARGUMENT, "the data, the terms or the result are null, or a struct_size is not theirs");
  chord_verify_status status = chord_trust_check(trust, diagnosis);
  if (status == CHORD_VERIFY_OK) status = check_structure(at, bytes, diagnosis);
  if (status == CHORD_VERIFY_OK) status = check_signature(at, bytes, trust, diagnosis);
  if (status != CHORD_VERIFY_OK) return status;

  const size_t payload = HEADER_BYTES + (size_t)at[5];
  chord_envelope found = {.struct_size = envelope->struct_size, .subject_bytes = at[5], .subject = at + HEADER_BYTES, .payload = at + payload,
                          .payload_bytes = bytes - CHORD_SIGNATURE_BYTES - payload, .serial = chord_get64(at + 8),
                          .not_before = chord_get64(at + 16), .expires = chord_get64(at + 24)};
  found.latest_seen = terms->now > terms->latest_seen ? terms->now : terms->latest_seen;
  memcpy(found.key_id, at + 32, sizeof found.key_id);
  memcpy(found.fingerprint, found.payload + 8, sizeof found.fingerprint);
  status = check_serial(found.serial, terms->minimum_serial, diagnosis);
  if (status == CHORD_VERIFY_OK) status = check_times(&found, terms->now != 0, diagnosis);
  if (status == CHORD_VERIFY_OK) status = check_whom(&found, terms, diagnosis);
  if (status == CHORD_VERIFY_OK) *envelope = found;
  return status;
}
