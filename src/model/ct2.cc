// SPDX-License-Identifier: MIT
// CTranslate2's model.bin. Layout (python/ctranslate2/specs/model_spec.py and
// src/models/model.cc of that project): u32 version, spec name, u32 revision,
// u32 count, the variables, u32 count, aliases. A string is u16 length,
// characters and a closing 0, which the length counts.
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "model/bytes.h"
#include "model/checkpoint.h"
#include "model/dequantise.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;

// A variable before it is known whether it is a tensor of ours.
struct Variable {
  Shape shape;
  int kind = 0;  // CTranslate2's DataType
  std::span<const std::byte> data;
};
using Variables = std::map<std::string, Variable, std::less<>>;

constexpr int kFloat32 = 0, kInt8 = 1, kInt16 = 2, kFloat16 = 4, kBFloat16 = 5;
constexpr std::array<uint32_t, 6> kItemBytes = {4, 1, 2, 4, 2, 2};

std::string ReadString(ByteReader& in, const char* what) {
  const uint16_t length = in.U16(what);
  std::string_view text = in.Text(length, what);
  if (text.ends_with('\0')) text.remove_suffix(1);
  return std::string(text);
}

Variable ReadVariable(ByteReader& in, uint32_t version,
                      const std::string& name) {
  const std::string where = in.file() + ": variable " + Legible(name);
  Variable out;
  const uint8_t rank = in.U8("a variable's rank");
  if (rank > Shape::kMaxRank)
    Fail(ErrorCode::kBadInput, "{}: rank {}, want at most {}", where, rank,
         static_cast<int>(Shape::kMaxRank));
  for (int i = 0; i < rank; ++i) out.shape.Append(in.U32("a dimension"));
  uint64_t bytes = 0;
  if (version >= 4) {
    out.kind = in.U8("a variable's type");
    if (out.kind >= std::ssize(kItemBytes))
      Fail(ErrorCode::kBadInput, "{}: type {}, want 0 to {}", where, out.kind,
           std::ssize(kItemBytes) - 1);
    bytes = in.U32("a variable's size");
  } else {  // older files give the width of an item and the number of items
    const uint8_t width = in.U8("a variable's item size");
    if (width != 1 && width != 2 && width != 4)
      Fail(ErrorCode::kBadInput, "{}: items of {} bytes, want 1, 2 or 4", where,
           width);
    out.kind = width == 1 ? kInt8 : width == 2 ? kInt16 : kFloat32;
    bytes = uint64_t{in.U32("a variable's size")} * width;
  }
  const uint64_t want = CheckedElements(out.shape, where) *
                        kItemBytes[static_cast<size_t>(out.kind)];
  if (bytes != want)
    Fail(ErrorCode::kBadInput, "{}: {} bytes, want {} for {}", where, bytes,
         want, out.shape.ToString());
  out.data = in.Take(bytes, "a variable's data");
  return out;
}

// large-v3 has 1,100 variables; a hostile count must not fill memory.
uint32_t CheckCount(ByteReader& in, const char* what) {
  const uint32_t count = in.U32(what);
  if (count > 1u << 16)
    Fail(ErrorCode::kBadInput, "{}: {} {}, want at most {}", in.file(), count,
         what, 1u << 16);
  return count;
}

Variables ReadVariables(ByteReader& in) {
  const uint32_t version = in.U32("the version");
  if (version < 2 || version > 6)
    Fail(ErrorCode::kUnsupported, "{}: CTranslate2 version {}, want 2 to 6",
         in.file(), version);
  const std::string spec = ReadString(in, "the spec's name");
  if (spec != "WhisperSpec")
    Fail(ErrorCode::kBadInput, "{}: a CTranslate2 {}, want WhisperSpec",
         in.file(), Legible(spec));
  const uint32_t revision = in.U32("the spec's revision");
  // Revision 3 moved num_heads into the file; no other layout is published.
  if (revision < 1 || revision > 3)
    Fail(ErrorCode::kUnsupported, "{}: WhisperSpec revision {}, want 1 to 3",
         in.file(), revision);
  Variables variables;
  const uint32_t count = CheckCount(in, "variables");
  for (uint32_t i = 0; i < count; ++i) {
    const std::string name = ReadString(in, "a variable's name");
    variables.insert_or_assign(name, ReadVariable(in, version, name));
  }
  if (version < 3) return variables;
  const uint32_t aliases = CheckCount(in, "aliases");
  for (uint32_t i = 0; i < aliases; ++i) {
    const std::string alias = ReadString(in, "an alias");
    const std::string target = ReadString(in, "an alias's target");
    // A quantised variable's scale goes with it.
    for (const char* tail : {"", "_scale"}) {
      const auto found = variables.find(target + tail);
      if (found != variables.end()) variables[alias + tail] = found->second;
    }
  }
  return variables;
}

