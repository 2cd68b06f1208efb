// SPDX-License-Identifier: MIT
#include "stage_runner.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"
#include "cpu/cpu_backend.h"

namespace sotto {
namespace {

float* AsFloats(std::byte* bytes) {
  return static_cast<float*>(static_cast<void*>(bytes));
}

}  // namespace

StageModel::StageModel(std::shared_ptr<const WeightStore> weights, Profile p,
                       int threads, const std::string& cpu)
    : store(std::move(weights)),
      profile(std::move(p)),
      pool(std::make_unique<ThreadPool>(threads)) {
  const CpuFeatures features =
      cpu.empty() ? HostFeatures() : LimitFeatures(HostFeatures(), cpu);
  backend = MakeCpuBackend({.features = features,
                            .pool = pool.get(),
                            .allow_ref = profile.allow_ref});
  cache = std::make_unique<ProgramCache>(
      [this](const ProgramKey& key) {
        const auto program = Compile(*store, key.stage, key.shape, profile,
                                     std::array{backend.get()});
        built.push_back(program->graph().title);
        return program;
      },
      profile, spec().n_text_ctx);
}

StageRunner::StageRunner(StageModel& model, int batch, int frames)
    : model_(model),
      batch_(batch),
      frames_(frames > 0 ? frames : 2 * model.spec().n_audio_ctx),
      positions_(static_cast<size_t>(batch), 0) {
  std::vector<int> slots(static_cast<size_t>(batch));
  for (int b = 0; b < batch; ++b) slots[static_cast<size_t>(b)] = b;
  SetInts("slot", slots);
  SetInts("zero", std::vector<int>(static_cast<size_t>(batch), 0));
}

void StageRunner::SetInts(std::string_view name, std::span<const int> values) {
  std::memcpy(session_.Io(name, values.size_bytes()), values.data(),
              values.size_bytes());
}

void StageRunner::Run(const Program& program) {
  if (!hook) return session_.Run(program, *model_.pool);
  session_.Run(program, *model_.pool, [&](size_t step, const Frame& frame) {
    hook(program, step, frame);
  });
}

std::vector<float> StageRunner::Encode(std::span<const float> mel) {
  std::memcpy(session_.Io("mel", mel.size_bytes()), mel.data(),
              mel.size_bytes());
  Run(*model_.Get(Stage::kEncoder, {.batch = batch_, .frames = frames_}));
  const std::span<const float> audio = Floats("audio");
  return {audio.begin(), audio.end()};
}

std::span<const float> StageRunner::Floats(std::string_view name) {
  const ModelSpec& spec = model_.spec();
  size_t count = static_cast<size_t>(batch_);
  if (name == "audio")
    count *= static_cast<size_t>(EncoderPositions(frames_)) *
             static_cast<size_t>(spec.n_audio_state);
  if (name == "logits") count *= static_cast<size_t>(spec.n_vocab);
  return {AsFloats(session_.Io(name, count * sizeof(float))), count};
}

void StageRunner::CrossKv(std::span<const float> audio) {
  if (!audio.empty())
    std::memcpy(session_.Io("audio", audio.size_bytes()), audio.data(),
                audio.size_bytes());
  Run(*model_.Get(Stage::kCrossKv,
                  {.batch = batch_, .slots = batch_, .frames = frames_}));
}

std::vector<float> StageRunner::Logits(int rows) {
  const size_t count = static_cast<size_t>(batch_ * rows) *
                       static_cast<size_t>(model_.spec().n_vocab);
  const float* values = AsFloats(session_.Io("logits", count * sizeof(float)));
  return {values, values + count};
}

std::vector<float> StageRunner::Prefill(std::span<const int> tokens, int pos,
                                        int rows) {
  const int count = static_cast<int>(tokens.size()) / batch_;
  std::vector<int> wanted;
  for (int b = 0; b < batch_; ++b)
    for (int r = 0; r < rows; ++r) wanted.push_back(count - rows + r);
  SetInts("tokens", tokens);
  SetInts("rows", wanted);
  SetInts("pos", std::vector<int>(static_cast<size_t>(batch_), pos));
  std::fill(positions_.begin(), positions_.end(), pos + count);
  Run(*model_.Get(Stage::kPrefill, {.batch = batch_,
                                    .tokens = count,
                                    .logit_rows = rows,
                                    .slots = batch_,
                                    .frames = frames_}));
  return Logits(rows);
}

std::vector<float> StageRunner::Step(std::span<const int> tokens) {
  const int past = *std::max_element(positions_.begin(), positions_.end());
  SetInts("tokens", tokens);
  SetInts("pos", positions_);
  Run(*model_.Get(Stage::kDecode, {.batch = batch_,
                                   .kv_extent = past,
                                   .slots = batch_,
                                   .frames = frames_}));
  for (int& position : positions_) ++position;
  return Logits(1);
}

std::vector<float> StageRunner::StepAt(std::span<const int> tokens,
                                       int kv_extent) {
  SetInts("tokens", tokens);
  SetInts("pos", positions_);
  Run(*Compile(*model_.store, Stage::kDecode,
               {.batch = batch_,
                .kv_extent = kv_extent,
                .slots = batch_,
                .frames = frames_},
               model_.profile, std::array{model_.backend.get()}));
  for (int& position : positions_) ++position;
  return Logits(1);
}

std::vector<float> NoiseMel(const ModelSpec& spec, int frames, int batch,
                            uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> level(-0.6f, 1.2f);
  std::vector<float> mel(static_cast<size_t>(spec.n_mels) *
                         static_cast<size_t>(frames * batch));
  for (float& value : mel) value = level(random);
  return mel;
}

double MaxAbsDiff(std::span<const float> a, std::span<const float> b) {
  SOTTO_CHECK(a.size() == b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double diff = std::abs(static_cast<double>(a[i]) - b[i]);
    most = std::isnan(diff) ? INFINITY : std::max(most, diff);
  }
  return most;
}

double Cosine(std::span<const float> a, std::span<const float> b) {
  SOTTO_CHECK(a.size() == b.size());
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

size_t BestIndex(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) -
                             values.begin());
}

