// SPDX-License-Identifier: MIT
#include "model/safetensors.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "model/bytes.h"
#include "model/json.h"

namespace sotto {
namespace {

using nlohmann::json;

// The reference implementation's own limit.
constexpr uint64_t kMaxHeader = 100'000'000;

Shape ReadShape(const json& value, const std::string& where) {
  Shape shape;
  if (!value.is_array() || value.size() > Shape::kMaxRank)
    Fail(ErrorCode::kBadInput, "{}: shape is not a list of up to {} numbers",
         where, static_cast<int>(Shape::kMaxRank));
  for (const json& dim : value) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > INT64_MAX)
      Fail(ErrorCode::kBadInput, "{}: shape has a dimension that is {}", where,
           dim.type_name());
    shape.Append(dim.get<int64_t>());
  }
  return shape;
}

// Empty for integer types, which are left out.
std::optional<DType> ReadType(const json& value, const std::string& where) {
  const std::string name = value.is_string() ? value.get<std::string>() : "?";
  if (name == "F32") return DType::kF32;
  if (name == "F16") return DType::kF16;
  if (name == "BF16") return DType::kBF16;
  if (name.starts_with("I") || name.starts_with("U") || name == "BOOL")
    return std::nullopt;
  Fail(ErrorCode::kUnsupported, "{}: type {}, want F32, F16 or BF16", where,
       Legible(name));
}

void AddTensor(const std::string& name, const json& info,
               std::span<const std::byte> data, const std::string& file,
               Checkpoint* checkpoint) {
  const std::string where = file + ": tensor " + Legible(name);
  if (!info.is_object() || !info.contains("dtype") || !info.contains("shape") ||
      !info.contains("data_offsets"))
    Fail(ErrorCode::kBadInput, "{}: no dtype, shape and data_offsets", where);
  const auto dtype = ReadType(info["dtype"], where);
  if (!dtype) return;
  const Shape shape = ReadShape(info["shape"], where);
  const json& offsets = info["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 ||
      !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
    Fail(ErrorCode::kBadInput, "{}: data_offsets are not two numbers", where);
  const auto begin = offsets[0].get<uint64_t>();
  const auto end = offsets[1].get<uint64_t>();
  if (begin > end || end > data.size())
    Fail(ErrorCode::kBadInput,
         "{}: data at [{}, {}) of a file with {} bytes of data", where, begin,
         end, data.size());
  const uint64_t bytes = CheckedBytes(*dtype, shape, where);
  if (end - begin != bytes)
    Fail(ErrorCode::kBadInput, "{}: {} bytes of data, want {} for {}", where,
         end - begin, bytes, TypeString(*dtype, shape));
  // note: a store only reads; Tensor has no const twin.
  auto* start = const_cast<std::byte*>(data.data()) + begin;
  checkpoint->tensors.insert_or_assign(
      name, SourceTensor{Tensor::Dense(start, *dtype, shape), nullptr, file});
}

}  // namespace

void AddSafetensors(std::span<const std::byte> bytes, const std::string& file,
                    Checkpoint* checkpoint) {
  ByteReader reader(bytes, file);
  const uint64_t length = reader.U64("the header's length");
  if (length > kMaxHeader)
    Fail(ErrorCode::kBadInput, "{}: header of {} bytes, want at most {}", file,
         length, kMaxHeader);
  const std::string_view text = reader.Text(length, "the header");
  const json header = ParseJsonObject(text, file);
  const auto data = bytes.subspan(reader.offset());
  for (const auto& [name, info] : header.items())
    if (name != "__metadata__") AddTensor(name, info, data, file, checkpoint);
}

}  // namespace sotto
