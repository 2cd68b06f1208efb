// SPDX-License-Identifier: MIT
#include "npu/encoder/backend.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <variant>

#include "npu/encoder/host_run.h"
#include "npu/encoder/pack.h"

namespace sotto::npu {
namespace {

class HostRunner : public EncoderRunner {
 public:
  std::string name() const override {
    return "npu1 emulated on the CPU, bit for bit";
  }
  bool on_cpu() const override { return true; }
  size_t WorkBytes(const PackedEncoder& encoder) const override {
    return HostRunBytes(encoder);
  }
  void Run(const PackedEncoder& encoder, const float* mel, float* audio,
           std::byte* work, ThreadPool& pool) const override {
    RunOnHost(encoder, mel, audio, work, pool);
  }
};

// The first weight whose first part has this name; null where none has.
const ir::Value* FindWeight(const ir::Graph& graph, std::string_view name) {
  for (const ir::Value& value : graph.values)
    if (value.kind == ir::ValueKind::kWeight && !value.parts.empty() &&
        value.parts.front().name == name)
      return &value;
  return nullptr;
}

class EncoderStep : public Step {
 public:
  EncoderStep(std::shared_ptr<const PackedEncoder> encoder, int batch,
              std::shared_ptr<const EncoderRunner> runner, ir::ValueId mel,
              ir::ValueId audio, std::span<const ir::NodeId> nodes)
      : encoder_(std::move(encoder)),
        batch_(batch),
        runner_(std::move(runner)),
        mel_(mel),
        audio_(audio) {
    const EncoderShape& s = encoder_->shape;
    info_.nodes.assign(nodes.begin(), nodes.end());
    info_.op = "encoder";
    info_.kernel = encoder_->precision == EncoderPrecision::kInt8 ? "npu_int8"
                                                                  : "npu_bf16";
    info_.scratch_bytes = runner_->WorkBytes(*encoder_);
    const double d = s.width;
    const double t = s.positions();
    const double layer = t * d * (4 * d + 2 * s.ffn) + 2 * t * t * d;
    const double stem = t * d * 3 * (2.0 * s.n_mels + d);
    info_.flops = 2 * batch_ * (s.layers * layer + stem);
    info_.read_bytes = static_cast<double>(encoder_->bytes()) * batch_;
  }

  // The windows of a batch one after another: one fills the whole array.
  void Run(const Frame& frame) const override {
    const EncoderShape& s = encoder_->shape;
    const int64_t mel_floats = int64_t{s.n_mels} * s.frames;
    const int64_t audio_floats = int64_t{s.positions()} * s.width;
    for (int b = 0; b < batch_; ++b)
      runner_->Run(*encoder_, frame.At<const float>(mel_) + b * mel_floats,
                   frame.At<float>(audio_) + b * audio_floats, frame.scratch,
                   *frame.pool);
  }

 private:
  std::shared_ptr<const PackedEncoder> encoder_;
  int batch_;
  std::shared_ptr<const EncoderRunner> runner_;
  ir::ValueId mel_;
  ir::ValueId audio_;
};

class NpuBackend : public Backend {
 public:
  explicit NpuBackend(NpuOptions options) : options_(std::move(options)) {}

  std::string_view name() const override { return "npu"; }

  std::string Refuse(const ir::Graph& graph, ir::NodeId) const override {
    // note: all of a graph or nothing: what is asked of one node is answered
    // for all.
    try {
      const EncoderMatch match = MatchEncoder(graph);
      if (match.precision == EncoderPrecision::kInt8) {
        if (options_.calibration == nullptr)
          return "npu: int8 needs the model's scales";
        options_.calibration->Check(match.shape);
      }
      return {};
    } catch (const Error& error) {
      return error.what();
    }
  }

  size_t StateBytes(const ir::Value&) const override { return 0; }

  std::vector<std::unique_ptr<Step>> Lower(
      const ir::Graph& graph, std::span<const ir::NodeId> nodes,
      const WeightReader& weights) override {
    const EncoderMatch match = MatchEncoder(graph);
    SOTTO_CHECK(nodes.size() == graph.nodes.size());
    const auto packed = Packed(match, weights);
    std::vector<std::unique_ptr<Step>> steps;
    steps.push_back(std::make_unique<EncoderStep>(
        packed, match.batch, options_.runner, graph.Find("mel"),
        graph.outputs.front(), nodes));
    return steps;
  }

  size_t packed_bytes() const override {
    const std::lock_guard lock(mutex_);
    size_t bytes = 0;
    for (const auto& entry : packed_) bytes += entry.second->bytes();
    return bytes;
  }
  size_t weight_bytes_copied() const override { return packed_bytes(); }

 private:
  // One copy for every length of window: only positions differ, and of those
  // the longest holds all.
  std::shared_ptr<const PackedEncoder> Packed(const EncoderMatch& match,
                                              const WeightReader& weights) {
    const std::lock_guard lock(mutex_);
    auto& entry =
        packed_[{match.shape.frames, static_cast<int>(match.precision)}];
    if (entry == nullptr)
      entry = std::make_shared<PackedEncoder>(Pack(
          match.shape, match.precision, weights, options_.calibration.get()));
    return entry;
  }

  NpuOptions options_;
  mutable std::mutex mutex_;
  std::map<std::pair<int, int>, std::shared_ptr<const PackedEncoder>> packed_;
};

}  // namespace

EncoderMatch MatchEncoder(const ir::Graph& graph) {
  const ir::ValueId mel = graph.Find("mel");
  const ir::Value* conv = FindWeight(graph, "enc.conv1.w");
  const ir::Value* fc1 = FindWeight(graph, "enc.0.fc1.w");
  if (mel == ir::kNoValue || conv == nullptr || fc1 == nullptr ||
      graph.outputs.size() != 1)
    Fail(ErrorCode::kUnsupported, "npu: runs the encoder only");
  EncoderMatch match;
  const Shape& in = graph.value(mel).shape;
  match.batch = static_cast<int>(in[0]);
  match.shape.n_mels = static_cast<int>(in[1]);
  match.shape.frames = static_cast<int>(in[2]);
  match.shape.width = static_cast<int>(conv->shape[0]);
  match.shape.ffn = static_cast<int>(fc1->shape[0]);
  match.shape.layers = 0;
  for (const ir::Node& node : graph.nodes) {
    if (node.op != ir::Op::kAttention) continue;
    match.shape.heads = std::get<ir::AttentionAttrs>(node.attrs).heads;
    ++match.shape.layers;
  }
  match.shape.Check();
  switch (fc1->dtype) {
    case DType::kI8:
      match.precision = EncoderPrecision::kInt8;
      break;
    case DType::kBF16:
      match.precision = EncoderPrecision::kBF16;
      break;
    default:
      Fail(ErrorCode::kUnsupported, "npu: weights in {}, want bf16 or int8",
           Name(fc1->dtype));
  }
  return match;
}

std::unique_ptr<EncoderRunner> MakeHostRunner() {
  return std::make_unique<HostRunner>();
}

std::unique_ptr<Backend> MakeNpuBackend(NpuOptions options) {
  return std::make_unique<NpuBackend>(std::move(options));
}

}  // namespace sotto::npu
