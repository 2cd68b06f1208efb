// SPDX-License-Identifier: MIT
#include "ops/registry.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "base/error.h"
#include "ops/shared_library.h"
#include "ops/tensor.h"

namespace sotto {
namespace {

// Whether "space::name" or "space::name.overload" of letters, digits and _.
bool IsOpName(std::string_view name) {
  const size_t colons = name.find("::");
  if (colons == std::string_view::npos || colons == 0 || name.size() > 200)
    return false;
  std::string_view rest = name.substr(colons + 2);
  const auto plain = [](std::string_view word) {
    return !word.empty() && std::ranges::all_of(word, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             (c >= '0' && c <= '9') || c == '_';
    });
  };
  const size_t dot = rest.find('.');
  if (dot != std::string_view::npos && !plain(rest.substr(dot + 1)))
    return false;
  return plain(name.substr(0, colons)) && plain(rest.substr(0, dot));
}

// Whether "any" or dtypes with commas between.
bool IsKey(std::string_view key) {
  if (key == "any") return true;
  while (true) {
    const size_t comma = std::min(key.find(','), key.size());
    if (!OpDTypeOf(key.substr(0, comma))) return false;
    if (comma == key.size()) return true;
    key.remove_prefix(comma + 1);
  }
}

OpKernel ReadRow(std::string_view library, const sotto_op& op) {
  if (op.name == nullptr || !IsOpName(op.name))
    Fail(ErrorCode::kBadInput,
         "{}: operator '{}', want a name like space::name.overload", library,
         op.name == nullptr ? "(null)" : op.name);
  if (op.key == nullptr || !IsKey(op.key))
    Fail(ErrorCode::kBadInput, "{}: {} has key '{}', want any or dtypes: {}",
         library, op.name, op.key == nullptr ? "(null)" : op.key,
         OpDTypeNames());
  if (op.schema == nullptr || op.function == nullptr)
    Fail(ErrorCode::kBadInput, "{}: {} has no {}", library, op.name,
         op.schema == nullptr ? "schema" : "function");
  OpKernel kernel{op.name,    op.key, op.schema, {}, std::string(library),
                  op.function};
  try {
    kernel.schema = ParseSchema(op.schema);
  } catch (const Error& error) {
    Fail(ErrorCode::kBadInput, "{}: {}: {}", library, op.name, error.what());
  }
  return kernel;
}

using KernelId = std::pair<std::string, std::string>;  // name, key
using KernelMap = std::map<KernelId, std::shared_ptr<const OpKernel>>;

}  // namespace

struct OpRegistry::State {
  struct Library {
    SharedLibrary file;  // empty for tables of the process
    int pins = 0;        // programs that use it
  };
  std::mutex mutex;
  KernelMap kernels;
  std::map<std::string, Library, std::less<>> libraries;

  void AddLocked(std::string_view name, std::span<const sotto_op> ops,
                 SharedLibrary file);
};

class OpPins {
 public:
  OpPins(std::shared_ptr<std::mutex> mutex, std::vector<int*> counts)
      : mutex_(std::move(mutex)), counts_(std::move(counts)) {}
  OpPins(const OpPins&) = delete;
  OpPins& operator=(const OpPins&) = delete;
  ~OpPins() {
    const std::lock_guard lock(*mutex_);
    for (int* const count : counts_) --*count;
  }

 private:
  std::shared_ptr<std::mutex> mutex_;  // and with it the counts
  std::vector<int*> counts_;
};

void OpRegistry::State::AddLocked(std::string_view name,
                                  std::span<const sotto_op> ops,
                                  SharedLibrary file) {
  KernelMap added;
  for (const sotto_op& op : ops) {
    auto kernel = std::make_shared<const OpKernel>(ReadRow(name, op));
    KernelId id{kernel->name, kernel->key};
    const auto there = kernels.find(id);
    if (there != kernels.end() && there->second->library == name &&
        there->second->function == op.function)
      continue;
    if (there != kernels.end())
      Fail(ErrorCode::kBadInput,
           "{}: operator {} [{}] is defined by {} already; nothing of it was "
           "loaded",
           name, id.first, id.second, there->second->library);
    if (!added.emplace(id, std::move(kernel)).second)
      Fail(ErrorCode::kBadInput, "{}: operator {} [{}] is defined twice in it",
           name, id.first, id.second);
  }
  kernels.merge(added);
  const auto [row, fresh] = libraries.try_emplace(std::string(name));
  if (fresh) row->second.file = std::move(file);
}

OpRegistry::OpRegistry() : state_(std::make_shared<State>()) {}
OpRegistry::~OpRegistry() = default;

OpRegistry& OpRegistry::Process() {
  static OpRegistry registry;
  return registry;
}

void OpRegistry::Add(std::string_view library, std::span<const sotto_op> ops) {
  const std::lock_guard lock(state_->mutex);
  state_->AddLocked(library, ops, {});
}

