// Packed layers of chord::linear. No ExecuTorch in here.
//
// A layer is found again by the addresses of its constants, its shape, and its digest: 64 bits of the SHA-256 over all its constants,
// which the program states and which is verified when the layer is packed (layer_digest says over what). Comparing the weights
// themselves in every call would cost as much as the product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "../libchord/include/chord.h"

namespace chord_executorch {

struct LayerKey {
  const int8_t *codes;   // [out][in]
  const float *scales;   // [out]
  const uint8_t *widths; // [out]
  const float *bias;     // [out], or null
  uint32_t out, in, rows;
  bool relu;
  uint64_t digest;

  bool operator==(const LayerKey &other) const {
    return codes == other.codes && scales == other.scales && widths == other.widths && bias == other.bias && out == other.out &&
           in == other.in && rows == other.rows && relu == other.relu && digest == other.digest;
  }
};

struct LayerHash {
  size_t operator()(const LayerKey &key) const {
    return static_cast<size_t>(key.digest) ^ reinterpret_cast<uintptr_t>(key.codes) ^ (static_cast<size_t>(key.rows) << 1) ^ key.relu;
  }
};

struct Free {
  void operator()(uint8_t *memory) const { std::free(memory); }
};

struct Layer {
  std::unique_ptr<uint8_t[], Free> memory;
  chord_linear *handle = nullptr;
  uint64_t bytes = 0, scratch_bytes = 0;
};

// The first 8 bytes, little-endian, of the SHA-256 over: out, in, 1 with a bias or else 0 (uint32 each), codes, scales, widths, bias.
uint64_t layer_digest(const LayerKey &key);

class LayerCache {
public:
  // Finds or packs; a shared pointer keeps a layer alive while it runs. Throws std::bad_alloc.
  chord_status acquire(const LayerKey &key, std::shared_ptr<const Layer> *layer, chord_diagnosis *diagnosis);

  void limit(size_t layers);
  void trim();
  void count(uint32_t *layers, uint64_t *bytes, uint64_t *opened);

private:
  struct Entry {
    std::shared_ptr<const Layer> layer;
    uint64_t last_use;
  };
  void evict(size_t keep);

  std::mutex mutex_;
  std::unordered_map<LayerKey, Entry, LayerHash> layers_;
  size_t limit_ = 512;
  uint64_t clock_ = 0, opened_ = 0;
};

} // namespace chord_executorch
