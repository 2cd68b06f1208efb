// SPDX-License-Identifier: MIT
#include "engine/calibrate.h"

#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "base/cpu.h"
#include "compile/compiler.h"
#include "cpu/cpu_backend.h"

namespace sotto {
namespace {

// The site of a value by its name in the graph (model/encoder.cc); nothing
// where int8 does not need it. "enc.3.attn.q" is site "3.q".
std::optional<std::string> SiteOf(std::string_view name) {
  if (name == "enc.conv1.act") return "stem.h";
  constexpr std::string_view kPrefix = "enc.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string layer(name.substr(0, dot));
  name.remove_prefix(dot + 1);
  struct Row {
    std::string_view value, site;
  };
  for (const Row& row :
       {Row{"attn_ln", "ln1"}, Row{"attn.q", "q"}, Row{"attn.k", "k"},
        Row{"attn.v", "v"}, Row{"attn", "attn"}, Row{"mlp_ln", "ln2"},
        Row{"act", "h"}})
    if (name == row.value) return layer + "." + std::string(row.site);
  return std::nullopt;
}

Profile CalibrationProfile() {
  Profile profile = LoadProfile("cpu-f32");
  profile.Of(Stage::kEncoder).fuse.skip = true;
  return profile;
}

}  // namespace

EncoderTrace::EncoderTrace(const WeightStore& store, int threads)
    : pool_(std::make_unique<ThreadPool>(threads)),
      backend_(MakeCpuBackend({.features = HostFeatures(),
                               .pool = pool_.get(),
                               .allow_ref = true})),
      program_(Compile(store, Stage::kEncoder, {}, CalibrationProfile(),
                       std::array{backend_.get()})) {}

EncoderTrace::~EncoderTrace() = default;

void EncoderTrace::Run(std::span<const float> mel, Look look) {
  std::memcpy(session_.Io("mel", mel.size_bytes()), mel.data(),
              mel.size_bytes());
  const ir::Graph& graph = program_->graph();
  session_.Run(*program_, *pool_, [&](size_t step, const Frame& frame) {
    for (const ir::NodeId id : program_->steps()[step]->info().nodes) {
      const ir::ValueId out = graph.node(id).output;
      const ir::Value& value = graph.value(out);
      if (frame.At<const float>(out) == nullptr) continue;  // fused away
      look(value.name,
           std::span(frame.At<const float>(out),
                     static_cast<size_t>(value.shape.Elements())),
           static_cast<size_t>(value.shape[-1]));
    }
  });
}

namespace {

// Of a product whose weights are rounded.
bool IsInput(std::string_view site) {
  return !site.ends_with(".q") && !site.ends_with(".k") &&
         !site.ends_with(".v");
}

// Rows of a window's activations whose moments are taken: speech first, since
// most of a window of a short clip is silence, always the same.
constexpr int kSpeechRows = 160;
constexpr int kSilentRows = 16;

// Positions where sound ends: the rest of the log-mel is padding, zeros.
int SpeechRows(std::span<const float> mel, int positions) {
  const size_t frames = 2 * static_cast<size_t>(positions);
  size_t last = 0;
  for (size_t at = 0; at < mel.size(); ++at)
    if (mel[at] != 0) last = std::max(last, at % frames);
  return std::clamp(static_cast<int>(last / 2 + 1), 1, positions);
}

std::vector<int> ChosenRows(int speech, int positions) {
  std::vector<int> rows;
  const auto take = [&rows](int from, int to, int most) {
    const int count = std::min(to - from, most);
    for (int i = 0; i < count; ++i)
      rows.push_back(from + static_cast<int>(int64_t{i} * (to - from) / count));
  };
  take(0, speech, kSpeechRows);
  take(speech, positions, kSilentRows);
  return rows;
}

}  // namespace

void Calibrator::SeeRows(const std::string& site, std::span<const float> values,
                         size_t width, std::span<const size_t> starts) {
  std::vector<float> chosen;
  chosen.reserve(starts.size() * width);
  for (const size_t start : starts) {
    const auto row = values.subspan(start, width);
    chosen.insert(chosen.end(), row.begin(), row.end());
  }
  if (!chosen.empty()) moments_.See(site, chosen, width, trace_.pool());
}

void Calibrator::See(std::span<const float> mel) {
  const int positions = store_.spec().n_audio_ctx;
  const std::vector<int> rows =
      ChosenRows(SpeechRows(mel, positions), positions);
  trace_.Run(mel, [&](std::string_view name, std::span<const float> values,
                      size_t channels) {
    const auto site = SiteOf(name);
    if (!site) return;
    std::vector<size_t> starts;
    if (*site != "stem.h") {
      result_.See(*site, values, channels);
      if (!IsInput(*site)) return;
      for (const int row : rows)
        starts.push_back(static_cast<size_t>(row) * channels);
      SeeRows(*site, values, channels, starts);
      return;
    }
    // The second convolution reads it three times over: row t holds frames
    // 2t - 1, 2t and 2t + 1, which stand side by side.
    npu::Calibration once;
    once.See(*site, values, channels);
    const auto ranges = once.Of(*site);
    std::vector<float> least, largest;
    for (int tap = 0; tap < 3; ++tap)
      for (const npu::Range& range : ranges)
        least.push_back(range.least), largest.push_back(range.largest);
    result_.See(*site, least, least.size());
    result_.See(*site, largest, largest.size());
    for (const int row : rows)
      if (row > 0)
        starts.push_back((2 * static_cast<size_t>(row) - 1) * channels);
    SeeRows(*site, values, 3 * channels, starts);
  });
  ++result_.windows;
}

Calibrator::Calibrator(const WeightStore& store, int threads)
    : store_(store),
      shape_(npu::EncoderShapeOf(store.spec())),
      trace_(store, threads) {
  shape_.Check();
}

void Calibrator::Round(FunctionRef<void(int, int)> done) {
  npu::FindRoundings(shape_, StoreReader(store_), moments_, trace_.pool(), done,
                     &result_);
}

}  // namespace sotto
