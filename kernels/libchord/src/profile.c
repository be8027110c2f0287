/* The pooled profile of a history (docs/hypernetwork.md), from the item embeddings as the master has them. */
#include <math.h>
#include <string.h>

#include "internal.h"

/* log(1 + items) of long and short histories then lies between 0 and about 2. */
#define COUNT_SCALE 0.25f

chord_status chord_profile(const chord_model *model, const int32_t *history, size_t history_length, const uint32_t *pools,
                           size_t pool_count, float *profile) {
  if (!model || model->magic != CHORD_MODEL_MAGIC || (history_length && !history) || !pools || pool_count == 0 || !profile ||
      !chord_fits(pool_count, model->dim, sizeof *profile))
    return CHORD_BAD_ARGUMENT;
  for (size_t i = 0; i < pool_count; i++)
    if (pools[i] <= (i ? pools[i - 1] : 0)) return CHORD_BAD_ARGUMENT;
  const size_t dim = model->dim, most = pools[pool_count - 1], slots = history_length < most ? history_length : most;
  size_t count = 0;
  for (size_t back = 1; back <= slots; back++) {
    const uint32_t item = (uint32_t)history[history_length - back];
    if (item > model->items || (item && count != back - 1)) return CHORD_BAD_HISTORY;
    count += item != 0;
  }
  memset(profile, 0, (pool_count * dim + 1) * sizeof *profile);
  for (size_t i = 0; i < pool_count; i++) {
    const size_t pooled = count < pools[i] ? count : pools[i];
    for (size_t back = pooled; back > 0; back--) {
      float row[CHORD_MAX_DIM];
      model->kernels->embed_e_f32(1, dim, &model->table, history + (history_length - back), NULL, NULL, row);
      for (size_t d = 0; d < dim; d++) profile[i * dim + d] += row[d] * (1.0f / (float)pooled);
    }
  }
  profile[pool_count * dim] = log1pf((float)count) * COUNT_SCALE;
  return CHORD_OK;
}
