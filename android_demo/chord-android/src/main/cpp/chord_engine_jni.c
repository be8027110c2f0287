/* io.chordkit.NativeEngine: direct buffers to libchord, without a copy and without an allocation a call. io.chordkit.Engine has checked that
 * buffers are direct, of native order and large enough, and that no handle is used after it was given back. */
#include <jni.h>
#include <stdlib.h>

#include "handles.h"

enum { MOST_POOLS = 64 };

/* The sentence of a refusal, where there is one. */
static jint told(JNIEnv *env, chord_status status, const chord_diagnosis *diagnosis, jobjectArray texts) {
  if (status != CHORD_OK) put_text(env, texts, 0, diagnosis->text[0] ? diagnosis->text : chord_status_text(status));
  return (jint)status;
}

JNIEXPORT jstring JNICALL Java_io_chordkit_NativeEngine_statusText(JNIEnv *env, jclass type, jint status) {
  (void)type;
  return (*env)->NewStringUTF(env, chord_status_text((chord_status)status));
}

static chord_status open_model(const void *master, size_t bytes, const chord_options *options, model **out, chord_diagnosis *diagnosis) {
  chord_sizes sizes = {.struct_size = sizeof sizes};
  chord_status status = chord_query_sizes(master, bytes, options, &sizes, diagnosis);
  if (status != CHORD_OK) return status;
  model *made = sizes.model_bytes < SIZE_MAX - sizeof *made ? malloc(sizeof *made + (size_t)sizes.model_bytes) : NULL;
  if (!made) return CHORD_NO_MEMORY;
  made->session_bytes = (size_t)sizes.session_bytes;
  status = chord_open(master, bytes, options, made->memory, (size_t)sizes.model_bytes, &made->engine, diagnosis);
  if (status == CHORD_OK) *out = made;
  else free(made);
  return status;
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_openModel(JNIEnv *env, jclass type, jobject master, jint start, jint bytes,
                                                               jstring variant, jlongArray handle, jintArray numbers,
                                                               jbyteArray fingerprint, jobjectArray texts) {
  (void)type;
  const char *name = variant ? (*env)->GetStringUTFChars(env, variant, NULL) : NULL;
  if (variant && !name) return CHORD_NO_MEMORY;
  const chord_options options = {.struct_size = sizeof options, .variant = name};
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  const unsigned char *data = (*env)->GetDirectBufferAddress(env, master);
  model *made = NULL;
  const chord_status status = open_model(data + start, (size_t)bytes, &options, &made, &diagnosis);
  if (name) (*env)->ReleaseStringUTFChars(env, variant, name);
  if (status != CHORD_OK) return told(env, status, &diagnosis, texts);
  chord_info info = {.struct_size = sizeof info};
  chord_describe(made->engine, &info);
  const jlong address = (jlong)(intptr_t)made;
  const jint found[4] = {(jint)info.items, (jint)info.max_length, (jint)info.dim, (jint)info.channels};
  (*env)->SetLongArrayRegion(env, handle, 0, 1, &address);
  (*env)->SetIntArrayRegion(env, numbers, 0, 4, found);
  (*env)->SetByteArrayRegion(env, fingerprint, 0, 8, (const jbyte *)info.fingerprint);
  put_text(env, texts, 0, chord_backbone_name(info.architecture - 1));
  put_text(env, texts, 1, info.variant);
  if ((*env)->ExceptionCheck(env)) free(made); /* no memory for a text: the exception is thrown, and nobody has the handle */
  return CHORD_OK;
}

JNIEXPORT void JNICALL Java_io_chordkit_NativeEngine_closeModel(JNIEnv *env, jclass type, jlong handle) {
  (void)env, (void)type;
  free(as_model(handle));
}

JNIEXPORT jlong JNICALL Java_io_chordkit_NativeEngine_openSession(JNIEnv *env, jclass type, jlong handle) {
  (void)env, (void)type;
  const model *of = as_model(handle);
  session *made = malloc(sizeof *made + of->session_bytes);
  if (made && chord_session_open(of->engine, made->memory, of->session_bytes, &made->engine) != CHORD_OK) {
    free(made);
    made = NULL;
  }
  return (jlong)(intptr_t)made;
}

JNIEXPORT void JNICALL Java_io_chordkit_NativeEngine_closeSession(JNIEnv *env, jclass type, jlong handle) {
  (void)env, (void)type;
  free((void *)(intptr_t)handle);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_adopt(JNIEnv *env, jclass type, jlong handle, jbyteArray strategy,
                                                           jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  jbyte *bytes = (*env)->GetByteArrayElements(env, strategy, NULL);
  if (!bytes) return CHORD_NO_MEMORY;
  const chord_status status = chord_adopt(as_model(handle)->engine, bytes, (size_t)(*env)->GetArrayLength(env, strategy), &diagnosis);
  (*env)->ReleaseByteArrayElements(env, strategy, bytes, JNI_ABORT);
  return told(env, status, &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_check(JNIEnv *env, jclass type, jlong handle, jbyteArray strategy, jbyteArray widths,
                                                           jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  jbyte *bytes = (*env)->GetByteArrayElements(env, strategy, NULL), *out = bytes ? (*env)->GetByteArrayElements(env, widths, NULL) : NULL;
  chord_status status = CHORD_NO_MEMORY;
  if (out) {
    status = chord_check_strategy(as_model(handle)->engine, bytes, (size_t)(*env)->GetArrayLength(env, strategy), (uint8_t *)out,
                                  &diagnosis);
    (*env)->ReleaseByteArrayElements(env, widths, out, 0);
  }
  if (bytes) (*env)->ReleaseByteArrayElements(env, strategy, bytes, JNI_ABORT);
  return (*env)->ExceptionCheck(env) ? (jint)status : told(env, status, &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_adoptUser(JNIEnv *env, jclass type, jlong handle, jbyteArray vector,
                                                               jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  if (!vector) return told(env, chord_adopt_user(as_session(handle), NULL, 0, &diagnosis), &diagnosis, sentence);
  jbyte *bytes = (*env)->GetByteArrayElements(env, vector, NULL);
  if (!bytes) return CHORD_NO_MEMORY;
  const chord_status status = chord_adopt_user(as_session(handle), bytes, (size_t)(*env)->GetArrayLength(env, vector), &diagnosis);
  (*env)->ReleaseByteArrayElements(env, vector, bytes, JNI_ABORT);
  return told(env, status, &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_rerank(JNIEnv *env, jclass type, jlong handle, jobject history, jint from, jint slots,
                                                            jobject candidates, jint first, jint count, jobject scores, jint to) {
  (void)type;
  const int32_t *ids = ints(env, history, from), *wanted = ints(env, candidates, first);
  float *out = floats(env, scores, to);
  if (!aligned(ids, wanted, out)) return CHORD_BAD_ARGUMENT;
  return (jint)chord_rerank(as_session(handle), ids, (size_t)slots, wanted, (size_t)count, out);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_hidden(JNIEnv *env, jclass type, jlong handle, jobject history, jint from, jint slots,
                                                            jobject hidden, jint to) {
  (void)type;
  const int32_t *ids = ints(env, history, from);
  float *out = floats(env, hidden, to);
  return aligned(ids, out, NULL) ? (jint)chord_hidden(as_session(handle), ids, (size_t)slots, out) : CHORD_BAD_ARGUMENT;
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_score(JNIEnv *env, jclass type, jlong handle, jobject hidden, jint from,
                                                           jobject candidates, jint first, jint count, jobject scores, jint to) {
  (void)type;
  const float *state = floats(env, hidden, from);
  const int32_t *wanted = ints(env, candidates, first);
  float *out = floats(env, scores, to);
  if (!aligned(state, wanted, out)) return CHORD_BAD_ARGUMENT;
  return (jint)chord_score_hidden(as_session(handle), state, wanted, (size_t)count, out);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_topK(JNIEnv *env, jclass type, jlong handle, jobject history, jint from, jint slots,
                                                          jint k, jboolean exclude_history, jobject items, jint to, jobject scores,
                                                          jint at) {
  (void)type;
  const int32_t *ids = ints(env, history, from);
  int32_t *best = ints(env, items, to);
  float *out = floats(env, scores, at);
  if (!aligned(ids, best, out)) return -CHORD_BAD_ARGUMENT;
  size_t found = 0;
  const chord_status status = chord_top_k(as_session(handle), ids, (size_t)slots, (size_t)k, exclude_history == JNI_TRUE, best, out, &found);
  return status == CHORD_OK ? (jint)found : -(jint)status;
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeEngine_profile(JNIEnv *env, jclass type, jlong handle, jobject history, jint from, jint slots,
                                                             jintArray pools, jobject profile, jint to) {
  (void)type;
  jint given[MOST_POOLS];
  const jsize count = (*env)->GetArrayLength(env, pools);
  if (count > MOST_POOLS) return CHORD_BAD_ARGUMENT;
  (*env)->GetIntArrayRegion(env, pools, 0, count, given);
  const int32_t *ids = ints(env, history, from);
  float *out = floats(env, profile, to);
  if (!aligned(ids, out, NULL)) return CHORD_BAD_ARGUMENT;
  return (jint)chord_profile(as_model(handle)->engine, ids, (size_t)slots, (const uint32_t *)given, (size_t)count, out);
}
