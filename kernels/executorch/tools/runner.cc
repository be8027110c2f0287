// Runs one rerank of a program made by chordkit from the command line, as an app would: the program mapped, the operator library loaded.
//
//   chord_executorch_runner [--repeat N] PROGRAM.pte MASTER.chrm HISTORY CANDIDATES [STRATEGY.chrd [USER_VECTOR]]
//
// HISTORY and CANDIDATES are item ids with commas between them; a short history is padded on the left. With a strategy the method
// rerank_with is called instead of forward, with a user vector rerank_for. Prints one score a line, nine digits: enough to tell every float from its neighbours.
// --repeat calls it N times more and says on stderr how long a call took: the first (which opens the model), the best, the median.
// Exit status: 0 = done, 1 = the program refused, 2 = wrong arguments.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor_ptr.h>

#include "../chord_executorch.h"

using executorch::aten::ScalarType;
using executorch::aten::SizesType;
using executorch::extension::make_tensor_ptr;
using executorch::extension::Module;
using executorch::runtime::EValue;

namespace {

bool parse_ids(const char *text, std::vector<int32_t> *ids) {
  while (*text) {
    char *end = nullptr;
    const long id = std::strtol(text, &end, 10);
    if (end == text || (*end && *end != ',') || id < INT32_MIN || id > INT32_MAX) return false;
    ids->push_back(static_cast<int32_t>(id));
    text = *end ? end + 1 : end;
  }
  return !ids->empty();
}

int fail(const char *what, executorch::runtime::Error error) {
  std::fprintf(stderr, "%s: error 0x%02x: %s\n", what, static_cast<unsigned>(error), chord_executorch_last_error());
  return 1;
}

double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace

int main(int count, char **arguments) {
  const char *name = arguments[0];
  long repeats = 0;
  if (count > 2 && !std::strcmp(arguments[1], "--repeat")) {
    repeats = std::strtol(arguments[2], nullptr, 10);
    count -= 2;
    arguments += 2;
  }
  std::vector<int32_t> history, candidates;
  if (count < 5 || count > 7 || !parse_ids(arguments[3], &history) || !parse_ids(arguments[4], &candidates)) {
    std::fprintf(stderr, "usage: %s [--repeat N] PROGRAM.pte MASTER.chrm HISTORY CANDIDATES [STRATEGY.chrd [USER_VECTOR]]   (operators of version %" PRIu32 ")\n",
                 name, chord_executorch_version());
    return 2;
  }
  Module module(arguments[1], Module::LoadMode::Mmap);
  const auto meta = module.method_meta("forward");
  if (!meta.ok()) return fail(arguments[1], meta.error());
  const auto shape = meta->input_tensor_meta(0);
  if (!shape.ok()) return fail(arguments[1], shape.error());
  const size_t length = static_cast<size_t>(shape->sizes()[shape->sizes().size() - 1]);
  if (history.size() < length) history.insert(history.begin(), length - history.size(), 0);
  history.erase(history.begin(), history.end() - static_cast<std::ptrdiff_t>(length));

  const SizesType slots = static_cast<SizesType>(length), items = static_cast<SizesType>(candidates.size());
  const auto history_tensor = make_tensor_ptr({1, slots}, history.data(), ScalarType::Int);
  const auto candidate_tensor = make_tensor_ptr({1, items}, candidates.data(), ScalarType::Int);
  std::vector<EValue> inputs{*history_tensor, *candidate_tensor};
  // Strategy and user vector, and last the master, which every method takes.
  std::vector<const char *> paths(arguments + 5, arguments + count);
  paths.push_back(arguments[2]);
  std::vector<uint8_t> files[3];
  executorch::extension::TensorPtr file_tensors[3];
  for (size_t i = 0; i < paths.size(); i++) {
    std::ifstream file(paths[i], std::ios::binary);
    files[i].assign(std::istreambuf_iterator<char>(file), {});
    if (files[i].empty()) {
      std::fprintf(stderr, "%s: cannot be read\n", paths[i]);
      return 2;
    }
    file_tensors[i] = make_tensor_ptr({static_cast<SizesType>(files[i].size())}, files[i].data(), ScalarType::Byte);
    inputs.emplace_back(*file_tensors[i]);
  }
  const std::string method = count == 7 ? "rerank_for" : count == 6 ? "rerank_with" : "forward";
  if (const auto loaded = module.load_method(method); loaded != executorch::runtime::Error::Ok) return fail(arguments[1], loaded);
  const double started = now_us();
  const auto answer = module.execute(method, inputs);
  if (!answer.ok()) return fail(arguments[1], answer.error());
  const double first = now_us() - started;
  const auto &scores = answer->at(0).toTensor();
  for (ssize_t i = 0; i < scores.numel(); i++) std::printf("%.9g\n", static_cast<double>(scores.const_data_ptr<float>()[i]));
  std::vector<double> times;
  for (long i = 0; i < repeats; i++) {
    const double before = now_us();
    const auto again = module.execute(method, inputs);
    if (!again.ok()) return fail(arguments[1], again.error());
    times.push_back(now_us() - before);
  }
  std::sort(times.begin(), times.end());
  if (!times.empty()) std::fprintf(stderr, "first %.1f us, best %.1f, median %.1f\n", first, times.front(), times[times.size() / 2]);
  return 0;
}
