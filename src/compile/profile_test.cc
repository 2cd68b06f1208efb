// SPDX-License-Identifier: MIT
// rlx.md section 6, rows 14, 15 and 17; section 5.3, defect 17.
#include "compile/profile.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/test_folder.h"
#include "compile/profile_keys.h"
#include "compile/rlx_profile.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

std::string Why(std::string_view toml) {
  try {
    ParseProfile(toml, "p.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(Rlx, Row14EveryKeyIsReadAndWritten) {
  // Each key alone, set to something else than its default, comes back.
  std::vector<std::pair<std::string, std::string>> lines;
  const Profile defaults;
  const auto other = [&](const ProfileKey& key, const auto& field) {
    using T = std::decay_t<decltype(field)>;
    std::string value;
    if constexpr (std::is_same_v<T, bool>)
      value = field ? "false" : "true";
    else if constexpr (std::is_same_v<T, int>)
      value = std::to_string(key.path == "memory.alignment" ? 128 : field + 1);
    else if constexpr (std::is_same_v<T, std::string>)
      value = "\"metal\"";
    else if constexpr (std::is_same_v<T, std::vector<int>>)
      value = "[7, 31]";
    else
      value = fmt::format("\"{}\"", Words(field).back());
    lines.emplace_back(key.path, value);
  };
  VisitProfile(defaults, other);
  const size_t whole = lines.size();
  VisitStageOptions(defaults.Of(Stage::kEncoder), other);
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto& [path, value] = lines[i];
    if (path == "mixed") continue;  // auto is the default
    const Profile changed = ParseProfile(path + " = " + value + "\n", "p");
    EXPECT_FALSE(changed == defaults) << path;
    EXPECT_TRUE(ParseProfile(changed.ToToml(), "p") == changed)
        << path << "\n"
        << changed.ToToml();
    if (i < whole) continue;
    for (const Stage stage : kStages) {
      const Profile one = ParseProfile(
          std::string(StageName(stage)) + "." + path + " = " + value, "p");
      for (const Stage s : kStages)
        EXPECT_EQ(one.Of(s) == (s == stage ? changed : defaults).Of(s), true)
            << path;
      EXPECT_TRUE(ParseProfile(one.ToToml(), "p") == one) << path;
    }
  }
}

TEST(Rlx, Row14PartialFilesKeepDefaults) {
  Profile base = LoadProfile("cpu-bf16");
  base.threads = 3;
  const Profile read = ParseProfile("[cache]\ndecode = 9\n", "p", base);
  EXPECT_EQ(read.cache_capacity.decode, 9);
  EXPECT_EQ(read.threads, 3);
  EXPECT_EQ(read.Of(Stage::kDecode).precision, Precision::kBF16);
  EXPECT_TRUE(ParseProfile("", "p") == Profile());
}

TEST(Rlx, Row14StageTablesWinWhateverTheOrder) {
  const Profile read = ParseProfile(
      "[decode]\nprecision = \"f16\"\n[fuse]\nqkv = false\n"
      "[encoder.fuse]\nqkv = true\n",
      "p");
  EXPECT_EQ(read.Of(Stage::kDecode).precision, Precision::kF16);
  EXPECT_EQ(read.Of(Stage::kPrefill).precision, Precision::kF32);
  EXPECT_TRUE(read.Of(Stage::kEncoder).fuse.qkv);
  EXPECT_FALSE(read.Of(Stage::kDecode).fuse.qkv);
}

TEST(Rlx, Row14ProfileNearWeights) {
  const TestFolder folder, elsewhere;
  folder.Write("model.safetensors", "");
  const fs::path weights = folder.path() / "model.safetensors";
  EXPECT_FALSE(ProfileNearWeights(weights));
  elsewhere.Write("sotto.toml", "threads = 7\n");
  EXPECT_FALSE(ProfileNearWeights(weights));
  folder.Write("whisper.rlx.toml", "[precision]\ncompute = \"f16\"\n");
  ASSERT_TRUE(ProfileNearWeights(weights));
  EXPECT_EQ(ProfileNearWeights(weights)->Of(Stage::kDecode).precision,
            Precision::kF16);
  folder.Write("sotto.toml", "threads = 2\n");  // ours wins
  EXPECT_EQ(ProfileNearWeights(weights)->threads, 2);
  EXPECT_EQ(ProfileNearWeights(folder.path())->threads, 2);
  Profile base;
  base.Of(Stage::kEncoder).q_chunk = 5;
  EXPECT_EQ(ProfileNearWeights(weights, base)->Of(Stage::kEncoder).q_chunk, 5);
}

TEST(RlxDefect, D17WrongProfilesAreErrorsWithTheirLine) {
  EXPECT_EQ(Why("threads = 2\n[fuse]\nqvk = true\n"),
            "p.toml:3: unknown key 'fuse.qvk', did you mean 'fuse.qkv'?");
  EXPECT_EQ(Why("prescision = \"f32\"\n"),
            "p.toml:1: unknown key 'prescision', did you mean 'precision'?");
  EXPECT_EQ(Why("\n\nthreads = \"two\"\n"),
            "p.toml:3: threads is a string, want an integer");
  EXPECT_EQ(Why("threads = 2.5\n"),
            "p.toml:1: threads is a float, want an integer");
  EXPECT_EQ(Why("threads = 99999\n"),
            "p.toml:1: threads is 99999, want 0 to 1024");
  EXPECT_EQ(Why("precision = \"bf61\"\n"),
            "p.toml:1: precision is 'bf61', want f32, f16, bf16, int8, did you "
            "mean 'bf16'?");
  EXPECT_EQ(Why("[decode]\nthreads = 1\n").substr(0, 42),
            "p.toml:2: unknown key 'decode.threads'");
  EXPECT_EQ(Why("[fusee]\n").substr(0, 29), "p.toml:1: unknown key 'fusee'");
  EXPECT_EQ(Why("threads = 2\nthreads = 3\n").substr(0, 9), "p.toml:2:");
  EXPECT_EQ(Why("a = \nb = 2").substr(0, 9), "p.toml:1:");
  EXPECT_EQ(Why("[fuse\n").substr(0, 9), "p.toml:1:");
  EXPECT_EQ(Why("precision = \"bf16\"\nmixed = \"none\"\n"),
            "p.toml: encoder: precision bf16 wants mixed = \"auto\": sums and "
            "the residual stream stay f32");
  EXPECT_EQ(
      Why("buckets.extents = [4, 4]\n"),
      "p.toml: buckets.extents are [4, 4], want ascending numbers from 1");
  EXPECT_EQ(Why("memory.alignment = 96\n"),
            "p.toml: memory.alignment is 96, want a power of two from 64");
  const TestFolder folder;
  folder.Write("sotto.toml", "what?");
  EXPECT_THROW(ProfileNearWeights(folder.path()), Error);
}

TEST(RlxDefect, D17AProfileIsForEveryStage) {
  const Profile read =
      ParseRlxProfile("[fusion]\nskip = true\n", "whisper.rlx.toml");
  for (const Stage stage : kStages) EXPECT_TRUE(read.Of(stage).fuse.skip);
}

TEST(Rlx, Row14RlxFilesAreReadFieldByField) {
  const Profile read = ParseRlxProfile(R"(
[fusion]
policy = "fusable"
target = "cpu"
assert_clean = true
skip = true
[passes]
dce = false
constant_folding = false
verbose = true
[precision]
compute = "bf16"
mixed = "auto"
[backend.metal]
skip_fusion = true
unfuse_regions = false
[backend.cpu]
unfuse_regions = true
)",
                                       "whisper.rlx.toml");
  EXPECT_EQ(read.device, "cpu");
  for (const StageOptions& options : read.stages) {
    EXPECT_EQ(options.fuse.policy, FusionPolicy::kFusable);
    EXPECT_TRUE(options.fuse.assert_clean);
    EXPECT_TRUE(options.fuse.skip);
    EXPECT_TRUE(options.fuse.unfuse);
    EXPECT_FALSE(options.passes.dce);
    EXPECT_FALSE(options.passes.constant_folding);
    EXPECT_TRUE(options.passes.verbose);
    EXPECT_EQ(options.precision, Precision::kBF16);
    EXPECT_EQ(options.mixed, Mixed::kAuto);
  }
  const Profile metal = ParseRlxProfile(
      "fusion.target = \"metal\"\nbackend.metal.skip_fusion = true\n"
      "backend.metal.unfuse_regions = true\n",
      "r");
  EXPECT_EQ(metal.device, "metal");
  EXPECT_TRUE(metal.stages[0].fuse.skip);
  EXPECT_TRUE(metal.stages[0].fuse.unfuse);
  // The same lines for another device change nothing there.
  const Profile cpu =
      ParseRlxProfile("backend.metal.skip_fusion = true\n", "r");
  EXPECT_FALSE(cpu.stages[0].fuse.skip);
  for (const char* target :
       {"auto", "cpu", "metal", "mlx", "cuda", "rocm", "wgpu", "tpu"})
    EXPECT_EQ(
        ParseRlxProfile(fmt::format("fusion.target = \"{}\"", target), "r")
            .device,
        std::string(target) == "auto" ? "cpu" : target);
  const Profile chunks = ParseRlxProfile(
      "[graph]\nencoder_attn_chunk = 256\ncross_attn_chunk = 64\n", "r");
  EXPECT_EQ(chunks.Of(Stage::kEncoder).q_chunk, 256);
  EXPECT_EQ(chunks.Of(Stage::kPrefill).cross_chunk, 64);
  for (const char* wrong :
       {"graph.cross_attn_chunk = -1", "graph.encoder_attn_chunk = \"256\"",
        "graph.attn_chunk = 1", "fusion.target = \"gpu\"",
        "fusion.policy = \"direct fusable\"", "fusion.polcy = \"direct\"",
        "passes.dce = 1", "precision.compute = 16"})
    EXPECT_THROW(ParseRlxProfile(wrong, "r"), Error) << wrong;
}

