/*
 * Linked into chord_runner where it is profiled, with --wrap for the two functions below: tells the plugin where the weights of each layer lie in
 * the slot that is in use, in the order of the channel table, when a session is opened and whenever a strategy is adopted. A layer that a
 * neighbour's product holds lies nowhere. The engine itself is the same to the byte.
 */
#include "internal.h"

void chord_profile_layer(const volatile int8_t *first, const volatile int8_t *last);
chord_status __real_chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **out);
chord_status __wrap_chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **out);
chord_status __real_chord_adopt(chord_model *model, const void *strategy, size_t strategy_bytes, chord_diagnosis *diagnosis);
chord_status __wrap_chord_adopt(chord_model *model, const void *strategy, size_t strategy_bytes, chord_diagnosis *diagnosis);

__attribute__((noinline)) void chord_profile_layer(const volatile int8_t *first, const volatile int8_t *last) {
  (void)*first;
  (void)*last;
}

static void tell_layers(chord_model *model) {
  chord_slot *slot = chord_acquire(model);
  for (uint32_t i = 0; i < model->layer_count; i++) {
    const chord_extent *extent = &slot->extents[i];
    const size_t bytes = (size_t)extent->blocks * 16 * extent->depth;
    const int8_t *weights = slot->weights + (bytes ? extent->weights : 0);
    if (bytes)
      chord_profile_layer(weights, weights + bytes - 1);
    else
      chord_profile_layer(weights + 1, weights);
  }
  chord_release(slot);
}

chord_status __wrap_chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **out) {
  tell_layers(model);
  return __real_chord_session_open(model, memory, memory_bytes, out);
}

chord_status __wrap_chord_adopt(chord_model *model, const void *strategy, size_t strategy_bytes, chord_diagnosis *diagnosis) {
  const chord_status status = __real_chord_adopt(model, strategy, strategy_bytes, diagnosis);
  if (status == CHORD_OK) tell_layers(model);
  return status;
}
