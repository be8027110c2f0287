// chord::rerank.out(Tensor history, Tensor candidates, Tensor master, Tensor strategy, *, Tensor(a!) out) -> Tensor(a!)
// chord::rerank_for.out(Tensor history, Tensor candidates, Tensor master, Tensor strategy, Tensor user, *, Tensor(a!) out) -> Tensor(a!)
//
// history int32 [length] or [users, length], candidates int32 [count] or [users, count], master uint8 [n], strategy uint8 [m], user uint8 [k],
// a user vector for all histories; out float32 of the shape of candidates. The master is used where it lies and must stay there while the
// program is called: it is an input that a phone has in memory once, for all programs.
#include <new>

#include <executorch/extension/kernel_util/make_boxed_from_unboxed_functor.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>

#include "operators.h"

namespace chord_executorch {
namespace {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::KernelRuntimeContext;

bool is_ids(const Tensor &ids) {
  return ids.scalar_type() == ScalarType::Int && (ids.dim() == 1 || ids.dim() == 2) && ids.numel() > 0 &&
         executorch::runtime::tensor_is_contiguous(ids);
}

bool is_file(const Tensor &bytes) {
  return bytes.scalar_type() == ScalarType::Byte && bytes.dim() == 1 && bytes.numel() > 0 &&
         executorch::runtime::tensor_is_contiguous(bytes);
}

size_t users_of(const Tensor &ids) { return ids.dim() == 2 ? static_cast<size_t>(ids.size(0)) : 1; }

Bytes bytes_of(const Tensor &file) { return {file.const_data_ptr<uint8_t>(), static_cast<size_t>(file.numel())}; }

// `user` is null in chord::rerank.
void rerank(KernelRuntimeContext &context, const char *name, const Tensor &history, const Tensor &candidates, const Tensor &master,
            const Tensor &strategy, const Tensor *user, Tensor &out) {
  if (!is_ids(history) || !is_ids(candidates))
    return refuse(context, Error::InvalidArgument, "%s: history and candidates must be int32 [n] or [users, n], dense", name);
  const size_t users = users_of(candidates);
  if (history.dim() != candidates.dim() || users_of(history) != users)
    return refuse(context, Error::InvalidArgument, "%s: history and candidates are not of the same users", name);
  if (!is_file(master) || !is_file(strategy) || (user && !is_file(*user)))
    return refuse(context, Error::InvalidArgument, "%s: master%s must be uint8 [n], dense", name, user ? ", strategy and user" : " and strategy");
  if (out.scalar_type() != ScalarType::Float || executorch::runtime::resize_tensor(out, candidates.sizes()) != Error::Ok ||
      !executorch::runtime::tensor_is_contiguous(out))
    return refuse(context, Error::InvalidArgument, "%s: the result must be float32 of the shape of candidates", name);

  chord_diagnosis diagnosis = no_diagnosis();
  ModelCache::Lease lease;
  chord_status status = models().acquire(bytes_of(master), bytes_of(strategy), &lease, &diagnosis);
  if (status == CHORD_OK && user)
    status = chord_adopt_user(lease.session(), bytes_of(*user).data, bytes_of(*user).size, &diagnosis);
  if (status == CHORD_OK)
    status = chord_rerank_batch(lease.session(), users, history.const_data_ptr<int32_t>(), static_cast<size_t>(history.numel()) / users,
                                candidates.const_data_ptr<int32_t>(), static_cast<size_t>(candidates.numel()) / users,
                                out.mutable_data_ptr<float>());
  if (status != CHORD_OK) refuse(context, name, status, diagnosis);
}

Tensor &guarded(KernelRuntimeContext &context, const char *name, const Tensor &history, const Tensor &candidates, const Tensor &master,
                const Tensor &strategy, const Tensor *user, Tensor &out) {
  try {
    rerank(context, name, history, candidates, master, strategy, user, out);
  } catch (const std::bad_alloc &) {
    refuse(context, Error::MemoryAllocationFailed, "%s: there is no memory for the model", name);
  }
  return out;
}

Tensor &rerank_out(KernelRuntimeContext &context, const Tensor &history, const Tensor &candidates, const Tensor &master,
                   const Tensor &strategy, Tensor &out) {
  return guarded(context, "chord::rerank", history, candidates, master, strategy, nullptr, out);
}

Tensor &rerank_for_out(KernelRuntimeContext &context, const Tensor &history, const Tensor &candidates, const Tensor &master,
                       const Tensor &strategy, const Tensor &user, Tensor &out) {
  return guarded(context, "chord::rerank_for", history, candidates, master, strategy, &user, out);
}

EXECUTORCH_LIBRARY(chord, "rerank.out", rerank_out);
EXECUTORCH_LIBRARY(chord, "rerank_for.out", rerank_for_out);

} // namespace
} // namespace chord_executorch
