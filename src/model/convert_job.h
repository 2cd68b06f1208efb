// SPDX-License-Identifier: MIT
// What the five writers share. Internal to model/convert*.cc.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/convert.h"
#include "model/names.h"
#include "model/out_folder.h"
#include "text/tokenizer.h"

namespace sotto {

class ConvertJob {
 public:
  ConvertJob(const WeightStore& store, const ConvertOptions& options,
             const std::filesystem::path& out_dir);

  const WeightStore& store() const { return store_; }
  const ModelSpec& spec() const { return store_.spec(); }
  const ConvertOptions& options() const { return options_; }
  OutFolder& folder() { return folder_; }
  const std::string& name() const { return name_; }

  // Every tensor of the store in the order in which the model runs.
  std::vector<CanonicalTensor> Tensors() const;
  // The plain type that a tensor becomes where nothing quantises it.
  DType PlainType(std::string_view tensor) const;
  // The type of the file's bulk: that of the first projection.
  DType BulkType() const { return PlainType("dec.0.fc1.w"); }

  // The model's alignment heads or, where its file named none, OpenAI's
  // default: every head of the upper half of the decoder.
  std::vector<std::pair<int, int>> AlignmentHeads() const;

  // Writes a tensor's values as `dtype` (plain or block) in flat order.
  // `write` is called with consecutive parts.
  using Sink = std::function<void(const void* data, size_t bytes)>;
  void Encode(std::string_view tensor, DType dtype, const Sink& write);
  // A tensor of row-quantised int8: integers to `write`, scales (of
  // CTranslate2's sense) to `scales`.
  void EncodeInt8(std::string_view tensor, const Sink& write,
                  std::vector<float>* scales);

  // Loaded on first use; throws where the vocabulary cannot be had.
  const Tokenizer& tokenizer();
  // Raw bytes of every token, n_vocab of them. Specials and timestamps are
  // written out ("<|en|>", "<|0.02|>"). Small made-up vocabularies give what
  // they have.
  const std::vector<std::string>& tokens();
  // Tokens below this id are text: that of <|endoftext|>.
  int text_tokens();
  // False for small made-up vocabularies, of which nothing special is known.
  bool has_specials() const { return spec().n_vocab >= 51864; }

 private:
  void Done(std::string_view tensor);

  const WeightStore& store_;
  const ConvertOptions& options_;
  OutFolder folder_;
  std::string name_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> tokens_;
  int64_t done_ = 0;
  int64_t total_ = 0;
};

// One writer each; the path to load is returned.
std::filesystem::path WriteHf(ConvertJob& job);
std::filesystem::path WriteOpenAi(ConvertJob& job);
std::filesystem::path WriteCt2(ConvertJob& job);
std::filesystem::path WriteGgml(ConvertJob& job);
std::filesystem::path WriteGguf(ConvertJob& job);

// Files about text and audio beside the weights; convert_text.cc.
void AddTokenizerFiles(ConvertJob& job, bool all);
void AddPreprocessorConfig(ConvertJob& job);
// GPT-2's printable spelling of a text token; other tokens as they are.
std::string SpellToken(ConvertJob& job, int id);
// "a b" for each text token that joining two others makes, in id order.
std::vector<std::pair<std::string, std::string>> Merges(ConvertJob& job);

// A file of the source's folder, empty where there is none.
std::string ReadSourceFile(const ConvertJob& job, const char* name);
// True where the source is of the format, so that its own configuration may
// be taken over.
bool SourceIs(const ConvertJob& job, std::string_view format);

}  // namespace sotto
