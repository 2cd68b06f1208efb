// SPDX-License-Identifier: MIT
// GGUF version 3 with the keys and tensors that transcribe.cpp reads
// (scripts/convert-whisper.py and src/arch/whisper of that project).
#include <cctype>
#include <cmath>
#include <numbers>

#include "audio/log_mel.h"
#include "model/convert_job.h"
#include "model/ggml_types.h"
#include "model/gguf.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// Metadata as bytes, counted.
class Keys {
 public:
  void Text(std::string_view key, std::string_view value) {
    Begin(key, GgufType::kString);
    String(value);
  }
  void U32(std::string_view key, int value) {
    Begin(key, GgufType::kU32);
    Raw(static_cast<uint32_t>(value));
  }
  void F32(std::string_view key, float value) {
    Begin(key, GgufType::kF32);
    Raw(value);
  }
  void Bool(std::string_view key, bool value) {
    Begin(key, GgufType::kBool);
    Raw(static_cast<uint8_t>(value ? 1 : 0));
  }
  void I32s(std::string_view key, std::span<const int> values) {
    Array(key, GgufType::kI32, values.size());
    for (const int value : values) Raw(int32_t{value});
  }
  void Texts(std::string_view key, std::span<const std::string> values) {
    Array(key, GgufType::kString, values.size());
    for (const std::string& value : values) String(value);
  }
  uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void Begin(std::string_view key, GgufType type) {
    ++count_;
    String(key);
    Raw(static_cast<uint32_t>(type));
  }
  void Array(std::string_view key, GgufType type, uint64_t count) {
    Begin(key, GgufType::kArray);
    Raw(static_cast<uint32_t>(type));
    Raw(count);
  }
  void String(std::string_view text) {
    Raw(uint64_t{text.size()});
    bytes_ += text;
  }
  template <typename T>
  void Raw(T value) {
    bytes_.append(static_cast<const char*>(static_cast<const void*>(&value)),
                  sizeof(value));
  }
  std::string bytes_;
  uint64_t count_ = 0;
};

// A tensor of the file: one of the model's, or values of our own.
struct Entry {
  std::string name;
  Shape shape;
  DType dtype = DType::kF32;
  std::string canonical;      // empty for our own
  std::vector<float> values;  // of our own
  uint64_t bytes() const {
    return BytesOf(dtype, static_cast<size_t>(shape.Elements()));
  }
};

bool FitsRows(DType dtype, const Shape& shape) {
  return shape[-1] % Info(dtype).block_elements == 0;
}

// Where rows are not whole blocks of 256, the nearest type with blocks of 32
// (llama.cpp's choice), and where not even that, f16.
DType Fallback(DType dtype, const Shape& shape) {
  if (FitsRows(dtype, shape)) return dtype;
  const DType small = dtype == DType::kQ4_K   ? DType::kQ5_0
                      : dtype == DType::kQ5_K ? DType::kQ5_1
                                              : DType::kQ8_0;
  return FitsRows(small, shape) ? small : DType::kF16;
}

DType TypeFor(ConvertJob& job, const CanonicalTensor& tensor) {
  if (tensor.shape.rank() == 1 || tensor.name.ends_with(".pos"))
    return DType::kF32;
  const DType plain = job.PlainType(tensor.name);
  if (tensor.shape.rank() == 3)  // readers have no bf16 convolution
    return plain == DType::kBF16 ? DType::kF16 : plain;
  if (job.options().quantisation)
    return Fallback(*job.options().quantisation, tensor.shape);
  const DType source = job.store().Get(tensor.name).tensor.dtype;
  return !job.options().dtype && IsBlock(source) ? source : plain;
}

