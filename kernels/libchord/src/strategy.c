/* Contract 2: the strategy on the wire. Version 1, raw 2-bit codes. */
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 20, CRC_BYTES = 4, FLAG_OFF = 1 };

/* Code 0 in any of four channels a byte: the lower bit of that channel. */
static uint8_t any_off(const uint8_t *codes, size_t bytes) {
  uint8_t off = 0;
  for (size_t i = 0; i < bytes; i++) off |= ~(codes[i] | codes[i] >> 1) & 0x55;
  return off;
}

CHORD_COLD chord_status chord_verify(const chord_model *model, const uint8_t *data, size_t bytes, chord_diagnosis *diagnosis) {
  const size_t channels = model->channels, payload = (channels + 3) / 4;
  uint32_t count, crc;
  uint16_t flags;
  if (bytes < HEADER_BYTES + CRC_BYTES)
    return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: %zu bytes are too few for its header", bytes);
  if (memcmp(data, "CHRD", 4) != 0) return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: the magic is not CHRD");
  if (data[4] != 1) return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: version %u is not 1, update the app", data[4]);
  if (data[5] != 0) return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: encoding %u is unknown", data[5]);
  memcpy(&flags, data + 6, 2);
  if ((flags & ~FLAG_OFF) != 0) return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: unknown flags 0x%04x", flags);
  if (memcmp(data + 8, model->fingerprint, 8) != 0)
    return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: the fingerprint is that of another backbone");
  memcpy(&count, data + 16, 4);
  if (count != channels)
    return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: %u channels, the backbone has %zu", (unsigned)count, channels);
  if (bytes != HEADER_BYTES + payload + CRC_BYTES)
    return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: the length is %zu bytes instead of %zu", bytes,
                      HEADER_BYTES + payload + CRC_BYTES);
  memcpy(&crc, data + HEADER_BYTES + payload, 4);
  if (chord_crc32(model->crc, data, HEADER_BYTES + payload) != crc)
    return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: the checksum (CRC-32) is wrong");
  const uint8_t *codes = data + HEADER_BYTES;
  const uint8_t used = channels % 4 ? (uint8_t)((1u << 2 * (channels % 4)) - 1) : 0xFF;
  const uint8_t off = any_off(codes, payload - 1) | (any_off(codes + payload - 1, 1) & used);
  if (off != 0 && !(flags & FLAG_OFF))
    return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: a channel is off (code 0), which its flags do not allow");
  if ((codes[payload - 1] & ~used) != 0)
    return chord_fail(diagnosis, CHORD_BAD_STRATEGY, "strategy: the unused bits of the last byte are not zero");
  return CHORD_OK;
}

void chord_unpack(const chord_model *model, const uint8_t *data, uint8_t *codes) {
  for (size_t i = 0; i < (model->channels + 3) / 4; i++) {
    const uint32_t byte = data[HEADER_BYTES + i];
    const uint32_t four = (byte | byte << 6 | byte << 12 | byte << 18) & 0x03030303u;
    memcpy(codes + 4 * i, &four, 4);
  }
}

chord_status chord_check_strategy(const chord_model *model, const void *strategy, size_t bytes, uint8_t *widths,
                                  chord_diagnosis *diagnosis) {
  static const uint8_t bits[4] = {0, 2, 4, 8};
  if (!model || !strategy) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "a pointer is null");
  const uint8_t *data = strategy;
  const chord_status status = chord_verify(model, data, bytes, diagnosis);
  if (status != CHORD_OK) return status;
  for (size_t i = 0; widths && i < model->channels; i++) widths[i] = bits[data[HEADER_BYTES + i / 4] >> 2 * (i % 4) & 3];
  return CHORD_OK;
}
