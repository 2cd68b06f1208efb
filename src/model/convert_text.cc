// SPDX-License-Identifier: MIT
// The tokenizer's files and the feature extractor's, copied from the source
// or made from what the model says itself.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>

#include "base/file.h"
#include "model/byte_text.h"
#include "model/convert_job.h"
#include "model/json.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kCopied[] = {
    "tokenizer.json",         "vocab.json",      "merges.txt",
    "added_tokens.json",      "normalizer.json", "tokenizer_config.json",
    "special_tokens_map.json"};

// JSON wants UTF-8; a made-up token that is none is spelt instead.
std::string Dump(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json AddedTokens(ConvertJob& job) {
  ordered_json list = ordered_json::array();
  const int timestamps = job.tokenizer().timestamp_begin();
  for (int id = job.text_tokens(); id < job.spec().n_vocab; ++id) {
    const bool special = id < timestamps;
    list.push_back({{"id", id},
                    {"content", job.tokens()[static_cast<size_t>(id)]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", !special},
                    {"special", special}});
  }
  return list;
}

ordered_json Vocab(ConvertJob& job) {
  ordered_json vocab = ordered_json::object();
  // note: the underlying vector is filled directly, for operator[] of an
  // ordered object looks through all keys each time.
  auto& items = vocab.get_ref<ordered_json::object_t&>();
  for (int id = 0; id < job.text_tokens(); ++id)
    items.emplace_back(SpellToken(job, id), id);
  return vocab;
}

// What the tokenizers library reads: byte-level BPE with Whisper's specials.
std::string TokenizerJson(ConvertJob& job) {
  const ordered_json byte_level = {{"type", "ByteLevel"},
                                   {"add_prefix_space", false},
                                   {"trim_offsets", true},
                                   {"use_regex", true}};
  ordered_json merges = ordered_json::array();
  for (const auto& [left, right] : Merges(job))
    merges.push_back(left + " " + right);
  ordered_json root = {
      {"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  root["added_tokens"] = AddedTokens(job);
  root["normalizer"] = nullptr;
  root["pre_tokenizer"] = byte_level;
  root["post_processor"] = nullptr;
  root["decoder"] = byte_level;
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", ""},
                   {"end_of_word_suffix", ""},
                   {"fuse_unk", false}};
  root["model"]["vocab"] = Vocab(job);
  root["model"]["merges"] = std::move(merges);
  return Dump(root);
}

void AddSlowTokenizer(ConvertJob& job) {
  job.folder().AddText("vocab.json", Dump(Vocab(job)));
  std::string merges = "#version: 0.2\n";
  for (const auto& [left, right] : Merges(job))
    merges += left + " " + right + "\n";
  job.folder().AddText("merges.txt", merges);
  ordered_json added = ordered_json::object();
  auto& items = added.get_ref<ordered_json::object_t&>();
  std::vector<std::string> special;
  for (int id = job.text_tokens(); id < job.spec().n_vocab; ++id) {
    const std::string& text = job.tokens()[static_cast<size_t>(id)];
    items.emplace_back(text, id);
    if (id < job.tokenizer().timestamp_begin()) special.push_back(text);
  }
  job.folder().AddText("added_tokens.json", Dump(added));
  const std::string eot = "<|endoftext|>";
  const ordered_json map = {{"additional_special_tokens", special},
                            {"bos_token", eot},
                            {"eos_token", eot},
                            {"unk_token", eot},
                            {"pad_token", eot}};
  job.folder().AddText("special_tokens_map.json", Dump(map));
  ordered_json config = {{"tokenizer_class", "WhisperTokenizer"},
                         {"processor_class", "WhisperProcessor"},
                         {"add_prefix_space", false},
                         {"model_max_length", 1024},
                         {"errors", "replace"},
                         {"bos_token", eot},
                         {"eos_token", eot},
                         {"unk_token", eot},
                         {"pad_token", eot}};
  job.folder().AddText("tokenizer_config.json", Dump(config));
}

// How BPE last joins a token from two, with ids as ranks.
class Splitter {
 public:
  explicit Splitter(std::span<const std::string> tokens) {
    for (size_t i = 0; i < tokens.size(); ++i)
      rank_.emplace(tokens[i], static_cast<int>(i));
  }

  // The two parts, or empty ones where no join makes the token.
  std::pair<std::string, std::string> Split(const std::string& token,
                                            int rank) const {
    std::vector<std::string> parts;
    for (const char c : token) parts.emplace_back(1, c);
    while (parts.size() > 2) {
      int best = rank;
      size_t at = 0;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto found = rank_.find(parts[i] + parts[i + 1]);
        if (found == rank_.end() || found->second >= best) continue;
        best = found->second;
        at = i;
      }
      if (best == rank) return {};
      parts[at] += parts[at + 1];
      parts.erase(parts.begin() + static_cast<ptrdiff_t>(at) + 1);
    }
    if (parts.size() != 2) return {};
    return {parts[0], parts[1]};
  }

 private:
  std::unordered_map<std::string, int> rank_;
};

}  // namespace

std::string ReadSourceFile(const ConvertJob& job, const char* name) {
  const fs::path& folder = job.store().vocabulary().folder;
  const fs::path path = folder / name;
  std::error_code ignored;
  if (folder.empty() || !fs::is_regular_file(path, ignored)) return {};
  return ReadFile(path, size_t{1} << 28);
}

bool SourceIs(const ConvertJob& job, std::string_view format) {
  return job.store().format() == format &&
         !job.store().vocabulary().folder.empty();
}

std::string SpellToken(ConvertJob& job, int id) {
  const std::string& token = job.tokens()[static_cast<size_t>(id)];
  return id < job.text_tokens() ? SpellBytes(token) : token;
}

std::vector<std::pair<std::string, std::string>> Merges(ConvertJob& job) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto& tokens = job.tokens();
  const auto count = static_cast<size_t>(job.text_tokens());
  const Splitter splitter(std::span<const std::string>(tokens).first(count));
  for (size_t id = 0; id < count; ++id) {
    if (tokens[id].size() < 2) continue;
    const auto [left, right] = splitter.Split(tokens[id], static_cast<int>(id));
    if (!left.empty()) out.emplace_back(SpellBytes(left), SpellBytes(right));
  }
  return out;
}

void AddTokenizerFiles(ConvertJob& job, bool all) {
  if (!job.has_specials()) return;  // a made-up vocabulary has no text
  for (const char* name : kCopied) {
    if (!all && std::string_view(name) != "tokenizer.json") continue;
    if (const std::string text = ReadSourceFile(job, name); !text.empty())
      job.folder().AddText(name, text);
  }
  if (!job.folder().Has("tokenizer.json"))
    job.folder().AddText("tokenizer.json", TokenizerJson(job));
  if (all && !job.folder().Has("vocab.json")) AddSlowTokenizer(job);
}

void AddPreprocessorConfig(ConvertJob& job) {
  const ordered_json config = {
      {"chunk_length", 30},
      {"feature_extractor_type", "WhisperFeatureExtractor"},
      {"feature_size", job.spec().n_mels},
      {"hop_length", 160},
      {"n_fft", 400},
      {"n_samples", 480000},
      {"nb_max_frames", 3000},
      {"padding_side", "right"},
      {"padding_value", 0.0},
      {"processor_class", "WhisperProcessor"},
      {"return_attention_mask", false},
      {"sampling_rate", 16000}};
  job.folder().AddText("preprocessor_config.json", config.dump(2) + "\n");
}

}  // namespace sotto
