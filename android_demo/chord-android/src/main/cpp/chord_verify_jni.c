/* io.chordkit.trust.NativeVerifier: arrays to the C verifier and back, and a call up to Java for the arithmetic of Ed25519. An exception of
 * the verifier in Java stays pending: nothing is accepted, and it is thrown when the native method returns. */
#include <jni.h>

#include "chord_verify.h"

typedef struct upcall {
  JNIEnv *env;
  jobject verifier;
  jmethodID verify;
} upcall;

static jbyteArray to_array(JNIEnv *env, const void *data, size_t bytes) {
  jbyteArray array = (*env)->NewByteArray(env, (jsize)bytes);
  if (array) (*env)->SetByteArrayRegion(env, array, 0, (jsize)bytes, data);
  return array;
}

static int verify_in_java(void *context, const uint8_t key[32], const uint8_t signature[64], const void *message, size_t bytes) {
  const upcall *up = context;
  JNIEnv *env = up->env;
  if ((*env)->ExceptionCheck(env) || (*env)->PushLocalFrame(env, 3) != 0) return 0;
  jbyteArray k = to_array(env, key, 32), s = k ? to_array(env, signature, 64) : NULL, m = s ? to_array(env, message, bytes) : NULL;
  const jboolean valid = m && (*env)->CallBooleanMethod(env, up->verifier, up->verify, k, s, m) == JNI_TRUE;
  const int failed = (*env)->ExceptionCheck(env);
  (*env)->PopLocalFrame(env, NULL);
  return valid && !failed;
}

/* Arrays of Java that C reads. */
typedef struct trusted {
  upcall up;
  jbyteArray keys, revoked;
  jbyte *key_bytes, *revoked_bytes;
  chord_trust trust;
} trusted;

static int trust_open(JNIEnv *env, trusted *t, jbyteArray keys, jbyteArray revoked, jobject verifier) {
  *t = (trusted){.up = {.env = env, .verifier = verifier}, .keys = keys, .revoked = revoked};
  if (verifier) {
    jclass type = (*env)->GetObjectClass(env, verifier);
    t->up.verify = (*env)->GetMethodID(env, type, "verify", "([B[B[B)Z");
    if (!t->up.verify) return 0;
  }
  t->key_bytes = (*env)->GetByteArrayElements(env, keys, NULL);
  t->revoked_bytes = t->key_bytes ? (*env)->GetByteArrayElements(env, revoked, NULL) : NULL;
  t->trust = (chord_trust){.struct_size = sizeof t->trust, .key_count = (uint32_t)(*env)->GetArrayLength(env, keys) / 32,
                           .keys = (const uint8_t(*)[32])t->key_bytes, .revoked = (const uint8_t(*)[8])t->revoked_bytes,
                           .revoked_count = (uint32_t)(*env)->GetArrayLength(env, revoked) / 8, .verify = verifier ? verify_in_java : NULL,
                           .context = &t->up};
  return t->revoked_bytes || (t->key_bytes && t->trust.revoked_count == 0);
}

static void trust_close(JNIEnv *env, trusted *t) {
  if (t->key_bytes) (*env)->ReleaseByteArrayElements(env, t->keys, t->key_bytes, JNI_ABORT);
  if (t->revoked_bytes) (*env)->ReleaseByteArrayElements(env, t->revoked, t->revoked_bytes, JNI_ABORT);
}

static void say(JNIEnv *env, jobjectArray results, const chord_diagnosis *diagnosis) {
  if ((*env)->ExceptionCheck(env)) return;
  jstring sentence = (*env)->NewStringUTF(env, diagnosis->text);
  if (sentence) (*env)->SetObjectArrayElement(env, results, 0, sentence);
}

/* Names, and offsets and sizes, into `results`. A pending exception is left to Java. */
static chord_verify_status list_members(JNIEnv *env, const chord_bundle *bundle, jobjectArray results, chord_diagnosis *diagnosis) {
  jclass text = (*env)->FindClass(env, "java/lang/String");
  jobjectArray names = text ? (*env)->NewObjectArray(env, (jsize)bundle->members, text, NULL) : NULL;
  jlongArray places = names ? (*env)->NewLongArray(env, (jsize)(2 * bundle->members)) : NULL;
  for (uint32_t i = 0; places && i < bundle->members; i++) {
    chord_member member = {.struct_size = sizeof member};
    const chord_verify_status status = chord_bundle_member_at(bundle, i, &member, diagnosis);
    if (status != CHORD_VERIFY_OK) return status;
    char name[4 * 101]; /* four parts of 100 and what is between them */
    if (member.name_bytes >= sizeof name) return CHORD_VERIFY_DAMAGED;
    for (uint32_t at = 0; at <= member.name_bytes; at++) name[at] = at < member.name_bytes ? member.name[at] : 0;
    const jlong place[2] = {(const uint8_t *)member.data - bundle->data, (jlong)member.bytes};
    jstring own = (*env)->NewStringUTF(env, name);
    if (!own) return CHORD_VERIFY_DAMAGED;
    (*env)->SetObjectArrayElement(env, names, (jsize)i, own);
    (*env)->DeleteLocalRef(env, own);
    (*env)->SetLongArrayRegion(env, places, (jsize)(2 * i), 2, place);
  }
  if (!places) return CHORD_VERIFY_DAMAGED;
  (*env)->SetObjectArrayElement(env, results, 0, names);
  (*env)->SetObjectArrayElement(env, results, 1, places);
  return CHORD_VERIFY_OK;
}

