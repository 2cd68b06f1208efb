// SPDX-License-Identifier: MIT
// SharedLibrary: an opened operator library and its table.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "sotto/ops.h"

namespace sotto {

// Opened so that nothing of it is seen by others (RTLD_LOCAL) and everything is
// resolved at once; closed with the object. Movable.
class SharedLibrary {
 public:
  SharedLibrary() = default;
  // Throws kNotFound where there is no file, kBadInput where it is no operator
  // library, kUnsupported where it was built for another ABI.
  explicit SharedLibrary(const std::filesystem::path& path);
  SharedLibrary(SharedLibrary&& other) noexcept { Swap(other); }
  SharedLibrary& operator=(SharedLibrary&& other) noexcept {
    Swap(other);
    return *this;
  }
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;
  ~SharedLibrary();

  // The file's one name: absolute, links followed.
  const std::string& path() const { return path_; }
  const sotto_ops_library& table() const { return *table_; }
  // Whether both are the same library in memory.
  bool Same(const SharedLibrary& other) const {
    return handle_ != nullptr && handle_ == other.handle_;
  }
  // The name that a library opened by `path` has; `path` itself where there is
  // no such file.
  static std::string NameOf(std::string_view path);

 private:
  void Swap(SharedLibrary& other) noexcept;

  void* handle_ = nullptr;
  const sotto_ops_library* table_ = nullptr;
  std::string path_;
};

}  // namespace sotto
