// SPDX-License-Identifier: MIT
#include "ops/session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>

#include "base/error.h"
#include "ops/tensor.h"

namespace sotto {
namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

uint64_t Aligned(uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool OwnsMemory(OpVariableKind kind) {
  return kind != OpVariableKind::kView && kind != OpVariableKind::kConst;
}

// Whether every element of a bool tensor is true.
bool AllTrue(const sotto_op_tensor& tensor) {
  int64_t index[SOTTO_OPS_MAX_RANK] = {};
  while (true) {
    int64_t offset = 0;
    for (int i = 0; i < tensor.rank; ++i)
      offset += index[i] * tensor.strides[i];
    if (static_cast<const uint8_t*>(tensor.data)[offset] == 0) return false;
    int axis = tensor.rank - 1;
    while (axis >= 0 && ++index[axis] == tensor.sizes[axis]) index[axis--] = 0;
    if (axis < 0) return true;
  }
}

}  // namespace

// What operators allocated since the last run began.
class OpSession::RunMemory : public OpAllocator {
 public:
  void* Allocate(size_t bytes) override {
    buffers_.emplace_back(std::max<size_t>(bytes, 1));
    return buffers_.back().data();
  }
  void Clear() { buffers_.clear(); }

 private:
  std::vector<Buffer> buffers_;
};

OpSession::OpSession(std::shared_ptr<const OpProgram> program)
    : program_(std::move(program)), run_memory_(std::make_unique<RunMemory>()) {
  const std::vector<OpVariable>& variables = program_->text().variables;
  uint64_t bytes = 0;
  for (const OpVariable& variable : variables)
    if (OwnsMemory(variable.kind)) bytes += Aligned(variable.bytes);
  memory_ = Buffer(std::max<uint64_t>(bytes, kAlignment));
  uint64_t offset = 0;
  for (uint32_t i = 0; i < variables.size(); ++i) {
    const OpVariable& variable = variables[i];
    sotto_op_tensor tensor =
        DenseOpTensor(nullptr, variable.dtype, variable.sizes);
    if (variable.kind == OpVariableKind::kView) {
      tensor.flags = SOTTO_OP_TENSOR_IS_VIEW;
    } else if (variable.kind == OpVariableKind::kConst) {
      // note: the loader refuses every call that would write it, and the run
      // every view on it that is handed to be written.
      tensor.data = const_cast<std::byte*>(program_->Const(i));
    } else {
      tensor.data = memory_.data() + (variable.bytes == 0 ? 0 : offset);
      offset += Aligned(variable.bytes);
    }
    tensors_.push_back(tensor);
  }
  declared_ = tensors_;
  BuildStacks();
  Reset();
}

OpSession::~OpSession() = default;

sotto_op_value OpSession::ValueOf(const OpArgument& argument,
                                  OpSchema::Kind kind) {
  sotto_op_value value{SOTTO_OP_NONE, 0, 0, {nullptr}};
  if (const auto* ref = std::get_if<OpVariableRef>(&argument)) {
    value.kind = SOTTO_OP_TENSOR;
    value.as.tensor = &tensors_[ref->index];
  } else if (const auto* integer = std::get_if<int64_t>(&argument)) {
    value.kind = kind == OpSchema::Kind::kFloat ? SOTTO_OP_FLOAT : SOTTO_OP_INT;
    if (kind == OpSchema::Kind::kFloat)
      value.as.number = static_cast<double>(*integer);
    else
      value.as.integer = *integer;
  } else if (const auto* number = std::get_if<double>(&argument)) {
    value.kind = SOTTO_OP_FLOAT;
    value.as.number = *number;
  } else if (const auto* truth = std::get_if<bool>(&argument)) {
    value.kind = SOTTO_OP_TRUTH;
    value.as.integer = *truth ? 1 : 0;
  } else if (const auto* all =
                 std::get_if<std::vector<OpVariableRef>>(&argument)) {
    std::vector<sotto_op_tensor*>& list = lists_.emplace_back();
    for (const OpVariableRef item : *all) list.push_back(&tensors_[item.index]);
    value.kind = SOTTO_OP_TENSORS;
    value.count = list.size();
    value.as.tensors = list.data();
  } else if (const auto* integers =
                 std::get_if<std::vector<int64_t>>(&argument)) {
    const bool tensors = kind != OpSchema::Kind::kInts;  // an empty list
    value.kind = tensors ? SOTTO_OP_TENSORS : SOTTO_OP_INTS;
    value.count = integers->size();
    if (!tensors) value.as.integers = integers->data();
  }
  return value;
}

// The stacks never change: tensors are handed over by address.
void OpSession::BuildStacks() {
  const OpProgramText& text = program_->text();
  std::map<std::string, size_t> rows;
  stacks_.resize(text.statements.size());
  for (const OpStatement& statement : text.statements)
    if (statement.kind == OpStatement::Kind::kCall)
      rows.emplace(statement.op, 0);
  for (auto& [op, row] : rows) {
    row = timings_.size();
    timings_.push_back({.op = op, .calls = 0, .seconds = 0, .counters = {}});
  }
  for (size_t i = 0; i < stacks_.size(); ++i) {
    const OpStatement& call = text.statements[i];
    if (call.kind != OpStatement::Kind::kCall) continue;
    const std::vector<OpSchema::Kind>& kinds =
        program_->kernels()[i]->schema.arguments;
    Stack& stack = stacks_[i];
    stack.timing = rows[call.op];
    for (size_t a = 0; a < call.arguments.size(); ++a) {
      stack.values.push_back(ValueOf(call.arguments[a], kinds[a]));
      if (kinds[a] != OpSchema::Kind::kMutableTensor &&
          kinds[a] != OpSchema::Kind::kMutableTensors)
        continue;
      if (const auto* one = std::get_if<OpVariableRef>(&call.arguments[a]))
        stack.touched.push_back(one->index);
      if (const auto* all =
              std::get_if<std::vector<OpVariableRef>>(&call.arguments[a]))
        for (const OpVariableRef ref : *all) stack.touched.push_back(ref.index);
    }
    stack.written = stack.touched.size();
    for (const OpVariableRef result : call.results) {
      stack.values.push_back(ValueOf(result, OpSchema::Kind::kTensor));
      stack.touched.push_back(result.index);
    }
  }
}

void OpSession::Reset() {
  const std::vector<OpVariable>& variables = program_->text().variables;
  for (uint32_t i = 0; i < variables.size(); ++i) {
    if (OwnsMemory(variables[i].kind))
      program_->WriteInitial(i, static_cast<std::byte*>(tensors_[i].data));
  }
  tensors_ = declared_;
  run_memory_->Clear();
  failed_ = false;
}

void OpSession::Run(const std::atomic<bool>* stop) {
  if (failed_)
    Fail(ErrorCode::kBadInput,
         "{}: the last run failed, reset the session before the next",
         program_->name());
  const Clock::time_point start = Clock::now();
  run_memory_->Clear();
  const std::vector<OpVariable>& variables = program_->text().variables;
  for (size_t i = 0; i < variables.size(); ++i)
    if (variables[i].kind == OpVariableKind::kView) tensors_[i] = declared_[i];
  failed_ = true;  // until all went well
  RunStatements(stop);
  failed_ = false;
  ++runs_;
  seconds_ += Since(start);
}

void OpSession::RunStatements(const std::atomic<bool>* stop) {
  const OpProgramText& text = program_->text();
  for (size_t at = 0; at < text.statements.size(); ++at) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed))
      Fail(ErrorCode::kCancelled, "{}: stopped", program_->name());
    const OpStatement& statement = text.statements[at];
    const uint32_t variable = statement.variable.index;
    switch (statement.kind) {
      case OpStatement::Kind::kCall:
        Call(at);
        break;
      case OpStatement::Kind::kSet: {
        const OpVariable& v = text.variables[variable];
        const size_t count = v.bytes / OpInfo(v.dtype).bytes;
        for (size_t i = 0; i < count; ++i)
          StoreOpNumber(v.dtype,
                        static_cast<std::byte*>(tensors_[variable].data), i,
                        statement.value);
        break;
      }
      case OpStatement::Kind::kIf:
        if (!AllTrue(tensors_[variable])) at = statement.target - 1;
        break;
      case OpStatement::Kind::kElse:
        at = statement.target - 1;
        break;
      case OpStatement::Kind::kEnd:
        break;
    }
  }
}

