// SPDX-License-Identifier: MIT
// How near the NPU's encoder comes to f32 on real speech: layers, the whole
// encoder, tokens and words. Scales come from speech in other languages and
// other clips, never from the clips that are judged.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <set>

#include "acceptance_row.h"
#include "audio/decode.h"
#include "audio/mel_source.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "compile/compiler.h"
#include "engine/calibrate.h"
#include "engine/engine.h"
#include "engine/test_data.h"
#include "engine/transcribe.h"
#include "engine/window_model.h"
#include "npu/encoder/host_run.h"
#include "text/normalize.h"
#include "text/wer.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using npu::EncoderPrecision;

bool Full() { return std::getenv("SOTTO_TEST_FULL") != nullptr; }

// The first window of a file and how many of the encoder's rows hear it.
struct Heard {
  std::vector<float> mel;
  size_t rows = 0;
};
Heard Hear(const fs::path& file, int n_mels) {
  AudioReader reader(file);
  const MelSource sound(reader, n_mels);
  Heard heard{std::vector<float>(static_cast<size_t>(n_mels) * 3000)};
  sound.Window(0, heard.mel);
  heard.rows = static_cast<size_t>(
      std::clamp<int64_t>(sound.content_frames() / 2, 1, 1500));
  return heard;
}

// What scales are made from: seven languages, then short English clips.
std::vector<fs::path> CalibrationFiles(size_t count) {
  std::vector<fs::path> files;
  for (const char* language : {"de", "es", "fr", "it", "ja", "ko", "pt"})
    files.push_back(TestData() / "multilingual-leopard" /
                    (std::string("test_") + language + ".wav"));
  std::set<fs::path> clips;
  for (const auto& entry :
       fs::directory_iterator(TestData() / "common-voice-en-mini/clips"))
    clips.insert(entry.path());
  files.insert(files.end(), clips.begin(), clips.end());
  files.resize(std::min(count, files.size()));
  return files;
}

// A model with what all tests of it share.
struct Subject {
  explicit Subject(const std::string& model) : name(model) {
    store = WeightStore::Load(TestModel(model));
    trace = std::make_unique<EncoderTrace>(*store, UsableCores());
    Calibrator calibrator(*store, UsableCores());
    shape = calibrator.shape();
    for (const fs::path& file : CalibrationFiles(40))
      calibrator.See(Hear(file, shape.n_mels).mel);
    calibrator.Round([](int, int) {});
    scales = calibrator.result();
  }
  npu::PackedEncoder Pack(EncoderPrecision precision) const {
    return npu::Pack(shape, precision, StoreReader(*store), &scales);
  }

  std::string name;
  std::shared_ptr<const WeightStore> store;
  npu::EncoderShape shape;
  npu::Calibration scales;
  std::unique_ptr<EncoderTrace> trace;
};

double Cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i)
    ab += double{a[i]} * b[i], aa += double{a[i]} * a[i],
        bb += double{b[i]} * b[i];
  return ab / std::sqrt(aa * bb);
}

struct Gate {
  EncoderPrecision precision;
  const char* name;
  double layer, output;  // least cosines
  int tokens_differ;     // of 34 clips, at most: what the row asks for
  int tokens_bound;      // and what is known to hold
  int more_errors;       // words, at most
};
constexpr Gate kGates[] = {
    {EncoderPrecision::kBF16, "bf16", 0.9998, 0.999, 2, 6, 2},
    {EncoderPrecision::kInt8, "int8", 0.998, 0.995, 4, 14, 6}};