std::optional<std::filesystem::path> RealModel(const std::string& name) {
  const char* root = std::getenv("SOTTO_MODELS");
  const std::filesystem::path path =
      (root != nullptr ? std::filesystem::path(root)
                       : HomeDirectory() / ".cache/sotto/models") /
      name;
  if (!std::filesystem::exists(path / "model.bin")) return std::nullopt;
  return path;
}

std::optional<std::filesystem::path> TestData(const std::string& path) {
  const char* root = std::getenv("SOTTO_TEST_DATA");
  if (root == nullptr) return std::nullopt;
  const std::filesystem::path found = std::filesystem::path(root) / path;
  if (!std::filesystem::exists(found)) return std::nullopt;
  return found;
}

Numbers::Numbers(const std::filesystem::path& path) : bytes_(ReadFile(path)) {
  uint64_t header = 0;
  std::memcpy(&header, bytes_.data(), 8);
  data_ = 8 + static_cast<size_t>(header);
  const auto json = nlohmann::json::parse(bytes_.substr(8, header));
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") continue;
    entries_[name] = {entry["dtype"], entry["data_offsets"][0],
                      entry["data_offsets"][1]};
  }
}

std::vector<float> Numbers::Floats(const std::string& name) const {
  const Entry& entry = entries_.at(name);
  SOTTO_CHECK(entry.dtype == "F32");
  std::vector<float> values((entry.end - entry.begin) / 4);
  std::memcpy(values.data(), bytes_.data() + data_ + entry.begin,
              entry.end - entry.begin);
  return values;
}

std::vector<int> Numbers::Ints(const std::string& name) const {
  const Entry& entry = entries_.at(name);
  SOTTO_CHECK(entry.dtype == "I32");
  std::vector<int> values((entry.end - entry.begin) / 4);
  std::memcpy(values.data(), bytes_.data() + data_ + entry.begin,
              entry.end - entry.begin);
  return values;
}

}  // namespace sotto