void OpRegistry::Load(const std::filesystem::path& path) {
  // Outside the lock: opening runs the library's own initialisers.
  SharedLibrary file(path);
  const sotto_ops_library& table = file.table();
  const std::lock_guard lock(state_->mutex);
  for (const auto& [name, library] : state_->libraries)
    if (library.file.Same(file)) return;
  const std::string name = file.path();
  if (state_->libraries.contains(name))
    Fail(ErrorCode::kBadInput,
         "{}: an older file of this name is loaded, unload it first", name);
  state_->AddLocked(name, {table.ops, table.count}, std::move(file));
}

void OpRegistry::Remove(std::string_view library) {
  SharedLibrary closing;  // closed behind the lock
  const std::lock_guard lock(state_->mutex);
  auto row = state_->libraries.find(library);
  if (row == state_->libraries.end())
    row = state_->libraries.find(SharedLibrary::NameOf(library));
  if (row == state_->libraries.end())
    Fail(ErrorCode::kNotFound, "operator library '{}' is not loaded", library);
  if (row->second.pins > 0)
    Fail(ErrorCode::kBadInput,
         "operator library {} is in use by {} program{}, close {} first",
         row->first, row->second.pins, row->second.pins == 1 ? "" : "s",
         row->second.pins == 1 ? "it" : "them");
  std::erase_if(state_->kernels, [&](const auto& kernel) {
    return kernel.second->library == row->first;
  });
  closing = std::move(row->second.file);
  state_->libraries.erase(row);
}

std::vector<OpKernel> OpRegistry::Kernels() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<OpKernel> kernels;
  for (const auto& [id, kernel] : state_->kernels) kernels.push_back(*kernel);
  return kernels;
}

std::vector<std::string> OpRegistry::Names() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> names;  // the map is sorted by name
  for (const auto& [id, kernel] : state_->kernels)
    if (names.empty() || names.back() != id.first) names.push_back(id.first);
  return names;
}

std::vector<std::string> OpRegistry::Libraries() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> names;
  for (const auto& [name, library] : state_->libraries) names.push_back(name);
  return names;
}

OpRegistry::Resolved OpRegistry::Resolve(std::span<const Want> wants) const {
  const std::lock_guard lock(state_->mutex);
  Resolved resolved;
  std::set<std::string> missing;
  std::set<int*> pins;
  for (const Want& want : wants) {
    auto row = state_->kernels.find({want.name, want.dtypes});
    if (row == state_->kernels.end())
      row = state_->kernels.find({want.name, "any"});
    if (row == state_->kernels.end()) {
      const auto other = state_->kernels.lower_bound({want.name, ""});
      const bool named =
          other != state_->kernels.end() && other->first.first == want.name;
      missing.insert(named ? fmt::format("{} [{}]", want.name, want.dtypes)
                           : want.name);
      resolved.kernels.push_back(nullptr);
      continue;
    }
    resolved.kernels.push_back(row->second);
    pins.insert(&state_->libraries.find(row->second->library)->second.pins);
  }
  resolved.missing.assign(missing.begin(), missing.end());
  // The pins keep the registry's state, and so the counts, alive.
  auto held = std::make_shared<const OpPins>(
      std::shared_ptr<std::mutex>(state_, &state_->mutex),
      std::vector<int*>(pins.begin(), pins.end()));
  for (int* const count : pins) ++*count;
  resolved.pins = std::move(held);
  return resolved;
}

namespace {

// A call's context with what it is to write to behind it.
struct CallContext : sotto_op_context {
  std::string reason;
  OpCounters* counters = nullptr;
  OpAllocator* allocator = nullptr;

  static CallContext& Of(sotto_op_context* context) {
    return *static_cast<CallContext*>(context);
  }
};

void KeepReason(sotto_op_context* context, const char* line) noexcept try {
  CallContext::Of(context).reason = line == nullptr ? "" : line;
} catch (...) {  // out of memory for a message: the call fails without one
}

void* AllocateFor(sotto_op_context* context, size_t bytes) noexcept try {
  OpAllocator* const allocator = CallContext::Of(context).allocator;
  return allocator == nullptr ? nullptr : allocator->Allocate(bytes);
} catch (...) {
  return nullptr;
}

void CountFor(sotto_op_context* context, sotto_op_counter counter,
              uint64_t bytes) noexcept {
  OpCounters* const counters = CallContext::Of(context).counters;
  if (counters == nullptr) return;
  if (counter == SOTTO_OP_BYTES_WRITTEN) counters->bytes_written += bytes;
  if (counter == SOTTO_OP_BYTES_COPIED) counters->bytes_copied += bytes;
}

}  // namespace

void CallOp(const OpKernel& kernel, std::span<sotto_op_value> stack,
            OpCounters* counters, OpAllocator* allocator) {
  CallContext context;
  context.struct_bytes = sizeof(sotto_op_context);
  context.reserved = 0;
  context.op_name = kernel.name.c_str();
  context.fail = &KeepReason;
  context.allocate = &AllocateFor;
  context.count = &CountFor;
  context.counters = counters;
  context.allocator = allocator;
  if (kernel.function(&context, stack.data(), stack.size()) == 0) return;
  Fail(ErrorCode::kDevice, "{}: {}", kernel.name,
       context.reason.empty() ? "failed without a reason" : context.reason);
}

}  // namespace sotto
