// SPDX-License-Identifier: MIT
#include "compile/profile.h"

#include <algorithm>
#include <sstream>
#include <toml++/toml.h>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "base/file.h"
#include "compile/shipped_profiles.h"

namespace sotto {
namespace {

[[noreturn]] void FailAt(const std::string& origin, const toml::node& node,
                         const std::string& what) {
  Fail(ErrorCode::kBadInput, "{}:{}: {}", origin, node.source().begin.line,
       what);
}

template <typename T>
T Want(const std::string& origin, const std::string& key,
       const toml::node& node, const char* want) {
  const auto value = node.value_exact<T>();
  if (!value)
    FailAt(origin, node, fmt::format("'{}' is no {}", key, want));
  return *value;
}

void Read(const std::string& origin, const std::string& key,
          const toml::node& node, std::string& field) {
  field = Want<std::string>(origin, key, node, "text");
}

void Read(const std::string& origin, const std::string& key,
          const toml::node& node, bool& field) {
  field = Want<bool>(origin, key, node, "boolean");
}

void Read(const std::string& origin, const std::string& key,
          const toml::node& node, int& field) {
  const int64_t value = Want<int64_t>(origin, key, node, "whole number");
  if (value < 0 || value > 1 << 20)
    FailAt(origin, node,
           fmt::format("'{}' is {}, want 0 to {}", key, value, 1 << 20));
  field = static_cast<int>(value);
}

void Read(const std::string& origin, const std::string& key,
          const toml::node& node, Precision& field) {
  const std::string value = Want<std::string>(origin, key, node, "text");
  for (const Precision p :
       {Precision::kF32, Precision::kF16, Precision::kBF16}) {
    if (value != Name(p)) continue;
    field = p;
    return;
  }
  FailAt(origin, node,
         fmt::format("'{}' is '{}', want f32, f16 or bf16", key, value));
}

// Sets the stage option `key`; false where there is none of that name.
bool ReadStageKey(const std::string& origin, const std::string& key,
                  const toml::node& node, StageOptions& options) {
  bool found = false;
  VisitStageOptions(options, [&](const char* name, auto& field, const char*) {
    if (key != name) return;
    found = true;
    Read(origin, key, node, field);
  });
  return found;
}

template <typename Visit>
std::vector<std::string_view> Keys(Visit&& visit) {
  std::vector<std::string_view> keys;
  visit([&](std::string_view key, const auto&, const char*) {
    keys.push_back(key);
  });
  return keys;
}

[[noreturn]] void FailKey(const std::string& origin, const std::string& key,
                          const toml::node& node,
                          const std::vector<std::string_view>& known) {
  FailAt(origin, node,
         fmt::format("unknown key '{}'{}", key, DidYouMean(key, known)));
}

std::vector<std::string_view> StageKeys() {
  const StageOptions options;
  return Keys([&](auto&& v) { VisitStageOptions(options, v); });
}

void ReadStageTable(const std::string& origin, const toml::table& table,
                    StageOptions& options) {
  for (const auto& [key, node] : table)
    if (!ReadStageKey(origin, std::string(key.str()), node, options))
      FailKey(origin, std::string(key.str()), node, StageKeys());
}

// One key of the top: an option of the profile, of all stages, or a stage.
void ReadTopKey(const std::string& origin, const std::string& key,
                const toml::node& node, Profile& profile) {
  bool found = false;
  VisitProfile(profile, [&](const char* name, auto& field, const char*) {
    if (key != name) return;
    found = true;
    Read(origin, key, node, field);
  });
  for (StageOptions& options : profile.stages)
    found |= ReadStageKey(origin, key, node, options);
  if (found) return;
  std::vector<std::string_view> known =
      Keys([](auto&& v) {
        const Profile any;
        VisitProfile(any, v);
      });
  for (const std::string_view name : StageKeys()) known.push_back(name);
  for (const Stage stage : kStages) known.push_back(StageName(stage));
  FailKey(origin, key, node, known);
}

std::string Toml(const std::string& value) { return '"' + value + '"'; }
std::string Toml(bool value) { return value ? "true" : "false"; }
std::string Toml(int value) { return std::to_string(value); }
std::string Toml(Precision value) {
  return '"' + std::string(Name(value)) + '"';
}

}  // namespace

Profile ParseProfile(std::string_view text, const std::string& origin) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    Fail(ErrorCode::kBadInput, "{}:{}: {}", origin,
         error.source().begin.line, error.description());
  }
  Profile profile;
  profile.name = std::filesystem::path(origin).stem().string();
  const auto stage_of = [](std::string_view key) -> std::optional<Stage> {
    for (const Stage stage : kStages)
      if (key == StageName(stage)) return stage;
    return std::nullopt;
  };
  // The top first: a stage's table overrides it wherever it stands.
  for (const auto& [key, node] : table)
    if (!stage_of(key.str()) || !node.is_table())
      ReadTopKey(origin, std::string(key.str()), node, profile);
  for (const auto& [key, node] : table)
    if (const auto stage = stage_of(key.str()); stage && node.is_table())
      ReadStageTable(origin, *node.as_table(),
                     profile.stages[static_cast<size_t>(*stage)]);
  return profile;
}

std::string ProfileToml(const Profile& profile) {
  std::ostringstream out;
  VisitProfile(profile, [&](const char* key, const auto& field,
                            const char* help) {
    out << "# " << help << "\n" << key << " = " << Toml(field) << "\n";
  });
  for (const Stage stage : kStages) {
    out << "\n[" << StageName(stage) << "]\n";
    VisitStageOptions(profile.of(stage),
                      [&](const char* key, const auto& field, const char*) {
                        out << key << " = " << Toml(field) << "\n";
                      });
  }
  return out.str();
}

std::vector<std::string_view> ShippedProfiles() {
  std::vector<std::string_view> names;
  for (int i = 0; i < kShippedProfileCount; ++i)
    names.push_back(kShippedProfiles[i].name);
  return names;
}

Profile LoadProfile(std::string_view name_or_path) {
  for (int i = 0; i < kShippedProfileCount; ++i)
    if (name_or_path == kShippedProfiles[i].name)
      return ParseProfile(kShippedProfiles[i].toml, kShippedProfiles[i].name);
  const std::filesystem::path path(name_or_path);
  if (path.extension() == ".toml")
    return ParseProfile(ReadFile(path, 1 << 20), path.string());
  Fail(ErrorCode::kNotFound, "profile '{}' is neither shipped nor a .toml{}",
       name_or_path, DidYouMean(name_or_path, ShippedProfiles()));
}

std::optional<Profile> ProfileNearWeights(
    const std::filesystem::path& weights) {
  const std::filesystem::path folder = std::filesystem::is_directory(weights)
                                           ? weights
                                           : weights.parent_path();
  const std::filesystem::path path = folder / "sotto.toml";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  return ParseProfile(ReadFile(path, 1 << 20), path.string());
}

StageOptions StagePreset(Stage stage) {
  StageOptions options;
  options.skip_fusion = stage != Stage::kDecode;
  return options;
}

}  // namespace sotto
