/* What Java keeps of the engine, and what it gives: models and sessions by their addresses, direct buffers, places for texts. */
#ifndef CHORD_JNI_HANDLES_H
#define CHORD_JNI_HANDLES_H

#include <jni.h>

#include "chord.h"

/* One allocation each: the handle that Java keeps is its address. */
typedef struct model {
  chord_model *engine;
  size_t session_bytes;
  unsigned char memory[];
} model;

typedef struct session {
  chord_session *engine;
  unsigned char memory[];
} session;

static inline model *as_model(jlong handle) { return (model *)(intptr_t)handle; }
static inline chord_session *as_session(jlong handle) { return ((session *)(intptr_t)handle)->engine; }

/* Whether C may read and write numbers of 4 bytes there: a buffer can be a view of bytes that begins between them. */
static inline int aligned(const void *a, const void *b, const void *c) { return (((uintptr_t)a | (uintptr_t)b | (uintptr_t)c) & 3u) == 0; }

static inline int32_t *ints(JNIEnv *env, jobject buffer, jint first) { return (int32_t *)(*env)->GetDirectBufferAddress(env, buffer) + first; }
static inline float *floats(JNIEnv *env, jobject buffer, jint first) { return (float *)(*env)->GetDirectBufferAddress(env, buffer) + first; }

static inline void put_text(JNIEnv *env, jobjectArray texts, jsize index, const char *text) {
  jstring string = (*env)->NewStringUTF(env, text);
  if (string) (*env)->SetObjectArrayElement(env, texts, index, string);
}

#endif
