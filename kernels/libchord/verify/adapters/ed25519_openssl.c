/* Ed25519 of OpenSSL 1.1.1 and later: link with -lcrypto. */
#include <openssl/evp.h>

#include "../../include/chord_verify.h"

int chord_ed25519_openssl(void *context, const uint8_t key[32], const uint8_t signature[64], const void *message, size_t bytes) {
  (void)context;
  EVP_PKEY *public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, 32);
  EVP_MD_CTX *digest = EVP_MD_CTX_new();
  const int valid = public_key && digest && EVP_DigestVerifyInit(digest, NULL, NULL, NULL, public_key) == 1 &&
                    EVP_DigestVerify(digest, signature, 64, message, bytes) == 1;
  EVP_MD_CTX_free(digest);
  EVP_PKEY_free(public_key);
  return valid;
}
