// Opened models of chord::rerank. No ExecuTorch in here.
//
// An operator has no state of its own in ExecuTorch and is not told when a program goes away, so models are found again by what they
// were opened from: the master's address, size and stored checksum, and the fingerprint (64 bits of its SHA-256, verified when it was
// opened; of a master whose catalogue has grown, that of the one before) that the strategy carries; the strategy is compared byte by byte.
// When other bytes have come to lie at an old address the checksum or the fingerprint differs, and another model is opened.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "../libchord/include/chord.h"

namespace chord_executorch {

struct Bytes {
  const uint8_t *data;
  size_t size;
};

// Where a master lies and what it says of itself.
struct MasterKey {
  const uint8_t *data;
  size_t size;
  std::array<uint8_t, 24> header; // magic, version, length, entries, CRC-32 of all the rest
  std::array<uint8_t, 8> fingerprint;

  bool operator==(const MasterKey &other) const {
    return data == other.data && size == other.size && header == other.header && fingerprint == other.fingerprint;
  }
};

struct Session {
  std::unique_ptr<uint8_t[]> memory;
  chord_session *handle = nullptr;
};

struct Model {
  MasterKey key;
  std::vector<uint8_t> strategy; // the adopted one
  std::unique_ptr<uint8_t[]> memory;
  chord_model *handle = nullptr;
  chord_sizes sizes{};
  std::vector<Session> idle;
  size_t sessions = 0;
  size_t users = 0; // inferences under way
  uint64_t last_use = 0;
};

class ModelCache {
public:
  // A model with its strategy and a session without a user vector, for one inference. While it lives the model is neither freed nor given
  // another strategy; a user vector that the session is given goes with it.
  class Lease {
  public:
    Lease() = default;
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;
    ~Lease();
    chord_session *session() const { return session_.handle; }

  private:
    friend class ModelCache;
    ModelCache *cache_ = nullptr;
    Model *model_ = nullptr;
    Session session_;
  };

  // Finds, adopts or opens. On failure nothing that is kept has changed. Throws std::bad_alloc.
  chord_status acquire(Bytes master, Bytes strategy, Lease *lease, chord_diagnosis *diagnosis);

  void limit(size_t models);
  void trim();
  void count(uint32_t *models, uint64_t *bytes, uint64_t *opened, uint64_t *adopted);

private:
  Model *same(const MasterKey &key, Bytes strategy);
  chord_status adopt(const MasterKey &key, Bytes strategy, Model **found, chord_diagnosis *diagnosis);
  void evict(size_t keep);

  std::mutex mutex_;
  std::list<Model> models_; // addresses stay
  size_t limit_ = 8;
  uint64_t clock_ = 0, opened_ = 0, adopted_ = 0;
};

} // namespace chord_executorch
