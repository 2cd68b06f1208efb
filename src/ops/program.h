// SPDX-License-Identifier: MIT
// OpProgram: a program of operators, loaded. Immutable; any number of sessions
// run it in any number of threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "ops/program_text.h"
#include "ops/registry.h"
#include "tensor/buffer.h"

namespace sotto {

class OpProgram {
 public:
  // Everything that can be wrong is found here, before anything runs: throws
  // Error(kUnsupported) that lists *all* operators without a kernel, and
  // kBadInput where a call does not fit its operator's schema, writes an input
  // or const, or reads a view that shows nothing on some way. The operators'
  // libraries cannot be removed while the program or a session of it lives.
  static std::shared_ptr<const OpProgram> Load(
      const std::filesystem::path& path,
      const OpRegistry& registry = OpRegistry::Process());
  // `folder` is where files of consts and states are.
  static std::shared_ptr<const OpProgram> Parse(
      std::string_view text, std::string_view name,
      const std::filesystem::path& folder, const OpRegistry& registry);

  // The operators without a kernel, sorted, each once; never throws for those.
  static std::vector<std::string> Missing(const std::filesystem::path& path,
                                          const OpRegistry& registry);

  const std::string& name() const { return name_; }
  const OpProgramText& text() const { return text_; }
  // Of each statement; null where it is no call.
  const std::vector<std::shared_ptr<const OpKernel>>& kernels() const {
    return kernels_;
  }
  // By name; throws Error(kNotFound) with a guess.
  uint32_t Find(std::string_view variable) const;
  // A const's memory; nullptr for every other variable.
  const std::byte* Const(uint32_t variable) const { return consts_[variable]; }
  // Whether the bytes [data, data + 1) belong to a const.
  bool IsConst(const void* data) const;
  // Writes how the const or state begins, `bytes` of it.
  void WriteInitial(uint32_t variable, std::byte* to) const;

 private:
  OpProgram() = default;
  void Link(const OpRegistry& registry);
  void CheckCall(const OpStatement& call, const OpKernel& kernel) const;
  void CheckViews() const;
  void OpenFiles(const std::filesystem::path& folder);
  void PlaceConsts();
  template <typename... Args>
  [[noreturn]] void Refuse(int line, fmt::format_string<Args...> format,
                           Args&&... args) const;

  std::string name_;
  OpProgramText text_;
  std::shared_ptr<const OpPins> pins_;
  std::vector<std::shared_ptr<const OpKernel>> kernels_;
  std::vector<MappedFile> files_;
  std::vector<const MappedFile*> file_of_;  // by variable, or null
  Buffer const_memory_;
  std::vector<const std::byte*> consts_;  // by variable
};

}  // namespace sotto
