/* What the checks share: guarded memory, repeatable random numbers, comparisons. */
#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "../../ukernels/ukernels.h"

/* The definition, and the variant that is compared with it. */
extern const chord_ukernels *const reference;
extern const chord_ukernels *tested;

/* Every function of every file, over its table of shapes. */
void check_products(void);
void check_rows(void);
void check_attention(void);
void check_not_finite(void);

uint32_t random_bits(void);
float random_float(void);
int8_t random_code(void);

/* Zeroed memory whose end is guarded. Every check allocates afresh and releases everything at its end, which counts as one comparison. */
void *block(size_t bytes);
float *floats(size_t count);
float *random_floats(size_t count);
void release(const char *operation, const char *shape);

void fail(const char *operation, const char *shape, const char *what);
/* The same bits, where all NaN count as one. */
void same_floats(const char *operation, const char *shape, const float *a, const float *b, size_t count);
void same_bytes(const char *operation, const char *shape, const void *a, const void *b, size_t bytes);
/* Codes [rows][stride] of the reference and of the variant, which may store with 128 added. */
void same_codes(const char *operation, const char *shape, const uint8_t *a, const uint8_t *b, size_t rows, size_t width, size_t stride);

/* Runs all checks of a variant and prints its line; gives the number of differences. */
size_t check_variant(const chord_variant *variant);

#endif
