// SPDX-License-Identifier: MIT
// PteModel's numbers: from the file's constants, the tokenizer, and the files
// beside the tokenizer.
#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "audio/decode.h"
#include "base/error.h"
#include "base/file.h"
#include "engine/decode_plan.h"
#include "model/json.h"
#include "model/weights.h"
#include "pte_model.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// The folder of the tokenizer's files; `path` may be one of them.
fs::path FolderOf(const fs::path& path) {
  if (path.empty() || fs::is_directory(path)) return path;
  const fs::path parent = path.parent_path();
  return parent.empty() ? "." : parent;
}

bool HasTokenizer(const fs::path& folder) {
  for (const char* name :
       {"tokenizer.json", "vocab.json", "vocabulary.json", "vocabulary.txt"})
    if (fs::exists(folder / name)) return true;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".tiktoken") return true;
  return false;
}

std::shared_ptr<const Tokenizer> LoadTokenizer(const fs::path& path,
                                               int n_vocab) {
  if (path.empty()) return Tokenizer::Load({}, {}, n_vocab);
  if (!fs::exists(path))
    Fail(ErrorCode::kNotFound, "tokenizer_path: {}: no such file or folder",
         path.string());
  if (fs::is_regular_file(path) &&
      (path.extension() == ".bin" || path.extension() == ".gguf")) {
    const auto store = WeightStore::Load(path);
    return Tokenizer::Load(store->vocabulary().folder,
                           store->vocabulary().tokens, n_vocab);
  }
  const fs::path folder = FolderOf(path);
  // Else the loader would take the shipped one, which nobody asked for.
  if (!HasTokenizer(folder))
    Fail(ErrorCode::kNotFound,
         "tokenizer_path: {}: no tokenizer.json, vocab.json, *.tiktoken or "
         "vocabulary.json|txt",
         path.string());
  return Tokenizer::Load(folder, {}, n_vocab);
}

}  // namespace

void PteModel::CheckConstant(std::string_view constant, int64_t want,
                             const std::string& origin) const {
  const auto value = program_.Int(constant);
  if (value && *value >= 0 && *value != want)
    Fail(ErrorCode::kBadInput, "{}: {} is {}, but {} says {}", program_.name(),
         constant, *value, origin, want);
}

void PteModel::CheckTokens() const {
  const SpecialTokens& t = special_tokens_;
  const std::string& origin = tokenizer_->origin();
  const std::array<std::pair<const char*, int>, 10> ids = {
      {{"get_sot_id", t.sot},
       {"decoder_start_token_id", t.sot},
       {"get_eos_id", t.eot},
       {"get_translate_id", t.translate},
       {"get_transcribe_id", t.transcribe},
       {"get_sot_lm_id", t.sot_lm},
       {"get_sot_prev_id", t.sot_prev},
       {"get_no_speech_id", t.no_speech},
       {"get_no_timestamps_id", t.no_timestamps},
       {"get_timestamp_begin_id", t.timestamp_begin}}};
  for (const auto& [constant, id] : ids)
    if (id >= 0) CheckConstant(constant, id, origin);
  CheckConstant("get_is_multilingual", t.multilingual, origin);
  if (t.multilingual)
    CheckConstant("get_n_languages",
                  static_cast<int64_t>(t.language_tokens.size()), origin);
  CheckLanguages();
}

// The language table, as codes ("en,zh,de") or as token ids.
void PteModel::CheckLanguages() const {
  const auto found = program_.constants().find("get_languages");
  if (!special_tokens_.multilingual || found == program_.constants().end())
    return;
  std::string want =
      fmt::format("{}", fmt::join(tokenizer_->LanguageCodes(), ","));
  std::string have;
  if (found->second.size() == 1 &&
      std::holds_alternative<std::string>(found->second[0])) {
    have = std::get<std::string>(found->second[0]);
  } else {
    want = fmt::format("{}", fmt::join(tokenizer_->LanguageTokens(), ","));
    have = fmt::format("{}", fmt::join(*program_.Ints("get_languages"), ","));
  }
  const size_t at = static_cast<size_t>(
      std::mismatch(have.begin(), have.end(), want.begin(), want.end()).first -
      have.begin());
  if (have != want)
    Fail(ErrorCode::kBadInput,
         "{}: get_languages has '{}' at character {}, but {} has '{}'",
         program_.name(), have.substr(at, 8), at, tokenizer_->origin(),
         want.substr(at, 8));
}

