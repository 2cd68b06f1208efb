// SPDX-License-Identifier: MIT
// Profiles from TOML: which file, which key, which value.
#include <functional>
#include <map>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "base/file.h"
#include "compile/profile_keys.h"
#include "compile/rlx_profile.h"
#include "compile/toml_leaves.h"

namespace sotto {
namespace {

// One value into one field, with errors that name file, line and key.
class Setter {
 public:
  Setter(std::string_view file, const TomlLeaf& leaf)
      : file_(file), leaf_(leaf) {}

  void Set(const ProfileKey&, bool& field) const {
    field = As<bool>("true or false");
  }
  void Set(const ProfileKey& key, int& field) const {
    field = InRange(key, As<int64_t>("an integer"));
  }
  void Set(const ProfileKey&, std::string& field) const {
    field = As<std::string>("a string");
  }
  void Set(const ProfileKey& key, std::vector<int>& field) const {
    field.clear();
    for (const int64_t value : As<std::vector<int64_t>>("an array of integers"))
      field.push_back(InRange(key, value));
  }
  template <typename E>
  requires std::is_enum_v<E>
  void Set(const ProfileKey&, E& field) const {
    const std::string word = As<std::string>("a string");
    const auto words = Words(E{});
    for (size_t i = 0; i < words.size(); ++i)
      if (words[i] == word) {
        field = static_cast<E>(i);
        return;
      }
    Refuse("{} is '{}', want {}{}", leaf_.path, word, fmt::join(words, ", "),
           DidYouMean(word, words));
  }

 private:
  template <typename T>
  const T& As(std::string_view want) const {
    const T* value = std::get_if<T>(&leaf_.value);
    if (value == nullptr)
      Refuse("{} is {}, want {}", leaf_.path, leaf_.Kind(), want);
    return *value;
  }
  int InRange(const ProfileKey& key, int64_t value) const {
    if (value < key.low || value > key.high)
      Refuse("{} is {}, want {} to {}", leaf_.path, value, key.low, key.high);
    return static_cast<int>(value);
  }
  template <typename... Args>
  [[noreturn]] void Refuse(fmt::format_string<Args...> format,
                           Args&&... args) const {
    Fail(ErrorCode::kBadInput, "{}:{}: {}", file_, leaf_.line,
         fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view file_;
  const TomlLeaf& leaf_;
};

using Field = std::function<void(const Setter&)>;

// path -> what sets it. Keys of all stages and of one are told apart so that
// the order of tables in the file does not matter.
struct Fields {
  std::map<std::string, Field> shared;
  std::map<std::string, Field> staged;
};

Fields FieldsOf(Profile& profile) {
  Fields fields;
  VisitProfile(profile, [&](const ProfileKey& key, auto& field) {
    fields.shared[std::string(key.path)] = [key, &field](const Setter& set) {
      set.Set(key, field);
    };
  });
  for (const Stage stage : kStages)
    VisitStageOptions(
        profile.Of(stage), [&](const ProfileKey& key, auto& field) {
          const std::string path(key.path);
          const Field one = [key, &field](const Setter& set) {
            set.Set(key, field);
          };
          fields.staged[std::string(StageName(stage)) + "." + path] = one;
          Field& all = fields.shared[path];
          all = [before = all, one](const Setter& set) {
            if (before) before(set);
            one(set);
          };
        });
  return fields;
}

[[noreturn]] void UnknownKey(std::string_view file, const TomlLeaf& leaf,
                             const Fields& fields) {
  std::vector<std::string_view> known;
  for (const auto* map : {&fields.shared, &fields.staged})
    for (const auto& [path, field] : *map) known.push_back(path);
  Fail(ErrorCode::kBadInput, "{}:{}: unknown key '{}'{}", file, leaf.line,
       leaf.path.substr(0, 80), DidYouMean(leaf.path, known));
}

std::filesystem::path FolderOf(const std::filesystem::path& weights) {
  std::error_code ignored;
  return std::filesystem::is_directory(weights, ignored)
             ? weights
             : weights.parent_path();
}

// 1 MiB is a thousand times any profile.
std::string ReadProfileFile(const std::filesystem::path& path) {
  return ReadFile(path, size_t{1} << 20);
}

}  // namespace

Profile ParseProfile(std::string_view toml, std::string_view file,
                     const Profile& base) {
  Profile profile = base;
  profile.name = std::string(file);
  const Fields fields = FieldsOf(profile);
  const std::vector<TomlLeaf> leaves = ReadToml(toml, file);
  for (const auto* map : {&fields.shared, &fields.staged})
    for (const TomlLeaf& leaf : leaves) {
      const auto found = map->find(leaf.path);
      if (found != map->end()) found->second(Setter(file, leaf));
    }
  for (const TomlLeaf& leaf : leaves)
    if (!fields.shared.contains(leaf.path) &&
        !fields.staged.contains(leaf.path))
      UnknownKey(file, leaf, fields);
  profile.Check();
  return profile;
}

Profile LoadProfile(const std::string& name_or_path) {
  std::vector<std::string_view> names;
  for (const ShippedProfile& shipped : ShippedProfiles()) {
    names.push_back(shipped.name);
    if (shipped.name == name_or_path) {
      Profile profile = ParseProfile(shipped.toml, name_or_path);
      return profile;
    }
  }
  if (name_or_path.ends_with(".toml"))
    return ParseProfile(ReadProfileFile(name_or_path), name_or_path);
  Fail(ErrorCode::kNotFound, "no profile '{}'{}, want {} or a .toml file",
       name_or_path, DidYouMean(name_or_path, names), fmt::join(names, ", "));
}

std::optional<Profile> ProfileNearWeights(const std::filesystem::path& weights,
                                          const Profile& base) {
  const std::filesystem::path folder = FolderOf(weights);
  std::error_code ignored;
  const std::filesystem::path ours = folder / "sotto.toml";
  if (std::filesystem::exists(ours, ignored))
    return ParseProfile(ReadProfileFile(ours), ours.string(), base);
  const std::filesystem::path theirs = folder / "whisper.rlx.toml";
  if (std::filesystem::exists(theirs, ignored))
    return ParseRlxProfile(ReadProfileFile(theirs), theirs.string(), base);
  return std::nullopt;
}

}  // namespace sotto
