/* Opening a bundle (docs/bundle.md): container, signature, and only then what is signed. */
#include <string.h>

#include "internal.h"

enum { MAX_MANIFEST_BYTES = 1 << 20 };

static bool is_called(const chord_place *place, const char *name) {
  return place->name_bytes == strlen(name) && memcmp(place->name, name, place->name_bytes) == 0;
}

static bool crc_fits(const uint32_t crc[CHORD_CRC_WORDS], const chord_place *place) {
  return chord_crc32(crc, place->data, place->bytes) == place->crc;
}

/* The manifest and its signature, after the whole container has been compared; `walk` is then at the first of the others. */
static chord_verify_status check_container(const uint8_t *data, size_t bytes, chord_walk *walk, const uint32_t crc[CHORD_CRC_WORDS],
                                           chord_place *manifest, chord_place *signature, chord_diagnosis *diagnosis) {
  chord_walk all;
  chord_place place;
  chord_verify_status status = chord_walk_start(data, bytes, walk, diagnosis);
  if (status != CHORD_VERIFY_OK) return status;
  for (all = *walk; all.left > 0;)
    if ((status = chord_walk_next(&all, &place, diagnosis)) != CHORD_VERIFY_OK) return status;
  if ((status = chord_walk_next(walk, manifest, diagnosis)) != CHORD_VERIFY_OK) return status;
  if (!is_called(manifest, "manifest.json"))
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "this is a ZIP file, but its first member is not manifest.json; give a bundle");
  if (walk->left > 0 && (status = chord_walk_next(walk, signature, diagnosis)) != CHORD_VERIFY_OK) return status;
  if (!signature->name || !is_called(signature, "manifest.sig"))
    return chord_refuse(diagnosis, CHORD_VERIFY_UNSIGNED, "the bundle is not signed; sign it with `chordkit bundle make --key`");
  if (manifest->bytes > MAX_MANIFEST_BYTES)
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "manifest.json is %zu bytes long, more than any manifest is", manifest->bytes);
  if (!crc_fits(crc, manifest) || !crc_fits(crc, signature))
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "the CRC of the manifest or its signature is wrong; fetch the bundle again");
  return CHORD_VERIFY_OK;
}

static chord_verify_status check_signature(const chord_place *manifest, const chord_place *signature, const chord_trust *trust,
                                           uint8_t signer[CHORD_KEY_ID_BYTES], chord_diagnosis *diagnosis) {
  uint32_t revoked = 0;
  for (uint32_t i = 0; i < trust->key_count; i++) {
    chord_key_id(trust->keys[i], signer);
    if (chord_is_revoked(trust, signer)) revoked++;
    else if (chord_signature_valid(trust->verify, trust->context, trust->keys[i], signature->data, signature->bytes, manifest->data,
                                   manifest->bytes))
      return CHORD_VERIFY_OK;
  }
  if (revoked == trust->key_count)
    return chord_refuse(diagnosis, CHORD_VERIFY_UNKNOWN_KEY, "all %u keys are revoked, so nothing is accepted; update the app",
                        (unsigned)revoked);
  return chord_refuse(diagnosis, CHORD_VERIFY_BAD_SIGNATURE,
                      "the signature fits none of the accepted keys: the bundle was altered, or signed by somebody else; fetch it again");
}

/* The fingerprint that strategies for a master carry: its hash, or where its catalogue has grown, which format version 4 allows, the one in its
 * header (docs/formats.md). */
static const uint8_t *named_by_strategies(const chord_place *master, const uint8_t digest[32], const chord_manifest *manifest) {
  static const uint8_t grown[8] = {'C', 'H', 'R', 'M', 2};
  enum { HEADER = 64, CARRIED = 24 };
  const bool carries = manifest->format_version >= 4 && master->bytes >= HEADER && memcmp(master->data, grown, sizeof grown) == 0;
  return carries ? master->data + CARRIED : digest;
}

static chord_verify_status check_member(const chord_place *place, const chord_listed *listed, const chord_manifest *manifest,
                                        const uint32_t crc[CHORD_CRC_WORDS], chord_diagnosis *diagnosis) {
  uint8_t digest[32];
  const int shown = (int)place->name_bytes;
  if (listed->name.bytes != place->name_bytes || memcmp(listed->name.data, place->name, place->name_bytes) != 0)
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "member %.*s is not as manifest.json lists it; fetch the bundle again", shown,
                        place->name);
  if (listed->bytes != place->bytes)
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "member %.*s is not as long as manifest.json says; fetch the bundle again", shown,
                        place->name);
  chord_sha256(place->data, place->bytes, digest);
  if (!crc_fits(crc, place) || memcmp(digest, listed->sha256, sizeof digest) != 0)
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "the SHA-256 or CRC of member %.*s is wrong; fetch the bundle again", shown,
                        place->name);
  if (is_called(place, "master.chrm") &&
      memcmp(named_by_strategies(place, digest, manifest), manifest->fingerprint, CHORD_FINGERPRINT_BYTES) != 0)
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "master.chrm is not the backbone that manifest.json describes; make the bundle anew");
  return CHORD_VERIFY_OK;
}

