// SPDX-License-Identifier: MIT
#include "engine/engine.h"

#include <algorithm>
#include <array>

#include "base/cpu.h"
#include "base/error.h"
#include "compile/compiler.h"
#include "engine/backends.h"
#include "engine/decode_plan.h"

namespace sotto {
namespace {

Profile ChooseProfile(const EngineOptions& options,
                      const std::filesystem::path& weights) {
  if (!options.profile.empty()) return LoadProfile(options.profile);
  if (auto near = ProfileNearWeights(weights)) return *near;
  return LoadProfile(DefaultProfile());
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
  backend_ = MakeBackend(profile_, *pool_);
  programs_ = std::make_unique<ProgramCache>(
      [this](const ProgramKey& key) {
        return Compile(*weights_, key.stage, key.shape, profile_,
                       std::array{backend_.get()});
      },
      profile_, spec().n_text_ctx);
  // Told now, rather than when a long window first passes the last bucket.
  const Bucket& bucket = programs_->ladder().buckets().back();
  if (bucket.end < spec().n_text_ctx)
    Fail(ErrorCode::kBadInput,
         "{}: the decode buckets end at {}, want {}, the model's last position",
         profile_.name, bucket.extent, spec().n_text_ctx - 1);
}

const Tokenizer& Engine::tokenizer() const {
  if (tokenizer_ == nullptr)
    Fail(ErrorCode::kInternal, "this engine has no tokenizer");
  return *tokenizer_;
}

std::shared_ptr<const Program> Engine::ProgramFor(Stage stage,
                                                  const StageShape& shape) {
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
