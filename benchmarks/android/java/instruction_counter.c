/* The counter of chord_runner for TimeReranks: instructions of the calling thread in user space. */
#include <jni.h>

#include "runner.h"

const char *const bench_program = "TimeReranks";

JNIEXPORT jint JNICALL Java_TimeReranks_openCounter(JNIEnv *env, jclass type) {
  (void)env, (void)type;
  return bench_counter_open();
}

JNIEXPORT void JNICALL Java_TimeReranks_startCounter(JNIEnv *env, jclass type, jint counter) {
  (void)env, (void)type;
  bench_counter_start(counter);
}

JNIEXPORT jlong JNICALL Java_TimeReranks_stopCounter(JNIEnv *env, jclass type, jint counter) {
  (void)env, (void)type;
  return (jlong)bench_counter_stop(counter);
}
