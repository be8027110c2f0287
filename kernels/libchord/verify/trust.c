#include <string.h>

#include "internal.h"

enum { MAX_KEYS = 64, MAX_REVOKED = 4096 };

chord_verify_status chord_trust_check(const chord_trust *trust, chord_diagnosis *diagnosis) {
  if (!trust || trust->struct_size < sizeof *trust)
    return chord_refuse(diagnosis, CHORD_VERIFY_BAD_ARGUMENT, "the keys are null, or their struct_size is not that of chord_trust");
  if (!trust->verify)
    return chord_refuse(diagnosis, CHORD_VERIFY_NO_VERIFIER,
                        "there is no function that verifies Ed25519, so nothing is accepted: give one of libsodium, OpenSSL or the platform");
  if (trust->key_count == 0 || !trust->keys)
    return chord_refuse(diagnosis, CHORD_VERIFY_BAD_ARGUMENT, "no public key was given to verify with, give at least one");
  if (trust->key_count > MAX_KEYS || trust->revoked_count > MAX_REVOKED || (trust->revoked_count != 0 && !trust->revoked))
    return chord_refuse(diagnosis, CHORD_VERIFY_BAD_ARGUMENT, "%u keys and %u revoked ones: at most %d and %d are possible, and no null",
                        (unsigned)trust->key_count, (unsigned)trust->revoked_count, MAX_KEYS, MAX_REVOKED);
  return CHORD_VERIFY_OK;
}

void chord_key_id(const uint8_t key[CHORD_KEY_BYTES], uint8_t id[CHORD_KEY_ID_BYTES]) {
  uint8_t digest[32];
  chord_sha256(key, CHORD_KEY_BYTES, digest);
  memcpy(id, digest, CHORD_KEY_ID_BYTES);
}

bool chord_is_revoked(const chord_trust *trust, const uint8_t id[CHORD_KEY_ID_BYTES]) {
  for (uint32_t i = 0; i < trust->revoked_count; i++)
    if (memcmp(trust->revoked[i], id, CHORD_KEY_ID_BYTES) == 0) return true;
  return false;
}

void chord_hex(const uint8_t *data, size_t bytes, char *text) {
  for (size_t i = 0; i < bytes; i++) {
    text[2 * i] = "0123456789abcdef"[data[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[data[i] & 15];
  }
  text[2 * bytes] = 0;
}
