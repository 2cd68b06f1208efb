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

void Calibrator::See(std::span<const float> mel) {
  trace_.Run(mel, [this](std::string_view name, std::span<const float> values,
                         size_t channels) {
    const auto site = SiteOf(name);
    if (!site) return;
    if (*site != "stem.h") {
      result_.See(*site, values, channels);
      return;
    }
    // The second convolution reads it three times over.
    npu::Calibration once;
    once.See(*site, values, channels);
    const auto ranges = once.Of(*site);
    std::vector<float> least, largest;
    for (int tap = 0; tap < 3; ++tap)
      for (const npu::Range& range : ranges)
        least.push_back(range.least), largest.push_back(range.largest);
    result_.See(*site, least, least.size());
    result_.See(*site, largest, largest.size());
  });
  ++result_.windows;
}

}  // namespace sotto
