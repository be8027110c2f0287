/* Which items compete: the targets of the lessons, and evenly spaced ones of the rest, each of which stands for its share of it. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* Shell's sort with Ciura's gaps: some thousand numbers at most. */
void chord_sort(uint32_t *values, size_t count) {
  static const size_t gaps[] = {3548, 1577, 701, 301, 132, 57, 23, 10, 4, 1};
  for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++)
    for (size_t i = gaps[g]; i < count; i++) {
      const uint32_t value = values[i];
      size_t at = i;
      for (; at >= gaps[g] && values[at - gaps[g]] > value; at -= gaps[g]) values[at] = values[at - gaps[g]];
      values[at] = value;
    }
}

void chord_candidates_layout(chord_candidates *c, chord_carver *carver, size_t rows, size_t others, size_t items) {
  const size_t targets = rows < items ? rows : items, most = targets + others < items ? targets + others : items;
  c->items = chord_carve(carver, chord_round_up(most, 16) * sizeof(int32_t));
  for (c->bits = 4; (size_t)1 << c->bits < 2 * most; c->bits++) continue;
  c->slots = chord_carve(carver, sizeof(uint16_t) << c->bits);
  c->counts = chord_carve(carver, (rows + targets) * sizeof(uint32_t));
}

static uint32_t slot_of(const chord_candidates *c, int32_t item) { return ((uint32_t)item * 2654435769u) >> (32 - c->bits); }

int32_t chord_candidates_place(const chord_candidates *c, int32_t item) {
  const uint32_t mask = (1u << c->bits) - 1;
  for (uint32_t slot = slot_of(c, item); c->slots[slot]; slot = (slot + 1) & mask)
    if (c->items[c->slots[slot] - 1] == item) return c->slots[slot] - 1;
  return -1;
}

/* How often a target must occur to have a bias; `ties` of those that occur so often have one too. */
static uint32_t threshold(const uint32_t *counts, uint32_t targets, uint32_t *ties) {
  uint32_t least = 0;
  for (;;) {
    uint32_t above = 0, next = UINT32_MAX;
    for (uint32_t i = 0; i < targets; i++)
      if (counts[i] > least) {
        above++;
        next = counts[i] < next ? counts[i] : next;
      }
    if (above <= CHORD_MOST_BIASES) {
      *ties = CHORD_MOST_BIASES - above;
      return least;
    }
    least = next;
  }
}

void chord_candidates_choose(chord_candidates *c, const chord_row *rows, const uint32_t *numbers, size_t count, size_t others,
                             size_t items) {
  /* The targets, ascending, each once, and how often it occurs. */
  uint32_t *found = c->counts, *counts = found + count, targets = 0;
  for (size_t i = 0; i < count; i++) found[i] = (uint32_t)rows[numbers[i]].target;
  chord_sort(found, count);
  for (size_t i = 0; i < count; i++) {
    if (i == 0 || found[i] != found[targets - 1]) {
      found[targets] = found[i];
      counts[targets++] = 0;
    }
    counts[targets - 1]++;
  }
  uint32_t ties, place = 0;
  const uint32_t least = threshold(counts, targets, &ties);
  for (uint32_t i = 0; i < targets; i++)
    if (counts[i] > least || (counts[i] == least && ties > 0)) {
      ties -= counts[i] == least;
      c->items[place++] = (int32_t)found[i];
      counts[i] = 0;
    }
  c->biases = place;
  for (uint32_t i = 0; i < targets; i++)
    if (counts[i]) c->items[place++] = (int32_t)found[i];
  c->targets = targets;

  /* The k-th of the rest is the item before which k of the rest stand. */
  const size_t rest = items - targets, drawn = others < rest ? others : rest;
  for (size_t k = 0, passed = 0; k < drawn; k++) {
    const size_t number = (2 * k + 1) * rest / (2 * drawn);
    while (passed < targets && found[passed] <= number + 1 + passed) passed++;
    c->items[place++] = (int32_t)(number + 1 + passed);
  }
  c->share = drawn ? (float)log((double)rest / (double)drawn) : 0.0f;
  c->count = place;
  for (size_t i = place; i < chord_round_up(place, 16); i++) c->items[i] = 0;

  const uint32_t mask = (1u << c->bits) - 1;
  memset(c->slots, 0, sizeof(uint16_t) << c->bits);
  for (uint32_t i = 0; i < c->count; i++) {
    uint32_t slot = slot_of(c, c->items[i]);
    while (c->slots[slot]) slot = (slot + 1) & mask;
    c->slots[slot] = (uint16_t)(i + 1);
  }
}
