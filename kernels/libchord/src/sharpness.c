/* How sharp attention is, told from its weights. chordkit/kernels/sharpness.py gives the same numbers. */
#include "plan.h"

/*
 * Expected square of the length of a head's queries or keys, from rows first .. first + width of their layer at 8 bits, if what the norm
 * multiplies by gamma were noise of variance 1. Sums in order and in doubles, so that it is the same number everywhere.
 */
CHORD_COLD static double square_length(const chord_layer *layer, chord_norm_weights norm, uint32_t first, uint32_t width) {
  double sum = 0.0;
  for (uint32_t row = first; row < first + width; row++) {
    const int8_t *code = layer->codes + (size_t)row * layer->in;
    const double scale = layer->scales[2 * (size_t)layer->out + row];
    double noise = 0.0, constant = 0.0;
    for (uint32_t c = 0; c < layer->in; c++) {
      const double spread = (double)code[c] * norm.gamma[c];
      noise += spread * spread;
      constant += (double)code[c] * norm.beta[c];
    }
    constant = constant * scale + (layer->bias ? layer->bias[row] : 0.0);
    sum += noise * (scale * scale) + constant * constant;
  }
  return sum;
}

bool chord_sharp(const chord_layer *query, const chord_layer *key, chord_norm_weights norm, uint32_t width) {
  const double most = CHORD_SHARP * width;
  for (uint32_t first = 0; first < query->out; first += width)
    if (square_length(query, norm, first, width) * square_length(key, norm, first, width) > most * most) return true;
  return false;
}
