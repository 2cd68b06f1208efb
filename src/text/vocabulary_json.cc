// SPDX-License-Identifier: MIT
// Readers of the JSON vocabularies. simdjson, because these files are 1 to
// 4 MB and stand between the user and the first word.
#include <simdjson.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "text/vocabulary.h"

namespace sotto {
namespace {

namespace json = simdjson::dom;

// A vocabulary is a few MB; more than this is something else.
constexpr size_t kMaxJson = size_t{64} << 20;

// The bytes of a mapped file, with room behind them that simdjson may read.
class PaddedFile {
 public:
  explicit PaddedFile(const std::filesystem::path& path) : file_(path) {
    if (file_.size() > kMaxJson)
      Fail(ErrorCode::kBadInput, "{}: {} bytes, want at most {}", path.string(),
           file_.size(), kMaxJson);
    // The rest of the last page is there and zero; pages are multiples of
    // 4 KiB. Only a file that ends too near a page's end is copied.
    const size_t used = file_.size() % 4096;
    if (used == 0 || used > 4096 - simdjson::SIMDJSON_PADDING)
      copy_ = simdjson::padded_string(Text());
  }

  json::element Parse(json::parser& parser) const {
    if (copy_.size() > 0) return parser.parse(copy_);
    const std::string_view text = Text();
    return parser.parse(text.data(), text.size(), false);
  }
  size_t size() const { return file_.size(); }

 private:
  std::string_view Text() const {
    return {reinterpret_cast<const char*>(file_.bytes().data()), file_.size()};
  }

  MappedFile file_;
  simdjson::padded_string copy_;
};

// Runs `read`, turning simdjson's errors into ours.
template <typename Read>
void Guarded(const std::string& origin, const char* what, Read read) {
  try {
    read();
  } catch (const simdjson::simdjson_error& error) {
    Fail(ErrorCode::kBadInput, "{}: not {}: {}", origin, what, error.what());
  }
}

class TokenizerJson {
 public:
  TokenizerJson(Vocabulary& vocabulary, size_t bytes)
      : vocabulary_(vocabulary) {
    // Tokens and merges each take about a tenth of the file.
    vocabulary_.Reserve(52000, bytes / 3);
  }

  void Read(json::element document) {
    json::element model;
    if (document["model"].get(model) != simdjson::SUCCESS)
      Fail(ErrorCode::kBadInput, "{}: no model", vocabulary_.origin());
    ReadModel(model);
    // After the model: added tokens win over its entries with the same id.
    json::array added;
    if (document["added_tokens"].get(added) == simdjson::SUCCESS)
      for (const json::element token : added)
        Add(token["id"], token["content"], false);
  }

 private:
  void Add(int64_t id, std::string_view token, bool in_alphabet) {
    if (LooksSpecial(token))
      vocabulary_.AddSpecial(id, token);
    else
      vocabulary_.Add(id,
                      in_alphabet ? BytesOfAlphabet(token, scratch_) : token);
  }

  void ReadModel(json::element model) {
    std::string_view type;
    if (model["type"].get(type) == simdjson::SUCCESS && type != "BPE")
      Fail(ErrorCode::kUnsupported, "{}: model type '{}', want BPE",
           vocabulary_.origin(), type);
    for (const json::key_value_pair token : model["vocab"].get_object())
      Add(token.value, token.key, true);
    json::array merges;
    if (model["merges"].get(merges) == simdjson::SUCCESS)
      for (const json::element merge : merges) ReadMerge(merge);
    bool ignore = false;
    if (model["ignore_merges"].get(ignore) == simdjson::SUCCESS)
      vocabulary_.set_ignore_merges(ignore);
  }

  // Either "left right" or ["left", "right"].
  void ReadMerge(json::element merge) {
    std::string_view left, right;
    if (merge.get(left) == simdjson::SUCCESS) {
      const size_t space = left.find(' ');
      if (space == std::string_view::npos) FailMerge();
      right = left.substr(space + 1);
      left = left.substr(0, space);
    } else {
      const json::array sides = merge;
      if (sides.size() != 2) FailMerge();
      left = sides.at(0);
      right = sides.at(1);
    }
    vocabulary_.AddMerge(BytesOfAlphabet(left, scratch_),
                         BytesOfAlphabet(right, other_scratch_));
  }

