// SPDX-License-Identifier: MIT
// StageRunner: the four stages over one session and the CPU backend, for tests
// that look at logits and caches rather than at text. Library
// sotto_stage_runner.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "compile/compiler.h"
#include "compile/program_cache.h"
#include "model/weights.h"
#include "runtime/session.h"

namespace sotto {

// Packed weights and programs of one model under one profile; runners share
// it as sessions share an engine.
struct StageModel {
  // `threads` of the pool. `cpu`: a level of SOTTO_CPU, empty: the machine's.
  StageModel(std::shared_ptr<const WeightStore> store, Profile profile,
             int threads = 1, const std::string& cpu = "");

  const ModelSpec& spec() const { return store->spec(); }
  std::shared_ptr<const Program> Get(Stage stage, const StageShape& shape) {
    return cache->Get(stage, shape);
  }

  std::shared_ptr<const WeightStore> store;
  Profile profile;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<ProgramCache> cache;
  std::vector<std::string> built;  // titles of the programs, in order
};

class StageRunner {
 public:
  // `batch` rows, each with its own slot.
  explicit StageRunner(StageModel& model, int batch = 1, int frames = 0);

  // mel [batch, n_mels, frames] -> audio [batch, positions, width].
  std::vector<float> Encode(std::span<const float> mel);
  // Fills the cross caches from `audio`, or from what Encode left.
  void CrossKv(std::span<const float> audio = {});
  // tokens [batch, count] at positions pos..; logits of the last `rows` rows,
  // [batch, rows, vocab].
  std::vector<float> Prefill(std::span<const int> tokens, int pos = 0,
                             int rows = 1);
  // tokens [batch]; each batch row stands at its own position, which moves on.
  std::vector<float> Step(std::span<const int> tokens);
  // The same in a program for so many positions, whatever the ladder says.
  std::vector<float> StepAt(std::span<const int> tokens, int kv_extent);

  Session& session() { return session_; }
  std::vector<int>& positions() { return positions_; }
  std::span<const float> Floats(std::string_view name);
  // Called behind every step of every program, where set.
  std::function<void(const Program&, size_t, const Frame&)> hook;

 private:
  void SetInts(std::string_view name, std::span<const int> values);
  void Run(const Program& program);
  std::vector<float> Logits(int rows);

  StageModel& model_;
  int batch_;
  int frames_;
  Session session_;
  std::vector<int> positions_;
};

// A log-mel of noise from a seed, in the range of real ones.
std::vector<float> NoiseMel(const ModelSpec& spec, int frames, int batch,
                            uint64_t seed);

double MaxAbsDiff(std::span<const float> a, std::span<const float> b);
double Cosine(std::span<const float> a, std::span<const float> b);
size_t BestIndex(std::span<const float> values);

// The folder of a model ("tiny.en", "base") in SOTTO_MODELS or
// ~/.cache/sotto/models; nothing where it is not there.
std::optional<std::filesystem::path> RealModel(const std::string& name);
// SOTTO_TEST_DATA / `path`; nothing where it is not there.
std::optional<std::filesystem::path> TestData(const std::string& path);

// Tensors of a safetensors file by name.
struct Numbers {
  explicit Numbers(const std::filesystem::path& path);
  std::vector<float> Floats(const std::string& name) const;
  std::vector<int> Ints(const std::string& name) const;

 private:
  struct Entry {
    std::string dtype;
    size_t begin = 0;
    size_t end = 0;
  };
  std::string bytes_;
  size_t data_ = 0;
  std::map<std::string, Entry> entries_;
};

}  // namespace sotto
