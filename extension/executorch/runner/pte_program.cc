// SPDX-License-Identifier: MIT
#include "pte_program.h"

#include <executorch/extension/module/module.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "runtime.h"

namespace sotto {
namespace {

namespace et = executorch::runtime;
using executorch::extension::Module;

constexpr std::array<std::pair<PteScalar, std::pair<const char*, size_t>>, 10>
    kScalars = {{{PteScalar::kU8, {"u8", 1}},
                 {PteScalar::kI8, {"i8", 1}},
                 {PteScalar::kI16, {"i16", 2}},
                 {PteScalar::kI32, {"i32", 4}},
                 {PteScalar::kI64, {"i64", 8}},
                 {PteScalar::kF16, {"f16", 2}},
                 {PteScalar::kF32, {"f32", 4}},
                 {PteScalar::kF64, {"f64", 8}},
                 {PteScalar::kBool, {"bool", 1}},
                 {PteScalar::kBF16, {"bf16", 2}}}};

// Methods of Whisper as their exporters write them; the format has no names
// for inputs.
std::string InputName(std::string_view method, size_t index) {
  constexpr std::array<const char*, 3> kDecoder = {
      "decoder_input_ids", "encoder_hidden_states", "cache_position"};
  if (method == "text_decoder" && index < kDecoder.size())
    return kDecoder[index];
  if (method == "encoder" && index == 0) return "input_features";
  return fmt::format("input {}", index);
}

const char* KindName(et::Tag tag) {
  switch (tag) {
    case et::Tag::None:
      return "none";
    case et::Tag::Tensor:
      return "tensor";
    case et::Tag::String:
      return "string";
    case et::Tag::Double:
      return "double";
    case et::Tag::Int:
      return "int";
    case et::Tag::Bool:
      return "bool";
    default:
      return "list";
  }
}

PteTensorType TypeOf(const et::TensorInfo& info) {
  const auto sizes = info.sizes();
  return {static_cast<PteScalar>(info.scalar_type()),
          {sizes.begin(), sizes.end()}};
}

uint64_t LittleEndian(const char* bytes, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i)
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// The file's first bytes: a flatbuffer "ET12", then mostly a header "eh00"
// that says how long program and weights are. The loader maps by these
// numbers, so a cut file would fault later.
// Returns the length of the program, weights in segments not included.
uint64_t CheckHeader(const std::filesystem::path& path) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (!std::filesystem::exists(status))
    Fail(ErrorCode::kNotFound, "{}: no such file", path.string());
  if (!std::filesystem::is_regular_file(status))
    Fail(ErrorCode::kBadInput, "{}: not a file, want an ExecuTorch program",
         path.string());
  const uint64_t size = std::filesystem::file_size(path);
  std::array<char, 64> head{};
  std::ifstream file(path, std::ios::binary);
  if (!file)
    Fail(ErrorCode::kBadInput, "{}: cannot be read: {}", path.string(),
         std::strerror(errno));
  file.read(head.data(), head.size());
  if (size < head.size() || std::memcmp(&head[4], "ET12", 4) != 0)
    Fail(ErrorCode::kBadInput,
         "{}: {} bytes and no \"ET12\" at byte 4, want an ExecuTorch program",
         path.string(), size);
  if (std::memcmp(&head[8], "eh00", 4) != 0) return size;
  const uint64_t length = LittleEndian(&head[12], 4);
  const uint64_t program = LittleEndian(&head[16], 8);
  const uint64_t base = LittleEndian(&head[24], 8);
  const uint64_t data = length >= 32 ? LittleEndian(&head[32], 8) : 0;
  const uint64_t want = std::max(program, base + data);
  if (program > size || base > size || data > size || want > size)
    Fail(ErrorCode::kBadInput, "{}: cut off: {} bytes, its header says {}",
         path.string(), size, want);
  return program;
}

// A method without instructions gives what stands in the file.
size_t Instructions(const et::MethodMeta& meta) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // "experimental"
  return meta.num_instructions();
#pragma GCC diagnostic pop
}