void AddHead(ConvertJob& job, DType bulk, Keys* keys) {
  const ModelSpec& s = job.spec();
  double values = 0;
  for (const CanonicalTensor& tensor : job.Tensors())
    values += static_cast<double>(tensor.shape.Elements());
  keys->Text("general.architecture", "whisper");
  keys->Text("general.name", "Whisper " + job.name());
  keys->Text("general.basename", "whisper");
  keys->Text("general.size_label", values >= 1e9
                                       ? fmt::format("{:.1f}B", 1e-9 * values)
                                       : fmt::format("{:.0f}M", 1e-6 * values));
  keys->U32("general.file_type", static_cast<int>(GgmlTypeOf(bulk)->llama));
  if (IsBlock(bulk)) keys->U32("general.quantization_version", 2);
  keys->Text("stt.variant", "whisper-" + job.name());
  for (const char* side : {"encoder", "decoder"}) {
    const bool encoder = side[0] == 'e';
    const auto key = [&](const char* tail) {
      return fmt::format("stt.whisper.{}.{}", side, tail);
    };
    keys->U32(key("n_layers"), encoder ? s.n_audio_layers : s.n_text_layers);
    keys->U32(key("d_model"), encoder ? s.n_audio_state : s.n_text_state);
    keys->U32(key("n_heads"), encoder ? s.n_audio_heads : s.n_text_heads);
    keys->U32(key("ffn_dim"), encoder ? s.n_audio_ffn : s.n_text_ffn);
    keys->Text(key("activation"), "gelu");
  }
  keys->U32("stt.whisper.encoder.num_mel_bins", s.n_mels);
  keys->U32("stt.whisper.encoder.max_source_positions", s.n_audio_ctx);
  keys->U32("stt.whisper.decoder.max_target_positions", s.n_text_ctx);
  keys->U32("stt.whisper.decoder.vocab_size", s.n_vocab);
  keys->Bool("stt.whisper.decoder.tie_word_embeddings", true);
  keys->Bool("stt.whisper.decoder.scale_embedding", false);
  std::vector<int> heads;
  for (const auto& [layer, head] : s.alignment_heads) {
    heads.push_back(layer);
    heads.push_back(head);
  }
  if (!heads.empty()) keys->I32s(kGgufAlignmentHeads, heads);
}

void AddText(ConvertJob& job, Keys* keys) {
  std::vector<std::string> tokens;
  std::vector<int> types;
  for (size_t id = 0; id < job.tokens().size(); ++id) {
    const bool text = static_cast<int>(id) < job.text_tokens();
    tokens.push_back(SpellToken(job, static_cast<int>(id)));
    types.push_back(text ? kGgufTokenNormal : kGgufTokenControl);
  }
  std::vector<std::string> merges;
  for (const auto& [left, right] : Merges(job))
    merges.push_back(left + " " + right);
  keys->Text("tokenizer.ggml.model", "gpt2");
  keys->Text("tokenizer.ggml.pre", "gpt2");
  keys->Texts("tokenizer.ggml.tokens", tokens);
  keys->I32s("tokenizer.ggml.token_type", types);
  keys->Texts("tokenizer.ggml.merges", merges);
  if (!job.has_specials()) return;
  const Tokenizer& t = job.tokenizer();
  for (const char* role : {"bos", "eos", "padding"})
    keys->U32(fmt::format("tokenizer.ggml.{}_token_id", role), t.eot());
  keys->Bool("tokenizer.ggml.add_bos_token", false);
  const bool multilingual = job.spec().is_multilingual();
  std::vector<std::string> languages;
  for (const std::string_view code : t.LanguageCodes())
    languages.emplace_back(code);
  if (!multilingual) languages = {"en"};
  keys->Texts("general.languages", languages);
  keys->Bool("stt.capability.lang_detect", multilingual);
  keys->Bool("stt.capability.translate", multilingual);
  keys->Bool("stt.capability.timestamps", true);
  if (multilingual)
    keys->Texts("stt.translation.target_languages",
                std::vector<std::string>{"en"});
  keys->U32("stt.whisper.decoder_start_token_id", t.sot());
  keys->U32("stt.whisper.sot_token_id", t.sot());
  keys->U32("stt.whisper.no_timestamps_token_id", t.no_timestamps());
  keys->U32("stt.whisper.prev_sot_token_id", t.sot_prev());
  if (multilingual) {
    keys->U32("stt.whisper.transcribe_token_id", t.transcribe());
    keys->U32("stt.whisper.translate_token_id", t.translate());
  }
  keys->I32s("stt.whisper.suppress_tokens", t.SuppressedTokens());
  keys->I32s("stt.whisper.begin_suppress_tokens",
             std::vector<int>{t.Encode(" ").at(0), t.eot()});
}

