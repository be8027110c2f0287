/* An adapter: its bytes, "CHRA" (docs/formats.md), and what it does to a hidden state and to scores. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "internal.h"

enum { HEADER_BYTES = 32, CRC_BYTES = 4 };

static const uint8_t no_strategy[8];

static void put32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static float get_float(const uint8_t *at) {
  const uint32_t bits = chord_get32(at);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void put_float(uint8_t *at, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  put32(at, bits);
}

/* Bit 0 of MurmurHash3's finalizer. */
static uint32_t sign_of(uint32_t word) {
  word = (word ^ word >> 16) * 0x85EBCA6Bu;
  word = (word ^ word >> 13) * 0xC2B2AE35u;
  return (word ^ word >> 16) & 1u;
}

void chord_projection(size_t dim, float *down) {
  const float size = (float)(1.0 / sqrt((double)dim));
  for (size_t i = 0; i < CHORD_RANK * dim; i++) down[i] = sign_of((uint32_t)i + 1) ? -size : size;
}

void chord_project(size_t dim, const float *down, const float *state, float *inner) {
  for (size_t k = 0; k < CHORD_RANK; k++) inner[k] = chord_dot(dim, down + k * dim, state);
}

void chord_move(size_t dim, const float *values, const float *state, const float *inner, float *out) {
  const float *gain = values, *shift = values + dim, *up = values + 2 * dim;
  chord_quad part[CHORD_RANK];
  for (size_t k = 0; k < CHORD_RANK; k++) part[k] = chord_all(inner[k]);
  for (size_t d = 0; d < dim; d += 4) {
    const chord_quad h = chord_load(state + d);
    chord_quad moved = h + chord_fused(chord_load(gain + d), h, chord_load(shift + d));
    for (size_t k = 0; k < CHORD_RANK; k++) moved = chord_fused(chord_load(up + k * dim + d), part[k], moved);
    chord_store(out + d, moved);
  }
}

/* --- bytes ---------------------------------------------------------------------------------------------------------------------------- */

static size_t bytes_of(size_t dim, size_t items) {
  return HEADER_BYTES + 4 * items + 4 * (chord_plain_parameters(dim) + items) + CRC_BYTES;
}

/* Where the format has a parameter of ours: it has `up` row by row. */
static size_t place_of(size_t dim, size_t index) {
  if (index < 2 * dim || index >= chord_plain_parameters(dim)) return index;
  const size_t k = (index - 2 * dim) / dim, d = (index - 2 * dim) % dim;
  return 2 * dim + d * CHORD_RANK + k;
}

bool chord_write_adapter(const chord_model *model, const uint8_t *strategy, const chord_parameters *from, uint8_t *out, size_t *bytes) {
  const size_t dim = model->dim, plain = chord_plain_parameters(dim), count = from->biases, size = bytes_of(dim, count);
  for (size_t i = 0; i < plain + count; i++)
    if (!(fabsf(from->values[i]) <= CHORD_LARGEST_PARAMETER)) return false;
  memcpy(out, "CHRA\1\10\0\0", 8);
  memcpy(out + 8, model->fingerprint, 8);
  memcpy(out + 16, strategy ? strategy : no_strategy, 8);
  put32(out + 24, (uint32_t)dim);
  put32(out + 28, (uint32_t)count);
  for (size_t i = 0; i < count; i++) put32(out + HEADER_BYTES + 4 * i, (uint32_t)from->biased[i]);
  uint8_t *values = out + HEADER_BYTES + 4 * count;
  for (size_t i = 0; i < plain + count; i++) put_float(values + 4 * place_of(dim, i), from->values[i]);
  put32(out + size - CRC_BYTES, chord_crc32(model->crc, out, size - CRC_BYTES));
  *bytes = size;
  return true;
}

static chord_learn_status refuse(chord_diagnosis *diagnosis, const char *sentence) {
  return chord_decline(diagnosis, CHORD_LEARN_BAD_ADAPTER, "adapter: %s; train it again", sentence);
}

chord_learn_status chord_adapter_open(const chord_model *model, const void *data, size_t bytes, const uint8_t strategy[8],
                                      chord_adapter *adapter, chord_diagnosis *diagnosis) {
  chord_adapter found = {0};
  if (!chord_is_model(model) || (!data && bytes) || !adapter || !chord_give(&found, sizeof found, sizeof found, adapter))
    return chord_decline(diagnosis, CHORD_LEARN_BAD_ARGUMENT, "the model or the data is null, or the struct_size of adapter is not set");
  const uint8_t *at = data;
  const uint32_t most = model->items < CHORD_MOST_BIASES ? model->items : CHORD_MOST_BIASES;
  if (bytes < HEADER_BYTES + CRC_BYTES) return refuse(diagnosis, "length: too few bytes for a header and a checksum");
  if (memcmp(at, "CHRA", 4) != 0) return refuse(diagnosis, "magic: the data does not begin with CHRA; it is no adapter");
  if (at[4] != 1) return refuse(diagnosis, "version: it is not 1; update the app");
  if (at[5] != CHORD_RANK) return refuse(diagnosis, "rank: it is not 8");
  if (at[6] | at[7]) return refuse(diagnosis, "reserved: bytes 6 and 7 are not zero, which version 1 does not know");
  if (memcmp(at + 8, model->fingerprint, 8) != 0) return refuse(diagnosis, "fingerprint: it is for another backbone");
  if (memcmp(at + 16, strategy ? strategy : no_strategy, 8) != 0)
    return refuse(diagnosis, "strategy: it was trained under another strategy");
  if (chord_get32(at + 24) != model->dim) return refuse(diagnosis, "dim: it is not that of the backbone");
  found.items = chord_get32(at + 28);
  if (found.items > most) return refuse(diagnosis, "items: too many of them have a bias");
  if (bytes != bytes_of(model->dim, found.items)) return refuse(diagnosis, "length: it is truncated, or something follows");
  if (chord_crc32(model->crc, at, bytes - CRC_BYTES) != chord_get32(at + bytes - CRC_BYTES))
    return refuse(diagnosis, "CRC: the checksum does not match; it is damaged");
  for (uint32_t i = 0, before = 0; i < found.items; i++) {
    const uint32_t item = chord_get32(at + HEADER_BYTES + 4 * i);
    if (item <= before || item > model->items) return refuse(diagnosis, "items: they do not ascend within the catalogue");
    before = item;
  }
  const uint8_t *values = at + HEADER_BYTES + 4 * (size_t)found.items;
  for (size_t i = 0; i < chord_plain_parameters(model->dim) + found.items; i++)
    if (!(fabsf(get_float(values + 4 * i)) <= CHORD_LARGEST_PARAMETER))
      return refuse(diagnosis, "values: one is not a number up to 10,000");
  found.dim = model->dim;
  found.data = data;
  found.bytes = bytes;
  chord_give(&found, sizeof found, sizeof found, adapter);
  return CHORD_LEARN_OK;
}

