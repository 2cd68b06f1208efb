// SPDX-License-Identifier: MIT
#include "ops/shared_library.h"

#include <dlfcn.h>

#include <system_error>
#include <utility>

#include "base/error.h"

namespace sotto {
namespace {

constexpr char kEntry[] = "sotto_ops_entry";

// dlerror's text starts with the path, which the message names itself.
std::string Reason(const std::string& path) {
  const char* const text = ::dlerror();
  std::string reason = text == nullptr ? "cannot be opened" : text;
  if (reason.starts_with(path + ": ")) reason.erase(0, path.size() + 2);
  return reason;
}

}  // namespace

SharedLibrary::SharedLibrary(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    Fail(std::filesystem::exists(path, error) ? ErrorCode::kBadInput
                                              : ErrorCode::kNotFound,
         "{}: {}, want an operator library", path.string(),
         std::filesystem::exists(path, error) ? "no regular file"
                                              : "no such file");
  // A name without '/' would be searched for elsewhere.
  path_ = NameOf(path.string());
  handle_ = ::dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr)
    Fail(ErrorCode::kBadInput, "{}: {}", path_, Reason(path_));
  SharedLibrary owner(std::move(*this));  // closes it where this throws
  void* const symbol = ::dlsym(owner.handle_, kEntry);
  if (symbol == nullptr)
    Fail(ErrorCode::kBadInput, "{}: exports no {}, want an operator library",
         owner.path_, kEntry);
  // note: POSIX promises that a function fits a void*.
  const auto entry = reinterpret_cast<const sotto_ops_library* (*)()>(symbol);
  owner.table_ = entry();
  if (owner.table_ == nullptr)
    Fail(ErrorCode::kBadInput, "{}: {} returned no table", owner.path_, kEntry);
  if (owner.table_->abi != SOTTO_OPS_ABI)
    Fail(ErrorCode::kUnsupported,
         "{}: built for operator ABI {}, want {}: build it again", owner.path_,
         owner.table_->abi, SOTTO_OPS_ABI);
  if (owner.table_->struct_bytes < sizeof(sotto_ops_library) ||
      (owner.table_->ops == nullptr && owner.table_->count > 0))
    Fail(ErrorCode::kBadInput, "{}: its table is damaged", owner.path_);
  Swap(owner);
}

SharedLibrary::~SharedLibrary() {
  if (handle_ != nullptr) ::dlclose(handle_);
}

std::string SharedLibrary::NameOf(std::string_view path) {
  std::error_code error;
  const std::filesystem::path found =
      std::filesystem::canonical(std::filesystem::path(path), error);
  return error ? std::string(path) : found.string();
}

void SharedLibrary::Swap(SharedLibrary& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(table_, other.table_);
  std::swap(path_, other.path_);
}

}  // namespace sotto
