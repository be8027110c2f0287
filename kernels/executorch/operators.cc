#include "operators.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include <executorch/runtime/platform/log.h>

#include "chord_executorch.h"

namespace chord_executorch {
namespace {

using executorch::runtime::Error;

thread_local char last_error[256] = "";

Error error_of(chord_status status) {
  switch (status) {
  case CHORD_BAD_MASTER:
    return Error::InvalidProgram;
  case CHORD_NO_MEMORY:
    return Error::MemoryAllocationFailed;
  case CHORD_BUSY:
    return Error::InvalidState;
  default:
    return Error::InvalidArgument;
  }
}

} // namespace

ModelCache &models() {
  static ModelCache &cache = *new ModelCache;
  return cache;
}

LayerCache &layers() {
  static LayerCache &cache = *new LayerCache;
  return cache;
}

void refuse(executorch::runtime::KernelRuntimeContext &context, Error error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  ET_LOG(Error, "%s", last_error);
  context.fail(error);
}

void refuse(executorch::runtime::KernelRuntimeContext &context, const char *operation, chord_status status,
            const chord_diagnosis &diagnosis) {
  refuse(context, error_of(status), "%s: %s", operation, diagnosis.text[0] ? diagnosis.text : chord_status_text(status));
}

} // namespace chord_executorch

extern "C" {

uint32_t chord_executorch_version(void) { return CHORD_EXECUTORCH_VERSION; }

const char *chord_executorch_last_error(void) { return chord_executorch::last_error; }

void chord_executorch_count(chord_executorch_counts *counts) {
  chord_executorch_counts all{};
  if (!counts) return;
  const uint32_t known = counts->struct_size;
  chord_executorch::models().count(&all.models, &all.bytes, &all.opened, &all.adopted);
  chord_executorch::layers().count(&all.layers, &all.bytes, &all.opened);
  std::memcpy(counts, &all, known < sizeof all ? known : sizeof all);
  if (known >= sizeof known) counts->struct_size = known;
}

void chord_executorch_limit(uint32_t models, uint32_t layers) {
  chord_executorch::models().limit(models);
  chord_executorch::layers().limit(layers);
}

void chord_executorch_trim(void) {
  chord_executorch::models().trim();
  chord_executorch::layers().trim();
}

} // extern "C"
