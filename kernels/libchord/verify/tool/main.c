/*
 * Says of a bundle or an envelope what an app would be told.
 *
 *   chord_verify bundle FILE KEY [--minimum N] [--revoked ID]... [--member NAME]
 *   chord_verify envelope FILE KEY [--minimum N] [--revoked ID]... [--subject HEX] [--fingerprint HEX] [--now SECONDS] [--latest-seen SECONDS]
 *
 * KEY is one of several, with commas between them: PEM files of public keys. One line on stdout, of a member or payload its bytes. Exit status:
 * 0 = accepted, 1 = refused, 2 = the command is wrong. Compile with -DCHORD_VERIFY_WITH=chord_ed25519_sodium or chord_ed25519_openssl and the
 * adapter's file; without, everything is refused.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/chord_verify.h"

#define COMMAND "chord_verify"
#include "../../command.h"

#ifndef CHORD_VERIFY_WITH
#define CHORD_VERIFY_WITH NULL
#endif

enum { MAX_KEYS = 8, MAX_REVOKED = 64, MAX_SUBJECT = 24, KEY_PREFIX = 12, KEY_DER = 44 };

/* The key in a PEM file: the base64 of 44 bytes, of which the first 12 say "Ed25519 public key". */
static void read_key(const char *path, uint8_t key[32]) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static const char begin[] = "-----BEGIN PUBLIC KEY-----";
  static const uint8_t prefix[KEY_PREFIX] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
  size_t bytes, count = 0;
  uint32_t bits = 0, held = 0;
  uint8_t *text = read_file(path, &bytes), der[KEY_DER];
  if (bytes < sizeof begin || memcmp(text, begin, sizeof begin - 1) != 0) die("this is not a PEM public key", path);
  for (size_t i = sizeof begin - 1; i < bytes && text[i] != '-' && text[i] != '='; i++) {
    const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
    if (!digit) continue;
    bits = bits << 6 | (uint32_t)(digit - digits);
    if ((held += 6) >= 8) {
      if (count == KEY_DER) die("this is not an Ed25519 public key", path);
      der[count++] = (uint8_t)(bits >> (held -= 8));
    }
  }
  free(text);
  if (count != KEY_DER || memcmp(der, prefix, KEY_PREFIX) != 0) die("this is not an Ed25519 public key", path);
  memcpy(key, der + KEY_PREFIX, 32);
}

static uint32_t read_hex(const char *text, uint8_t *out, size_t least, size_t most) {
  const size_t bytes = strlen(text) / 2;
  if (strlen(text) % 2 != 0 || bytes < least || bytes > most) die("not so many hexadecimal digits as it needs", text);
  for (size_t i = 0; i < bytes; i++) {
    const char digits[3] = {text[2 * i], text[2 * i + 1], 0};
    if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1])) die("not hexadecimal digits", text);
    out[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  return (uint32_t)bytes;
}

static uint64_t read_number(const char *text) {
  char *end;
  const uint64_t value = strtoull(text, &end, 10);
  if (!isdigit((unsigned char)*text) || *end) die("not a number", text);
  return value;
}

static void print_hex(const char *name, const uint8_t *data, size_t bytes) {
  printf(" %s ", name);
  for (size_t i = 0; i < bytes; i++) printf("%02x", data[i]);
  if (bytes == 0) printf("-");
}

static int refuse(chord_verify_status status, const chord_diagnosis *diagnosis) {
  printf("refused: %s (%s)\n", diagnosis->text, chord_verify_status_text(status));
  return 1;
}

int main(int count, char **arguments) {
  static uint8_t keys[MAX_KEYS][32], revoked[MAX_REVOKED][8], subject[MAX_SUBJECT], fingerprint[8];
  chord_trust trust = {.struct_size = sizeof trust, .keys = (const uint8_t(*)[32])keys, .revoked = (const uint8_t(*)[8])revoked,
                       .verify = CHORD_VERIFY_WITH};
  chord_envelope_terms terms = {.struct_size = sizeof terms};
  uint64_t minimum = 0;
  const char *member_name = NULL;
  if (count < 4 || count % 2 != 0 || (strcmp(arguments[1], "bundle") != 0 && strcmp(arguments[1], "envelope") != 0))
    die("usage: chord_verify bundle|envelope FILE KEY[,KEY...] [OPTION VALUE]...", "");
  for (char *path = strtok(arguments[3], ","); path; path = strtok(NULL, ",")) {
    if (trust.key_count == MAX_KEYS) die("too many keys", path);
    read_key(path, keys[trust.key_count++]);
  }
  for (int i = 4; i < count; i += 2) {
    const char *option = arguments[i], *value = arguments[i + 1];
    if (strcmp(option, "--minimum") == 0) minimum = read_number(value);
    else if (strcmp(option, "--member") == 0) member_name = value;
    else if (strcmp(option, "--now") == 0) terms.now = read_number(value);
    else if (strcmp(option, "--latest-seen") == 0) terms.latest_seen = read_number(value);
    else if (strcmp(option, "--fingerprint") == 0) read_hex(value, fingerprint, 8, 8), terms.fingerprint = fingerprint;
    else if (strcmp(option, "--subject") == 0) terms.subject_bytes = read_hex(value, subject, 0, MAX_SUBJECT), terms.subject = subject;
    else if (strcmp(option, "--revoked") == 0 && trust.revoked_count < MAX_REVOKED) read_hex(value, revoked[trust.revoked_count++], 8, 8);
    else die("no such option, or too many of it", option);
  }
  size_t bytes;
  uint8_t *data = read_file(arguments[2], &bytes);
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_verify_status status;
  if (strcmp(arguments[1], "bundle") == 0) {
    chord_bundle bundle = {.struct_size = sizeof bundle};
    chord_member member = {.struct_size = sizeof member};
    status = chord_bundle_open(data, bytes, &trust, minimum, &bundle, &diagnosis);
    if (status == CHORD_VERIFY_OK && member_name) status = chord_bundle_member(&bundle, member_name, &member, &diagnosis);
    if (status != CHORD_VERIFY_OK) return refuse(status, &diagnosis);
    if (member_name) return fwrite(member.data, 1, member.bytes, stdout) == member.bytes ? 0 : 2;
    printf("accepted: format version %u counter %llu members %u", (unsigned)bundle.format_version, (unsigned long long)bundle.counter,
           (unsigned)bundle.members);
    print_hex("backbone", bundle.fingerprint, 8);
    print_hex("key", bundle.key_id, 8);
  } else {
    chord_envelope envelope = {.struct_size = sizeof envelope};
    terms.minimum_serial = minimum;
    status = chord_envelope_open(data, bytes, &trust, &terms, &envelope, &diagnosis);
    if (status != CHORD_VERIFY_OK) return refuse(status, &diagnosis);
    printf("accepted: %.4s of %zu bytes serial %llu not before %llu expires %llu", (const char *)envelope.payload, envelope.payload_bytes,
           (unsigned long long)envelope.serial, (unsigned long long)envelope.not_before, (unsigned long long)envelope.expires);
    print_hex("subject", envelope.subject, envelope.subject_bytes);
    print_hex("backbone", envelope.fingerprint, 8);
    print_hex("key", envelope.key_id, 8);
  }
  printf("\n");
  free(data);
  return 0;
}