JNIEXPORT jint JNICALL Java_io_chordkit_trust_NativeVerifier_openBundle(JNIEnv *env, jclass type, jobject data, jint size, jbyteArray keys,
                                                                        jbyteArray revoked, jobject verifier, jlong minimum,
                                                                        jlongArray numbers, jbyteArray ids, jobjectArray results) {
  (void)type;
  trusted t = {0};
  chord_bundle bundle = {.struct_size = sizeof bundle};
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_verify_status status = CHORD_VERIFY_BAD_ARGUMENT;
  const uint8_t *bytes = (*env)->GetDirectBufferAddress(env, data);
  if (trust_open(env, &t, keys, revoked, verifier) && bytes)
    status = chord_bundle_open(bytes, (size_t)size, &t.trust, (uint64_t)minimum, &bundle, &diagnosis);
  if (status == CHORD_VERIFY_OK && !(*env)->ExceptionCheck(env)) status = list_members(env, &bundle, results, &diagnosis);
  if (status != CHORD_VERIFY_OK) {
    say(env, results, &diagnosis);
  } else if (!(*env)->ExceptionCheck(env)) {
    const jlong found[2] = {bundle.format_version, (jlong)bundle.counter};
    (*env)->SetLongArrayRegion(env, numbers, 0, 2, found);
    (*env)->SetByteArrayRegion(env, ids, 0, 8, (const jbyte *)bundle.fingerprint);
    (*env)->SetByteArrayRegion(env, ids, 8, 8, (const jbyte *)bundle.key_id);
  }
  trust_close(env, &t);
  return (jint)status;
}

JNIEXPORT jint JNICALL Java_io_chordkit_trust_NativeVerifier_openEnvelope(JNIEnv *env, jclass type, jbyteArray data, jbyteArray keys,
                                                                          jbyteArray revoked, jobject verifier, jbyteArray subject,
                                                                          jbyteArray fingerprint, jlong minimum, jlong now,
                                                                          jlong latest_seen, jlongArray numbers, jbyteArray ids,
                                                                          jobjectArray results) {
  (void)type;
  trusted t = {0};
  chord_envelope envelope = {.struct_size = sizeof envelope};
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_verify_status status = CHORD_VERIFY_BAD_ARGUMENT;
  const jsize size = (*env)->GetArrayLength(env, data);
  jbyte *bytes = (*env)->GetByteArrayElements(env, data, NULL);
  uint8_t own_subject[24], own_fingerprint[8];
  chord_envelope_terms terms = {.struct_size = sizeof terms, .minimum_serial = (uint64_t)minimum, .now = (uint64_t)now,
                                .latest_seen = (uint64_t)latest_seen};
  if (subject) {
    /* A longer one is no envelope's: 24 of its bytes and its own length equal none. */
    terms.subject = own_subject;
    terms.subject_bytes = (uint32_t)(*env)->GetArrayLength(env, subject);
    const jsize held = terms.subject_bytes < sizeof own_subject ? (jsize)terms.subject_bytes : (jsize)sizeof own_subject;
    (*env)->GetByteArrayRegion(env, subject, 0, held, (jbyte *)own_subject);
  }
  if (fingerprint) {
    terms.fingerprint = own_fingerprint;
    (*env)->GetByteArrayRegion(env, fingerprint, 0, 8, (jbyte *)own_fingerprint);
  }
  if (!(*env)->ExceptionCheck(env) && trust_open(env, &t, keys, revoked, verifier) && bytes)
    status = chord_envelope_open(bytes, (size_t)size, &t.trust, &terms, &envelope, &diagnosis);
  if (status != CHORD_VERIFY_OK) {
    say(env, results, &diagnosis);
  } else {
    const jlong found[7] = {(jlong)envelope.serial,         (jlong)envelope.not_before,
                            (jlong)envelope.expires,        (jlong)envelope.latest_seen,
                            (jlong)envelope.subject_bytes,  envelope.payload - (const uint8_t *)bytes,
                            (jlong)envelope.payload_bytes};
    (*env)->SetLongArrayRegion(env, numbers, 0, 7, found);
    (*env)->SetByteArrayRegion(env, ids, 0, 8, (const jbyte *)envelope.fingerprint);
    (*env)->SetByteArrayRegion(env, ids, 8, 8, (const jbyte *)envelope.key_id);
  }
  trust_close(env, &t);
  if (bytes) (*env)->ReleaseByteArrayElements(env, data, bytes, JNI_ABORT);
  return (jint)status;
}
