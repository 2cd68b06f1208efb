// SPDX-License-Identifier: MIT
// E4: windows encoded together give what each gives alone, to the last bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "acceptance_row.h"
#include "engine/engine.h"
#include "runtime/session.h"
#include "stage_runner.h"
#include "tiny_model.h"

namespace sotto {
namespace {

constexpr int kMost = 8;

std::shared_ptr<const WeightStore> SmallStore() {
  TinyOptions options = MicroOptions();
  options.n_audio_ctx = 100;
  options.width = 128;
  options.heads = 2;
  return MakeTinyStore(options);
}

// `count` windows from window `first` of a row of different ones.
std::vector<float> Encode(Engine& engine, int first, int count) {
  const ModelSpec& spec = engine.spec();
  std::vector<float> mel;
  for (int b = 0; b < count; ++b) {
    const auto one = NoiseMel(spec, 2 * spec.n_audio_ctx, 1,
                              static_cast<uint64_t>(first + b));
    mel.insert(mel.end(), one.begin(), one.end());
  }
  const auto program = engine.ProgramFor(
      Stage::kEncoder, {.batch = count, .frames = 2 * spec.n_audio_ctx});
  EXPECT_EQ(program->steps().size(), 1u);
  EXPECT_EQ(program->steps()[0]->info().op, "encoder");
  Session session;
  std::memcpy(session.Io("mel", 4 * mel.size()), mel.data(), 4 * mel.size());
  session.Run(*program, engine.pool());
  std::vector<float> audio(static_cast<size_t>(count) *
                           static_cast<size_t>(spec.n_audio_ctx) *
                           static_cast<size_t>(spec.n_audio_state));
  std::memcpy(audio.data(), session.Io("audio", 4 * audio.size()),
              4 * audio.size());
  return audio;
}

class NpuBatch : public testing::TestWithParam<const char*> {};

TEST_P(NpuBatch, E4BatchesEqualSingleWindows) {
  Engine engine(SmallStore(), nullptr, {.device = GetParam(), .threads = 1});
  ASSERT_EQ(engine.fallback(), "");
  std::vector<float> alone;
  for (int b = 0; b < kMost; ++b) {
    const auto one = Encode(engine, b, 1);
    alone.insert(alone.end(), one.begin(), one.end());
  }
  const size_t window = alone.size() / kMost;
  EXPECT_TRUE(std::all_of(alone.begin(), alone.end(),
                          [](float x) { return std::isfinite(x); }));
  for (int b = 1; b < kMost; ++b)
    EXPECT_NE(std::memcmp(&alone[0], &alone[b * window], 4 * window), 0);
  for (int count = 1; count <= kMost; ++count) {
    const auto together = Encode(engine, 0, count);
    ASSERT_EQ(together.size(), static_cast<size_t>(count) * window);
    EXPECT_EQ(std::memcmp(together.data(), alone.data(), 4 * together.size()),
              0)
        << "batch of " << count;
  }
  ReportRow("E4",
            fmt::format("{}: batches of 1 to {} equal single windows in every "
                        "bit",
                        GetParam(), kMost),
            RowTag::kMeasured);
}

INSTANTIATE_TEST_SUITE_P(Devices, NpuBatch,
                         testing::Values("npu-sim", "npu-array"),
                         [](const auto& of) {
                           return std::string(of.param) == "npu-sim" ? "Host"
                                                                     : "Array";
                         });

}  // namespace
}  // namespace sotto
