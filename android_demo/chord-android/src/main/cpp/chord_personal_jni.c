/* io.chordkit.NativePersonal: a personal file in one direct buffer becomes a master in another. io.chordkit.PersonalFile has checked both. */
#include <jni.h>

#include "chord_personal.h"
#include "handles.h"

static jint told(JNIEnv *env, chord_status status, const chord_diagnosis *diagnosis, jobjectArray texts) {
  if (status != CHORD_OK) put_text(env, texts, 0, diagnosis->text[0] ? diagnosis->text : chord_status_text(status));
  return (jint)status;
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativePersonal_query(JNIEnv *env, jclass type, jobject file, jint start, jint bytes,
                                                             jlongArray sizes, jbyteArray fingerprint, jobjectArray sentence) {
  (void)type;
  chord_personal found = {.struct_size = sizeof found};
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  const unsigned char *data = (*env)->GetDirectBufferAddress(env, file);
  const chord_status status = chord_personal_query(data + start, (size_t)bytes, &found, &diagnosis);
  const jlong needed[2] = {(jlong)found.master_bytes, found.strategy_bytes};
  (*env)->SetLongArrayRegion(env, sizes, 0, 2, needed);
  (*env)->SetByteArrayRegion(env, fingerprint, 0, 8, (const jbyte *)found.fingerprint);
  return told(env, status, &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativePersonal_expand(JNIEnv *env, jclass type, jobject file, jint start, jint bytes, jobject master,
                                                              jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  const unsigned char *data = (*env)->GetDirectBufferAddress(env, file);
  void *memory = (*env)->GetDirectBufferAddress(env, master);
  const size_t room = (size_t)(*env)->GetDirectBufferCapacity(env, master);
  return told(env, chord_personal_expand(data + start, (size_t)bytes, memory, room, &diagnosis), &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativePersonal_strategy(JNIEnv *env, jclass type, jobject file, jint start, jint bytes,
                                                                jbyteArray fingerprint, jbyteArray strategy, jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  jbyte own[8];
  (*env)->GetByteArrayRegion(env, fingerprint, 0, 8, own);
  const unsigned char *data = (*env)->GetDirectBufferAddress(env, file);
  jbyte *out = (*env)->GetByteArrayElements(env, strategy, NULL);
  if (!out) return CHORD_NO_MEMORY;
  const chord_status status = chord_personal_strategy(data + start, (size_t)bytes, (const uint8_t *)own, out,
                                                      (size_t)(*env)->GetArrayLength(env, strategy), &diagnosis);
  (*env)->ReleaseByteArrayElements(env, strategy, out, 0);
  return told(env, status, &diagnosis, sentence);
}