uint64_t PhysicalMemory() {
  const auto pages = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES));
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// "Missing operator: [1] executorch::alias.out" gives the name.
std::vector<std::string> MissingOperators(
    const std::vector<std::string>& lines) {
  std::vector<std::string> names;
  for (const std::string& line : lines) {
    if (line.find("issing operator") == std::string::npos) continue;
    const size_t at = line.find("] ");
    if (at == std::string::npos) continue;
    std::string name = line.substr(at + 2);
    if (std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
  }
  return names;
}

std::string Joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace

std::string ScalarName(PteScalar scalar) {
  for (const auto& [code, row] : kScalars)
    if (code == scalar) return row.first;
  return fmt::format("type {}", static_cast<int>(scalar));
}

size_t SizeOf(PteScalar scalar) {
  for (const auto& [code, row] : kScalars)
    if (code == scalar) return row.second;
  return 0;
}

size_t PteTensorType::elements() const {
  size_t count = 1;
  for (const int32_t size : shape) count *= static_cast<size_t>(size);
  return count;
}

std::string PteTensorType::text() const {
  return fmt::format("{}[{}]", ScalarName(scalar), fmt::join(shape, ","));
}

std::string ConstantText(const PteConstant& constant) {
  std::vector<std::string> parts;
  for (const PteScalarValue& value : constant)
    parts.push_back(std::visit(
        [](const auto& v) -> std::string {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>)
            return "'" + v + "'";
          else
            return fmt::format("{}", v);
        },
        value));
  if (parts.size() == 1) return parts[0];
  return fmt::format("[{}]", fmt::join(parts, ","));
}

struct PteProgram::Impl {
  std::string name;
  uint64_t program_bytes = 0;
  std::unique_ptr<Module> module;
  std::vector<PteMethod> methods;
  std::map<std::string, PteConstant, std::less<>> constants;
  std::vector<std::string> ready;

  // The runtime's error as ours, with what it logged.
  [[noreturn]] void FailWith(std::string_view what, et::Error error) const {
    std::vector<std::string> lines = TakeRuntimeErrors();
    // A failed operator's line is followed by one for each argument.
    while (lines.size() > 1 && lines.back().starts_with("arg "))
      lines.pop_back();
    const std::string cause =
        lines.empty() ? "the runtime says not why" : lines.back();
    Fail(ErrorCode::kBadInput, "{}: {}: {} ({})", name, what, cause,
         et::to_string(error));
  }

  // Calls f; what it throws (a damaged number can ask for any amount of
  // memory) becomes an error that names the file.
  template <typename F>
  auto Guarded(std::string_view what, F&& f) const {
    SetFaultContext(name);
    TakeRuntimeErrors();
    try {
      return f();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      Fail(ErrorCode::kBadInput, "{}: {}: damaged program: {}", name, what,
           error.what());
    }
  }

  void Open(const std::filesystem::path& path);
  PteMethod Describe(const std::string& method) const;
  void ReadConstant(const PteMethod& method);
  void CheckInputs(const PteMethod& method,
                   std::span<const PteTensor> inputs) const;
  void SetInput(const PteMethod& method, size_t index, const PteTensor& input);
};

void PteProgram::Impl::Open(const std::filesystem::path& path) {
  name = path.string();
  program_bytes = CheckHeader(path);
  Guarded("load", [&] {
    module = std::make_unique<Module>(name, Module::LoadMode::Mmap);
    const et::Error error =
        module->load(et::Program::Verification::InternalConsistency);
    if (error != et::Error::Ok) FailWith("damaged program", error);
    // The module's own list has no order.
    const std::shared_ptr<et::Program> program = module->program();
    for (size_t i = 0; i < program->num_methods(); ++i) {
      const auto method = program->get_method_name(i);
      if (!method.ok()) FailWith("damaged program", method.error());
      methods.push_back(Describe(*method));
    }
  });
  for (const PteMethod& method : methods)
    if (method.is_constant) Guarded(method.name, [&] { ReadConstant(method); });
}

PteMethod PteProgram::Impl::Describe(const std::string& method) const {
  const auto meta = module->method_meta(method);
  if (!meta.ok()) FailWith(method, meta.error());
  PteMethod result;
  result.name = method;
  const auto add = [&](std::vector<PteValue>& list, std::string value_name,
                       const et::Result<et::Tag>& tag, auto&& tensor) {
    if (!tag.ok()) FailWith(method, tag.error());
    PteValue value{std::move(value_name), KindName(*tag), {}};
    if (*tag == et::Tag::Tensor) {
      const et::Result<et::TensorInfo> info = tensor();
      if (!info.ok()) FailWith(method, info.error());
      value.tensor = TypeOf(*info);
    }
    list.push_back(std::move(value));
  };
  for (size_t i = 0; i < meta->num_inputs(); ++i)
    add(result.inputs, InputName(method, i), meta->input_tag(i),
        [&] { return meta->input_tensor_meta(i); });
  for (size_t i = 0; i < meta->num_outputs(); ++i)
    add(result.outputs, fmt::format("output {}", i), meta->output_tag(i),
        [&] { return meta->output_tensor_meta(i); });
  for (size_t i = 0; i < meta->num_backends(); ++i)
    if (const auto backend = meta->get_backend_name(i); backend.ok())
      if (std::find(result.backends.begin(), result.backends.end(), *backend) ==
          result.backends.end())
        result.backends.emplace_back(*backend);
  for (size_t i = 0; i < meta->num_memory_planned_buffers(); ++i) {
    const auto bytes = meta->memory_planned_buffer_size(i);
    if (!bytes.ok() || *bytes < 0) FailWith(method, et::Error::InvalidProgram);
    result.planned_bytes += static_cast<uint64_t>(*bytes);
  }
  result.is_constant =
      result.inputs.empty() && Instructions(*meta) == 0 &&
      std::none_of(result.outputs.begin(), result.outputs.end(),
                   [](const PteValue& v) { return v.tensor.has_value(); });
  return result;
}

