// SPDX-License-Identifier: MIT
#include "compile/rlx_profile.h"

#include <array>
#include <optional>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "base/log.h"
#include "compile/profile_keys.h"
#include "compile/toml_leaves.h"

namespace sotto {
namespace {

// What the file said, before it is known which device it is for.
struct RlxFields {
  std::string policy = "direct";
  std::string target = "auto";
  bool assert_clean = false;
  bool skip = false;
  bool dce = true;
  bool constant_folding = true;
  bool verbose = false;
  std::string compute = "f32";
  std::string mixed = "none";
  bool cpu_unfuse = false;
  bool metal_skip = false;
  bool metal_unfuse = false;
  std::optional<int64_t> encoder_chunk, cross_chunk;
};

struct BoolRow {
  std::string_view path;
  bool RlxFields::*field;
};
constexpr std::array kBools = {
    BoolRow{"fusion.assert_clean", &RlxFields::assert_clean},
    BoolRow{"fusion.skip", &RlxFields::skip},
    BoolRow{"passes.dce", &RlxFields::dce},
    BoolRow{"passes.constant_folding", &RlxFields::constant_folding},
    BoolRow{"passes.verbose", &RlxFields::verbose},
    BoolRow{"backend.cpu.unfuse_regions", &RlxFields::cpu_unfuse},
    BoolRow{"backend.metal.skip_fusion", &RlxFields::metal_skip},
    BoolRow{"backend.metal.unfuse_regions", &RlxFields::metal_unfuse},
};

struct ChunkRow {
  std::string_view path;
  std::optional<int64_t> RlxFields::*field;
};
constexpr std::array kChunks = {
    ChunkRow{"graph.encoder_attn_chunk", &RlxFields::encoder_chunk},
    ChunkRow{"graph.cross_attn_chunk", &RlxFields::cross_chunk},
};

struct WordRow {
  std::string_view path;
  std::string RlxFields::*field;
  std::string_view words;  // between spaces
};
constexpr std::array kWords = {
    WordRow{"fusion.policy", &RlxFields::policy, " direct fusable "},
    WordRow{"fusion.target", &RlxFields::target,
            " auto cpu metal mlx cuda rocm wgpu tpu "},
    WordRow{"precision.compute", &RlxFields::compute, " f32 f16 bf16 "},
    WordRow{"precision.mixed", &RlxFields::mixed, " none auto "},
};

[[noreturn]] void Refuse(std::string_view file, const TomlLeaf& leaf,
                         const std::string& what) {
  Fail(ErrorCode::kBadInput, "{}:{}: {}", file, leaf.line, what);
}

void SetLeaf(RlxFields& fields, std::string_view file, const TomlLeaf& leaf) {
  for (const BoolRow& row : kBools) {
    if (row.path != leaf.path) continue;
    const bool* value = std::get_if<bool>(&leaf.value);
    if (value == nullptr)
      Refuse(
          file, leaf,
          fmt::format("{} is {}, want true or false", leaf.path, leaf.Kind()));
    fields.*row.field = *value;
    return;
  }
  constexpr int64_t kMostRows = 1 << 20;
  for (const ChunkRow& row : kChunks) {
    if (row.path != leaf.path) continue;
    const int64_t* value = std::get_if<int64_t>(&leaf.value);
    if (value == nullptr || *value < 0 || *value > kMostRows)
      Refuse(file, leaf,
             fmt::format("{} is {}, want an integer from 0 to {}", leaf.path,
                         value == nullptr ? std::string(leaf.Kind())
                                          : std::to_string(*value),
                         kMostRows));
    fields.*row.field = *value;
    return;
  }
  std::vector<std::string_view> known;
  for (const WordRow& row : kWords) {
    known.push_back(row.path);
    if (row.path != leaf.path) continue;
    const std::string* value = std::get_if<std::string>(&leaf.value);
    if (value == nullptr)
      Refuse(file, leaf,
             fmt::format("{} is {}, want a string", leaf.path, leaf.Kind()));
    if (value->find(' ') != std::string::npos ||
        row.words.find(" " + *value + " ") == std::string_view::npos)
      Refuse(file, leaf,
             fmt::format("{} is '{}', want one of:{}", leaf.path, *value,
                         row.words));
    fields.*row.field = *value;
    return;
  }
  for (const BoolRow& row : kBools) known.push_back(row.path);
  for (const ChunkRow& row : kChunks) known.push_back(row.path);
  Refuse(file, leaf,
         fmt::format("unknown key '{}'{}", leaf.path.substr(0, 80),
                     DidYouMean(leaf.path, known)));
}

template <typename E>
E FromWord(std::string_view word) {
  const auto words = Words(E{});
  for (size_t i = 0; i < words.size(); ++i)
    if (words[i] == word) return static_cast<E>(i);
  return E{};
}

}  // namespace

Profile ParseRlxProfile(std::string_view toml, std::string_view file,
                        const Profile& base) {
  RlxFields fields;
  for (const TomlLeaf& leaf : ReadToml(toml, file)) SetLeaf(fields, file, leaf);
  Profile profile = base;
  profile.name = std::string(file);
  if (fields.target != "auto") profile.device = fields.target;
  const bool metal = profile.device == "metal";
  for (StageOptions& options : profile.stages) {
    options.precision = FromWord<Precision>(fields.compute);
    options.mixed = FromWord<Mixed>(fields.mixed);
    if (options.precision != Precision::kF32 && options.mixed == Mixed::kNone) {
      Log(LogLevel::kInfo, "{}: precision.mixed = \"none\" runs as \"auto\"",
          file);
      options.mixed = Mixed::kAuto;
    }
    options.fuse.policy = FromWord<FusionPolicy>(fields.policy);
    options.fuse.assert_clean = fields.assert_clean;
    options.fuse.skip = fields.skip || (metal && fields.metal_skip);
    options.fuse.unfuse = metal ? fields.metal_unfuse : fields.cpu_unfuse;
    options.passes = {.dce = fields.dce,
                      .constant_folding = fields.constant_folding,
                      .verbose = fields.verbose};
    if (fields.encoder_chunk)
      options.q_chunk = static_cast<int>(*fields.encoder_chunk);
    if (fields.cross_chunk)
      options.cross_chunk = static_cast<int>(*fields.cross_chunk);
  }
  profile.Check();
  return profile;
}

}  // namespace sotto