int PteModel::TextPositions(const fs::path& folder) {
  if (const auto value = program_.Int("get_n_text_ctx"))
    return static_cast<int>(*value);
  // get_max_seq_len is the cache's length, which other exporters make longer
  // than the model's positions: then the smaller counts.
  std::optional<int64_t> found = program_.Int("get_max_seq_len");
  std::string source = "get_max_seq_len";
  for (const auto& [file, key] :
       {std::pair{"config.json", "max_target_positions"},
        std::pair{"generation_config.json", "max_length"}}) {
    const fs::path path = folder / file;
    if (folder.empty() || !fs::exists(path)) continue;
    const int value = JsonInt(ParseJsonObject(ReadFile(path), path.string()),
                              key, 0, path.string());
    if (value == 0 || (found && *found <= value)) continue;
    found = value;
    source = path.string() + " " + key;
  }
  if (!found)
    Fail(ErrorCode::kBadInput,
         "{}: no constant get_n_text_ctx (or get_max_seq_len), and no "
         "config.json with the tokenizer to tell it",
         program_.name());
  derived_.push_back(fmt::format("get_n_text_ctx: {} from {}", *found, source));
  return static_cast<int>(
      std::clamp<int64_t>(*found, 0, std::numeric_limits<int>::max()));
}

void PteModel::ReadConstants(const fs::path& path) {
  if (const auto vocab = program_.Int("get_vocab_size")) {
    if (*vocab < 1 || *vocab > n_vocab_)
      Fail(ErrorCode::kBadInput,
           "{}: get_vocab_size is {}, but text_decoder gives {} logits",
           program_.name(), *vocab, n_vocab_);
    n_vocab_ = static_cast<int>(*vocab);
  } else {
    derived_.push_back(
        fmt::format("get_vocab_size: {} from text_decoder's output", n_vocab_));
  }
  CheckConstant("get_n_mels", n_mels(), "the encoder's input");
  CheckConstant("get_n_audio_ctx", n_audio_ctx(), "the encoder's output");
  CheckConstant("get_sample_rate", kSampleRate, "the log-mel");

  tokenizer_ = LoadTokenizer(path, n_vocab_);
  special_tokens_ = SpecialTokensOf(*tokenizer_, n_vocab_);
  special_tokens_.Check();
  CheckTokens();
  if (!program_.Int("get_sot_id")) {
    derived_.push_back("special tokens: from " + tokenizer_->origin());
    may_be_stale_ = program_.Mentions("update_cross_attn_cache");
    if (may_be_stale_)
      derived_.push_back(
          "text_decoder: loaded anew for each window, as its cross K/V may "
          "outlive one");
  }
  n_text_ctx_ = TextPositions(FolderOf(path));
  if (n_text_ctx_ < 4)
    Fail(ErrorCode::kBadInput, "{}: get_n_text_ctx is {}, want 4 or more",
         program_.name(), n_text_ctx_);

  const auto tokens = [&](const char* constant) {
    std::vector<int> ids;
    for (const int64_t id :
         program_.Ints(constant).value_or(std::vector<int64_t>()))
      if (id >= 0 && id < n_vocab_) ids.push_back(static_cast<int>(id));
    return ids;
  };
  if (auto ids = tokens("get_suppress_tokens"); !ids.empty())
    suppress_tokens_ = std::move(ids);
  else
    derived_.push_back("get_suppress_tokens: from " + tokenizer_->origin());
  if (auto ids = tokens("get_begin_suppress_tokens"); !ids.empty()) {
    std::erase(ids, special_tokens_.eot);
    special_tokens_.blank = std::move(ids);
  }
}

}  // namespace sotto