// Scalars such as num_heads, whatever their integer type; 0 where absent.
int Scalar(const Variables& variables, std::string_view name) {
  const auto found = variables.find(name);
  if (found == variables.end() || found->second.data.empty()) return 0;
  const Variable& v = found->second;
  const auto take = [&](auto value) {
    std::memcpy(&value, v.data.data(), sizeof(value));
    return static_cast<int>(value);
  };
  switch (v.kind) {
    case kInt8:
      return take(int8_t{});
    case kInt16:
      return take(int16_t{});
    case 3:
      return take(int32_t{});
    default:
      return 0;
  }
}

// The scales of a quantised variable as f32, one for a row or one for all.
std::vector<float> Scales(const Variables& variables, const std::string& name,
                          const std::string& where) {
  const auto found = variables.find(name + "_scale");
  if (found == variables.end())
    Fail(ErrorCode::kBadInput, "{}: integers without a {}_scale", where,
         Legible(name));
  const Variable& v = found->second;
  if (v.kind != kFloat32)
    Fail(ErrorCode::kBadInput, "{}: scales of type {}, want float32", where,
         v.kind);
  std::vector<float> scales(v.data.size() / sizeof(float));
  std::memcpy(scales.data(), v.data.data(), scales.size() * sizeof(float));
  for (const float scale : scales)
    if (!std::isfinite(scale) || scale == 0)
      Fail(ErrorCode::kBadInput, "{}: a scale is {}, want a finite number",
           where, scale);
  return scales;
}

float* AllocateFloats(Checkpoint* out, size_t count) {
  return static_cast<float*>(
      static_cast<void*>(out->Allocate(count * sizeof(float))));
}

// int8: the integers stay where they are, row scales are inverted.
void AddInt8(const Variable& v, std::vector<float> scales,
             const std::string& where, SourceTensor* to, Checkpoint* out) {
  const auto rows = static_cast<size_t>(v.shape.rank() > 0 ? v.shape[0] : 1);
  if (scales.size() == 1) scales.resize(rows, scales[0]);
  if (scales.size() != rows)
    Fail(ErrorCode::kBadInput, "{}: {} scales, want {}", where, scales.size(),
         rows);
  float* inverse = AllocateFloats(out, rows);
  for (size_t i = 0; i < rows; ++i) inverse[i] = 1.0f / scales[i];
  to->row_scales = inverse;
}

// int16 is kept by nobody else: it becomes f32 here.
void AddInt16(const Variable& v, const std::vector<float>& scales,
              const std::string& where, SourceTensor* to, Checkpoint* out) {
  if (scales.size() != 1)
    Fail(ErrorCode::kBadInput, "{}: {} scales, want 1", where, scales.size());
  const size_t count = v.data.size() / sizeof(int16_t);
  float* values = AllocateFloats(out, count);
  for (size_t i = 0; i < count; ++i) {
    int16_t integer;
    std::memcpy(&integer, v.data.data() + 2 * i, sizeof(integer));
    values[i] = static_cast<float>(integer) / scales[0];
  }
  to->tensor = Tensor::Dense(values, DType::kF32, v.shape);
}

void AddTensor(const Variables& variables, const std::string& name,
               const Variable& v, const std::string& file, Checkpoint* out) {
  const std::string where = file + ": variable " + Legible(name);
  constexpr std::array<DType, 6> kTypes = {DType::kF32, DType::kI8,
                                           DType::kI32, DType::kI32,
                                           DType::kF16, DType::kBF16};
  auto* data = const_cast<std::byte*>(v.data.data());
  SourceTensor tensor{
      Tensor::Dense(data, kTypes[static_cast<size_t>(v.kind)], v.shape),
      nullptr, file};
  if (v.kind == kInt8)
    AddInt8(v, Scales(variables, name, where), where, &tensor, out);
  if (v.kind == kInt16)
    AddInt16(v, Scales(variables, name, where), where, &tensor, out);
  out->tensors.emplace(name, std::move(tensor));
}

}  // namespace

Checkpoint ReadCt2(const fs::path& path) {
  Checkpoint out;
  out.format = "ct2";
  out.naming = Naming::kCt2;
  out.spec.name = ShortName(path);
  out.vocabulary.folder = FolderOf(path);
  ByteReader in(out.Map(path), out.spec.name);
  const Variables variables = ReadVariables(in);
  out.spec.n_audio_heads = Scalar(variables, "encoder/num_heads");
  out.spec.n_text_heads = Scalar(variables, "decoder/num_heads");
  for (const auto& [name, variable] : variables) {
    // Scalars are settings, and names with _scale belong to another variable.
    if (variable.shape.rank() == 0 || name.ends_with("_scale")) continue;
    AddTensor(variables, name, variable, out.spec.name, &out);
  }
  ReadConfigFiles(FolderOf(path), &out.spec);
  return out;
}

}  // namespace sotto