void PteProgram::Impl::ReadConstant(const PteMethod& method) {
  const auto outputs = module->execute(method.name);
  if (!outputs.ok()) FailWith(method.name, outputs.error());
  PteConstant constant;
  for (const et::EValue& value : *outputs) {
    if (value.isInt()) {
      constant.emplace_back(value.toInt());
    } else if (value.isDouble()) {
      constant.emplace_back(value.toDouble());
    } else if (value.isBool()) {
      constant.emplace_back(value.toBool());
    } else if (value.isString()) {
      constant.emplace_back(std::string(value.toString()));
    } else if (value.isIntList()) {
      for (const int64_t item : value.toIntList()) constant.emplace_back(item);
    }
  }
  constants.emplace(method.name, std::move(constant));
}

void PteProgram::Impl::CheckInputs(const PteMethod& method,
                                   std::span<const PteTensor> inputs) const {
  if (inputs.size() != method.inputs.size()) {
    std::vector<std::string> wanted;
    for (const PteValue& input : method.inputs)
      wanted.push_back(input.name + " " + input.text());
    Fail(ErrorCode::kBadInput, "{}: {} takes {} inputs ({}), got {}{}", name,
         method.name, method.inputs.size(), Joined(wanted), inputs.size(),
         inputs.size() < method.inputs.size()
             ? ": " + method.inputs[inputs.size()].name + " is missing"
             : "");
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const PteValue& want = method.inputs[i];
    if (!want.tensor)
      Fail(ErrorCode::kUnsupported, "{}: {}: {} is of kind {}, want a tensor",
           name, method.name, want.name, want.kind);
    // A dynamic dimension's number in the file is its bound.
    const std::vector<int32_t>&have = inputs[i].type.shape,
          &most = want.tensor->shape;
    bool fits = have.size() == most.size();
    for (size_t d = 0; fits && d < have.size(); ++d)
      fits = have[d] >= 0 && have[d] <= most[d];
    if (!fits || inputs[i].type.scalar != want.tensor->scalar)
      Fail(ErrorCode::kBadInput, "{}: {}: {} is {}, want {}", name, method.name,
           want.name, inputs[i].type.text(), want.text());
  }
}

void PteProgram::Impl::SetInput(const PteMethod& method, size_t index,
                                const PteTensor& input) {
  // The runtime's tensor borrows all of these; setting an input copies the
  // values or the pointer, nothing else.
  std::vector<int32_t> sizes = input.type.shape;
  std::vector<uint8_t> order(sizes.size());
  std::iota(order.begin(), order.end(), uint8_t{0});
  std::vector<int32_t> strides(sizes.size(), 1);
  for (size_t d = sizes.size(); d-- > 1;)
    strides[d - 1] = strides[d] * std::max(sizes[d], 1);
  executorch::aten::TensorImpl impl(
      static_cast<executorch::aten::ScalarType>(input.type.scalar),
      static_cast<ssize_t>(sizes.size()), sizes.data(),
      const_cast<void*>(input.data), order.data(), strides.data());
  const et::Error error = module->set_input(
      method.name, et::EValue(executorch::aten::Tensor(&impl)), index);
  if (error != et::Error::Ok)
    FailWith(fmt::format("{}: {} is {}, want {}", method.name,
                         method.inputs[index].name, input.type.text(),
                         method.inputs[index].text()),
             error);
}

PteProgram::PteProgram(const std::filesystem::path& path)
    : impl_(std::make_unique<Impl>()) {
  impl_->Open(path);
}

PteProgram::~PteProgram() = default;

const std::string& PteProgram::name() const { return impl_->name; }

