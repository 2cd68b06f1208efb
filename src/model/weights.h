// SPDX-License-Identifier: MIT
// WeightStore: one mapped checkpoint of any format, seen under canonical
// names. Five readers fill it; everything behind it is the same.
//
// Canonical names (all matrices [out, in], row-major):
//   enc.conv1.w [d, n_mels, 3]  enc.conv1.b [d]   enc.conv2.w [d, d, 3] ...
//   enc.pos [n_audio_ctx, d]    enc.ln.w enc.ln.b [d]
//   enc.I.attn_ln.{w,b}  enc.I.attn.{q,k,v,o}.w  enc.I.attn.{q,v,o}.b
//   enc.I.mlp_ln.{w,b}   enc.I.fc1.{w,b}  enc.I.fc2.{w,b}
//   dec.tok_emb [n_vocab, d]    dec.pos [n_text_ctx, d]   dec.ln.{w,b}
//   dec.I.attn_ln dec.I.attn   dec.I.cross_ln  dec.I.cross.{q,k,v,o}
//   dec.I.mlp_ln dec.I.fc1 dec.I.fc2      (as in the encoder)
// The key projection has no bias. Logits are x * dec.tok_emb^T (tied).
// model/names.h lists them for a spec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "model/spec.h"
#include "tensor/buffer.h"
#include "tensor/half.h"
#include "tensor/tensor.h"

namespace sotto {

// One tensor of the checkpoint. `tensor` points into a mapped file or into a
// buffer of the store and is dense. note: files align nothing, so the pointer
// may be odd: use WeightStore::Read, or memcpy. Block types are dense rows of
// blocks.
struct WeightEntry {
  Tensor tensor;
  // kI8 only: one f32 scale per row; value = integer * row_scale. (CTranslate2
  // stores the inverse; its reader turns it round.)
  const float* row_scales = nullptr;
  // Where it came from, for messages: "model.safetensors: tensor
  // model.encoder.conv1.weight".
  std::string origin;
};

// What the checkpoint says about text, where it says it itself. The tokenizer
// is built from this and from the files beside the model (text/tokenizer.h).
struct VocabularySource {
  // ggml and GGUF: the raw bytes of each token in id order; empty elsewhere.
  // ggml lists text tokens only, specials are told by n_vocab.
  std::vector<std::string> tokens;
  // The folder in which tokenizer.json, vocab.json, merges.txt or *.tiktoken
  // may stand.
  std::filesystem::path folder;
};

// Immutable after loading, shared by all programs and sessions, read by any
// thread. Formats are told by content, not by file name.
class WeightStore {
 public:
  // Only WeightStoreBuilder can make one.
  class Key {
    friend class WeightStoreBuilder;
    Key() {}
  };
  explicit WeightStore(Key) {}

  // `path`: a file (.safetensors, .pt, ggml .bin, .gguf, model.bin) or a
  // folder. In a folder the first of these is taken: Hugging Face
  // (model.safetensors.index.json, model.safetensors), CTranslate2
  // (model.bin), and then the files in the order of their names: .pt, ggml,
  // GGUF, safetensors. Throws Error naming file and cause. Where
  // `encoder_only`, a missing decoder is no error.
  static std::shared_ptr<const WeightStore> Load(
      const std::filesystem::path& path, bool encoder_only = false);

  const ModelSpec& spec() const { return spec_; }
  const VocabularySource& vocabulary() const { return vocabulary_; }
  // "hf", "openai", "ct2", "ggml" or "gguf".
  std::string_view format() const { return format_; }
  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, WeightEntry, std::less<>>& entries() const {
    return entries_;
  }
  bool Has(std::string_view name) const { return entries_.contains(name); }
  // Throws kNotFound with the file and the name.
  const WeightEntry& Get(std::string_view name) const;

  // Values [first, first + count) of the tensor's flat order as f32,
  // dequantised; the one way in which weights are read. For block types
  // `first` and `count` are multiples of the block. Any thread.
  void Read(std::string_view name, int64_t first, int64_t count,
            float* out) const;
  // The same values as f16: a plain copy where the file holds f16, else
  // rounded to nearest even.
  void ReadF16(std::string_view name, int64_t first, int64_t count,
               F16* out) const;
  // Gives the tensor's source pages back to the system once it is packed.
  void Release(std::string_view name) const;
  // Bytes of the tensors in the file, for reports.
  size_t bytes() const;

 private:
  friend class WeightStoreBuilder;

  ModelSpec spec_;
  VocabularySource vocabulary_;
  std::string format_;
  std::filesystem::path path_;
  std::map<std::string, WeightEntry, std::less<>> entries_;
  std::vector<MappedFile> files_;
  std::vector<Buffer> buffers_;  // tensors that had to be copied
};

}  // namespace sotto