TEST(Rlx, Row14ShippedProfilesStandInTheBinary) {
  std::vector<std::string_view> names;
  for (const ShippedProfile& shipped : ShippedProfiles()) {
    names.push_back(shipped.name);
    const Profile profile = LoadProfile(std::string(shipped.name));
    EXPECT_EQ(profile.name, shipped.name);
    EXPECT_TRUE(ParseProfile(profile.ToToml(), "p") == profile);
  }
  EXPECT_EQ(names, (std::vector<std::string_view>{
                       "cpu-f32", "cpu-bf16", "cpu-f16", "cpu-mixed",
                       "npu-bf16", "npu-int8", "npu-sim"}));
  try {
    LoadProfile("cpu-bf61");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_STREQ(error.what(),
                 "no profile 'cpu-bf61', did you mean 'cpu-bf16'?, want "
                 "cpu-f32, cpu-bf16, cpu-f16, cpu-mixed, npu-bf16, npu-int8, "
                 "npu-sim or a .toml file");
  }
  EXPECT_THROW(LoadProfile("/nowhere/p.toml"), Error);
}

TEST(Profile, TheDocumentationHasEveryKey) {
  const std::string page =
      ReadFile(fs::path(SOTTO_SOURCE_DIR) / "docs/profiles.md");
  EXPECT_NE(page.find(ProfileKeyTable()), std::string::npos)
      << "docs/profiles.md wants this table:\n"
      << ProfileKeyTable();
}

