/* The user vector on the wire, version 1 (docs/formats.md), and the session that takes it. */
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 24, CRC_BYTES = 4 };

/* Hidden states are normalised: a vector of hundreds of times their length is none. */
#define LARGEST_SCALE 100.0f

static chord_status verify(const chord_model *model, const uint8_t *data, size_t bytes, chord_diagnosis *diagnosis) {
  const size_t dim = model->dim;
  uint32_t count, crc;
  float scale;
  if (bytes < HEADER_BYTES + CRC_BYTES)
    return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: %zu bytes are too few for its header", bytes);
  if (memcmp(data, "CHRU", 4) != 0) return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: the magic is not CHRU");
  if (data[4] != 1) return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: version %u is not 1, update the app", data[4]);
  if (data[5] != 0 || data[6] != 0 || data[7] != 0)
    return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: the reserved bytes 5 to 7 are not zero, update the app");
  if (memcmp(data + 8, model->fingerprint, 8) != 0)
    return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: the fingerprint is that of another backbone");
  memcpy(&count, data + 16, 4);
  if (count != dim)
    return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: dim is %u, that of the backbone %zu", (unsigned)count, dim);
  if (bytes != HEADER_BYTES + dim + CRC_BYTES)
    return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: the length is %zu bytes instead of %zu", bytes,
                      HEADER_BYTES + dim + CRC_BYTES);
  memcpy(&crc, data + HEADER_BYTES + dim, 4);
  if (chord_crc32(model->crc, data, HEADER_BYTES + dim) != crc)
    return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: the checksum (CRC-32) is wrong");
  memcpy(&scale, data + 20, 4);
  if (!(scale > 0.0f && scale <= LARGEST_SCALE))
    return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: the scale %g is not a positive number up to 100", (double)scale);
  for (size_t i = 0; i < dim; i++)
    if (data[HEADER_BYTES + i] == 0x80)
      return chord_fail(diagnosis, CHORD_BAD_USER_VECTOR, "user vector: number %zu has the code -128, which is outside the grid", i);
  return CHORD_OK;
}

chord_status chord_adopt_user(chord_session *session, const void *vector, size_t vector_bytes, chord_diagnosis *diagnosis) {
  if (!chord_usable(session) || (!vector && vector_bytes != 0))
    return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "the session is null or not open, or the user vector is null but not empty");
  if (!vector) {
    session->count = 0;
    session->user = NULL;
    return CHORD_OK;
  }
  const chord_model *model = session->model;
  const uint8_t *data = vector;
  const chord_status status = verify(model, data, vector_bytes, diagnosis);
  if (status != CHORD_OK) return status;
  float scale;
  memcpy(&scale, data + 20, 4);
  session->count = 0;
  for (size_t i = 0; i < model->dim; i++) session->user_values[i] = (float)(int8_t)data[HEADER_BYTES + i] * scale;
  if (model->backbone->user) model->backbone->user(model, session->user_values);
  session->user = session->user_values;
  return CHORD_OK;
}
