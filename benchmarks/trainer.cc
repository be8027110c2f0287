// Trains with a trainer's file in C++, as an app would that has ExecuTorch's runtime without its training extension (the wheel has no headers
// of it). For benchmarks/trainer.py.
//
//   trainer PROGRAM.pte INPUTS OUT DIM LESSONS CANDIDATES STEPS RATE DECAY
//
// INPUTS: the six inputs of the program and the four parameters to begin with, one after the other. OUT gets the parameters, the loss before
// each step is printed. Exit status: 0 = done, 1 = the program refused, 2 = wrong arguments.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor_ptr.h>

using executorch::aten::ScalarType;
using executorch::aten::SizesType;
using executorch::extension::make_tensor_ptr;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::EValue;

namespace {

constexpr size_t kParameters = 4; // outputs: the loss, four gradients, four parameters
constexpr float kMomentum = 0.9f;

struct Training {
  Module module;
  std::vector<TensorPtr> tensors;
  std::vector<EValue> inputs;
  std::vector<float> momentum[kParameters];
  float rate, decay;
};

int fail(executorch::runtime::Error error) {
  std::fprintf(stderr, "the program fails with 0x%02x\n", static_cast<unsigned>(error));
  return 1;
}

} // namespace

// A function of its own, for whoever counts what a step executes.
extern "C" __attribute__((noinline)) int train_step(Training *training) {
  auto result = training->module.forward(training->inputs);
  if (!result.ok()) return fail(result.error());
  std::printf("%.9g\n", result->at(0).toTensor().const_data_ptr<float>()[0]);
  for (size_t part = 0; part < kParameters; ++part) {
    const auto gradient = result->at(1 + part).toTensor(), parameter = result->at(1 + kParameters + part).toTensor();
    const float *slope = gradient.const_data_ptr<float>();
    float *value = parameter.mutable_data_ptr<float>();
    auto &momentum = training->momentum[part];
    momentum.resize(parameter.numel(), 0.0f);
    for (size_t i = 0; i < momentum.size(); ++i) {
      momentum[i] = kMomentum * momentum[i] + (slope[i] + training->decay * value[i]);
      value[i] -= training->rate * momentum[i];
    }
  }
  return 0;
}

int main(int count, char **arguments) {
  if (count != 10) {
    std::fprintf(stderr, "usage: %s PROGRAM.pte INPUTS OUT DIM LESSONS CANDIDATES STEPS RATE DECAY\n", arguments[0]);
    return 2;
  }
  const SizesType dim = std::atoi(arguments[4]), lessons = std::atoi(arguments[5]), candidates = std::atoi(arguments[6]);
  const int steps = std::atoi(arguments[7]);
  Training training{Module(arguments[1], Module::LoadMode::File), {}, {}, {}, std::strtof(arguments[8], nullptr), std::strtof(arguments[9], nullptr)};
  std::ifstream file(arguments[2], std::ios::binary);
  std::vector<char> data{std::istreambuf_iterator<char>(file), {}};
  char *next = data.data();
  const struct {
    std::vector<SizesType> sizes;
    ScalarType type;
  } kinds[] = {{{lessons, dim}, ScalarType::Float},        {{lessons}, ScalarType::Long},           {{lessons}, ScalarType::Float},
               {{lessons, candidates}, ScalarType::Float}, {{candidates, dim}, ScalarType::Float}, {{candidates}, ScalarType::Float}};
  for (const auto &kind : kinds) {
    training.tensors.push_back(make_tensor_ptr(kind.sizes, next, kind.type));
    training.inputs.push_back(training.tensors.back());
    next += training.tensors.back()->nbytes();
  }
  // A first run tells where the parameters lie; they are the program's own memory.
  auto first = training.module.forward(training.inputs);
  if (!first.ok()) return fail(first.error());
  for (size_t part = 0; part < kParameters; ++part) {
    const auto parameter = first->at(1 + kParameters + part).toTensor();
    std::memcpy(parameter.mutable_data_ptr<float>(), next, parameter.nbytes());
    next += parameter.nbytes();
  }
  if (next != data.data() + data.size()) return std::fprintf(stderr, "the inputs have another size\n"), 2;
  const auto begun = std::chrono::steady_clock::now();
  for (int step = 0; step < steps; ++step) {
    if (train_step(&training)) return 1;
  }
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begun;
  std::fprintf(stderr, "%.3f ms a step\n", taken.count() / steps);
  std::ofstream out(arguments[3], std::ios::binary);
  for (size_t part = 0; part < kParameters; ++part) {
    const auto parameter = first->at(1 + kParameters + part).toTensor();
    out.write(reinterpret_cast<const char *>(parameter.const_data_ptr<float>()), static_cast<std::streamsize>(parameter.nbytes()));
  }
  return 0;
}