std::span<const PteMethod> PteProgram::methods() const {
  return impl_->methods;
}

bool PteProgram::Has(std::string_view method) const {
  return std::any_of(impl_->methods.begin(), impl_->methods.end(),
                     [&](const PteMethod& m) { return m.name == method; });
}

const PteMethod& PteProgram::Method(std::string_view method) const {
  std::vector<std::string> names;
  for (const PteMethod& m : impl_->methods) {
    if (m.name == method) return m;
    if (!m.is_constant) names.push_back(m.name);
  }
  Fail(ErrorCode::kBadInput, "{}: no method {}, it has {}", impl_->name, method,
       names.empty() ? "none" : Joined(names));
}

const std::map<std::string, PteConstant, std::less<>>& PteProgram::constants()
    const {
  return impl_->constants;
}

std::optional<int64_t> PteProgram::Int(std::string_view constant) const {
  const auto found = impl_->constants.find(constant);
  if (found == impl_->constants.end()) return {};
  if (found->second.size() == 1) {
    if (const auto* value = std::get_if<int64_t>(&found->second[0]))
      return *value;
    if (const auto* value = std::get_if<bool>(&found->second[0])) return *value;
  }
  Fail(ErrorCode::kBadInput, "{}: {} is {}, want one whole number", impl_->name,
       constant, ConstantText(found->second));
}

std::optional<std::vector<int64_t>> PteProgram::Ints(
    std::string_view constant) const {
  const auto found = impl_->constants.find(constant);
  if (found == impl_->constants.end()) return {};
  std::vector<int64_t> values;
  for (const PteScalarValue& item : found->second) {
    const auto* value = std::get_if<int64_t>(&item);
    if (value == nullptr)
      Fail(ErrorCode::kBadInput, "{}: {} is {}, want whole numbers",
           impl_->name, constant, ConstantText(found->second));
    values.push_back(*value);
  }
  return values;
}

void PteProgram::Load(std::string_view wanted) {
  const PteMethod& method = Method(wanted);
  auto& ready = impl_->ready;
  if (std::find(ready.begin(), ready.end(), wanted) != ready.end()) return;
  if (method.planned_bytes > PhysicalMemory())
    Fail(ErrorCode::kBadInput,
         "{}: {} plans {} bytes of memory, this machine has {}", impl_->name,
         method.name, method.planned_bytes, PhysicalMemory());
  impl_->Guarded(method.name, [&] {
    const et::Error error = impl_->module->load_method(method.name);
    if (error == et::Error::Ok) return;
    if (error == et::Error::OperatorMissing) {
      const auto missing = MissingOperators(TakeRuntimeErrors());
      if (!missing.empty())
        Fail(ErrorCode::kUnsupported,
             "{}: {} needs operators that no library registered: {} (--ops "
             "LIBRARY loads one)",
             impl_->name, method.name, Joined(missing));
    }
    impl_->FailWith(method.name, error);
  });
  ready.emplace_back(wanted);
}

void PteProgram::Unload(std::string_view method) {
  std::erase(impl_->ready, method);
  impl_->module->unload_method(std::string(method));
}

bool PteProgram::Mentions(std::string_view text) const {
  const MappedFile file(impl_->name);
  const auto bytes =
      file.bytes().first(std::min<size_t>(file.size(), impl_->program_bytes));
  return std::search(bytes.begin(), bytes.end(), text.begin(), text.end(),
                     [](std::byte a, char b) {
                       return a == static_cast<std::byte>(b);
                     }) != bytes.end();
}

std::vector<PteTensor> PteProgram::Run(std::string_view wanted,
                                       std::span<const PteTensor> inputs) {
  const PteMethod& method = Method(wanted);
  impl_->CheckInputs(method, inputs);
  Load(wanted);
  return impl_->Guarded(method.name, [&] {
    for (size_t i = 0; i < inputs.size(); ++i)
      impl_->SetInput(method, i, inputs[i]);
    const auto outputs = impl_->module->execute(method.name);
    if (!outputs.ok()) impl_->FailWith(method.name, outputs.error());
    std::vector<PteTensor> tensors;
    for (const et::EValue& value : *outputs) {
      if (!value.isTensor())
        Fail(ErrorCode::kUnsupported, "{}: {}: an output is no tensor",
             impl_->name, method.name);
      const auto& tensor = value.toTensor();
      tensors.push_back({{static_cast<PteScalar>(tensor.scalar_type()),
                          {tensor.sizes().begin(), tensor.sizes().end()}},
                         tensor.const_data_ptr()});
    }
    return tensors;
  });
}

}  // namespace sotto