  [[noreturn]] void FailMerge() const {
    Fail(ErrorCode::kBadInput, "{}: merge {} is no pair", vocabulary_.origin(),
         vocabulary_.merges().size());
  }

  Vocabulary& vocabulary_;
  std::string scratch_, other_scratch_;
};

// {"token": id, ...}: vocab.json in the alphabet, added_tokens.json as text.
void ReadIdMap(const std::filesystem::path& path, Vocabulary& vocabulary,
               bool in_alphabet) {
  const PaddedFile file(path);
  Guarded(path.string(), "a map of tokens to ids", [&] {
    json::parser parser;
    std::string scratch;
    for (const json::key_value_pair token : file.Parse(parser).get_object()) {
      const int64_t id = token.value;
      if (LooksSpecial(token.key))
        vocabulary.AddSpecial(id, token.key);
      else
        vocabulary.Add(
            id, in_alphabet ? BytesOfAlphabet(token.key, scratch) : token.key);
    }
  });
}

// merges.txt: "left right" a line; a first line "#version: ..." is skipped.
void ReadMergeLines(const std::filesystem::path& path, Vocabulary& vocabulary) {
  const std::string text = ReadFile(path, kMaxJson);
  std::string scratch, other_scratch;
  size_t number = 0;
  for (size_t pos = 0; pos < text.size();) {
    size_t end = text.find('\n', pos);
    if (end == std::string::npos) end = text.size();
    std::string_view line = std::string_view(text).substr(pos, end - pos);
    pos = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos)
      Fail(ErrorCode::kBadInput, "{}:{}: no pair of tokens", path.string(),
           number);
    vocabulary.AddMerge(BytesOfAlphabet(line.substr(0, space), scratch),
                        BytesOfAlphabet(line.substr(space + 1), other_scratch));
  }
}

std::vector<std::string> ReadStringArray(const std::filesystem::path& path) {
  std::vector<std::string> tokens;
  const PaddedFile file(path);
  Guarded(path.string(), "a list of tokens", [&] {
    json::parser parser;
    for (const std::string_view token : file.Parse(parser).get_array())
      tokens.emplace_back(token);
  });
  return tokens;
}

std::vector<std::string> ReadLines(const std::filesystem::path& path) {
  const std::string text = ReadFile(path, kMaxJson);
  std::vector<std::string> lines;
  for (size_t pos = 0; pos < text.size();) {
    size_t end = text.find('\n', pos);
    if (end == std::string::npos) end = text.size();
    lines.push_back(text.substr(pos, end - pos));
    pos = end + 1;
  }
  return lines;
}

}  // namespace

Vocabulary ReadTokenizerJson(const std::filesystem::path& path) {
  const PaddedFile file(path);
  Vocabulary vocabulary(path.string());
  Guarded(path.string(), "a tokenizer.json", [&] {
    json::parser parser;
    TokenizerJson(vocabulary, file.size()).Read(file.Parse(parser));
  });
  return vocabulary;
}

Vocabulary ParseTokenizerJson(std::string_view text,
                              const std::string& origin) {
  Vocabulary vocabulary(origin);
  Guarded(origin, "a tokenizer.json", [&] {
    json::parser parser;
    TokenizerJson(vocabulary, text.size())
        .Read(parser.parse(simdjson::padded_string(text)));
  });
  return vocabulary;
}

Vocabulary ReadVocabAndMerges(const std::filesystem::path& folder) {
  const std::filesystem::path vocab = folder / "vocab.json";
  Vocabulary vocabulary(vocab.string());
  ReadIdMap(vocab, vocabulary, true);
  ReadMergeLines(folder / "merges.txt", vocabulary);
  const std::filesystem::path added = folder / "added_tokens.json";
  if (std::filesystem::exists(added)) ReadIdMap(added, vocabulary, false);
  return vocabulary;
}

Vocabulary ReadVocabularyList(const std::filesystem::path& path) {
  const std::vector<std::string> tokens =
      path.extension() == ".json" ? ReadStringArray(path) : ReadLines(path);
  return FromTokenList(tokens, path.string());
}

}  // namespace sotto
