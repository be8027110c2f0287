// chord_executorch_bench measures an ExecuTorch program on a device, without Python: chord_runner's options, records and rules, which are
// ../../libchord/tools/runner/runner.h's and compiled in but for its model.c, with ExecuTorch where libchord is there. libchord's operators are part
// of it; XNNPACK and the portable kernels are the libraries of the ExecuTorch that it is linked with.
//
// --target is executorch, whatever the program is made of. --user: float32 [dim], or the vector's file where the program takes bytes. --master:
// the master weights, where the program is called with them: its last input, of one dimension.
// A call copies the next user's inputs, executes `forward`, and copies the scores out: what chord_runner's calls do as well.
#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/platform.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "../chord_executorch.h"
#include "runner.h"

using executorch::aten::ScalarType;
using executorch::extension::MallocMemoryAllocator;
using executorch::extension::MmapDataLoader;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::HierarchicalAllocator;
using executorch::runtime::MemoryManager;
using executorch::runtime::Method;
using executorch::runtime::Program;
using executorch::runtime::Span;

// Of libexecutorch_threadpool.so, whose header the package leaves out.
namespace executorch::extension::threadpool {
class ThreadPool {
public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool *get_threadpool();
} // namespace executorch::extension::threadpool

const char *const bench_program = "chord_executorch_bench", *const bench_target = "executorch";

struct engine {
  std::unique_ptr<MmapDataLoader> file;
  std::unique_ptr<Program> program;
  MallocMemoryAllocator kept, temporary;
  std::vector<std::vector<uint8_t>> buffers;
  std::vector<Span<uint8_t>> spans;
  std::unique_ptr<HierarchicalAllocator> planned;
  std::unique_ptr<MemoryManager> memory;
  std::optional<Method> method;
  TensorPtr history, user, candidates, master;
  std::vector<uint8_t> vector;
};

namespace {

// Outlives main: ExecuTorch's destructors are not what is measured.
engine *opened;

[[noreturn]] void refuse(const char *path, Error error) {
  const char *why = chord_executorch_last_error();
  bench_die("%s: ExecuTorch refuses the file (%s); export it again", path, *why ? why : executorch::runtime::to_string(error));
}

template <typename T> T take(const char *path, executorch::runtime::Result<T> result) {
  if (!result.ok()) refuse(path, result.error());
  return std::move(result.get());
}

void say_nothing(et_timestamp_t, et_pal_log_level_t, const char *, const char *, size_t, const char *, size_t) {}

void set_threads(size_t threads) {
  const auto pool = executorch::extension::threadpool::get_threadpool();
  if (pool && pool->get_thread_count() != threads && !pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads)))
    bench_die("--threads %zu: ExecuTorch's pool does not take this number", threads);
}

// Input `index` of the method, [1, n] of one of the types; its memory is set later.
TensorPtr input(const char *path, const Method &method, size_t index, std::initializer_list<ScalarType> types) {
  const auto meta = take(path, method.method_meta().input_tensor_meta(index));
  for (const ScalarType type : types)
    if (meta.scalar_type() == type && meta.sizes().size() == 2 && meta.sizes()[0] == 1 && meta.sizes()[1] > 0)
      return executorch::extension::make_tensor_ptr({1, meta.sizes()[1]}, nullptr, type);
  bench_die("%s: its input %zu is none of chordkit's; export it again", path, index);
}

// The master weights where the method is called with them, null where it is not. Set once: they stay where they are.
TensorPtr master_input(const options *o, Method *method) {
  const size_t last = method->inputs_size() - 1;
  const auto meta = take(o->artifact, method->method_meta().input_tensor_meta(last));
  if (meta.sizes().size() != 1 || meta.scalar_type() != ScalarType::Byte) return nullptr;
  if (!o->master) bench_die("--master is needed: the program is called with the master weights");
  const file weights = bench_map(o->master);
  if (weights.bytes != static_cast<size_t>(meta.sizes()[0]))
    bench_die("%s: %zu bytes are not the %d of the master that the program is called with", o->master, weights.bytes, static_cast<int>(meta.sizes()[0]));
  const TensorPtr master = executorch::extension::make_tensor_ptr({meta.sizes()[0]}, const_cast<void *>(weights.data), ScalarType::Byte);
  const Error error = method->set_input(*master, last);
  if (error != Error::Ok) refuse(o->artifact, error);
  return master;
}

size_t length(const TensorPtr &tensor) { return static_cast<size_t>(tensor->size(1)); }

void set_data(const TensorPtr &tensor, const void *data) { tensor->unsafeGetTensorImpl()->set_data(const_cast<void *>(data)); }

} // namespace

