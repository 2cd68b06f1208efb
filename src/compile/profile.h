// SPDX-License-Identifier: MIT
// Profile: what a TOML file says about compiling. Immutable once loaded.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/stages.h"

namespace sotto {

enum class Precision : uint8_t { kF32, kF16, kBF16 };
std::string_view Name(Precision precision);

// What one stage may decide for itself. Every field has one row in
// VisitStageOptions.
struct StageOptions {
  Precision precision = Precision::kF32;
  bool fuse_qkv = true;
  bool fuse_activation = true;
  bool fuse_residual = true;
  bool fuse_cross_kv = true;
  bool skip_fusion = false;
  bool dce = true;
  bool constant_folding = true;
  bool assert_clean = false;
  int q_chunk = 0;

  friend bool operator==(const StageOptions&, const StageOptions&) = default;
};

// Calls v(key, field, help) for each key a stage table (or the top) may hold.
template <typename S, typename V>
void VisitStageOptions(S& s, V&& v) {
  v("precision", s.precision,
    "f32, f16 or bf16: type of matrices and of what feeds them; sums stay f32");
  v("fuse_qkv", s.fuse_qkv, "one product for q, k and v");
  v("fuse_activation", s.fuse_activation, "GELU in the product before it");
  v("fuse_residual", s.fuse_residual, "residual sum in the product before it");
  v("fuse_cross_kv", s.fuse_cross_kv, "one product for a layer's cross k and v");
  v("skip_fusion", s.skip_fusion, "no fusion at all");
  v("dce", s.dce, "remove what nobody reads");
  v("constant_folding", s.constant_folding, "remove casts that change nothing");
  v("assert_clean", s.assert_clean, "an error where a fusible pattern is left");
  v("q_chunk", s.q_chunk,
    "query rows per task of the encoder's attention; 0: the kernel's choice");
}

struct Profile {
  std::string name = "cpu-f32";
  std::string device = "cpu";
  int threads = 0;  // 0: all usable cores
  bool allow_ref = false;
  bool clamp_last_bucket = true;  // to the text context
  int cache_capacity = 64;        // programs kept per stage
  bool verbose = false;
  std::array<StageOptions, kStages.size()> stages;

  const StageOptions& of(Stage stage) const {
    return stages[static_cast<size_t>(stage)];
  }
  friend bool operator==(const Profile&, const Profile&) = default;
};

// Calls v(key, field, help) for each key of the top that is no stage option.
template <typename P, typename V>
void VisitProfile(P& p, V&& v) {
  v("name", p.name, "as reports show it");
  v("device", p.device, "cpu");
  v("threads", p.threads, "0: all usable cores");
  v("allow_ref", p.allow_ref, "use the slow reference kernels where no other fits");
  v("clamp_last_bucket", p.clamp_last_bucket,
    "the last decode bucket ends at the text context");
  v("cache_capacity", p.cache_capacity, "programs kept per stage");
  v("verbose", p.verbose, "log each pass");
}

// Names of the shipped profiles.
std::vector<std::string_view> ShippedProfiles();
// A shipped profile by name, or a .toml file by path. Throws kNotFound with a
// did-you-mean, kBadInput as "file:line: cause".
Profile LoadProfile(std::string_view name_or_path);
// From text; `origin` stands in messages.
Profile ParseProfile(std::string_view text, const std::string& origin);
// As TOML that ParseProfile reads back to an equal profile.
std::string ProfileToml(const Profile& profile);
// sotto.toml in the folder of the weights, if it is there.
std::optional<Profile> ProfileNearWeights(const std::filesystem::path& weights);

// rlx.md 2.2, row 15: fusion is on for decode only ("fusable").
StageOptions StagePreset(Stage stage);

}  // namespace sotto
