/* How the variants walk through the rows of a chord_spread. */
#ifndef CHORD_SPREAD_H
#define CHORD_SPREAD_H

#include "ukernels.h"

/* Column by column, of long rows only some at a time: their lines would drive each other out of the first cache. */
#define CHORD_SPREAD_SOME_ROWS(args, spread)                                      \
  chord_spread some = *(args);                                                   \
  for (size_t left = (args)->rows; left; left -= some.rows) {                    \
    some.rows = some.dim > 128 && left > 16 ? 16 : left;                         \
    spread(some);                                                                \
    some.x += some.rows * some.x_stride;                                         \
    some.out += some.rows * some.out_stride;                                     \
  }

#endif
