/* What libchord uses of Android's libc, declared here so that it can be built without the NDK. */
#ifndef CHORD_ANDROID_AUXV_H
#define CHORD_ANDROID_AUXV_H
unsigned long getauxval(unsigned long type);
#endif
