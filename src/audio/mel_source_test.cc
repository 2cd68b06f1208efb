// SPDX-License-Identifier: MIT
#include "audio/mel_source.h"

#include <gtest/gtest.h>

#include "audio/test_files.h"

namespace sotto {
namespace {

using testing::MaxDifference;
using testing::TestData;

TEST(MelSource, WindowsAreTheOracles) {
  const auto oracle = TestData("oracle/numeric/jfk-mel80.safetensors");
  const auto clip = TestData("jfk/jfk.wav");
  if (!oracle || !clip) GTEST_SKIP() << "SOTTO_TEST_DATA/oracle/numeric";
  AudioReader reader(*clip);
  const MelSource source(reader, 80);
  std::vector<float> mel(80 * kWindowFrames);
  source.Window(0, mel);
  EXPECT_LT(MaxDifference(mel, testing::ReadF32Tensor(*oracle, "mel")), 1e-4);
  source.DetectionWindow(mel);
  EXPECT_LT(
      MaxDifference(mel, testing::ReadF32Tensor(*oracle, "mel_padded_audio")),
      1e-5);
}

}  // namespace
}  // namespace sotto
