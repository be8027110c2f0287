#include "layer_cache.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

extern "C" void chord_sha256(const uint8_t *data, size_t size, uint8_t digest[32]); // of libchord, which is part of this library

namespace chord_executorch {
namespace {

// Layers of some MB lie in huge pages where the system has them: a tenth to a third of the time of a layer of 16 MB.
constexpr size_t kHugePage = 2u << 20;

std::unique_ptr<uint8_t[], Free> allocate(uint64_t bytes) {
  if (bytes > SIZE_MAX) throw std::bad_alloc();
  const bool large = bytes >= 2 * kHugePage;
  void *memory = nullptr;
  if (posix_memalign(&memory, large ? kHugePage : 64, static_cast<size_t>(bytes)) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (large) (void)madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
  return std::unique_ptr<uint8_t[], Free>(static_cast<uint8_t *>(memory));
}

} // namespace

uint64_t layer_digest(const LayerKey &key) {
  std::vector<uint8_t> all;
  all.reserve(12 + static_cast<size_t>(key.out) * (key.in + 9));
  const auto append = [&all](const void *data, size_t bytes) {
    const uint8_t *first = static_cast<const uint8_t *>(data);
    all.insert(all.end(), first, first + bytes);
  };
  const uint32_t head[3] = {key.out, key.in, key.bias ? 1u : 0u};
  append(head, sizeof head);
  append(key.codes, static_cast<size_t>(key.out) * key.in);
  append(key.scales, 4 * static_cast<size_t>(key.out));
  append(key.widths, key.out);
  if (key.bias) append(key.bias, 4 * static_cast<size_t>(key.out));
  uint8_t digest[32];
  chord_sha256(all.data(), all.size(), digest);
  uint64_t first = 0;
  for (int i = 7; i >= 0; i--) first = first << 8 | digest[i];
  return first;
}

chord_status LayerCache::acquire(const LayerKey &key, std::shared_ptr<const Layer> *layer, chord_diagnosis *diagnosis) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto found = layers_.find(key);
  if (found != layers_.end()) {
    found->second.last_use = ++clock_;
    *layer = found->second.layer;
    return CHORD_OK;
  }
  lock.unlock(); // packing takes a while: meanwhile other layers can be used
  if (layer_digest(key) != key.digest) {
    std::snprintf(diagnosis->text, sizeof diagnosis->text, "the layer's constants are not those that its digest was taken of");
    return CHORD_BAD_ARGUMENT;
  }
  const chord_linear_options options{sizeof options, CHORD_LINEAR_AUTO, key.out, key.in, key.rows, key.relu ? 1u : 0u, nullptr};
  auto packed = std::make_shared<Layer>();
  chord_status status = chord_linear_sizes(&options, key.widths, &packed->bytes, &packed->scratch_bytes, diagnosis);
  if (status != CHORD_OK) return status;
  packed->memory = allocate(packed->bytes);
  status = chord_linear_open(&options, key.codes, key.scales, key.widths, key.bias, packed->memory.get(),
                             static_cast<size_t>(packed->bytes), &packed->handle, diagnosis);
  if (status != CHORD_OK) return status;
  lock.lock();
  opened_++;
  // Another thread may have been faster: then its layer stays.
  Entry &entry = layers_.emplace(key, Entry{std::move(packed), 0}).first->second;
  entry.last_use = ++clock_;
  *layer = entry.layer;
  evict(limit_);
  return CHORD_OK;
}

void LayerCache::evict(size_t keep) {
  while (layers_.size() > keep) {
    auto oldest = layers_.begin();
    for (auto entry = layers_.begin(); entry != layers_.end(); ++entry)
      if (entry->second.last_use < oldest->second.last_use) oldest = entry;
    layers_.erase(oldest);
  }
}

void LayerCache::limit(size_t layers) {
  const std::lock_guard<std::mutex> lock(mutex_);
  limit_ = layers;
  evict(limit_);
}

void LayerCache::trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  evict(0);
}

void LayerCache::count(uint32_t *layers, uint64_t *bytes, uint64_t *opened) {
  const std::lock_guard<std::mutex> lock(mutex_);
  *layers = static_cast<uint32_t>(layers_.size());
  for (const auto &entry : layers_) *bytes += entry.second.layer->bytes;
  *opened += opened_;
}

} // namespace chord_executorch
