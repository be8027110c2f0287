// Eight threads take leases of a few models with changing strategies and user vectors from a cache that is too small, while another trims it:
// every score must be that of the strategy that was asked for, and of the user vector or none.
//
//   model_cache_stress ROUNDS MASTER STRATEGY STRATEGY USER_VECTOR [MASTER STRATEGY STRATEGY USER_VECTOR ...]
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "../../../kernels/executorch/model_cache.h"

using chord_executorch::Bytes;
using chord_executorch::ModelCache;

namespace {

constexpr int kThreads = 8;
const int32_t kHistory[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3};
const int32_t kCandidates[] = {2, 7, 1, 8};

using File = std::vector<uint8_t>;

struct Case {
  const File *master, *strategy, *user;
  float scores[4];
};

File read(const char *path) {
  std::ifstream file(path, std::ios::binary);
  File data{std::istreambuf_iterator<char>(file), {}};
  if (data.empty()) {
    std::fprintf(stderr, "%s: cannot be read\n", path);
    std::exit(2);
  }
  return data;
}

// `user` may be null.
bool score(ModelCache &cache, const File &master, const File &strategy, const File *user, float *scores) {
  chord_diagnosis diagnosis{};
  diagnosis.struct_size = sizeof diagnosis;
  ModelCache::Lease lease;
  if (cache.acquire({master.data(), master.size()}, {strategy.data(), strategy.size()}, &lease, &diagnosis) != CHORD_OK) return false;
  if (user && chord_adopt_user(lease.session(), user->data(), user->size(), &diagnosis) != CHORD_OK) return false;
  return chord_rerank(lease.session(), kHistory, 10, kCandidates, 4, scores) == CHORD_OK;
}

} // namespace

int main(int count, char **arguments) {
  if (count < 6 || (count - 2) % 4) return 2;
  const int rounds = std::atoi(arguments[1]);
  std::vector<File> files;
  for (int i = 2; i < count; i++) files.push_back(read(arguments[i]));
  std::vector<Case> cases;
  for (size_t i = 0; i < files.size(); i += 4)
    for (size_t s = 0; s < 4; s++) {
      Case one{&files[i], &files[i + 1 + s % 2], s < 2 ? nullptr : &files[i + 3], {}};
      ModelCache alone;
      if (!score(alone, *one.master, *one.strategy, one.user, one.scores)) return 2;
      cases.push_back(one);
    }
  for (size_t i = 0; i < cases.size(); i++)
    for (size_t other = i / 4 * 4; other < i; other++)
      if (!std::memcmp(cases[i].scores, cases[other].scores, sizeof cases[i].scores)) return 2; // nothing would be tested

  ModelCache cache;
  cache.limit(2);
  std::atomic<int> wrong{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++)
    threads.emplace_back([&, t] {
      uint32_t random = 1234567u + static_cast<uint32_t>(t);
      for (int round = 0; round < rounds; round++) {
        random = random * 1664525u + 1013904223u;
        const Case &one = cases[(random >> 16) % cases.size()];
        float scores[4] = {};
        if ((random >> 8) % 16 == 0) { // a damaged strategy is refused, whatever else goes on
          File damaged = *one.strategy;
          damaged[damaged.size() / 2] ^= 1;
          if (score(cache, *one.master, damaged, one.user, scores)) wrong++;
        } else if (!score(cache, *one.master, *one.strategy, one.user, scores) || std::memcmp(scores, one.scores, sizeof scores)) {
          wrong++;
        }
      }
    });
  std::thread trimmer([&] {
    for (size_t limit = 0; !done; limit = (limit + 1) % 4) {
      cache.limit(limit);
      if (limit == 3) cache.trim();
      uint32_t models = 0;
      uint64_t bytes = 0, opened = 0, adopted = 0;
      cache.count(&models, &bytes, &opened, &adopted);
      if (models > 4 + kThreads) wrong++;
      std::this_thread::yield();
    }
  });
  for (std::thread &thread : threads) thread.join();
  done = true;
  trimmer.join();
  cache.trim();
  uint32_t models = 0;
  uint64_t bytes = 0, opened = 0, adopted = 0;
  cache.count(&models, &bytes, &opened, &adopted);
  std::printf("%d wrong, %u kept, %llu opened, %llu adopted\n", wrong.load(), models, static_cast<unsigned long long>(opened),
              static_cast<unsigned long long>(adopted));
  return wrong || models;
}
