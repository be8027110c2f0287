/* What libchord uses of Android's libm, declared here so that it can be built without the NDK. */
#ifndef CHORD_ANDROID_MATH_H
#define CHORD_ANDROID_MATH_H
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
double ceil(double x);
float fabsf(float x);
float fmaf(float a, float b, float c);
float fmaxf(float a, float b);
double log(double x);
float log1pf(float x);
float rintf(float x);
double sqrt(double x);
float sqrtf(float x);
#endif
