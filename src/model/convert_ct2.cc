// SPDX-License-Identifier: MIT
// A CTranslate2 folder: WhisperSpec revision 3 in binary version 6, variables
// in the order of their names, as that project's converter writes it.
#include <map>
#include <nlohmann/json.hpp>

#include "model/convert_job.h"
#include "model/json.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// One variable of the file: a scalar, a tensor or several of them fused.
struct Variable {
  std::string scalar;  // its bytes
  Shape shape;
  uint8_t kind = 0;
  std::vector<std::string> parts;  // canonical names; "" is a bias of zeros
  std::vector<float> scales;       // of a *_scale, filled while writing
};
using Variables = std::map<std::string, Variable>;

constexpr uint8_t kFloat32 = 0, kInt8 = 1, kInt16 = 2;

uint8_t KindOf(DType dtype) {
  return dtype == DType::kF32 ? kFloat32 : dtype == DType::kF16 ? 4 : 5;
}

template <typename T>
Variable Scalar(T value) {
  return {
      std::string(static_cast<const char*>(static_cast<const void*>(&value)),
                  sizeof(value)),
      {},
      sizeof(value) == 1 ? kInt8 : kInt16,
      {},
      {}};
}

void AddScalars(const ModelSpec& spec, Variables* all) {
  (*all)["encoder/num_heads"] =
      Scalar(static_cast<int16_t>(spec.n_audio_heads));
  (*all)["decoder/num_heads"] = Scalar(static_cast<int16_t>(spec.n_text_heads));
  (*all)["decoder/activation"] = Scalar(int8_t{3});  // exact GELU
  (*all)["decoder/alibi"] = Scalar(int8_t{0});
  (*all)["decoder/alibi_use_positive_positions"] = Scalar(int8_t{0});
  (*all)["decoder/alignment_heads"] = Scalar(int16_t{1});
  (*all)["decoder/alignment_layer"] = Scalar(int16_t{-1});
  (*all)["decoder/pre_norm"] = Scalar(int8_t{1});
  (*all)["decoder/scale_alibi"] = Scalar(int8_t{0});
  (*all)["decoder/scale_embeddings"] = Scalar(int8_t{0});
  (*all)["decoder/start_from_zero_embedding"] = Scalar(int8_t{0});
}

// What CTranslate2 quantises: weights of linear layers, convolutions and the
// embedding; their names end so.
bool IsQuantised(std::string_view name) { return name.ends_with("/weight"); }

Variables Plan(ConvertJob& job) {
  const bool int8 = job.options().quantisation == DType::kI8 ||
                    (!job.options().quantisation && !job.options().dtype &&
                     job.store().Get("dec.0.fc1.w").tensor.dtype == DType::kI8);
  Variables all;
  AddScalars(job.spec(), &all);
  for (const CanonicalTensor& tensor : job.Tensors()) {
    const SourceName source = NameIn(Naming::kCt2, tensor.name);
    Variable& v = all[source.name];
    if (v.parts.empty()) {
      v.parts.resize(static_cast<size_t>(source.parts));
      v.shape = tensor.shape;
      v.shape[0] *= source.parts;
      v.kind = KindOf(job.PlainType(tensor.name));
    }
    v.parts[static_cast<size_t>(source.part)] = tensor.name;
    if (!int8 || !IsQuantised(source.name)) continue;
    v.kind = kInt8;
    all[source.name + "_scale"] = {{}, {v.shape[0]}, kFloat32, {}, {}};
  }
  return all;
}

void WriteString(OutFile& file, std::string_view text) {
  file.Number(static_cast<uint16_t>(text.size() + 1));
  file.Write(text);
  file.Number(char{0});
}

size_t ItemBytes(uint8_t kind) {
  return kind == kFloat32 ? 4 : kind == kInt8 ? 1 : 2;
}

void WriteData(ConvertJob& job, const std::string& name, Variable& v,
               Variables& all, OutFile& file) {
  const auto write = [&](const void* data, size_t bytes) {
    file.Write(data, bytes);
  };
  if (v.parts.empty()) {  // a scalar, or scales gathered before
    file.Write(v.scalar);
    file.Write(v.scales.data(), v.scales.size() * sizeof(float));
    return;
  }
  for (const std::string& part : v.parts) {
    if (part.empty()) {  // the key projection's bias, which Whisper lacks
      const auto rows = static_cast<size_t>(v.shape[0]) / v.parts.size();
      file.Write(std::string(rows * ItemBytes(v.kind), '\0'));
    } else if (v.kind == kInt8) {
      // note: "weight" sorts before "weight_scale", so scales come in time.
      job.EncodeInt8(part, write, &all[name + "_scale"].scales);
    } else {
      job.Encode(part, job.PlainType(part), write);
    }
  }
}

void WriteModel(ConvertJob& job) {
  Variables all = Plan(job);
  OutFile file(job.folder().Add("model.bin"));
  file.Number(uint32_t{6});
  WriteString(file, "WhisperSpec");
  file.Number(uint32_t{3});
  file.Number(static_cast<uint32_t>(all.size()));
  for (auto& [name, v] : all) {
    const uint64_t bytes =
        static_cast<uint64_t>(v.shape.Elements()) * ItemBytes(v.kind);
    if (bytes > UINT32_MAX)
      Fail(ErrorCode::kUnsupported, "{}: {} bytes, CTranslate2 holds 4 GB",
           name, bytes);
    WriteString(file, name);
    file.Number(static_cast<uint8_t>(v.shape.rank()));
    for (int i = 0; i < v.shape.rank(); ++i)
      file.Number(static_cast<uint32_t>(v.shape[i]));
    file.Number(v.kind);
    file.Number(static_cast<uint32_t>(bytes));
    WriteData(job, name, v, all, file);
  }
  file.Number(uint32_t{1});
  WriteString(file, "decoder/projection/weight");
  WriteString(file, "decoder/embeddings/weight");
  file.Close();
}

std::string Config(ConvertJob& job) {
  if (SourceIs(job, "ct2"))
    if (std::string text = ReadSourceFile(job, "config.json"); !text.empty())
      return text;
  json config = {{"alignment_heads", job.AlignmentHeads()}};
  config["lang_ids"] = json::array();
  config["suppress_ids"] = json::array();
  config["suppress_ids_begin"] = json::array();
  if (job.has_specials()) {
    const Tokenizer& t = job.tokenizer();
    for (const int id : t.LanguageTokens()) config["lang_ids"].push_back(id);
    config["suppress_ids"] = t.SuppressedTokens();
    config["suppress_ids_begin"] = {t.Encode(" ").at(0), t.eot()};
  }
  return config.dump(2) + "\n";
}

void AddVocabulary(ConvertJob& job) {
  for (const char* name : {"vocabulary.json", "vocabulary.txt"}) {
    const std::string text = ReadSourceFile(job, name);
    if (!text.empty()) return job.folder().AddText(name, text);
  }
  json list = json::array();
  for (size_t id = 0; id < job.tokens().size(); ++id)
    list.push_back(SpellToken(job, static_cast<int>(id)));
  job.folder().AddText("vocabulary.json", list.dump(2) + "\n");
}

}  // namespace

fs::path WriteCt2(ConvertJob& job) {
  WriteModel(job);
  job.folder().AddText("config.json", Config(job));
  AddVocabulary(job);
  AddPreprocessorConfig(job);
  AddTokenizerFiles(job, /*all=*/false);
  return job.folder().path();
}

}  // namespace sotto
