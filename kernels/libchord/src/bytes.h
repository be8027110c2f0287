/* Numbers as files have them, little-endian and at any address. */
#ifndef CHORD_BYTES_H
#define CHORD_BYTES_H

#include <stdint.h>

static inline uint32_t chord_get16(const uint8_t *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }
static inline uint32_t chord_get32(const uint8_t *at) { return chord_get16(at) | chord_get16(at + 2) << 16; }
static inline uint64_t chord_get64(const uint8_t *at) { return chord_get32(at) | (uint64_t)chord_get32(at + 4) << 32; }

#endif
