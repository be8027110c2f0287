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