void OpSession::Call(size_t at) {
  Stack& stack = stacks_[at];
  const OpProgramText& text = program_->text();
  const OpKernel& kernel = *program_->kernels()[at];
  for (size_t i = 0; i < stack.written; ++i) {
    const uint32_t index = stack.touched[i];
    if (text.variables[index].kind == OpVariableKind::kView &&
        program_->IsConst(tensors_[index].data))
      Fail(ErrorCode::kBadInput,
           "{}:{}: {} would write view '{}', which shows a const",
           program_->name(), text.statements[at].line, kernel.name,
           text.variables[index].name);
  }
  OpTiming& timing = timings_[stack.timing];
  const Clock::time_point start = Clock::now();
  try {
    CallOp(kernel, stack.values, &timing.counters, run_memory_.get());
  } catch (const Error& error) {
    Fail(error.code(), "{}:{}: {}", program_->name(), text.statements[at].line,
         error.what());
  }
  timing.seconds += Since(start);
  ++timing.calls;
  CheckTouched(at);
}

// An operator may move a view's memory and strides, nothing else of a handle.
void OpSession::CheckTouched(size_t at) {
  const OpProgramText& text = program_->text();
  for (const uint32_t index : stacks_[at].touched) {
    sotto_op_tensor& tensor = tensors_[index];
    const sotto_op_tensor& declared = declared_[index];
    const OpVariable& variable = text.variables[index];
    const bool view = variable.kind == OpVariableKind::kView;
    if (!SameOpType(tensor, declared))
      Fail(ErrorCode::kDevice, "{}:{}: {} made '{}' {}, declared as {}",
           program_->name(), text.statements[at].line, text.statements[at].op,
           variable.name, OpTypeString(tensor), OpTypeString(declared));
    tensor.flags = declared.flags;
    if (view && tensor.data == nullptr && variable.bytes > 0)
      Fail(ErrorCode::kDevice, "{}:{}: {} left view '{}' showing nothing",
           program_->name(), text.statements[at].line, text.statements[at].op,
           variable.name);
    if (!view && (tensor.data != declared.data ||
                  !std::equal(tensor.strides, tensor.strides + tensor.rank,
                              declared.strides)))
      Fail(ErrorCode::kDevice, "{}:{}: {} moved '{}', which is no view",
           program_->name(), text.statements[at].line, text.statements[at].op,
           variable.name);
  }
}

