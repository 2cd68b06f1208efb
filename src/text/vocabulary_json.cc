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

namespace json = simdjson::ondemand;

// A vocabulary is a few MB; more than this is something else.
constexpr size_t kMaxJson = size_t{64} << 20;

simdjson::padded_string Padded(std::string_view text,
                               const std::string& origin) {
  if (text.size() > kMaxJson)
    Fail(ErrorCode::kBadInput, "{}: {} bytes, want at most {}", origin,
         text.size(), kMaxJson);
  return simdjson::padded_string(text);
}

// Reads a whole file straight into simdjson's padding.
simdjson::padded_string LoadPadded(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto* data = reinterpret_cast<const char*>(file.bytes().data());
  return Padded({data, file.size()}, path.string());
}

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

  void Read(json::document& document) {
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key();
      if (key == "added_tokens")
        ReadAdded(field.value());
      else if (key == "model")
        ReadModel(field.value());
    }
    if (!has_model_)
      Fail(ErrorCode::kBadInput, "{}: no model", vocabulary_.origin());
    // Added tokens win over entries of the model with the same id.
    for (const auto& [id, text] : added_)
      if (LooksSpecial(text))
        vocabulary_.AddSpecial(id, text);
      else
        vocabulary_.Add(id, text);
  }

 private:
  void ReadAdded(json::value value) {
    for (auto token : value.get_array()) {
      int64_t id = -1;
      std::string content;
      for (auto field : token.get_object()) {
        const std::string_view key = field.unescaped_key();
        if (key == "id")
          id = field.value().get_int64();
        else if (key == "content")
          content = std::string(field.value().get_string().value());
      }
      if (added_.size() >= static_cast<size_t>(Vocabulary::kMaxTokens))
        Fail(ErrorCode::kBadInput, "{}: over {} added tokens",
             vocabulary_.origin(), Vocabulary::kMaxTokens);
      added_.emplace_back(id, std::move(content));
    }
  }

  void ReadModel(json::value value) {
    has_model_ = true;
    for (auto field : value.get_object()) {
      const std::string_view key = field.unescaped_key();
      if (key == "vocab") {
        ReadVocab(field.value());
      } else if (key == "merges") {
        ReadMerges(field.value());
      } else if (key == "ignore_merges") {
        vocabulary_.set_ignore_merges(field.value().get_bool());
      } else if (key == "type") {
        const std::string_view type = field.value().get_string();
        if (type != "BPE")
          Fail(ErrorCode::kUnsupported, "{}: model type '{}', want BPE",
               vocabulary_.origin(), type);
      }
    }
  }

  void ReadVocab(json::value value) {
    for (auto field : value.get_object()) {
      const std::string_view token = field.unescaped_key();
      // note: the key's text stays valid while its value is read.
      const int64_t id = field.value().get_int64();
      if (LooksSpecial(token))
        vocabulary_.AddSpecial(id, token);
      else
        vocabulary_.Add(id, BytesOfAlphabet(token, scratch_));
    }
  }

  // Either "left right" or ["left", "right"].
  void ReadMerges(json::value value) {
    for (auto merge : value.get_array()) {
      if (merge.type() == json::json_type::string) {
        const std::string_view pair = merge.get_string();
        const size_t space = pair.find(' ');
        if (space == std::string_view::npos) FailMerge();
        AddMerge(pair.substr(0, space), pair.substr(space + 1));
        continue;
      }
      std::string_view sides[2];
      size_t count = 0;
      for (auto side : merge.get_array()) {
        if (count == 2) FailMerge();
        sides[count++] = side.get_string();
      }
      if (count != 2) FailMerge();
      AddMerge(sides[0], sides[1]);
    }
  }

  void AddMerge(std::string_view left, std::string_view right) {
    vocabulary_.AddMerge(BytesOfAlphabet(left, scratch_),
                         BytesOfAlphabet(right, other_scratch_));
  }

  [[noreturn]] void FailMerge() const {
    Fail(ErrorCode::kBadInput, "{}: merge {} is no pair", vocabulary_.origin(),
         vocabulary_.merges().size());
  }

  Vocabulary& vocabulary_;
  bool has_model_ = false;
  std::vector<std::pair<int64_t, std::string>> added_;
  std::string scratch_, other_scratch_;
};

Vocabulary ParsePadded(const simdjson::padded_string& text,
                       const std::string& origin) {
  Vocabulary vocabulary(origin);
  Guarded(origin, "a tokenizer.json", [&] {
    json::parser parser;
    json::document document = parser.iterate(text);
    TokenizerJson(vocabulary, text.size()).Read(document);
  });
  return vocabulary;
}

// {"token": id, ...}: vocab.json in the alphabet, added_tokens.json as text.
void ReadIdMap(const std::filesystem::path& path, Vocabulary& vocabulary,
               bool in_alphabet) {
  const simdjson::padded_string text = LoadPadded(path);
  Guarded(path.string(), "a map of tokens to ids", [&] {
    json::parser parser;
    json::document document = parser.iterate(text);
    std::string scratch;
    for (auto field : document.get_object()) {
      const std::string_view token = field.unescaped_key();
      const int64_t id = field.value().get_int64();
      if (LooksSpecial(token))
        vocabulary.AddSpecial(id, token);
      else
        vocabulary.Add(id,
                       in_alphabet ? BytesOfAlphabet(token, scratch) : token);
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
  const simdjson::padded_string text = LoadPadded(path);
  Guarded(path.string(), "a list of tokens", [&] {
    json::parser parser;
    json::document document = parser.iterate(text);
    for (auto token : document.get_array())
      tokens.emplace_back(token.get_string().value());
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
  return ParsePadded(LoadPadded(path), path.string());
}

Vocabulary ParseTokenizerJson(std::string_view json_text,
                              const std::string& origin) {
  return ParsePadded(Padded(json_text, origin), origin);
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
