/* What is taken from manifest.json, whose signature fits: version, counter, fingerprint, the signer's identifier, the members. The rest is held
 * to its spelling and to the names of its parts, and is for whoever reads it. */
#include <string.h>

#include "internal.h"

enum { LATEST_VERSION = 5 };

#define BAD(...) return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "manifest.json: " __VA_ARGS__)

/* `bytes` bytes from lower-case hexadecimal digits. */
static bool read_hex(chord_json *json, uint8_t *out, size_t bytes) {
  chord_text text;
  if (!chord_json_string(json, &text) || text.bytes != 2 * bytes) return false;
  for (size_t i = 0; i < text.bytes; i++) {
    const uint8_t c = text.data[i];
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return false;
    const uint8_t value = (uint8_t)(digit ? c - '0' : c - 'a' + 10);
    out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | value : value << 4);
  }
  return true;
}

static bool read_backbone(chord_json *json, uint8_t fingerprint[CHORD_FINGERPRINT_BYTES]) {
  chord_level level;
  bool found = false;
  if (!chord_json_enter(json, '{', &level)) return false;
  while (chord_json_next(json, &level)) {
    const bool wanted = chord_text_is(level.key, "fingerprint");
    found = found || wanted;
    if (!(wanted ? read_hex(json, fingerprint, CHORD_FINGERPRINT_BYTES) : chord_json_skip(json))) return false;
  }
  return found && !json->bad;
}

static bool read_signature(chord_json *json, uint8_t id[CHORD_KEY_ID_BYTES]) {
  chord_level level;
  chord_text algorithm = {0};
  uint32_t found = 0;
  if (!chord_json_enter(json, '{', &level)) return false;
  while (chord_json_next(json, &level)) {
    if (chord_text_is(level.key, "algorithm") ? !chord_json_string(json, &algorithm) || !chord_text_is(algorithm, "ed25519")
                                              : !chord_text_is(level.key, "key") || !read_hex(json, id, CHORD_KEY_ID_BYTES))
      return false;
    found++;
  }
  return found == 2 && !json->bad;
}

bool chord_manifest_member(chord_json *json, chord_listed *listed) {
  chord_level level;
  uint32_t found = 0;
  if (!chord_json_enter(json, '{', &level)) return false;
  while (chord_json_next(json, &level)) {
    if (chord_text_is(level.key, "bytes") ? !chord_json_integer(json, &listed->bytes)
        : chord_text_is(level.key, "name") ? !chord_json_string(json, &listed->name)
                                           : !chord_text_is(level.key, "sha256") || !read_hex(json, listed->sha256, 32))
      return false;
    found++;
  }
  return found == 3 && !json->bad;
}

/* An object or a list of something: an empty one, or none, is left out. */
static bool skip_filled(chord_json *json, uint8_t open) {
  const uint8_t *start = json->at;
  return chord_json_skip(json) && start[0] == open && start[1] == '\n';
}

enum { OPTIONAL = 1, SINCE_3 = 2, SINCE_4 = 4 };
static const struct {
  const char *name;
  int kind;
} parts[] = {{"artifacts", 0},
             {"backbone", 0},
             {"counter", SINCE_3},
             {"dataset", 0},
             {"format_version", 0},
             {"members", 0},
             {"name", 0},
             {"provenance", 0},
             {"sbom", OPTIONAL | SINCE_3},
             {"signature", 0},
             {"strategies", 0},
             {"user_vectors", OPTIONAL},
             {"vectors", 0},
             {"words", OPTIONAL | SINCE_4}};
enum { PARTS = sizeof parts / sizeof *parts };

static bool read_part(chord_json *json, const char *name, chord_manifest *manifest) {
  if (strcmp(name, "backbone") == 0) return read_backbone(json, manifest->fingerprint);
  if (strcmp(name, "counter") == 0) return chord_json_integer(json, &manifest->counter);
  if (strcmp(name, "signature") == 0) return read_signature(json, manifest->key_id);
  if (strcmp(name, "sbom") == 0 || strcmp(name, "words") == 0) return skip_filled(json, '{');
  if (strcmp(name, "user_vectors") == 0) return skip_filled(json, '[');
  if (strcmp(name, "members") == 0) manifest->members = *json;
  return chord_json_skip(json);
}

/* The spelling of the whole, and its version: what a later version may have changed is not looked at before. */
static chord_verify_status read_version(chord_json json, uint64_t *version, chord_diagnosis *diagnosis) {
  chord_level level;
  *version = 0;
  if (chord_json_enter(&json, '{', &level))
    while (chord_json_next(&json, &level))
      if (!(chord_text_is(level.key, "format_version") ? chord_json_integer(&json, version) : chord_json_skip(&json))) break;
  if (json.bad || json.end - json.at != 1 || *json.at != '\n') BAD("it is not JSON as chordkit writes it; make the bundle anew");
  if (*version == 0) BAD("format_version: there is none; make the bundle anew");
  if (*version > LATEST_VERSION)
    return chord_refuse(diagnosis, CHORD_VERIFY_TOO_NEW, "the bundle has format version %llu and this app reads up to %d; update the app",
                        (unsigned long long)*version, LATEST_VERSION);
  return CHORD_VERIFY_OK;
}

/* What a version has, and has not. */
static chord_verify_status check_parts(uint64_t version, const bool found[PARTS], chord_diagnosis *diagnosis) {
  for (size_t part = 0; part < PARTS; part++) {
    const int kind = parts[part].kind;
    const bool users = strcmp(parts[part].name, "user_vectors") == 0;
    const bool possible = version >= (kind & SINCE_4 ? 4u : kind & SINCE_3 ? 3u : users ? 2u : 1u);
    const bool needed = possible && (!(kind & OPTIONAL) || (users && version == 2));
    if (found[part] ? !possible : needed)
      BAD("%s: it is %s, and in format version %llu it is otherwise; make the bundle anew", parts[part].name,
          found[part] ? "there" : "not there", (unsigned long long)version);
  }
  return CHORD_VERIFY_OK;
}

chord_verify_status chord_manifest_read(const uint8_t *data, size_t bytes, chord_manifest *manifest, chord_diagnosis *diagnosis) {
  chord_json json = {.at = data, .end = data + bytes};
  chord_level level;
  bool found[PARTS] = {false};
  *manifest = (chord_manifest){0};
  const chord_verify_status status = read_version(json, &manifest->format_version, diagnosis);
  if (status != CHORD_VERIFY_OK) return status;
  chord_json_enter(&json, '{', &level);
  while (chord_json_next(&json, &level)) {
    size_t part = 0;
    while (part < PARTS && !chord_text_is(level.key, parts[part].name)) part++;
    if (part == PARTS) BAD("it has a part that is none of its format version's; make the bundle anew");
    if (!read_part(&json, parts[part].name, manifest)) BAD("%s: it is not what it has to be; make the bundle anew", parts[part].name);
    found[part] = true;
  }
  return check_parts(manifest->format_version, found, diagnosis);
}
