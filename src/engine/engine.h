// SPDX-License-Identifier: MIT
// Engine: one model, loaded, compiled on demand and ready to serve.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "base/thread_pool.h"
#include "compile/profile.h"
#include "compile/program_cache.h"
#include "decode/special_tokens.h"
#include "engine/backends.h"
#include "model/stages.h"
#include "model/weights.h"
#include "runtime/backend.h"
#include "runtime/program.h"
#include "text/tokenizer.h"

namespace sotto {

struct EngineOptions {
  std::string profile;  // shipped name or path; empty: see DefaultProfile
  std::string device = "cpu";
  int threads = 0;  // 0: what the profile says, else all usable cores
  // Runs the NPU's encoder in place of this machine's; null: what `device`
  // says. For tests, and for who has an array of his own.
  std::shared_ptr<const npu::EncoderRunner> npu_runner;
};

// Shares weights and programs among all sessions. Programs are compiled the
// first time they are asked for; that is thread-safe. The thread pool serves
// one caller at a time.
class Engine {
 public:
  // `model`: what WeightStore::Load takes. Throws Error naming the file.
  Engine(const std::filesystem::path& model, const EngineOptions& options = {});
  // For models made in memory. `tokenizer` may be null: no text then.
  Engine(std::shared_ptr<const WeightStore> weights,
         std::shared_ptr<const Tokenizer> tokenizer,
         const EngineOptions& options = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const ModelSpec& spec() const { return weights_->spec(); }
  const WeightStore& weights() const { return *weights_; }
  const Tokenizer& tokenizer() const;
  const SpecialTokens& special_tokens() const { return special_tokens_; }
  const Profile& profile() const { return profile_; }
  // The CPU's: it runs every stage that no other device takes.
  const Backend& backend() const { return *backends_.backends.back(); }
  // What runs the encoder, as reports print it.
  std::string encoder_device() const;
  // Why that is not the device asked for; empty where it is.
  std::string fallback() const;
  // Is a window encoded while another is decoded? Where the encoder's device
  // leaves the CPU's cores alone and has not failed, or where the profile's
  // `overlap` says so.
  bool encodes_ahead() const;
  // The device failed: from now on the CPU runs the encoder. Thread-safe.
  void FallBack(const std::string& reason);
  ThreadPool& pool() { return *pool_; }
  ProgramCache& programs() { return *programs_; }

  // The program for a stage of this shape, compiled now if it was not yet.
  // decode: `shape.kv_extent` is the position; the ladder chooses the bucket.
  std::shared_ptr<const Program> ProgramFor(Stage stage,
                                            const StageShape& shape);
  // Compiles what a transcription will need, so that the first window does not
  // wait for it.
  void Warmup();

 private:
  void Start(const EngineOptions& options);
  std::unique_ptr<ProgramCache> MakePrograms(const Profile& profile,
                                             std::vector<Backend*> backends);

  std::shared_ptr<const WeightStore> weights_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  SpecialTokens special_tokens_;
  Profile profile_;
  std::unique_ptr<ThreadPool> pool_;
  BackendSet backends_;
  std::unique_ptr<ProgramCache> programs_;
  // The encoder's programs once its device has failed.
  mutable std::mutex fallback_mutex_;
  std::unique_ptr<ProgramCache> cpu_programs_;
};

// "cpu-bf16" where the processor multiplies bf16 in hardware, else "cpu-f32".
std::string DefaultProfile();

}  // namespace sotto
