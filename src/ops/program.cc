// SPDX-License-Identifier: MIT
#include "ops/program.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>

#include "base/did_you_mean.h"
#include "base/error.h"
#include "ops/tensor.h"

namespace sotto {
namespace {

using Kind = OpSchema::Kind;

constexpr size_t kMostText = size_t{64} << 20;

uint64_t Aligned(uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// All variables of an argument: one, a list's, or none.
std::vector<OpVariableRef> VariablesOf(const OpArgument& argument) {
  if (const auto* one = std::get_if<OpVariableRef>(&argument)) return {*one};
  if (const auto* all = std::get_if<std::vector<OpVariableRef>>(&argument))
    return *all;
  return {};
}

std::vector<OpRegistry::Want> WantsOf(const OpProgramText& text) {
  std::vector<OpRegistry::Want> wants;
  for (const OpStatement& statement : text.statements) {
    if (statement.kind != OpStatement::Kind::kCall) continue;
    OpRegistry::Want want{statement.op, ""};
    for (const OpArgument& argument : statement.arguments) {
      for (const OpVariableRef ref : VariablesOf(argument)) {
        if (!want.dtypes.empty()) want.dtypes += ',';
        want.dtypes += OpInfo(text.variables[ref.index].dtype).name;
      }
    }
    wants.push_back(std::move(want));
  }
  return wants;
}

bool Fits(const OpArgument& argument, Kind kind) {
  // An empty list is one of any kind.
  const auto* integers = std::get_if<std::vector<int64_t>>(&argument);
  const bool empty = integers != nullptr && integers->empty();
  switch (kind) {
    case Kind::kTensor:
    case Kind::kMutableTensor:
      return std::holds_alternative<OpVariableRef>(argument);
    case Kind::kOptionalTensor:
      return std::holds_alternative<OpVariableRef>(argument) ||
             std::holds_alternative<std::monostate>(argument);
    case Kind::kInt:
      return std::holds_alternative<int64_t>(argument);
    case Kind::kFloat:
      return std::holds_alternative<int64_t>(argument) ||
             std::holds_alternative<double>(argument);
    case Kind::kBool:
      return std::holds_alternative<bool>(argument);
    case Kind::kInts:
      return integers != nullptr;
    case Kind::kTensors:
    case Kind::kMutableTensors:
      return empty ||
             std::holds_alternative<std::vector<OpVariableRef>>(argument);
  }
  return false;
}

bool MayWrite(Kind kind) {
  return kind == Kind::kMutableTensor || kind == Kind::kMutableTensors;
}

}  // namespace

template <typename... Args>
void OpProgram::Refuse(int line, fmt::format_string<Args...> format,
                       Args&&... args) const {
  Fail(ErrorCode::kBadInput, "{}:{}: {}", name_, line,
       fmt::format(format, std::forward<Args>(args)...));
}

std::shared_ptr<const OpProgram> OpProgram::Load(
    const std::filesystem::path& path, const OpRegistry& registry) {
  return Parse(ReadFile(path, kMostText), path.string(), path.parent_path(),
               registry);
}

std::shared_ptr<const OpProgram> OpProgram::Parse(
    std::string_view text, std::string_view name,
    const std::filesystem::path& folder, const OpRegistry& registry) {
  std::shared_ptr<OpProgram> program(std::make_shared<OpProgram>(OpProgram()));
  program->name_ = std::string(name);
  program->text_ = ParseOpProgram(text, name);
  program->Link(registry);
  program->CheckViews();
  program->OpenFiles(folder);
  program->PlaceConsts();
  return program;
}

std::vector<std::string> OpProgram::Missing(const std::filesystem::path& path,
                                            const OpRegistry& registry) {
  const OpProgramText text =
      ParseOpProgram(ReadFile(path, kMostText), path.string());
  return registry.Resolve(WantsOf(text)).missing;
}

void OpProgram::Link(const OpRegistry& registry) {
  OpRegistry::Resolved resolved = registry.Resolve(WantsOf(text_));
  if (const size_t count = resolved.missing.size(); count > 0)
    Fail(ErrorCode::kUnsupported,
         "{}: missing operator{}: {}; load the library that has {} first",
         name_, count == 1 ? "" : "s", fmt::join(resolved.missing, ", "),
         count == 1 ? "it" : "them");
  pins_ = std::move(resolved.pins);
  kernels_.resize(text_.statements.size());
  size_t call = 0;
  for (size_t i = 0; i < text_.statements.size(); ++i) {
    const OpStatement& statement = text_.statements[i];
    if (statement.kind != OpStatement::Kind::kCall) continue;
    kernels_[i] = std::move(resolved.kernels[call++]);
    CheckCall(statement, *kernels_[i]);
  }
}

void OpProgram::CheckCall(const OpStatement& call,
                          const OpKernel& kernel) const {
  const OpSchema& schema = kernel.schema;
  if (call.arguments.size() != schema.arguments.size())
    Refuse(call.line, "{} has {} arguments, want {}: {}", call.op,
           call.arguments.size(), schema.arguments.size(), kernel.schema_text);
  if (call.results.size() != schema.results)
    Refuse(call.line, "{} gives {} results, the line takes {}", call.op,
           schema.results, call.results.size());
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    const Kind kind = schema.arguments[i];
    if (!Fits(call.arguments[i], kind))
      Refuse(call.line, "argument {} of {} does not fit, want {}: {}", i + 1,
             call.op, Name(kind), kernel.schema_text);
    if (!MayWrite(kind)) continue;
    for (const OpVariableRef ref : VariablesOf(call.arguments[i])) {
      const OpVariable& variable = text_.variables[ref.index];
      if (variable.kind == OpVariableKind::kConst ||
          variable.kind == OpVariableKind::kInput)
        Refuse(call.line, "{} writes argument {}, '{}', which is {} {}",
               call.op, i + 1, variable.name,
               variable.kind == OpVariableKind::kConst ? "a" : "an",
               Name(variable.kind));
    }
  }
}

// A view shows something from the line that makes it on; behind an 'if' only
// what both ways have made. Before that it may only be handed to an argument
// that an operator writes, which then points it somewhere.
void OpProgram::CheckViews() const {
  std::vector<bool> shown;
  for (const OpVariable& variable : text_.variables)
    shown.push_back(variable.kind != OpVariableKind::kView);
  const auto read = [&](OpVariableRef ref, int line) {
    if (!shown[ref.index])
      Refuse(line, "view '{}' shows nothing here on some way",
             text_.variables[ref.index].name);
  };
  // What was first shown in each open part, and in the 'if' part before it.
  struct Part {
    std::vector<uint32_t> here, before;
    bool is_else = false;
  };
  std::vector<Part> parts;
  const auto show = [&](uint32_t view) {
    if (shown[view]) return;
    shown[view] = true;
    if (!parts.empty()) parts.back().here.push_back(view);
  };
  for (size_t i = 0; i < text_.statements.size(); ++i) {
    const OpStatement& statement = text_.statements[i];
    switch (statement.kind) {
      case OpStatement::Kind::kCall:
        for (size_t a = 0; a < statement.arguments.size(); ++a)
          if (!MayWrite(kernels_[i]->schema.arguments[a]))
            for (const OpVariableRef ref : VariablesOf(statement.arguments[a]))
              read(ref, statement.line);
        for (const OpArgument& argument : statement.arguments)
          for (const OpVariableRef ref : VariablesOf(argument)) show(ref.index);
        for (const OpVariableRef ref : statement.results) show(ref.index);
        break;
      case OpStatement::Kind::kSet:
        break;
      case OpStatement::Kind::kIf:
        read(statement.variable, statement.line);
        parts.emplace_back();
        break;
      case OpStatement::Kind::kElse:
        for (const uint32_t view : parts.back().here) shown[view] = false;
        parts.back().before = std::move(parts.back().here);
        parts.back().here.clear();
        parts.back().is_else = true;
        break;
      case OpStatement::Kind::kEnd: {
        Part part = std::move(parts.back());
        parts.pop_back();
        for (const uint32_t view : part.here) shown[view] = false;
        std::ranges::sort(part.before);
        for (const uint32_t view : part.here)
          if (std::ranges::binary_search(part.before, view)) show(view);
        break;
      }
    }
  }
}

void OpProgram::OpenFiles(const std::filesystem::path& folder) {
  std::map<std::string, size_t> opened;
  for (const OpVariable& variable : text_.variables) {
    const OpInitial& initial = variable.initial;
    if (initial.kind != OpInitial::Kind::kFile) continue;
    if (opened.emplace(initial.file, files_.size()).second)
      files_.emplace_back(folder / initial.file);
    const size_t size = files_[opened[initial.file]].size();
    if (initial.offset > size || variable.bytes > size - initial.offset)
      Refuse(variable.line, "{} has {} bytes, '{}' wants {} from byte {} on",
             initial.file, size, variable.name, variable.bytes, initial.offset);
  }
  file_of_.resize(text_.variables.size());
  for (size_t i = 0; i < text_.variables.size(); ++i)
    if (text_.variables[i].initial.kind == OpInitial::Kind::kFile)
      file_of_[i] = &files_[opened[text_.variables[i].initial.file]];
}

// Consts of files stay in them where their place is aligned; all others get
// memory here. Sessions share both.
void OpProgram::PlaceConsts() {
  consts_.resize(text_.variables.size());
  const auto in_file = [&](size_t i) {
    return file_of_[i] != nullptr &&
           text_.variables[i].initial.offset % kAlignment == 0;
  };
  uint64_t bytes = 0;
  for (size_t i = 0; i < text_.variables.size(); ++i)
    if (text_.variables[i].kind == OpVariableKind::kConst && !in_file(i))
      bytes += Aligned(text_.variables[i].bytes);
  // At least one byte: a const of no element has an address too.
  const_memory_ = Buffer(std::max<uint64_t>(bytes, kAlignment));
  uint64_t offset = 0;
  for (uint32_t i = 0; i < text_.variables.size(); ++i) {
    const OpVariable& variable = text_.variables[i];
    if (variable.kind != OpVariableKind::kConst) continue;
    if (in_file(i) && variable.bytes > 0) {
      consts_[i] = file_of_[i]->bytes().data() + variable.initial.offset;
      continue;
    }
    std::byte* const place =
        const_memory_.data() + (variable.bytes == 0 ? 0 : offset);
    WriteInitial(i, place);
    consts_[i] = place;
    offset += Aligned(variable.bytes);
  }
}

void OpProgram::WriteInitial(uint32_t index, std::byte* to) const {
  const OpVariable& variable = text_.variables[index];
  const size_t count = variable.bytes / OpInfo(variable.dtype).bytes;
  if (variable.bytes == 0) return;
  switch (variable.initial.kind) {
    case OpInitial::Kind::kNone:
    case OpInitial::Kind::kZeros:
      std::memset(to, 0, variable.bytes);
      break;
    case OpInitial::Kind::kFill:
      for (size_t i = 0; i < count; ++i)
        StoreOpNumber(variable.dtype, to, i, variable.initial.values[0]);
      break;
    case OpInitial::Kind::kValues:
      for (size_t i = 0; i < count; ++i)
        StoreOpNumber(variable.dtype, to, i, variable.initial.values[i]);
      break;
    case OpInitial::Kind::kFile:
      std::memcpy(to, file_of_[index]->bytes().data() + variable.initial.offset,
                  variable.bytes);
      break;
  }
}

uint32_t OpProgram::Find(std::string_view variable) const {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < text_.variables.size(); ++i) {
    if (text_.variables[i].name == variable) return static_cast<uint32_t>(i);
    names.push_back(text_.variables[i].name);
  }
  Fail(ErrorCode::kNotFound, "{}: no variable '{}'{}", name_, variable,
       DidYouMean(variable, names));
}

bool OpProgram::IsConst(const void* data) const {
  const auto* const at = static_cast<const std::byte*>(data);
  const std::less<const std::byte*> before;  // orders any two addresses
  const auto inside = [&](const std::byte* first, size_t bytes) {
    return !before(at, first) && before(at, first + bytes);
  };
  return inside(const_memory_.data(), const_memory_.size()) ||
         std::ranges::any_of(files_, [&](const MappedFile& file) {
           return inside(file.bytes().data(), file.size());
         });
}

}  // namespace sotto
