/* io.chordkit.NativeLearning: arrays and direct buffers to the learning part of libchord. What Java gives was made or checked by its own
 * classes of that package; memory for training is had for one call. */
#include <stdlib.h>

#include "chord_learn.h"
#include "handles.h"

static jint told(JNIEnv *env, chord_learn_status status, const chord_diagnosis *diagnosis, jobjectArray texts) {
  if (status != CHORD_LEARN_OK && !(*env)->ExceptionCheck(env))
    put_text(env, texts, 0, diagnosis->text[0] ? diagnosis->text : chord_learn_status_text(status));
  return (jint)status;
}

/* Lessons lie in Java's buffers as pairs of ints. */
static chord_lesson *lessons_at(JNIEnv *env, jobject buffer) { return (chord_lesson *)(*env)->GetDirectBufferAddress(env, buffer); }

/* Eight bytes, or none. */
static const uint8_t *digest_of(JNIEnv *env, jbyteArray strategy, uint8_t room[8]) {
  if (!strategy) return NULL;
  (*env)->GetByteArrayRegion(env, strategy, 0, 8, (jbyte *)room);
  return room;
}

JNIEXPORT jstring JNICALL Java_io_chordkit_NativeLearning_statusText(JNIEnv *env, jclass type, jint status) {
  (void)type;
  return (*env)->NewStringUTF(env, chord_learn_status_text((chord_learn_status)status));
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_openSamples(JNIEnv *env, jclass type, jlong handle, jbyteArray data, jintArray numbers,
                                                                   jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_samples samples = {.struct_size = sizeof samples};
  jbyte *bytes = (*env)->GetByteArrayElements(env, data, NULL);
  if (!bytes) return CHORD_LEARN_NO_MEMORY;
  const chord_learn_status status =
      chord_samples_open(as_model(handle)->engine, bytes, (size_t)(*env)->GetArrayLength(env, data), &samples, &diagnosis);
  (*env)->ReleaseByteArrayElements(env, data, bytes, JNI_ABORT);
  const jint found[6] = {(jint)samples.segments, (jint)samples.samples,  (jint)samples.items,
                         (jint)samples.offset,   (jint)samples.deflated, (jint)samples.most};
  if (status == CHORD_LEARN_OK) (*env)->SetIntArrayRegion(env, numbers, 0, 6, found);
  return told(env, status, &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_readSamples(JNIEnv *env, jclass type, jlong handle, jintArray numbers,
                                                                   jbyteArray payload, jint size, jobject items, jobject lessons,
                                                                   jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  jint found[6];
  (*env)->GetIntArrayRegion(env, numbers, 0, 6, found);
  const chord_samples samples = {.struct_size = sizeof samples,      .segments = (uint32_t)found[0], .samples = (uint32_t)found[1],
                                 .items = (uint32_t)found[2],        .offset = (uint32_t)found[3],   .deflated = (uint32_t)found[4],
                                 .most = (uint32_t)found[5]};
  jbyte *bytes = (*env)->GetByteArrayElements(env, payload, NULL);
  if (!bytes) return CHORD_LEARN_NO_MEMORY;
  const chord_learn_status status = chord_samples_read(as_model(handle)->engine, &samples, bytes, (size_t)size, ints(env, items, 0),
                                                       lessons_at(env, lessons), &diagnosis);
  (*env)->ReleaseByteArrayElements(env, payload, bytes, JNI_ABORT);
  return told(env, status, &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_ownLessons(JNIEnv *env, jclass type, jint length, jint most, jobject lessons) {
  (void)type;
  return (jint)chord_own_lessons((size_t)length, (size_t)most, lessons_at(env, lessons));
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_states(JNIEnv *env, jclass type, jlong handle, jobject items, jint item_count,
                                                              jobject lessons, jint count, jobject states, jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  const chord_learn_status status =
      chord_lesson_states(as_session(handle), ints(env, items, 0), (size_t)item_count, lessons_at(env, lessons), (size_t)count,
                          floats(env, states, 0), &diagnosis);
  return told(env, status, &diagnosis, sentence);
}

static chord_lessons lessons_of(JNIEnv *env, jobject items, jint item_count, jobject lessons, jint count, jobject states) {
  return (chord_lessons){.struct_size = sizeof(chord_lessons),    .count = (uint32_t)count,
                         .items = ints(env, items, 0),            .item_count = (size_t)item_count,
                         .lessons = lessons_at(env, lessons),     .states = floats(env, states, 0)};
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_personalise(JNIEnv *env, jclass type, jlong handle, jfloat temperature, jobject items,
                                                                   jint item_count, jobject lessons, jint count, jobject states,
                                                                   jobject other_items, jint other_item_count, jobject other_lessons,
                                                                   jint other_count, jobject other_states, jbyteArray strategy,
                                                                   jbyteArray adapter, jintArray counts, jdoubleArray numbers,
                                                                   jobjectArray sentence) {
  (void)type;
  const chord_model *engine = as_model(handle)->engine;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_learn_options options = {.struct_size = sizeof options};
  chord_learn_report report = {.struct_size = sizeof report};
  uint8_t room[8];
  uint64_t bytes = 0;
  size_t written = 0;
  chord_learn_status status = chord_learn_defaults(&options);
  options.temperature = temperature;
  if (status == CHORD_LEARN_OK) status = chord_learn_size(engine, &options, (size_t)count, (size_t)other_count, &bytes, &diagnosis);
  if (status != CHORD_LEARN_OK) return told(env, status, &diagnosis, sentence);
  void *memory = bytes < SIZE_MAX ? malloc((size_t)bytes + 1) : NULL;
  jbyte *out = memory ? (*env)->GetByteArrayElements(env, adapter, NULL) : NULL;
  status = CHORD_LEARN_NO_MEMORY;
  if (out) {
    const chord_lessons own = lessons_of(env, items, item_count, lessons, count, states);
    const chord_lessons others = other_count ? lessons_of(env, other_items, other_item_count, other_lessons, other_count, other_states)
                                             : (chord_lessons){.struct_size = sizeof others};
    status = chord_personalise(engine, &options, &own, other_count ? &others : NULL, digest_of(env, strategy, room), memory, (size_t)bytes,
                               out, &written, &report, &diagnosis);
    (*env)->ReleaseByteArrayElements(env, adapter, out, 0);
  }
  free(memory);
  if ((*env)->ExceptionCheck(env)) return CHORD_LEARN_NO_MEMORY;
  if (status == CHORD_LEARN_OK) {
    const jint told_counts[5] = {(jint)written, (jint)report.adopt, (jint)report.local, (jint)report.outside, (jint)report.kept};
    const jdouble told_numbers[3] = {report.before, report.after, report.low};
    (*env)->SetIntArrayRegion(env, counts, 0, 5, told_counts);
    (*env)->SetDoubleArrayRegion(env, numbers, 0, 3, told_numbers);
  }
  return told(env, status, &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_mostAdapterBytes(JNIEnv *env, jclass type, jint dim) {
  (void)env, (void)type;
  return (jint)CHORD_ADAPTER_MOST_BYTES((uint32_t)dim);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_openAdapter(JNIEnv *env, jclass type, jlong handle, jobject data, jint bytes,
                                                                   jbyteArray strategy, jintArray biases, jobjectArray sentence) {
  (void)type;
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_adapter adapter = {.struct_size = sizeof adapter};
  uint8_t room[8];
  const chord_learn_status status = chord_adapter_open(as_model(handle)->engine, (*env)->GetDirectBufferAddress(env, data), (size_t)bytes,
                                                       digest_of(env, strategy, room), &adapter, &diagnosis);
  const jint found = (jint)adapter.items;
  if (status == CHORD_LEARN_OK) (*env)->SetIntArrayRegion(env, biases, 0, 1, &found);
  return told(env, status, &diagnosis, sentence);
}

/* One that openAdapter has checked. */
static chord_adapter adapter_of(JNIEnv *env, jobject data, jint bytes, jint dim, jint biases) {
  return (chord_adapter){.struct_size = sizeof(chord_adapter), .dim = (uint32_t)dim, .items = (uint32_t)biases,
                         .data = (*env)->GetDirectBufferAddress(env, data), .bytes = (size_t)bytes};
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_judge(JNIEnv *env, jclass type, jlong handle, jobject data, jint bytes, jint dim,
                                                             jint biases, jfloat temperature, jobject items, jint item_count, jobject lessons,
                                                             jint count, jobject states, jdoubleArray numbers, jobjectArray sentence) {
  (void)type;
  const chord_model *engine = as_model(handle)->engine;
  const chord_adapter adapter = adapter_of(env, data, bytes, dim, biases);
  const chord_lessons own = lessons_of(env, items, item_count, lessons, count, states);
  chord_diagnosis diagnosis = {.struct_size = sizeof diagnosis};
  chord_learn_options options = {.struct_size = sizeof options};
  chord_learn_report report = {.struct_size = sizeof report};
  uint64_t needed = 0;
  chord_learn_status status = chord_learn_defaults(&options);
  options.temperature = temperature;
  if (status == CHORD_LEARN_OK) status = chord_learn_size(engine, &options, (size_t)count, 0, &needed, &diagnosis);
  if (status != CHORD_LEARN_OK) return told(env, status, &diagnosis, sentence);
  void *memory = needed < SIZE_MAX ? malloc((size_t)needed + 1) : NULL;
  if (!memory) return told(env, CHORD_LEARN_NO_MEMORY, &diagnosis, sentence);
  status = chord_adapter_judge(engine, &options, &adapter, &own, memory, (size_t)needed, &report, &diagnosis);
  free(memory);
  const jdouble found[3] = {report.before, report.after, report.low};
  if (status == CHORD_LEARN_OK) (*env)->SetDoubleArrayRegion(env, numbers, 0, 3, found);
  return told(env, status, &diagnosis, sentence);
}

JNIEXPORT jint JNICALL Java_io_chordkit_NativeLearning_scores(JNIEnv *env, jclass type, jlong handle, jobject data, jint bytes, jint dim,
                                                              jint biases, jfloat temperature, jobject hidden, jint from, jobject candidates,
                                                              jint first, jint count, jobject scores, jint to) {
  (void)type;
  const chord_adapter adapter = adapter_of(env, data, bytes, dim, biases);
  const float *state = floats(env, hidden, from);
  const int32_t *wanted = ints(env, candidates, first);
  float *out = floats(env, scores, to);
  if (!aligned(state, wanted, out)) return CHORD_LEARN_BAD_ARGUMENT;
  return (jint)chord_adapted_scores(as_session(handle), &adapter, temperature, state, wanted, (size_t)count, out);
}