void AddFrontend(const ModelSpec& spec, Keys* keys) {
  keys->Text("stt.frontend.type", "mel");
  keys->U32("stt.frontend.num_mels", spec.n_mels);
  keys->U32("stt.frontend.sample_rate", 16000);
  keys->U32("stt.frontend.n_fft", kFftSize);
  keys->U32("stt.frontend.win_length", kFftSize);
  keys->U32("stt.frontend.hop_length", kHop);
  keys->Text("stt.frontend.window", "hann_periodic");
  keys->Text("stt.frontend.normalize", "whisper_logmel");
  keys->F32("stt.frontend.dither", 0);
  keys->F32("stt.frontend.pre_emphasis", 0);
  keys->F32("stt.frontend.f_min", 0);
  keys->F32("stt.frontend.f_max", 8000);
  keys->Text("stt.frontend.pad_mode", "reflect");
  keys->Bool("stt.frontend.center", true);
  keys->Text("stt.frontend.mel_norm", "slaney");
  keys->U32("stt.frontend.chunk_length", 30);
  keys->U32("stt.frontend.n_samples", 480000);
  keys->U32("stt.frontend.nb_max_frames", kWindowFrames);
}

std::vector<Entry> PlanEntries(ConvertJob& job) {
  std::vector<Entry> entries;
  const int mels = job.spec().n_mels;
  entries.push_back({"frontend.mel_filterbank",
                     {mels, kSpectrum},
                     DType::kF32,
                     "",
                     MelFilters(mels)});
  std::vector<float> window(kFftSize);
  for (size_t i = 0; i < window.size(); ++i)
    window[i] = static_cast<float>(
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) /
                             kFftSize));
  entries.push_back(
      {"frontend.window", {kFftSize}, DType::kF32, "", std::move(window)});
  const Naming naming =
      job.options().gguf_openai_names ? Naming::kOpenAi : Naming::kStt;
  for (const CanonicalTensor& tensor : job.Tensors())
    entries.push_back({NameIn(naming, tensor.name).name,
                       tensor.shape,
                       TypeFor(job, tensor),
                       tensor.name,
                       {}});
  return entries;
}

void WriteString(OutFile& file, std::string_view text) {
  file.Number(uint64_t{text.size()});
  file.Write(text);
}

}  // namespace

fs::path WriteGguf(ConvertJob& job) {
  const std::vector<Entry> entries = PlanEntries(job);
  DType bulk = DType::kF16;
  for (const Entry& entry : entries)
    if (entry.canonical == "dec.0.fc1.w") bulk = entry.dtype;
  Keys keys;
  AddHead(job, bulk, &keys);
  AddText(job, &keys);
  AddFrontend(job.spec(), &keys);
  std::string type(Name(job.options().quantisation.value_or(bulk)));
  for (char& c : type)
    c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  const std::string name = job.name() + "-" + type + ".gguf";
  OutFile file(job.folder().Add(name));
  file.Write("GGUF");
  file.Number(uint32_t{3});
  file.Number(uint64_t{entries.size()});
  file.Number(keys.count());
  file.Write(keys.bytes());
  uint64_t offset = 0;
  for (const Entry& entry : entries) {
    WriteString(file, entry.name);
    file.Number(static_cast<uint32_t>(entry.shape.rank()));
    for (int i = entry.shape.rank() - 1; i >= 0; --i)
      file.Number(static_cast<uint64_t>(entry.shape[i]));
    file.Number(GgmlTypeOf(entry.dtype)->type);
    file.Number(offset);
    offset +=
        (entry.bytes() + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
  }
  const auto write = [&](const void* data, size_t bytes) {
    file.Write(data, bytes);
  };
  for (const Entry& entry : entries) {
    file.PadTo(kGgufAlignment);
    if (entry.canonical.empty()) {
      file.Write(entry.values.data(), entry.values.size() * sizeof(float));
    } else {
      job.Encode(entry.canonical, entry.dtype, write);
    }
  }
  file.PadTo(kGgufAlignment);
  file.Close();
  return job.folder().path() / name;
}

}  // namespace sotto
