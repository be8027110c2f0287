/* clang's immintrin.h includes this for two functions that libchord does not use. */
#ifndef CHORD_ANDROID_STDLIB_H
#define CHORD_ANDROID_STDLIB_H
#include <stddef.h>
void *malloc(size_t bytes);
void free(void *memory);
int posix_memalign(void **memory, size_t alignment, size_t bytes);
#endif
