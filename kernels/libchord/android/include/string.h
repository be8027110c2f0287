/* What libchord uses of Android's libc, declared here so that it can be built without the NDK. */
#ifndef CHORD_ANDROID_STRING_H
#define CHORD_ANDROID_STRING_H
#include <stddef.h>
void *memchr(const void *bytes, int value, size_t count);
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t bytes);
size_t strlen(const char *text);
#endif