TEST(Rlx, Row15Presets) {
  EXPECT_EQ(EncoderPreset().fuse.policy, FusionPolicy::kDirect);
  EXPECT_EQ(PrefillPreset().fuse.policy, FusionPolicy::kDirect);
  EXPECT_EQ(DecodePreset().fuse.policy, FusionPolicy::kFusable);
  EXPECT_EQ(PresetOf(Stage::kEncoder), EncoderPreset());
  EXPECT_EQ(PresetOf(Stage::kCrossKv), PrefillPreset());
  EXPECT_EQ(PresetOf(Stage::kPrefill), PrefillPreset());
  EXPECT_EQ(PresetOf(Stage::kDecode), DecodePreset());
  EXPECT_NE(DecodePreset(), PrefillPreset());
  for (const Stage stage : kStages)
    EXPECT_EQ(Profile().Of(stage), PresetOf(stage));
}

// The reason stands in docs/profiles.md, measured; RlxOracle.Row17* holds the
// numbers, Rlx.Row15KernelsDifferPerStage what runs.
TEST(Rlx, Row15StagesOfCpuMixedDiffer) {
  const Profile mixed = LoadProfile("cpu-mixed");
  const Profile narrow = LoadProfile("cpu-bf16");
  for (const Stage stage : {Stage::kEncoder, Stage::kCrossKv})
    EXPECT_EQ(mixed.Of(stage), narrow.Of(stage));
  for (const Stage stage : {Stage::kPrefill, Stage::kDecode}) {
    EXPECT_EQ(mixed.Of(stage).precision, Precision::kF16);
    EXPECT_NE(mixed.Of(stage), mixed.Of(Stage::kEncoder));
  }
  EXPECT_EQ(mixed.KvDType(), DType::kF32);
}

TEST(Rlx, Row17F16ComputeIsASwitch) {
  Profile profile = LoadProfile("cpu-f32");
  const Profile before = profile;
  ApplyF16Compute(profile, false);
  EXPECT_TRUE(profile == before);
  ApplyF16Compute(profile, true);
  for (const StageOptions& options : profile.stages) {
    EXPECT_EQ(options.precision, Precision::kF16);
    EXPECT_EQ(options.mixed, Mixed::kAuto);
  }
}

TEST(Profile, TheCachesTypeFollowsTheDecoder) {
  EXPECT_EQ(ParseProfile("precision = \"bf16\"", "p").KvDType(), DType::kBF16);
  EXPECT_EQ(ParseProfile("precision = \"f16\"", "p").KvDType(), DType::kF32);
  EXPECT_EQ(ParseProfile("encoder.precision = \"bf16\"", "p").KvDType(),
            DType::kF32);
  EXPECT_EQ(ParseProfile("precision = \"bf16\"\nkv = \"f32\"", "p").KvDType(),
            DType::kF32);
}

}  // namespace
}  // namespace sotto