class NpuAccuracy : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (TestData().empty()) GTEST_SKIP() << "SOTTO_TEST_DATA is not set";
    if (TestModel(GetParam()).empty())
      GTEST_SKIP() << "no model " << GetParam();
  }
  // Made once for all tests of a model: calibrating takes seconds.
  void Begin() {
    static std::map<std::string, std::unique_ptr<Subject>> subjects;
    auto& subject = subjects[GetParam()];
    if (subject == nullptr) subject = std::make_unique<Subject>(GetParam());
    subject_ = subject.get();
  }
  void Row(const char* id, const Gate& gate, const std::string& figure,
           bool met) const {
    ReportRow(id, fmt::format("{} {}: {}", subject_->name, gate.name, figure),
              RowTag::kMeasured, met);
  }
  std::vector<fs::path> Clips(size_t count) const {
    std::set<fs::path> all;
    for (const auto& entry :
         fs::recursive_directory_iterator(TestData() / "librispeech-mini"))
      if (entry.path().extension() == ".flac") all.insert(entry.path());
    std::vector<fs::path> some;
    size_t i = 0;
    for (const fs::path& clip : all)
      if (i++ * count / all.size() == some.size() && some.size() < count)
        some.push_back(clip);
    return some;
  }

  Subject* subject_ = nullptr;
};

// Each layer by itself: what f32 puts in, against what f32 gets out.
TEST_P(NpuAccuracy, E1LayerOutputs) {
  Begin();
  const auto& [n_mels, frames, width, heads, ffn, layers] = subject_->shape;
  const Heard heard = Hear(TestData() / "jfk/jfk.wav", n_mels);
  std::vector<std::vector<float>> x(static_cast<size_t>(layers) + 1);
  subject_->trace->Run(heard.mel, [&](std::string_view name,
                                      std::span<const float> values, size_t) {
    for (int i = 0; i <= layers; ++i)
      if (name == (i == 0 ? "enc.sum" : fmt::format("enc.{}.mlp.sum", i - 1)))
        x[static_cast<size_t>(i)].assign(values.begin(), values.end());
  });
  ThreadPool pool(UsableCores());
  for (const Gate& gate : kGates) {
    const npu::PackedEncoder packed = subject_->Pack(gate.precision);
    Buffer work(npu::HostRunBytes(packed));
    double least = 1;
    for (int i = 0; i < layers; ++i) {
      const auto at = static_cast<size_t>(i);
      ASSERT_FALSE(x[at + 1].empty());
      std::vector<float> y(x[at].size());
      npu::RunLayerOnHost(packed, i, x[at].data(), y.data(), work.data(), pool);
      const double cosine = Cosine(x[at + 1], y);
      EXPECT_GE(cosine, gate.layer) << gate.name << " layer " << i;
      least = std::min(least, cosine);
    }
    Row("E1", gate, fmt::format("least cosine of a layer {:.5f}", least),
        least >= gate.layer);
  }
}

// The whole encoder over whole windows; and over the rows that hear speech.
TEST_P(NpuAccuracy, E2EncoderOutput) {
  Begin();
  auto clips = Clips(Full() ? 34 : 1);
  clips.push_back(TestData() / "jfk/jfk.wav");
  ThreadPool pool(UsableCores());
  std::vector<Heard> heard;
  std::vector<std::vector<float>> want;
  for (const fs::path& clip : clips) {
    heard.push_back(Hear(clip, subject_->shape.n_mels));
    subject_->trace->Run(
        heard.back().mel,
        [&](std::string_view name, std::span<const float> values, size_t) {
          if (name == "audio") want.emplace_back(values.begin(), values.end());
        });
  }
  for (const Gate& gate : kGates) {
    const npu::PackedEncoder packed = subject_->Pack(gate.precision);
    Buffer work(npu::HostRunBytes(packed));
    double least = 1, least_speech = 1;
    for (size_t i = 0; i < clips.size(); ++i) {
      std::vector<float> got(want[i].size());
      npu::RunOnHost(packed, heard[i].mel.data(), got.data(), work.data(),
                     pool);
      const size_t speech =
          heard[i].rows * static_cast<size_t>(subject_->shape.width);
      const double cosine = Cosine(want[i], got);
      EXPECT_GE(cosine, gate.output) << gate.name << " " << clips[i];
      least = std::min(least, cosine);
      least_speech =
          std::min(least_speech, Cosine(std::span(want[i]).first(speech),
                                        std::span(got).first(speech)));
    }
    Row("E2", gate,
        fmt::format("least cosine {:.5f}, {:.5f} on rows with speech, of {} "
                    "clips",
                    least, least_speech, clips.size()),
        least >= gate.output);
  }
}

