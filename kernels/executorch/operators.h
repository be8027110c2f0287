// What both operators share: the caches of the process, and how a call is refused.
#pragma once

#include <executorch/runtime/kernel/kernel_runtime_context.h>

#include "../libchord/include/chord.h"
#include "layer_cache.h"
#include "model_cache.h"

namespace chord_executorch {

// Made at first use and never destroyed: a program may still run while the process ends.
ModelCache &models();
LayerCache &layers();

// Fails the call, logs the reason and keeps it for chord_executorch_last_error.
void refuse(executorch::runtime::KernelRuntimeContext &context, executorch::runtime::Error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The same for a status of libchord; an empty diagnosis is replaced by the status's own sentence.
void refuse(executorch::runtime::KernelRuntimeContext &context, const char *operation, chord_status status,
            const chord_diagnosis &diagnosis);

inline chord_diagnosis no_diagnosis() {
  chord_diagnosis diagnosis{};
  diagnosis.struct_size = sizeof diagnosis;
  return diagnosis;
}

} // namespace chord_executorch
