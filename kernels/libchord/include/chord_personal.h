/*
 * One user's model in a personal file (CHRP, docs/formats.md), for a device without the master: it is expanded into a master file that
 * chord_open takes, and a strategy for that one: the scores are bit for bit those of the user's strategy on the master it was made from.
 *
 *   chord_personal found = {.struct_size = sizeof found};
 *   chord_personal_query(file, bytes, &found, NULL);      -> found.master_bytes of memory, from a multiple of 64 on
 *   chord_personal_expand(file, bytes, memory, found.master_bytes, NULL);
 *   chord_open(memory, found.master_bytes, ...);
 *   chord_describe(model, &info);
 *   chord_personal_strategy(file, bytes, info.fingerprint, wire, found.strategy_bytes, NULL);
 *   chord_adopt(model, wire, found.strategy_bytes, NULL); all at 8 bits, as it opens, but for the channels that are off
 *
 * A library of its own beside libchord: C11, libc only, no allocation, no global state; safe from any number of threads. The file is not
 * needed afterwards.
 */
#ifndef CHORD_PERSONAL_H
#define CHORD_PERSONAL_H

#include "chord.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct chord_personal {
  uint32_t struct_size;
  uint32_t channels;
  uint64_t master_bytes;  /* of the master file that it expands into */
  uint8_t fingerprint[8]; /* of the master that it was made from; the expanded one has another */
  uint32_t strategy_bytes;
} chord_personal;

/* Checks the file's description and checksum, and says how much memory the master takes. On success fills `found`, whose struct_size the
 * caller has set. `diagnosis` may be null everywhere. CHORD_BAD_MASTER: the file is damaged, or of a later version. */
CHORD_API chord_status chord_personal_query(const void *file, size_t bytes, chord_personal *found, chord_diagnosis *diagnosis);

/* Checks the whole file and writes the master into `master`, which starts at a multiple of 4 bytes. Without CHORD_OK what was written is no
 * master. Channels that are off are zeros there, and take memory; the strategy is what turns them off. */
CHORD_API chord_status chord_personal_expand(const void *file, size_t bytes, void *master, size_t master_bytes, chord_diagnosis *diagnosis);

/* Writes the strategy to adopt, for the expanded master, whose fingerprint chord_describe tells: 8 bits, and off what is off. */
CHORD_API chord_status chord_personal_strategy(const void *file, size_t bytes, const uint8_t fingerprint[8], void *strategy,
                                               size_t strategy_bytes, chord_diagnosis *diagnosis);

#ifdef __cplusplus
}
#endif
#endif
