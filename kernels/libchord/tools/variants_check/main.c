/*
 * Compares every micro-kernel of every variant that this CPU runs with the scalar definition, over a table of shapes, and
 * looks for writes outside of the outputs. The same program runs on x86, under qemu and on a phone.
 *
 *   chord_variants_check [--list] [variant ...]
 *
 * --list prints the variants and whether they are supported. Exit status: 0 all equal, 1 a difference, 2 wrong use.
 */
#include <stdio.h>
#include <string.h>

#include "../../include/chord.h"
#include "check.h"

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "--list") == 0) {
    for (uint32_t i = 0; chord_variant_name(i); i++)
      printf("%s %s\n", chord_variant_name(i), chord_variant_supported(i) ? "supported" : "unsupported");
    return 0;
  }
  for (int i = 1; i < count; i++) {
    uint32_t v = 0;
    while (chord_variant_name(v) && strcmp(chord_variant_name(v), arguments[i]) != 0) v++;
    if (!chord_variant_name(v)) {
      fprintf(stderr, "unknown variant '%s': --list shows them\n", arguments[i]);
      return 2;
    }
  }
  size_t differences = 0;
  for (uint32_t v = 0; chord_variant_name(v); v++) {
    int wanted = count == 1 && chord_variant_supported(v);
    for (int i = 1; i < count; i++) wanted |= strcmp(arguments[i], chord_variant_name(v)) == 0;
    if (wanted) differences += check_variant(&chord_variants[v]);
  }
  return differences != 0;
}
