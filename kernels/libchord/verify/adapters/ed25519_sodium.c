/* Ed25519 of libsodium: link with -lsodium. */
#include <sodium.h>

#include "../../include/chord_verify.h"

int chord_ed25519_sodium(void *context, const uint8_t key[32], const uint8_t signature[64], const void *message, size_t bytes) {
  (void)context;
  return sodium_init() >= 0 && crypto_sign_verify_detached(signature, message, bytes, key) == 0;
}
