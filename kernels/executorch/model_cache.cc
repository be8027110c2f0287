#include "model_cache.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace chord_executorch {
namespace {

// One model for the strategy inside the program, one whose strategy changes from call to call: both of a personal program's methods.
constexpr size_t kModelsOfAMaster = 2;
constexpr size_t kFingerprintOffset = 8;

// A strategy that is too short for a fingerprint has none; the engine will say what is wrong with it.
MasterKey key_of(Bytes master, Bytes strategy) {
  MasterKey key{master.data, master.size, {}, {}};
  std::memcpy(key.header.data(), master.data, std::min(master.size, key.header.size()));
  if (strategy.size >= kFingerprintOffset + key.fingerprint.size())
    std::memcpy(key.fingerprint.data(), strategy.data + kFingerprintOffset, key.fingerprint.size());
  return key;
}

// Not zeroed: the engine writes before it reads.
std::unique_ptr<uint8_t[]> allocate(uint64_t bytes) {
  if (bytes > SIZE_MAX) throw std::bad_alloc();
  return std::unique_ptr<uint8_t[]>(new uint8_t[static_cast<size_t>(bytes)]);
}

chord_status open(const MasterKey &key, Bytes strategy, Model *model, chord_diagnosis *diagnosis) {
  model->key = key;
  model->strategy.assign(strategy.data, strategy.data + strategy.size);
  model->sizes.struct_size = sizeof(chord_sizes);
  chord_status status = chord_query_sizes(key.data, key.size, nullptr, &model->sizes, diagnosis);
  if (status != CHORD_OK) return status;
  model->memory = allocate(model->sizes.model_bytes);
  status = chord_open(key.data, key.size, nullptr, model->memory.get(), model->sizes.model_bytes, &model->handle, diagnosis);
  return status == CHORD_OK ? chord_adopt(model->handle, model->strategy.data(), model->strategy.size(), diagnosis) : status;
}

} // namespace

Model *ModelCache::same(const MasterKey &key, Bytes strategy) {
  for (Model &model : models_)
    if (model.key == key && model.strategy.size() == strategy.size &&
        std::memcmp(model.strategy.data(), strategy.data, strategy.size) == 0)
      return &model;
  return nullptr;
}

// Gives an unused model of this master the strategy; `found` stays null when another model must be opened.
chord_status ModelCache::adopt(const MasterKey &key, Bytes strategy, Model **found, chord_diagnosis *diagnosis) {
  Model *spare = nullptr, *any = nullptr;
  size_t of_this_master = 0;
  for (Model &model : models_) {
    if (!(model.key == key)) continue;
    of_this_master++;
    any = &model;
    if (model.users == 0 && (!spare || model.last_use < spare->last_use)) spare = &model;
  }
  if (!any) return CHORD_OK;
  // A damaged strategy costs a check, not a model.
  chord_status status = chord_check_strategy(any->handle, strategy.data, strategy.size, nullptr, diagnosis);
  if (status != CHORD_OK || !spare || of_this_master < kModelsOfAMaster) return status;
  std::vector<uint8_t> adopted(strategy.data, strategy.data + strategy.size);
  status = chord_adopt(spare->handle, adopted.data(), adopted.size(), diagnosis);
  if (status != CHORD_OK) return status;
  adopted_++;
  spare->strategy.swap(adopted);
  *found = spare;
  return CHORD_OK;
}

chord_status ModelCache::acquire(Bytes master, Bytes strategy, Lease *lease, chord_diagnosis *diagnosis) {
  const MasterKey key = key_of(master, strategy);
  std::unique_lock<std::mutex> lock(mutex_);
  Model *model = same(key, strategy);
  chord_status status = model ? CHORD_OK : adopt(key, strategy, &model, diagnosis);
  if (status != CHORD_OK) return status;
  if (!model) {
    // Checking and expanding a master takes milliseconds: meanwhile other models can be used.
    lock.unlock();
    std::list<Model> opened(1);
    status = open(key, strategy, &opened.front(), diagnosis);
    if (status != CHORD_OK) return status;
    lock.lock();
    opened_++;
    adopted_++;
    model = same(key, strategy); // another thread may have been faster
    if (!model) {
      model = &opened.front();
      models_.splice(models_.end(), opened);
    }
  }
  model->last_use = ++clock_;
  Session session;
  if (model->idle.empty()) {
    session.memory = allocate(model->sizes.session_bytes);
    status = chord_session_open(model->handle, session.memory.get(), model->sizes.session_bytes, &session.handle);
    if (status != CHORD_OK) return status;
    model->idle.reserve(model->sessions + 1); // so that giving it back cannot fail
    model->sessions++;
  } else {
    session = std::move(model->idle.back());
    model->idle.pop_back();
  }
  model->users++;
  lease->cache_ = this;
  lease->model_ = model;
  lease->session_ = std::move(session);
  evict(limit_);
  return CHORD_OK;
}

ModelCache::Lease::~Lease() {
  if (!cache_) return;
  // The next inference with this session may be another user's.
  chord_adopt_user(session_.handle, nullptr, 0, nullptr);
  const std::lock_guard<std::mutex> lock(cache_->mutex_);
  model_->idle.push_back(std::move(session_));
  model_->users--;
  cache_->evict(cache_->limit_);
}

// Frees the longest unused models until `keep` are left; those in use stay, so that for a moment there may be more.
void ModelCache::evict(size_t keep) {
  while (models_.size() > keep) {
    auto oldest = models_.end();
    for (auto model = models_.begin(); model != models_.end(); ++model)
      if (model->users == 0 && (oldest == models_.end() || model->last_use < oldest->last_use)) oldest = model;
    if (oldest == models_.end()) return;
    models_.erase(oldest);
  }
}

void ModelCache::limit(size_t models) {
  const std::lock_guard<std::mutex> lock(mutex_);
  limit_ = models;
  evict(limit_);
}

void ModelCache::trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  evict(0);
}

void ModelCache::count(uint32_t *models, uint64_t *bytes, uint64_t *opened, uint64_t *adopted) {
  const std::lock_guard<std::mutex> lock(mutex_);
  *models = static_cast<uint32_t>(models_.size());
  for (const Model &model : models_) *bytes += model.sizes.model_bytes + model.sessions * model.sizes.session_bytes + model.strategy.size();
  *opened += opened_;
  *adopted = adopted_;
}

} // namespace chord_executorch
