/*
 * Adoption: decode into the spare slot, derive its weights, put it in use.
 *
 * `current` of a model holds the index of the slot in use in its lowest bit, and above it how many readers have entered that slot. One
 * addition enters, and tells which slot; one counts out: readers wait for nothing, whatever is adopted meanwhile. Adoption exchanges
 * `current` for the other slot, entered by none, and so learns how many have entered the slot before. That slot is written again when as
 * many have left it, which is waited for. The counts are modulo 2^31: only their difference, those who read now, must be smaller.
 * Every step is a sequentially consistent atomic.
 */
#include <string.h>

#include "internal.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sched.h>
static void yield(void) { sched_yield(); }
#else
static void yield(void) {}
#endif

chord_slot *chord_acquire(chord_model *model) { return &model->slots[atomic_fetch_add(&model->current, 2) & 1]; }

void chord_release(chord_slot *slot) { atomic_fetch_add(&slot->left, 1); }

static bool begin(chord_model *model) {
  uint32_t idle = 0;
  return atomic_compare_exchange_strong(&model->adopting, &idle, 1);
}

static bool unread(const chord_slot *slot) { return ((slot->entered - atomic_load(&slot->left)) & 0x7fffffff) == 0; }

/* Sixteen (virtual) channels from `first` on. Where the file cannot be read in place (the last channels of a layer, rows that
 * are not a multiple of 16 long, filters of Caser) copies stand in; lanes beyond the last channel are off. */
typedef struct lanes {
  chord_channels channels;
  uint8_t widths[16];
  int16_t ratios2[16], ratios4[16];
  float scales2[16], scales4[16], scales8[16];
} lanes;

static void gather(const chord_model *model, const chord_slot *slot, const chord_layer *layer, size_t first, lanes *l) {
  chord_channels *channels = &l->channels;
  const bool windows = layer->form == CHORD_WINDOWS;
  const size_t row = windows ? layer->depth : layer->in;
  channels->depth = layer->depth;
  if (!windows && first + 16 <= layer->out && layer->in == layer->depth) {
    for (size_t i = 0; i < 16; i++) channels->rows[i] = layer->codes + (first + i) * row;
    channels->widths = slot->widths + layer->first + first;
    channels->ratios2 = layer->ratios + first;
    channels->ratios4 = layer->ratios + layer->out + first;
    channels->scales2 = layer->scales + first;
    channels->scales4 = layer->scales + layer->out + first;
    channels->scales8 = layer->scales + 2 * (size_t)layer->out + first;
    return;
  }
  const size_t filters = layer->out;
  for (size_t i = 0; i < 16; i++) {
    const bool present = first + i < layer->virtuals;
    const size_t virtual_channel = present ? first + i : 0;
    const size_t channel = virtual_channel % filters, part = virtual_channel / filters;
    const int8_t *codes = layer->codes + channel * layer->in + part * row;
    channels->rows[i] = codes;
    if (row != layer->depth) {
      int8_t *copy = model->spare_rows + i * layer->depth;
      memcpy(copy, codes, row);
      memset(copy + row, 0, layer->depth - row);
      channels->rows[i] = copy;
    }
    l->widths[i] = present ? slot->widths[layer->first + channel] : 0;
    l->ratios2[i] = layer->ratios[channel];
    l->ratios4[i] = layer->ratios[filters + channel];
    l->scales2[i] = layer->scales[channel];
    l->scales4[i] = layer->scales[filters + channel];
    l->scales8[i] = layer->scales[2 * filters + channel];
  }
  channels->widths = l->widths;
  channels->ratios2 = l->ratios2;
  channels->ratios4 = l->ratios4;
  channels->scales2 = l->scales2;
  channels->scales4 = l->scales4;
  channels->scales8 = l->scales8;
}

void chord_derive(const chord_model *model, const chord_slot *slot, const chord_layer *layer, int8_t *codes, float *scales) {
  for (size_t first = 0; first < layer->out; first += 16) {
    lanes l;
    gather(model, slot, layer, first, &l);
    model->kernels->derive_rows(&l.channels, codes + first * layer->depth, scales + first);
  }
}

void chord_fill_slot(const chord_model *model, chord_slot *slot) {
  for (uint32_t i = 0; i < model->layer_count; i++) {
    const chord_layer *layer = &model->layers[i];
    if (layer->form == CHORD_MEETING || layer->form == CHORD_FOLLOWING) {
      chord_merge(model, slot, layer);
      continue;
    }
    for (uint32_t c = 0; layer->bias && layer->form < CHORD_ABSORBED && layer->form != CHORD_WINDOWS && c < layer->out; c++)
      slot->biases[layer->lanes + c] = layer->bias[c] * layer->factor;
    for (size_t first = 0; first < layer->virtuals; first += 16) {
      lanes l;
      gather(model, slot, layer, first, &l);
      int8_t *weights = slot->weights + layer->weights + first * layer->depth;
      float *scales = slot->scales + layer->lanes + first;
      if (layer->form == CHORD_ROWS)
        model->kernels->derive_rows(&l.channels, weights, scales);
      else
        model->kernels->expand_c8(&l.channels, weights, slot->corrections + layer->lanes + first, scales);
      if (layer->factor != 1.0f)
        for (size_t c = 0; c < 16; c++) scales[c] *= layer->factor;
    }
  }
}

chord_status chord_adopt(chord_model *model, const void *strategy, size_t strategy_bytes, chord_diagnosis *diagnosis) {
  if (!model || !strategy) return chord_fail(diagnosis, CHORD_BAD_ARGUMENT, "a pointer is null");
  const chord_status status = chord_verify(model, strategy, strategy_bytes, diagnosis);
  if (status != CHORD_OK) return status;
  uint32_t looks = 0;
  while (!begin(model)) {
    if (++looks == CHORD_ADOPT_LOOKS) return chord_fail(diagnosis, CHORD_BUSY, "other threads are adopting strategies: try again");
    yield();
  }
  const uint32_t spare = 1 - (atomic_load(&model->current) & 1);
  chord_slot *slot = &model->slots[spare];
  while (!unread(slot)) {
    if (++looks >= CHORD_ADOPT_LOOKS) {
      atomic_store(&model->adopting, 0);
      return chord_fail(diagnosis, CHORD_BUSY, "an inference still reads the weights before the current ones: try again");
    }
    yield();
  }
  chord_unpack(model, strategy, slot->widths);
  chord_fill_slot(model, slot);
  slot->generation = model->slots[1 - spare].generation + 1;
  atomic_store(&slot->left, 0);
  model->slots[1 - spare].entered = atomic_exchange(&model->current, spare) >> 1;
  atomic_store(&model->adopting, 0);
  return CHORD_OK;
}
