/*
 * Linked into chord_runner where it is profiled, with -Wl,--wrap=chord_session_open: tells the plugin where the weights of each layer lie, in
 * the order of the channel table, once for each of the two slots. The engine itself is the same to the byte.
 */
#include "internal.h"

void chord_profile_layer(const volatile int8_t *first, const volatile int8_t *last);
chord_status __real_chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **out);
chord_status __wrap_chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **out);

__attribute__((noinline)) void chord_profile_layer(const volatile int8_t *first, const volatile int8_t *last) {
  (void)*first;
  (void)*last;
}

chord_status __wrap_chord_session_open(chord_model *model, void *memory, size_t memory_bytes, chord_session **out) {
  for (int slot = 0; slot < 2; slot++)
    for (uint32_t i = 0; i < model->layer_count; i++) {
      const chord_layer *layer = &model->layers[i];
      const int8_t *weights = model->slots[slot].weights + layer->weights;
      chord_profile_layer(weights, weights + chord_round_up(layer->virtuals, 16) * layer->depth - 1);
    }
  return __real_chord_session_open(model, memory, memory_bytes, out);
}
