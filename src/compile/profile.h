// SPDX-License-Identifier: MIT
// Profile: what the compiler is asked to do, read from TOML. Every key stands
// once, in VisitProfile and VisitStageOptions (profile_keys.h); reader, writer
// and documentation walk those.
//
//   backend = "cpu"
//   precision = "bf16"        # for all four stages
//   [fuse]
//   qkv = true
//   [encoder]                 # overrides for one stage
//   precision = "f32"
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/stages.h"
#include "tensor/dtype.h"

namespace sotto {

enum class Precision : uint8_t { kF32, kF16, kBF16, kInt8 };
// kAuto: low precision for matrices and what they read; sums, the residual
// stream, norms and logits stay f32. Token ids are never cast.
enum class Mixed : uint8_t { kNone, kAuto };
// kDirect: a fused node that no backend takes is an error. kFusable: the stage
// is compiled again without fusion then.
enum class FusionPolicy : uint8_t { kDirect, kFusable };
enum class KvType : uint8_t { kAuto, kF32, kBF16 };

// Is the next window encoded while this one is decoded? kAuto: where the
// encoder's device does not take the cores that decode. kOn: also where it
// does. A CPU that encodes by itself never does.
enum class Overlap : uint8_t { kAuto, kOn, kOff };

struct FuseOptions {
  FusionPolicy policy = FusionPolicy::kDirect;
  bool skip = false;          // no fusion at all
  bool unfuse = false;        // no activation, residual or position fusion
  bool assert_clean = false;  // an unfused pattern left over is an error
  bool qkv = true;
  bool cross_kv = true;
  bool bias_gelu = true;
  bool residual = true;
  bool position = true;
  friend bool operator==(const FuseOptions&, const FuseOptions&) = default;
};

struct PassOptions {
  bool dce = true;
  bool constant_folding = true;
  bool verbose = false;  // a log line for each pass
  friend bool operator==(const PassOptions&, const PassOptions&) = default;
};

// What one stage is compiled with.
struct StageOptions {
  Precision precision = Precision::kF32;
  Mixed mixed = Mixed::kNone;
  int q_chunk = 0;      // query rows per task of the encoder's attention
  int cross_chunk = 0;  // ... per pass over a window's K and V
  FuseOptions fuse;
  PassOptions passes;
  friend bool operator==(const StageOptions&, const StageOptions&) = default;
};

// The named presets of the stages; a Profile starts from them.
StageOptions EncoderPreset();
StageOptions PrefillPreset();  // cross_kv too
StageOptions DecodePreset();
StageOptions PresetOf(Stage stage);

// Programs kept per stage before the least recently used one goes.
struct CacheCapacity {
  int encoder = 8;
  int cross_kv = 8;
  int prefill = 64;
  int decode = 64;
  int Of(Stage stage) const;
  friend bool operator==(const CacheCapacity&, const CacheCapacity&) = default;
};

struct Profile {
  std::string name = "default";  // where it came from, for reports
  std::string device = "cpu";    // key `backend`
  int threads = 0;               // 0: all usable cores
  KvType kv = KvType::kAuto;     // of the K and V caches, shared by stages
  Overlap overlap = Overlap::kAuto;
  bool allow_ref = false;  // may slow reference kernels stand in?
  int alignment = 64;      // of values in the arena
  // Decode buckets by past length. Empty: 1, 4, 8, 16, ... to max_past.
  std::vector<int> buckets;
  int max_past = 0;               // 0: the model's text context
  bool clamp_last_bucket = true;  // at max_past
  CacheCapacity cache_capacity;
  std::array<StageOptions, 4> stages = {
      PresetOf(Stage::kEncoder), PresetOf(Stage::kCrossKv),
      PresetOf(Stage::kPrefill), PresetOf(Stage::kDecode)};

  const StageOptions& Of(Stage stage) const {
    return stages[static_cast<size_t>(stage)];
  }
  StageOptions& Of(Stage stage) { return stages[static_cast<size_t>(stage)]; }
  // f32 or bf16: what kAuto means here.
  DType KvDType() const;
  // Changes with whatever changes the stage's programs, and with nothing else.
  uint64_t PlanHash(Stage stage) const;
  // All keys as TOML, with their documentation; reads back equal.
  std::string ToToml() const;
  // Throws kBadInput for combinations that no program can be made of.
  void Check() const;
  // `name` does not count.
  friend bool operator==(const Profile& a, const Profile& b);
};

// Sets f16 with auto-mixed on all stages; false leaves the profile alone.
void ApplyF16Compute(Profile& profile, bool f16);

// Reads a profile; keys that the text leaves out keep what `base` says. Throws
// kBadInput as "file:line: cause" for bad syntax, a wrong type or value and an
// unknown key (with a guess).
Profile ParseProfile(std::string_view toml, std::string_view file,
                     const Profile& base = {});
// A shipped profile's name, or the path of a .toml file.
Profile LoadProfile(const std::string& name_or_path);
// `sotto.toml` in the folder of the weights (or in `weights`, where it is a
// folder), else `whisper.rlx.toml` there, read through the table of
// compile/rlx_profile.h. Nothing where there is neither. `base`: what their
// missing keys mean.
std::optional<Profile> ProfileNearWeights(const std::filesystem::path& weights,
                                          const Profile& base = {});

// The profiles of profiles/*.toml, which stand in the binary.
struct ShippedProfile {
  std::string_view name;
  std::string_view toml;
};
std::span<const ShippedProfile> ShippedProfiles();

// The keys as a Markdown table, which docs/profiles.md holds.
std::string ProfileKeyTable();

}  // namespace sotto