void bench_load(model *m, const options *o) {
  if (o->strategy) bench_die("--strategy: it is part of the file; leave it out");
  if (o->variant) bench_die("--variant: ExecuTorch has none; leave it out");
  (void)bench_map(o->artifact); // says what is wrong with it better than ExecuTorch does
  executorch::runtime::register_pal(executorch::runtime::PalImpl::create(say_nothing, __FILE__));
  set_threads(o->threads);
  opened = new engine;
  engine &e = *opened;
  e.file = std::make_unique<MmapDataLoader>(take(o->artifact, MmapDataLoader::from(o->artifact, MmapDataLoader::MlockConfig::NoMlock)));
  e.program = std::make_unique<Program>(take(o->artifact, Program::load(e.file.get())));
  const auto meta = take(o->artifact, e.program->method_meta("forward"));
  for (size_t i = 0; i < meta.num_memory_planned_buffers(); i++)
    e.buffers.emplace_back(static_cast<size_t>(take(o->artifact, meta.memory_planned_buffer_size(i))));
  for (auto &buffer : e.buffers) e.spans.emplace_back(buffer.data(), buffer.size());
  e.planned = std::make_unique<HierarchicalAllocator>(Span<Span<uint8_t>>(e.spans.data(), e.spans.size()));
  e.memory = std::make_unique<MemoryManager>(&e.kept, e.planned.get(), &e.temporary);
  e.method.emplace(take(o->artifact, e.program->load_method("forward", e.memory.get())));

  if (e.method->inputs_size() == 0) bench_die("%s: its inputs are none of chordkit's; export it again", o->artifact);
  e.master = master_input(o, &*e.method);
  const size_t inputs = e.method->inputs_size() - (e.master ? 1 : 0);
  if ((inputs != 2 && inputs != 3) || e.method->outputs_size() != 1) bench_die("%s: its inputs are none of chordkit's; export it again", o->artifact);
  e.history = input(o->artifact, *e.method, 0, {ScalarType::Int});
  e.candidates = input(o->artifact, *e.method, inputs - 1, {ScalarType::Int});
  if (inputs == 3) {
    e.user = input(o->artifact, *e.method, 1, {ScalarType::Float, ScalarType::Byte});
    if (!o->user && e.user->scalar_type() == ScalarType::Byte) bench_die("--user is needed: the program takes a user vector in its wire form");
    e.vector.assign(e.user->nbytes(), 0); // nobody's
    set_data(e.user, e.vector.data());
  }
  m->engine = opened;
  m->runtime = CHORD_EXECUTORCH_RUNTIME;
  m->threads = o->threads;
  m->slots = length(e.history);
  m->per_user = length(e.candidates);
}

void bench_adopt(model *, const file *, const char *path) { bench_die("%s: a strategy is part of the program", path); }

void bench_adopt_user(model *m, const char *path) {
  engine &e = *m->engine;
  if (!e.user) bench_die("%s: the artifact takes no user vector; leave --user out", path);
  const file vector = bench_map(path);
  if (vector.bytes != e.vector.size()) {
    const bool bytes = e.user->scalar_type() == ScalarType::Byte;
    bench_die("%s: %zu bytes are no user vector of %zu %s", path, vector.bytes, length(e.user), bytes ? "bytes" : "float32");
  }
  std::memcpy(e.vector.data(), vector.data, vector.bytes);
  if (e.user->scalar_type() == ScalarType::Float)
    for (size_t i = 0; i < length(e.user); i++)
      if (!std::isfinite(e.user->const_data_ptr<float>()[i])) bench_die("%s: the user vector is not finite", path);
}

void bench_call(model *m) {
  engine &e = *m->engine;
  const size_t user = m->next;
  set_data(e.history, m->histories + user * m->slots);
  set_data(e.candidates, m->candidates + user * m->per_user);
  size_t next = 0;
  Error error = e.method->set_input(*e.history, next++);
  if (error == Error::Ok && e.user) error = e.method->set_input(*e.user, next++);
  if (error == Error::Ok) error = e.method->set_input(*e.candidates, next);
  if (error == Error::Ok) error = e.method->execute();
  if (error != Error::Ok) {
    const char *why = chord_executorch_last_error();
    bench_die("user %zu: %s", user, *why ? why : executorch::runtime::to_string(error));
  }
  const auto &scores = e.method->get_output(0).toTensor();
  if (scores.scalar_type() != ScalarType::Float || static_cast<size_t>(scores.numel()) != m->per_user)
    bench_die("user %zu: the program does not give a float32 score a candidate; export it again", user);
  std::memcpy(m->scores + user * m->per_user, scores.const_data_ptr<float>(), m->per_user * sizeof(float));
  m->next = user + 1 == m->users ? 0 : user + 1;
}
