/* What libchord uses of Android's libc, declared here so that it can be built without the NDK. */
#ifndef CHORD_ANDROID_STDIO_H
#define CHORD_ANDROID_STDIO_H
#include <stdarg.h>
#include <stddef.h>
int snprintf(char *restrict to, size_t bytes, const char *restrict format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *restrict to, size_t bytes, const char *restrict format, va_list arguments) __attribute__((format(printf, 3, 0)));
#endif