// A folder with the model's files and other scales beside them.
class ScaledModel {
 public:
  explicit ScaledModel(const Subject& subject) {
    for (const auto& entry : fs::directory_iterator(TestModel(subject.name)))
      if (entry.path().filename() != npu::kCalibrationFile)
        fs::create_symlink(entry.path(), folder_ / entry.path().filename());
    subject.scales.Save(folder_ / npu::kCalibrationFile);
  }
  const fs::path& path() const { return folder_.path(); }

 private:
  TestFolder folder_;
};

WerCounts Errors(const std::string& want, const std::string& got) {
  const EnglishNormalizer normalize;
  return CountErrors(normalize(want), normalize(got));
}

// Greedy tokens and words as f32's, which the oracle holds for these models.
TEST_P(NpuAccuracy, E2TokensAndWords) {
  const auto oracle = ReadOracle(GetParam(), "librispeech-mini");
  if (oracle.empty()) GTEST_SKIP() << "no oracle for " << GetParam();
  const std::string model = GetParam();
  if (!Full() && model != "tiny.en")
    GTEST_SKIP() << "minutes long: SOTTO_TEST_FULL=1 runs it";
  const size_t step = Full() ? 1 : 7;
  Begin();
  const ScaledModel scaled(*subject_);
  for (const Gate& gate : kGates) {
    // The rest in f32, so that what differs is the encoder's doing.
    const fs::path profile = scaled.path() / "f32.toml";
    WriteFileAtomic(profile, fmt::format("backend = \"npu-sim\"\nprecision = "
                                         "\"f32\"\n[encoder]\nprecision = "
                                         "\"{}\"\n",
                                         gate.name));
    Engine engine(scaled.path(),
                  {.profile = profile.string(), .device = "npu-sim"});
    WindowModel window(engine);
    Options options;
    options.language = "en";
    options.temperature_increment_on_fallback.reset();
    options.condition_on_previous_text = false;
    const DecodePlan plan = MakeDecodePlan(options, engine.tokenizer());
    int clips = 0, same = 0;
    WerCounts f32, here;
    for (size_t i = 0; i < oracle.size(); i += step) {
      const OracleResult& want = oracle[i].results.at("greedy_no_words");
      AudioReader reader(oracle[i].Audio());
      MelSource sound(reader, engine.spec().n_mels);
      const Transcript got = Transcribe(window, sound, plan);
      std::vector<int> tokens;
      for (const Segment& segment : got.segments)
        tokens.insert(tokens.end(), segment.tokens.begin(),
                      segment.tokens.end());
      ++clips;
      same += tokens == want.Tokens() ? 1 : 0;
      f32 += Errors(oracle[i].reference, want.text);
      here += Errors(oracle[i].reference, got.text);
    }
    EXPECT_LE(clips - same, gate.tokens_bound) << gate.name;
    EXPECT_LE(here.errors() - f32.errors(), gate.more_errors) << gate.name;
    Row("E2", gate,
        fmt::format("{} of {} clips with f32's tokens, {} word errors of {}, "
                    "f32 {}",
                    same, clips, here.errors(), here.words, f32.errors()),
        clips - same <= gate.tokens_differ &&
            here.errors() - f32.errors() <= gate.more_errors);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, NpuAccuracy,
                         testing::Values("tiny.en", "base"),
                         [](const auto& model) {
                           return std::string(model.param) == "base" ? "Base"
                                                                     : "TinyEn";
                         });

}  // namespace
}  // namespace sotto
