// SPDX-License-Identifier: MIT
// Loading the library and running each test in a process of its own.
#pragma once

#include <dlfcn.h>
#include <executorch/runtime/kernel/operator_registry.h>
#include <executorch/runtime/platform/runtime.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "extension/executorch/sotto_executorch.h"

namespace sotto::pte {

// Runs the checks in a child: it begins with an untouched registry, and a
// fault is the end of it alone, reported as a failure. The parent must not
// have used the runtime.
template <typename Checks>
void InChild(const Checks& checks) {
  std::fflush(nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::executorch::runtime::runtime_init();
    checks();
    std::fflush(nullptr);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) {
    FAIL() << "the child died of signal " << WTERMSIG(status);
  }
  EXPECT_EQ(WEXITSTATUS(status), 0) << "see the failures of the child above";
}

// What a process that opened libsotto_executorch.so can call.
struct Library {
  void* handle = nullptr;

  static Library Load(const std::string& path = SOTTO_EXECUTORCH_LIBRARY) {
    Library library{dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)};
    EXPECT_NE(library.handle, nullptr) << dlerror();
    return library;
  }
  template <typename Function>
  Function* Find(const char* name) const {
    void* symbol = dlsym(handle, name);
    EXPECT_NE(symbol, nullptr) << name;
    return std::bit_cast<Function*>(symbol);
  }
  std::string Status() const {
    return Find<const char*()>("sotto_executorch_status")();
  }
  sotto_executorch_counts Counts() const {
    sotto_executorch_counts counts{};
    Find<void(sotto_executorch_counts*)>("sotto_executorch_counters")(&counts);
    return counts;
  }
  void Reset() const { Find<void()>("sotto_executorch_reset_counters")(); }
  int Keep(const void* begin, size_t bytes) const {
    return Find<int(const void*, size_t)>("sotto_executorch_keep_memory")(
        begin, bytes);
  }
  void Forget() const { Find<void()>("sotto_executorch_forget_memory")(); }
};

inline std::vector<std::string> RegisteredNames() {
  std::vector<std::string> names;
  for (const auto& kernel : ::executorch::runtime::get_registered_kernels())
    names.emplace_back(kernel.name_);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace sotto::pte
