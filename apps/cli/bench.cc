// SPDX-License-Identifier: MIT
// sotto bench: what a model's stages cost on this machine, beside what the
// machine can do, measured in the same run.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "apps/cli/commands.h"
#include "apps/cli/common.h"
#include "audio/decode.h"
#include "audio/mel_source.h"
#include "base/cpu.h"
#include "base/file.h"
#include "cpu/peak.h"
#include "engine/engine.h"
#include "engine/transcribe.h"
#include "engine/version.h"
#include "engine/window_model.h"

namespace sotto::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

double Milliseconds(Clock::time_point since) {
  return std::chrono::duration<double, std::milli>(Clock::now() - since)
      .count();
}

struct Samples {
  std::vector<double> values;
  double Median() const {
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : sorted[sorted.size() / 2];
  }
  double Min() const {
    return values.empty() ? 0
                          : *std::min_element(values.begin(), values.end());
  }
  Json ToJson() const {
    return {{"median", Median()}, {"min", Min()}, {"n", values.size()}};
  }
};

// A value of the report for people.
std::string Plain(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "not measured";
  if (value.is_number_float())
    return fmt::format("{:.4g}", value.get<double>());
  if (value.is_object() && value.contains("median"))
    return fmt::format("{:.4g} (least {:.4g}, of {})",
                       value["median"].get<double>(),
                       value["min"].get<double>(), value["n"].get<size_t>());
  return value.dump();
}

double PeakRssMegabytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// Loading is timed less often than the stages: it takes longer.
constexpr int kMostLoads = 3;

// Noise in the range of a log-mel: the arithmetic does not depend on what is
// said, but denormals and NaN would change its speed.
void FillMel(std::span<float> mel) {
  std::minstd_rand random(1);
  std::uniform_real_distribution<float> values(-0.6f, 1.4f);
  for (float& value : mel) value = values(random);
}

// The JFK clip where the program was installed or built; empty where it is
// not there.
std::string ShippedClip() {
  return FindBesideProgram({"../share/sotto/jfk.flac", "../../data/jfk.flac"})
      .string();
}

class Bench {
 public:
  Bench(const Options& options, int repeats)
      : options_(options), repeats_(repeats) {
    const std::filesystem::path model = FindModel(options.model);
    for (int i = 0; i < std::min(repeats, kMostLoads); ++i) {
      engine_ = nullptr;  // one model in memory at a time
      auto start = Clock::now();
      engine_ = std::make_unique<Engine>(
          model,
          EngineOptions{options.profile, options.device, options.threads});
      load_.values.push_back(Milliseconds(start));
      start = Clock::now();
      engine_->Warmup();
      compile_.values.push_back(Milliseconds(start));
    }
    model_ = std::make_unique<WindowModel>(*engine_);
  }

  void Run(const std::string& audio) {
    FillMel(model_->mel());
    model_->Encode();  // first touch of everything
    DecodeTokens(8);
    for (int i = 0; i < repeats_; ++i) {
      const StageTimes before = model_->times();
      model_->Encode();
      encoder_.values.push_back(Since(before, Stage::kEncoder));
      cross_kv_.values.push_back(Since(before, Stage::kCrossKv));
      MeasureDecode();
      // Peaks between the runs, so that both see the same machine.
      peak_tflops_.values.push_back(cpu::PeakTflops(
          HostFeatures(),
          engine_->profile().Of(Stage::kEncoder).precision == Precision::kBF16
              ? "bf16"
              : "f32",
          engine_->pool()));
      read_gb_s_.values.push_back(
          cpu::ReadGBs(DecodeBytes(), engine_->pool()));
    }
    if (!audio.empty()) MeasureFile(audio);
  }

  Json Report() const {
    const double flops =
        engine_->ProgramFor(Stage::kEncoder, {})->flops();
    const double median_flops = flops / encoder_.Median() * 1e-9;
    const double floor_ms =
        static_cast<double>(DecodeBytes()) / read_gb_s_.Median() * 1e-6;
    Json report = {
        {"model", options_.model},
        {"profile", engine_->profile().name},
        {"threads", engine_->pool().threads()},
        {"machine", VersionLine()},
        {"encoder_ms", encoder_.ToJson()},
        {"cross_kv_ms", cross_kv_.ToJson()},
        {"prefill_ms", prefill_.ToJson()},
        {"decode_ms_per_token", decode_.ToJson()},
        {"load_ms", load_.ToJson()},
        {"compile_ms", compile_.ToJson()},
        {"rss_mb", PeakRssMegabytes()},
        {"packed_mb", double(engine_->backend().packed_bytes()) * 1e-6},
        {"rtf", rtf_ > 0 ? Json(rtf_) : Json(nullptr)},
        {"encoder_gflop", flops * 1e-9},
        {"gemm_tflops", median_flops},
        {"gemm_peak_tflops", peak_tflops_.Median()},
        {"encoder_peak_fraction", median_flops / peak_tflops_.Median()},
        {"read_gb_s", read_gb_s_.Median()},
        {"decode_read_mb", double(DecodeBytes()) * 1e-6},
        {"decode_over_floor", decode_.Median() / floor_ms}};
    report["kernels"] = Kernels();
    return report;
  }