void chord_read_adapter(const chord_adapter *adapter, chord_parameters *to) {
  const uint8_t *items = (const uint8_t *)adapter->data + HEADER_BYTES, *values = items + 4 * (size_t)adapter->items;
  to->biases = adapter->items;
  for (uint32_t i = 0; i < adapter->items; i++) to->biased[i] = (int32_t)chord_get32(items + 4 * i);
  for (size_t i = 0; i < chord_plain_parameters(adapter->dim) + adapter->items; i++)
    to->values[i] = get_float(values + 4 * place_of(adapter->dim, i));
}

/* --- at work -------------------------------------------------------------------------------------------------------------------------- */

static bool take(const chord_adapter *given, chord_adapter *adapter) {
  return given && chord_take(given, sizeof *adapter, adapter, sizeof *adapter) && adapter->data && adapter->dim >= 16 &&
         adapter->dim <= CHORD_MAX_DIM && adapter->dim % 16 == 0 && adapter->items <= CHORD_MOST_BIASES &&
         adapter->bytes == bytes_of(adapter->dim, adapter->items);
}

chord_learn_status chord_adapt(const chord_adapter *given, const float *hidden, float *adapted) {
  chord_adapter adapter;
  if (!take(given, &adapter) || !hidden || !adapted) return CHORD_LEARN_BAD_ARGUMENT;
  const size_t dim = adapter.dim;
  const uint8_t *values = (const uint8_t *)adapter.data + HEADER_BYTES + 4 * (size_t)adapter.items;
  const float size = (float)(1.0 / sqrt((double)dim));
  float inner[CHORD_RANK] = {0};
  for (size_t k = 0; k < CHORD_RANK; k++)
    for (size_t d = 0; d < dim; d++) inner[k] += sign_of((uint32_t)(k * dim + d) + 1) ? -size * hidden[d] : size * hidden[d];
  for (size_t d = 0; d < dim; d++) {
    float moved = hidden[d] + (get_float(values + 4 * d) * hidden[d] + get_float(values + 4 * (dim + d)));
    for (size_t k = 0; k < CHORD_RANK; k++) moved += get_float(values + 4 * (2 * dim + d * CHORD_RANK + k)) * inner[k];
    adapted[d] = moved;
  }
  return CHORD_LEARN_OK;
}

chord_learn_status chord_adapted_scores(chord_session *session, const chord_adapter *given, float temperature, const float *hidden,
                                        const int32_t *candidates, size_t candidate_count, float *scores) {
  chord_adapter adapter;
  float adapted[CHORD_MAX_DIM];
  if (!chord_usable(session) || !take(given, &adapter) || adapter.dim != session->model->dim || !hidden ||
      !(temperature > 0.0f && temperature <= FLT_MAX))
    return CHORD_LEARN_BAD_ARGUMENT;
  chord_adapt(&adapter, hidden, adapted);
  switch (chord_score_hidden(session, adapted, candidates, candidate_count, scores)) {
    case CHORD_OK: break;
    case CHORD_BAD_CANDIDATE: return CHORD_LEARN_BAD_LESSON;
    case CHORD_NOT_FINITE: return CHORD_LEARN_NOT_FINITE;
    default: return CHORD_LEARN_BAD_ARGUMENT;
  }
  const uint8_t *items = (const uint8_t *)adapter.data + HEADER_BYTES;
  const uint8_t *biases = items + 4 * ((size_t)adapter.items + chord_plain_parameters(adapter.dim));
  for (size_t i = 0; i < candidate_count; i++) {
    uint32_t low = 0, high = adapter.items; /* the item, if it is there, is among low .. high - 1 */
    while (high - low > 1) {
      const uint32_t middle = (low + high) / 2;
      if (chord_get32(items + 4 * middle) <= (uint32_t)candidates[i]) low = middle;
      else high = middle;
    }
    if (high > low && chord_get32(items + 4 * low) == (uint32_t)candidates[i]) scores[i] += temperature * get_float(biases + 4 * low);
  }
  return CHORD_LEARN_OK;
}
