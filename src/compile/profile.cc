// SPDX-License-Identifier: MIT
#include "compile/profile.h"

#include <algorithm>
#include <bit>
#include <map>

#include "base/error.h"
#include "compile/profile_keys.h"

namespace sotto {
namespace {

std::string Text(bool value) { return value ? "true" : "false"; }
std::string Text(int value) { return std::to_string(value); }
std::string Text(const std::vector<int>& values) {
  return fmt::format("[{}]", fmt::join(values, ", "));
}
std::string Text(const std::string& value) {
  std::string text = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      text += std::string("\\") + c;
    else if (byte < 0x20 || byte == 0x7f)
      text += fmt::format("\\u{:04x}", byte);
    else
      text += c;
  }
  return text + "\"";
}
template <typename E>
requires std::is_enum_v<E> std::string Text(E value) {
  return fmt::format("\"{}\"", Word(value));
}

// Lines of a table in the order they were added.
class TomlWriter {
 public:
  void Add(const std::string& path, std::string_view doc,
           const std::string& value) {
    const size_t dot = path.rfind('.');
    const std::string table =
        dot == std::string::npos ? "" : path.substr(0, dot);
    if (!lines_.contains(table)) order_.push_back(table);
    const std::string assignment =
        (dot == std::string::npos ? path : path.substr(dot + 1)) + " = " +
        value;
    lines_[table].push_back(fmt::format("# {}\n{}\n", doc, assignment));
  }
  std::string Take() {
    // Keys without a table come first, or they would belong to the last one.
    std::stable_partition(
        order_.begin(), order_.end(),
        [](const std::string& table) { return table.empty(); });
    std::string text;
    for (const std::string& table : order_) {
      if (!table.empty()) text += fmt::format("\n[{}]\n", table);
      for (const std::string& line : lines_[table]) text += line;
    }
    return text;
  }

 private:
  std::vector<std::string> order_;
  std::map<std::string, std::vector<std::string>> lines_;
};

// path -> text of the value, for one stage.
std::map<std::string, std::string> StageTexts(const StageOptions& options) {
  std::map<std::string, std::string> texts;
  VisitStageOptions(options, [&](const ProfileKey& key, const auto& field) {
    texts[std::string(key.path)] = Text(field);
  });
  return texts;
}

uint64_t Mix(uint64_t hash, std::string_view text) {
  for (const char c : text)  // FNV-1a
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return (hash ^ 0xff) * 0x100000001b3ull;
}

}  // namespace

StageOptions EncoderPreset() {
  StageOptions options;
  options.mixed = Mixed::kAuto;
  return options;
}

StageOptions PrefillPreset() {
  StageOptions options;
  options.mixed = Mixed::kAuto;
  return options;
}

StageOptions DecodePreset() {
  StageOptions options;
  options.mixed = Mixed::kAuto;
  options.fuse.policy = FusionPolicy::kFusable;
  return options;
}

StageOptions PresetOf(Stage stage) {
  switch (stage) {
    case Stage::kEncoder:
      return EncoderPreset();
    case Stage::kCrossKv:
    case Stage::kPrefill:
      return PrefillPreset();
    case Stage::kDecode:
      return DecodePreset();
  }
  return {};
}

int CacheCapacity::Of(Stage stage) const {
  switch (stage) {
    case Stage::kEncoder:
      return encoder;
    case Stage::kCrossKv:
      return cross_kv;
    case Stage::kPrefill:
      return prefill;
    case Stage::kDecode:
      return decode;
  }
  return 1;
}

DType Profile::KvDType() const {
  if (kv == KvType::kF32) return DType::kF32;
  if (kv == KvType::kBF16) return DType::kBF16;
  return Of(Stage::kDecode).precision == Precision::kBF16 ? DType::kBF16
                                                          : DType::kF32;
}