static chord_verify_status check_members(chord_walk walk, chord_manifest *manifest, const uint32_t crc[CHORD_CRC_WORDS], uint32_t *members,
                                         chord_diagnosis *diagnosis) {
  chord_level level;
  bool master = false;
  *members = 0;
  if (!chord_json_enter(&manifest->members, '[', &level))
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "manifest.json: members: no list; make the bundle anew");
  while (chord_json_next(&manifest->members, &level)) {
    chord_listed listed;
    chord_place place;
    if (!chord_manifest_member(&manifest->members, &listed))
      return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "manifest.json: members: an entry is not what it has to be; make the bundle anew");
    if (walk.left == 0)
      return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "manifest.json lists a member that is not there; fetch the bundle again");
    chord_verify_status status = chord_walk_next(&walk, &place, diagnosis);
    if (status == CHORD_VERIFY_OK) status = check_member(&place, &listed, manifest, crc, diagnosis);
    if (status != CHORD_VERIFY_OK) return status;
    if (chord_is_repeated(&walk, &place))
      return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "a member's name comes twice; make the bundle anew");
    master = master || is_called(&place, "master.chrm");
    ++*members;
  }
  if (manifest->members.bad || walk.left > 0 || !master)
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "the bundle has a member that manifest.json does not list, or no master.chrm");
  return CHORD_VERIFY_OK;
}

chord_verify_status chord_bundle_open(const void *data, size_t bytes, const chord_trust *trust, uint64_t minimum, chord_bundle *bundle,
                                      chord_diagnosis *diagnosis) {
  if ((!data && bytes != 0) || !bundle || bundle->struct_size < sizeof *bundle)
    return chord_refuse(diagnosis, CHORD_VERIFY_BAD_ARGUMENT, "the data or the bundle are null, or the struct_size is not that of chord_bundle");
  chord_walk walk;
  chord_place place = {0}, signature = {0};
  chord_manifest manifest;
  uint8_t signer[CHORD_KEY_ID_BYTES];
  uint32_t members, crc[CHORD_CRC_WORDS]; /* 8 KB of stack */
  chord_crc32_table(crc);
  chord_verify_status status = chord_trust_check(trust, diagnosis);
  if (status == CHORD_VERIFY_OK) status = check_container(data, bytes, &walk, crc, &place, &signature, diagnosis);
  if (status == CHORD_VERIFY_OK) status = check_signature(&place, &signature, trust, signer, diagnosis);
  if (status == CHORD_VERIFY_OK) status = chord_manifest_read(place.data, place.bytes, &manifest, diagnosis);
  if (status != CHORD_VERIFY_OK) return status;
  if (memcmp(manifest.key_id, signer, sizeof signer) != 0)
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "manifest.json announces another key than the one that signed it; make the bundle anew");
  if (manifest.counter < minimum)
    return chord_refuse(diagnosis, CHORD_VERIFY_OLDER,
                        "the counter of the bundle is %llu, and the lowest that is accepted is %llu: it is an older one; fetch the newest",
                        (unsigned long long)manifest.counter, (unsigned long long)minimum);
  status = check_members(walk, &manifest, crc, &members, diagnosis);
  if (status != CHORD_VERIFY_OK) return status;
  *bundle = (chord_bundle){.struct_size = bundle->struct_size, .format_version = (uint32_t)manifest.format_version,
                           .counter = manifest.counter, .members = members, .data = data, .bytes = bytes};
  memcpy(bundle->fingerprint, manifest.fingerprint, sizeof bundle->fingerprint);
  memcpy(bundle->key_id, signer, sizeof bundle->key_id);
  return CHORD_VERIFY_OK;
}

/* The member called `name`, or with a null name that of an index. The container is compared again on the way, so that a file which was changed
 * under its mapping is refused rather than read outside of it. */
static chord_verify_status find_member(const chord_bundle *bundle, const char *name, uint32_t index, chord_member *member,
                                       chord_diagnosis *diagnosis) {
  chord_walk walk;
  chord_place place;
  if (!bundle || !bundle->data || !member || member->struct_size < sizeof *member)
    return chord_refuse(diagnosis, CHORD_VERIFY_BAD_ARGUMENT, "the bundle or the member is null, or the struct_size is not that of chord_member");
  chord_verify_status status = chord_walk_start(bundle->data, bundle->bytes, &walk, diagnosis);
  for (uint32_t i = 0; status == CHORD_VERIFY_OK && walk.left > 0; i++) {
    status = chord_walk_next(&walk, &place, diagnosis);
    /* The first two are the manifest and its signature. */
    if (status == CHORD_VERIFY_OK && i >= 2 && (name ? is_called(&place, name) : i - 2 == index)) {
      *member = (chord_member){.struct_size = member->struct_size, .name_bytes = place.name_bytes, .name = place.name, .data = place.data,
                               .bytes = place.bytes};
      return CHORD_VERIFY_OK;
    }
  }
  if (status != CHORD_VERIFY_OK) return status;
  if (name) return chord_refuse(diagnosis, CHORD_VERIFY_NO_MEMBER, "the bundle has no member %.100s", name);
  return chord_refuse(diagnosis, CHORD_VERIFY_NO_MEMBER, "the bundle has %u members and none of index %u", (unsigned)bundle->members, (unsigned)index);
}

chord_verify_status chord_bundle_member(const chord_bundle *bundle, const char *name, chord_member *member, chord_diagnosis *diagnosis) {
  if (!name) return chord_refuse(diagnosis, CHORD_VERIFY_BAD_ARGUMENT, "the name of the member is null");
  return find_member(bundle, name, 0, member, diagnosis);
}

chord_verify_status chord_bundle_member_at(const chord_bundle *bundle, uint32_t index, chord_member *member, chord_diagnosis *diagnosis) {
  return find_member(bundle, NULL, index, member, diagnosis);
}
