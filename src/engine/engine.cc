// SPDX-License-Identifier: MIT
#include "engine/engine.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/error.h"
#include "base/log.h"
#include "compile/compiler.h"
#include "engine/backends.h"
#include "engine/decode_plan.h"

namespace sotto {
namespace {

Profile ChooseProfile(const EngineOptions& options,
                      const std::filesystem::path& weights) {
  if (!options.profile.empty()) {
    Profile profile = LoadProfile(options.profile);
    if (options.device != "cpu") profile.device = options.device;
    return profile;
  }
  if (options.device != "cpu") {
    Profile profile = LoadProfile("npu-bf16");
    profile.device = options.device;
    return profile;
  }
  if (auto near = ProfileNearWeights(weights)) return *near;
  return LoadProfile(DefaultProfile());
}

// Encoder options that the CPU has kernels for.
void LeaveEncoderToCpu(Profile* profile) {
  profile->Of(Stage::kEncoder) =
      LoadProfile(DefaultProfile()).Of(Stage::kEncoder);
}

}  // namespace

std::string DefaultProfile() {
  const CpuFeatures& features = HostFeatures();
  return features.amx_bf16 || features.avx512_bf16 ? "cpu-bf16" : "cpu-f32";
}

Engine::Engine(const std::filesystem::path& model,
               const EngineOptions& options) {
  weights_ = WeightStore::Load(model);
  tokenizer_ = Tokenizer::Load(weights_->vocabulary().folder,
                               weights_->vocabulary().tokens, spec().n_vocab);
  Start(options);
}

Engine::Engine(std::shared_ptr<const WeightStore> weights,
               std::shared_ptr<const Tokenizer> tokenizer,
               const EngineOptions& options)
    : weights_(std::move(weights)), tokenizer_(std::move(tokenizer)) {
  Start(options);
}

Engine::~Engine() = default;

void Engine::Start(const EngineOptions& options) {
  if (tokenizer_ != nullptr)
    special_tokens_ = SpecialTokensOf(*tokenizer_, spec().n_vocab);
  profile_ = ChooseProfile(options, weights_->path());
  const int threads = options.threads > 0    ? options.threads
                      : profile_.threads > 0 ? profile_.threads
                                             : UsableCores();
  pool_ = std::make_unique<ThreadPool>(threads);
  backends_ = MakeBackends(profile_, *weights_, *pool_, options.npu_runner);
  if (!backends_.fallback.empty()) {
    Log(LogLevel::kWarning, "{}; the encoder runs on the CPU",
        backends_.fallback);
    LeaveEncoderToCpu(&profile_);
  }
  programs_ = MakePrograms(profile_, backends_.pointers());
  // Told now, rather than when a long window first passes the last bucket.
  const Bucket& bucket = programs_->ladder().buckets().back();
  if (bucket.end < spec().n_text_ctx)
    Fail(ErrorCode::kBadInput,
         "{}: the decode buckets end at {}, want {}, the model's last position",
         profile_.name, bucket.extent, spec().n_text_ctx - 1);
}

std::unique_ptr<ProgramCache> Engine::MakePrograms(
    const Profile& profile, std::vector<Backend*> backends) {
  return std::make_unique<ProgramCache>(
      [this, profile, backends = std::move(backends)](const ProgramKey& key) {
        return Compile(*weights_, key.stage, key.shape, profile, backends);
      },
      profile, spec().n_text_ctx);
}

std::string Engine::encoder_device() const {
  const std::lock_guard lock(fallback_mutex_);
  return cpu_programs_ == nullptr ? backends_.encoder_device : "cpu";
}

std::string Engine::fallback() const {
  const std::lock_guard lock(fallback_mutex_);
  return backends_.fallback;
}

bool Engine::encodes_ahead() const {
  const std::lock_guard lock(fallback_mutex_);
  if (backends_.backends.size() == 1 || cpu_programs_ != nullptr) return false;
  return profile_.overlap == Overlap::kAuto ? !backends_.encoder_on_cpu
                                            : profile_.overlap == Overlap::kOn;
}

void Engine::FallBack(const std::string& reason) {
  const std::lock_guard lock(fallback_mutex_);
  if (cpu_programs_ != nullptr) return;
  Log(LogLevel::kWarning, "{}; from here the encoder runs on the CPU", reason);
  backends_.fallback = reason;
  Profile profile = profile_;
  LeaveEncoderToCpu(&profile);
  cpu_programs_ = MakePrograms(profile, {backends_.backends.back().get()});
}

const Tokenizer& Engine::tokenizer() const {
  if (tokenizer_ == nullptr)
    Fail(ErrorCode::kInternal, "this engine has no tokenizer");
  return *tokenizer_;
}

std::shared_ptr<const Program> Engine::ProgramFor(Stage stage,
                                                  const StageShape& shape) {
  if (stage == Stage::kEncoder) {
    const std::lock_guard lock(fallback_mutex_);
    if (cpu_programs_ != nullptr) return cpu_programs_->Get(stage, shape);
  }
  return programs_->Get(stage, shape);
}

void Engine::Warmup() {
  ProgramFor(Stage::kEncoder, {});
  ProgramFor(Stage::kCrossKv, {});
  const int prompt = spec().is_multilingual() ? 3 : 1;
  ProgramFor(Stage::kPrefill,
             {.tokens = prompt, .logit_rows = prompt > 1 ? 2 : 1});
  programs_->Warmup(1, spec().n_text_ctx - 1);
}

}  // namespace sotto
