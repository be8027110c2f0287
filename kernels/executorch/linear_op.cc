// chord::linear.out(Tensor x, Tensor codes, Tensor scales, Tensor widths, Tensor? bias, bool relu, int digest, *, Tensor(a!) out)
//   -> Tensor(a!)
//
// x float32 [..., in], codes int8 [out, in], scales float32 [out], widths uint8 [out] in {0, 2, 4, 8}, bias float32 [out] or none;
// out float32 [..., out] = x W^T + bias, clamped at 0 with relu. Rows of x are quantised to 8 bits on the way. `digest` as in
// layer_cache.h. codes, scales, widths and bias are constants of the program.
#include <new>
#include <vector>

#include <executorch/extension/kernel_util/make_boxed_from_unboxed_functor.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>

#include "operators.h"

namespace chord_executorch {
namespace {

using executorch::aten::ScalarType;
using executorch::aten::SizesType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::KernelRuntimeContext;
using OptionalTensor = executorch::aten::optional<Tensor>;

constexpr ssize_t kLargest = 1 << 20; // of rows, channels and features; libchord's own limits are not above

bool is_dense(const Tensor &tensor, ScalarType type) {
  return tensor.scalar_type() == type && executorch::runtime::tensor_is_contiguous(tensor);
}

bool is_vector(const Tensor &tensor, ScalarType type, ssize_t size) {
  return is_dense(tensor, type) && tensor.dim() == 1 && tensor.size(0) == size;
}

uint8_t *scratch(uint64_t bytes) {
  // One a thread: a call needs it from beginning to end and no longer.
  static thread_local std::vector<uint8_t> memory;
  if (bytes > memory.max_size()) throw std::bad_alloc();
  if (memory.size() < bytes) memory.resize(static_cast<size_t>(bytes));
  return memory.data();
}

void linear(KernelRuntimeContext &context, const Tensor &x, const Tensor &codes, const Tensor &scales, const Tensor &widths,
            const OptionalTensor &bias, bool relu, int64_t digest, Tensor &out) {
  if (!is_dense(codes, ScalarType::Char) || codes.dim() != 2 || codes.size(0) < 1 || codes.size(1) < 1 || codes.size(0) > kLargest ||
      codes.size(1) > kLargest)
    return refuse(context, Error::InvalidArgument, "chord::linear: codes must be int8 [out, in], dense");
  const ssize_t channels = codes.size(0), features = codes.size(1);
  if (!is_vector(scales, ScalarType::Float, channels) || !is_vector(widths, ScalarType::Byte, channels) ||
      (bias.has_value() && !is_vector(bias.value(), ScalarType::Float, channels)))
    return refuse(context, Error::InvalidArgument, "chord::linear: scales and bias must be float32 [%zd] and widths uint8 [%zd]", channels,
                  channels);
  const ssize_t last = x.dim() - 1;
  if (!is_dense(x, ScalarType::Float) || last < 0 || x.size(last) != features || x.numel() < features || x.numel() / features > kLargest)
    return refuse(context, Error::InvalidArgument, "chord::linear: x must be float32 [..., %zd], dense and not empty", features);
  constexpr ssize_t kMostDimensions = 16;
  SizesType shape[kMostDimensions];
  if (last >= kMostDimensions) return refuse(context, Error::InvalidArgument, "chord::linear: x has more than 16 dimensions");
  for (ssize_t i = 0; i < last; i++) shape[i] = static_cast<SizesType>(x.size(i));
  shape[last] = static_cast<SizesType>(channels);
  if (out.scalar_type() != ScalarType::Float ||
      executorch::runtime::resize_tensor(out, {shape, static_cast<size_t>(last) + 1}) != Error::Ok ||
      !executorch::runtime::tensor_is_contiguous(out))
    return refuse(context, Error::InvalidArgument, "chord::linear: the result must be float32 [..., %zd]", channels);

  const size_t rows = static_cast<size_t>(x.numel() / features);
  const LayerKey key{codes.const_data_ptr<int8_t>(),
                     scales.const_data_ptr<float>(),
                     widths.const_data_ptr<uint8_t>(),
                     bias.has_value() ? bias.value().const_data_ptr<float>() : nullptr,
                     static_cast<uint32_t>(channels),
                     static_cast<uint32_t>(features),
                     static_cast<uint32_t>(rows),
                     relu,
                     static_cast<uint64_t>(digest)};
  chord_diagnosis diagnosis = no_diagnosis();
  std::shared_ptr<const Layer> layer;
  chord_status status = layers().acquire(key, &layer, &diagnosis);
  if (status == CHORD_OK)
    status = chord_linear_run(layer->handle, rows, x.const_data_ptr<float>(), out.mutable_data_ptr<float>(), scratch(layer->scratch_bytes),
                              static_cast<size_t>(layer->scratch_bytes));
  if (status != CHORD_OK) refuse(context, "chord::linear", status, diagnosis);
}

Tensor &linear_out(KernelRuntimeContext &context, const Tensor &x, const Tensor &codes, const Tensor &scales, const Tensor &widths,
                   const OptionalTensor &bias, bool relu, int64_t digest, Tensor &out) {
  try {
    linear(context, x, codes, scales, widths, bias, relu, digest, out);
  } catch (const std::bad_alloc &) {
    refuse(context, Error::MemoryAllocationFailed, "chord::linear: there is no memory for the layer");
  }
  return out;
}

EXECUTORCH_LIBRARY(chord, "linear.out", linear_out);

} // namespace
} // namespace chord_executorch
