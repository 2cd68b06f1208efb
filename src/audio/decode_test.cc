// SPDX-License-Identifier: MIT
#include "audio/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "audio/test_files.h"
#include "base/error.h"

namespace sotto {
namespace {

using testing::TestData;

// Every line of the oracle: the samples that openai-whisper got.
TEST(Oracle, SamplesAreTheOracles) {
  const auto oracle = TestData("oracle/base");
  if (!oracle) GTEST_SKIP() << "SOTTO_TEST_DATA/oracle/base";
  const std::filesystem::path data = oracle->parent_path().parent_path();
  int clips = 0;
  for (const auto& list : std::filesystem::directory_iterator(*oracle)) {
    std::ifstream lines(list.path());
    for (std::string line; std::getline(lines, line);) {
      const auto clip = nlohmann::json::parse(line);
      if (clip.contains("member") && !clip["member"].is_null()) continue;
      const std::string file = clip["file"];
      const std::vector<float> pcm = ReadAudio(data / file);
      EXPECT_EQ(pcm.size(), clip["n_samples"].get<size_t>()) << file;
      EXPECT_EQ(testing::PcmSha256(pcm), clip["pcm_sha256"]) << file;
      ++clips;
    }
  }
  EXPECT_GE(clips, 140);  // 146 lines when this was written
}

}  // namespace
}  // namespace sotto