uint64_t Profile::PlanHash(Stage stage) const {
  uint64_t hash = 0xcbf29ce484222325ull;
  hash = Mix(hash, StageName(stage));
  for (const auto& [path, text] : StageTexts(Of(stage)))
    hash = Mix(Mix(hash, path), text);
  hash = Mix(hash, device);
  hash = Mix(hash, Name(KvDType()));
  hash = Mix(hash, Text(allow_ref));
  return Mix(hash, Text(alignment));
}

std::string Profile::ToToml() const {
  TomlWriter writer;
  VisitProfile(*this, [&](const ProfileKey& key, const auto& field) {
    writer.Add(std::string(key.path), key.doc, Text(field));
  });
  std::array<std::map<std::string, std::string>, 4> texts;
  for (const Stage stage : kStages)
    texts[static_cast<size_t>(stage)] = StageTexts(Of(stage));
  const auto common = [&](const std::string& path) {
    return std::all_of(texts.begin(), texts.end(), [&](const auto& stage) {
      return stage.at(path) == texts[0].at(path);
    });
  };
  const auto add = [&](const std::string& prefix, size_t stage, bool shared) {
    VisitStageOptions(stages[stage], [&](const ProfileKey& key, const auto&) {
      const std::string path(key.path);
      if (common(path) == shared)
        writer.Add(prefix + path, key.doc, texts[stage].at(path));
    });
  };
  add("", 0, true);
  for (const Stage stage : kStages)
    add(std::string(StageName(stage)) + ".", static_cast<size_t>(stage), false);
  return writer.Take();
}

void Profile::Check() const {
  if (!std::has_single_bit(static_cast<unsigned>(alignment)) || alignment < 64)
    Fail(ErrorCode::kBadInput,
         "{}: memory.alignment is {}, want a power of two from 64", name,
         alignment);
  for (size_t i = 0; i < buckets.size(); ++i)
    if (buckets[i] < 1 || (i > 0 && buckets[i] <= buckets[i - 1]))
      Fail(ErrorCode::kBadInput,
           "{}: buckets.extents are {}, want ascending numbers from 1", name,
           Text(buckets));
  for (const Stage stage : kStages) {
    const StageOptions& options = Of(stage);
    if (options.precision != Precision::kF32 && options.mixed != Mixed::kAuto)
      Fail(ErrorCode::kBadInput,
           "{}: {}: precision {} wants mixed = \"auto\": sums and the residual "
           "stream stay f32",
           name, StageName(stage), Word(options.precision));
  }
}

bool operator==(const Profile& a, const Profile& b) {
  bool same = a.stages == b.stages;
  std::vector<std::string> texts;
  VisitProfile(a, [&](const ProfileKey&, const auto& field) {
    texts.push_back(Text(field));
  });
  size_t i = 0;
  VisitProfile(b, [&](const ProfileKey&, const auto& field) {
    same = same && texts[i++] == Text(field);
  });
  return same;
}

std::string ProfileKeyTable() {
  std::string text = "| key | default | meaning |\n| --- | --- | --- |\n";
  const Profile defaults;
  const auto add = [&](const ProfileKey& key, const auto& field) {
    using T = std::decay_t<decltype(field)>;
    std::string meaning(key.doc);
    if constexpr (std::is_enum_v<T>)
      meaning += fmt::format(" ({})", fmt::join(Words(field), ", "));
    if (key.high > 0) meaning += fmt::format(" ({} to {})", key.low, key.high);
    text +=
        fmt::format("| `{}` | `{}` | {} |\n", key.path, Text(field), meaning);
  };
  VisitProfile(defaults, add);
  text += "| | | **and for each stage:** |\n";
  VisitStageOptions(defaults.Of(Stage::kEncoder), add);
  return text;
}

void ApplyF16Compute(Profile& profile, bool f16) {
  if (!f16) return;
  for (StageOptions& options : profile.stages) {
    options.precision = Precision::kF16;
    options.mixed = Mixed::kAuto;
  }
}

}  // namespace sotto
