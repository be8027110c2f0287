#ifndef CHORD_ANDROID_SCHED_H
#define CHORD_ANDROID_SCHED_H
int sched_yield(void);
#endif
