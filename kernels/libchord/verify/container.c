/* The container of a bundle (docs/bundle.md): a ZIP of which every byte around the members' data follows from their names, sizes and CRCs.
 * The numbers are those of APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16. */
#include <string.h>

#include "internal.h"

enum {
  LOCAL_BYTES = 30,
  CENTRAL_BYTES = 46,
  END_BYTES = 22,
  PADDING_BYTES = 6,
  PADDING_ID = 0xD935, /* of Android's zipalign */
  ALIGNMENT = 64,
  MAX_MEMBERS = 4096,
  MAX_PARTS = 4,
  MAX_PART = 100
};

/* What local and central headers share from "version needed" on, up to the CRC: 10, no flags, stored, 1980-01-01 00:00. */
static const uint8_t common[10] = {10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0};

#define DAMAGED(reason) \
  return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED, "the bundle is damaged or was altered: " reason "; fetch it again")

static bool is_allowed_name(const uint8_t *name, size_t bytes) {
  size_t parts = 1, length = 0;
  for (size_t i = 0; i < bytes; i++) {
    const uint8_t c = name[i];
    const bool word = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    if (c == '/') {
      if (length == 0 || ++parts > MAX_PARTS) return false;
      length = 0;
    } else if (!word && (length == 0 || (c != '+' && c != '.' && c != '-'))) {
      return false;
    } else if (++length > MAX_PART) {
      return false;
    }
  }
  return length != 0;
}

chord_verify_status chord_walk_start(const uint8_t *data, size_t bytes, chord_walk *walk, chord_diagnosis *diagnosis) {
  if (bytes < END_BYTES || memcmp(data, "PK\3\4", 4) != 0)
    return chord_refuse(diagnosis, CHORD_VERIFY_DAMAGED,
                        "this is not a chordkit bundle: it does not start like one; give a file made by `chordkit bundle make`");
  const uint8_t *end = data + bytes - END_BYTES;
  const uint32_t count = chord_get16(end + 8);
  const uint64_t size = chord_get32(end + 12), offset = chord_get32(end + 16);
  if (memcmp(end, "PK\5\6", 4) != 0 || offset + size + END_BYTES != bytes) DAMAGED("its end is missing or something follows it");
  if (chord_get32(end + 4) != 0 || chord_get16(end + 10) != count || chord_get16(end + 20) != 0)
    DAMAGED("the end of its directory is not as chordkit writes it");
  if (count < 1 || count > MAX_MEMBERS) DAMAGED("the number of its members is outside 1 .. 4096");
  *walk = (chord_walk){.data = data, .directory = offset, .end = offset + size, .next = offset, .left = count};
  return CHORD_VERIFY_OK;
}

/* Whether the `bytes` of an extra field at `extra` align what follows and are nothing else. */
static bool is_padding(const uint8_t *extra, size_t bytes) {
  if (chord_get16(extra) != PADDING_ID || chord_get16(extra + 2) != bytes - 4 || chord_get16(extra + 4) != ALIGNMENT) return false;
  for (size_t i = PADDING_BYTES; i < bytes; i++)
    if (extra[i] != 0) return false;
  return true;
}

chord_verify_status chord_walk_next(chord_walk *walk, chord_place *place, chord_diagnosis *diagnosis) {
  const uint8_t *entry = walk->data + walk->next;
  if (walk->next + CENTRAL_BYTES > walk->end) DAMAGED("its directory is shorter than the number of its members");
  const uint32_t crc = chord_get32(entry + 16), size = chord_get32(entry + 20), name_bytes = chord_get16(entry + 28);
  /* Made by Unix 2.0; no extra field, comment, disk or attributes; mode 0100644. */
  if (memcmp(entry, "PK\1\2\x14\3", 6) != 0 || memcmp(entry + 6, common, sizeof common) != 0 || chord_get32(entry + 24) != size ||
      memcmp(entry + 30, "\0\0\0\0\0\0\0\0\0\0\xa4\x81", 12) != 0 || chord_get32(entry + 42) != walk->position)
    DAMAGED("an entry of its directory is not as chordkit writes it");
  if (walk->next + CENTRAL_BYTES + name_bytes > walk->end) DAMAGED("its directory is shorter than the number of its members");
  const uint8_t *name = entry + CENTRAL_BYTES;
  if (!is_allowed_name(name, name_bytes)) DAMAGED("a member has a name that is not allowed");

  const uint64_t start = walk->position + LOCAL_BYTES + name_bytes + PADDING_BYTES;
  const uint64_t offset = (start + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, extra = offset - start + PADDING_BYTES;
  if (offset + size > walk->directory) DAMAGED("its members are longer than the file");
  const uint8_t *local = walk->data + walk->position;
  if (memcmp(local, "PK\3\4", 4) != 0 || memcmp(local + 4, common, sizeof common) != 0 || memcmp(local + 14, entry + 16, 14) != 0 ||
      chord_get16(local + 28) != extra || memcmp(local + LOCAL_BYTES, name, name_bytes) != 0 ||
      !is_padding(local + LOCAL_BYTES + name_bytes, (size_t)extra))
    DAMAGED("the header of a member disagrees with the directory");

  walk->next += CENTRAL_BYTES + name_bytes;
  walk->position = offset + size;
  walk->left--;
  if (walk->left == 0 && (walk->position != walk->directory || walk->next != walk->end)) DAMAGED("something lies between its members");
  *place = (chord_place){.name = (const char *)name, .name_bytes = name_bytes, .crc = crc, .data = walk->data + offset, .bytes = size};
  return CHORD_VERIFY_OK;
}

bool chord_is_repeated(const chord_walk *walk, const chord_place *place) {
  for (uint64_t at = walk->directory; at + CENTRAL_BYTES <= walk->end;) {
    const uint32_t bytes = chord_get16(walk->data + at + 28);
    const char *name = (const char *)walk->data + at + CENTRAL_BYTES;
    if (name == place->name || at + CENTRAL_BYTES + bytes > walk->end) return false;
    uint32_t same = bytes == place->name_bytes ? 0 : bytes;
    for (; same < bytes; same++) {
      const int a = name[same], b = place->name[same], letter = a | 32;
      if (a != b && !(letter >= 'a' && letter <= 'z' && letter == (b | 32))) break;
    }
    if (same == bytes && bytes == place->name_bytes) return true;
    at += CENTRAL_BYTES + bytes;
  }
  return false;
}
