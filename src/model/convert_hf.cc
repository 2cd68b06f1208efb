// SPDX-License-Identifier: MIT
// A Hugging Face folder, as transformers' WhisperForConditionalGeneration
// saves it: names under "model.", the output matrix tied and left out.
#include <nlohmann/json.hpp>

#include "model/convert_job.h"
#include "model/json.h"

namespace sotto {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

const char* TypeName(DType dtype) {
  return dtype == DType::kF32 ? "F32" : dtype == DType::kF16 ? "F16" : "BF16";
}

const char* TorchName(DType dtype) {
  return dtype == DType::kF32   ? "float32"
         : dtype == DType::kF16 ? "float16"
                                : "bfloat16";
}

void WriteTensors(ConvertJob& job) {
  const auto tensors = job.Tensors();
  ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t end = 0;
  for (const CanonicalTensor& tensor : tensors) {
    const DType dtype = job.PlainType(tensor.name);
    const uint64_t begin = end;
    end += BytesOf(dtype, static_cast<size_t>(tensor.shape.Elements()));
    ordered_json shape = ordered_json::array();
    for (int i = 0; i < tensor.shape.rank(); ++i)
      shape.push_back(tensor.shape[i]);
    header["model." + NameIn(Naming::kHf, tensor.name).name] = {
        {"dtype", TypeName(dtype)},
        {"shape", std::move(shape)},
        {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that data is aligned
  OutFile file(job.folder().Add("model.safetensors"));
  file.Number(uint64_t{text.size()});
  file.Write(text);
  for (const CanonicalTensor& tensor : tensors)
    job.Encode(
        tensor.name, job.PlainType(tensor.name),
        [&](const void* data, size_t bytes) { file.Write(data, bytes); });
  file.Close();
}

json Config(ConvertJob& job) {
  const ModelSpec& s = job.spec();
  // What else stands in the source's own file (dropout rates, say) is kept.
  json config = json::object();
  if (SourceIs(job, "hf"))
    if (const std::string text = ReadSourceFile(job, "config.json");
        !text.empty())
      config = ParseJsonObject(text, "config.json");
  config["architectures"] = {"WhisperForConditionalGeneration"};
  config["model_type"] = "whisper";
  config["is_encoder_decoder"] = true;
  config["activation_function"] = "gelu";
  config["scale_embedding"] = false;
  config["tie_word_embeddings"] = true;
  config["torch_dtype"] = TorchName(job.BulkType());
  config["d_model"] = s.n_audio_state;
  config["num_mel_bins"] = s.n_mels;
  config["vocab_size"] = s.n_vocab;
  config["max_source_positions"] = s.n_audio_ctx;
  config["max_target_positions"] = s.n_text_ctx;
  config["max_length"] = s.n_text_ctx;
  config["encoder_layers"] = s.n_audio_layers;
  config["num_hidden_layers"] = s.n_audio_layers;
  config["decoder_layers"] = s.n_text_layers;
  config["encoder_attention_heads"] = s.n_audio_heads;
  config["decoder_attention_heads"] = s.n_text_heads;
  config["encoder_ffn_dim"] = s.n_audio_ffn;
  config["decoder_ffn_dim"] = s.n_text_ffn;
  if (!job.has_specials()) return config;
  const Tokenizer& tokenizer = job.tokenizer();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    config[key] = tokenizer.eot();
  config["decoder_start_token_id"] = tokenizer.sot();
  return config;
}

json GenerationConfig(ConvertJob& job) {
  const ModelSpec& spec = job.spec();
  json config = json::object();
  if (SourceIs(job, "hf"))
    if (const std::string text = ReadSourceFile(job, "generation_config.json");
        !text.empty())
      config = ParseJsonObject(text, "generation_config.json");
  config["alignment_heads"] = job.AlignmentHeads();
  config["max_length"] = spec.n_text_ctx;
  config["is_multilingual"] = spec.is_multilingual();
  config["return_timestamps"] = false;
  config["max_initial_timestamp_index"] = 50;
  if (!job.has_specials()) return config;
  const Tokenizer& t = job.tokenizer();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    config[key] = t.eot();
  config["decoder_start_token_id"] = t.sot();
  config["no_timestamps_token_id"] = t.no_timestamps();
  config["prev_sot_token_id"] = t.sot_prev();
  if (!config.contains("suppress_tokens"))
    config["suppress_tokens"] = t.SuppressedTokens();
  if (!config.contains("begin_suppress_tokens")) {
    const auto space = t.Encode(" ");
    config["begin_suppress_tokens"] = {space.at(0), t.eot()};
  }
  if (!spec.is_multilingual()) return config;
  config["task_to_id"] = {{"transcribe", t.transcribe()},
                          {"translate", t.translate()}};
  json languages = json::object();
  for (size_t i = 0; i < t.LanguageTokens().size(); ++i)
    languages["<|" + std::string(t.LanguageCodes()[i]) + "|>"] =
        t.LanguageTokens()[i];
  config["lang_to_id"] = std::move(languages);
  return config;
}

}  // namespace

std::filesystem::path WriteHf(ConvertJob& job) {
  WriteTensors(job);
  job.folder().AddText("config.json", Config(job).dump(2) + "\n");
  job.folder().AddText("generation_config.json",
                       GenerationConfig(job).dump(2) + "\n");
  AddPreprocessorConfig(job);
  AddTokenizerFiles(job, /*all=*/true);
  return job.folder().path();
}

}  // namespace sotto