const sotto_op_tensor& OpSession::Get(std::string_view variable) const {
  return tensors_[program_->Find(variable)];
}

void OpSession::SetInput(std::string_view name,
                         std::span<const std::byte> bytes) {
  const uint32_t index = program_->Find(name);
  const OpVariable& variable = program_->text().variables[index];
  if (variable.kind != OpVariableKind::kInput)
    Fail(ErrorCode::kBadInput, "{}: '{}' is no input", program_->name(), name);
  if (bytes.size() != variable.bytes)
    Fail(ErrorCode::kBadInput, "{}: input '{}' got {} bytes, want {} for {}",
         program_->name(), name, bytes.size(), variable.bytes,
         OpTypeString(declared_[index]));
  if (!bytes.empty())
    std::memcpy(tensors_[index].data, bytes.data(), bytes.size());
}

void OpSession::Read(std::string_view name, std::span<std::byte> bytes) const {
  const uint32_t index = program_->Find(name);
  const OpVariable& variable = program_->text().variables[index];
  if (variable.kind == OpVariableKind::kView)
    Fail(ErrorCode::kBadInput, "{}: '{}' is a view, read what it shows",
         program_->name(), name);
  if (bytes.size() != variable.bytes)
    Fail(ErrorCode::kBadInput, "{}: '{}' has {} bytes, asked for {}",
         program_->name(), name, variable.bytes, bytes.size());
  if (!bytes.empty())
    std::memcpy(bytes.data(), tensors_[index].data, bytes.size());
}

std::vector<OpTiming> OpSession::Timings() const { return timings_; }

}  // namespace sotto