 private:
  double Since(const StageTimes& before, Stage stage) const {
    const auto i = static_cast<size_t>(stage);
    return model_->times().ms[i] - before.ms[i];
  }

  // Weights and K/V that one token at a mean position of 110 reads.
  size_t DecodeBytes() const {
    double bytes = 0;
    const auto program =
        engine_->ProgramFor(Stage::kDecode, {.kv_extent = 110});
    for (const auto& step : program->steps()) bytes += step->info().read_bytes;
    return static_cast<size_t>(bytes);
  }

  void DecodeTokens(int tokens) {
    for (int i = 0; i < tokens; ++i) model_->Step(1000 + i);
  }

  // 210 forced tokens less 10, over 200, as peers are measured: the prompt
  // drops out and the mean position is 110.
  void MeasureDecode() {
    const SpecialTokens& t = engine_->special_tokens();
    std::vector<int> prompt = {t.sot};
    if (t.multilingual) {
      prompt.push_back(t.language_tokens.front());
      prompt.push_back(t.transcribe);
    }
    StageTimes before = model_->times();
    model_->Prefill(prompt, -1, nullptr);
    prefill_.values.push_back(Since(before, Stage::kPrefill));
    DecodeTokens(10);
    before = model_->times();
    DecodeTokens(200);
    decode_.values.push_back(Since(before, Stage::kDecode) / 200);
  }

  void MeasureFile(const std::string& audio) {
    AudioReader reader(audio);
    const auto start = Clock::now();
    MelSource sound(reader, engine_->spec().n_mels);
    Transcribe(*model_, sound,
               MakeDecodePlan(options_, engine_->tokenizer()));
    rtf_ = Milliseconds(start) * 1e-3 / sound.duration();
  }

  // "linear amx_bf16" -> how many steps of the four stages run it.
  Json Kernels() const {
    std::map<std::string, int> counts;
    for (const Stage stage : kStages) {
      const auto program = engine_->ProgramFor(
          stage, stage == Stage::kDecode ? StageShape{.kv_extent = 110}
                                         : StageShape{.tokens = 3});
      for (const auto& step : program->steps())
        ++counts[std::string(StageName(stage)) + " " + step->info().op + " " +
                 step->info().kernel];
    }
    return counts;
  }

  const Options options_;
  const int repeats_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<WindowModel> model_;
  double rtf_ = 0;
  Samples load_, compile_, encoder_, cross_kv_, prefill_, decode_;
  Samples peak_tflops_, read_gb_s_;
};

class BenchCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "Measure a model's stages on this machine, beside the machine's own "
        "arithmetic peak and read bandwidth in the same run.");
    app.add_option("--json", json_, "print JSON");
    app.add_option("--repeats", repeats_, "times each stage is measured")
        ->check(CLI::Range(1, 1000));
    app.add_option("--audio", audio_,
                   "file to transcribe for the real-time factor (rtf: seconds "
                   "of work per second of sound); default: the JFK clip");
    AddEngineOptions(app, options_);
  }

  int Run() override {
    CheckOptions(options_);
    Bench bench(options_, repeats_);
    bench.Run(audio_.empty() ? ShippedClip() : audio_);
    const Json report = bench.Report();
    if (json_) {
      std::cout << report.dump(1) << '\n';
      return kDone;
    }
    for (const auto& [key, value] : report.items())
      if (key != "kernels")
        std::cout << fmt::format("{:22} {}\n", key, Plain(value));
    std::cout << "kernels\n";
    for (const auto& [kernel, steps] : report["kernels"].items())
      std::cout << fmt::format("  {:42} {:3}\n", kernel, steps.get<int>());
    return kDone;
  }

 private:
  Options options_;
  bool json_ = false;
  int repeats_ = 7;
  std::string audio_;
};

}  // namespace

std::unique_ptr<Command> MakeBench() {
  return std::make_unique<BenchCommand>();
}

}  // namespace sotto::cli
