// SPDX-License-Identifier: MIT
// Peano and aiecc made of shell, for tests of what is done with them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/test_folder.h"
#include "npu/emit/environment.h"
#include "npu/kernels/kernel.h"

namespace sotto::npu {

class FakeTools {
 public:
  FakeTools() {
    std::filesystem::create_directories(root_ / "bin");
    std::filesystem::create_directories(root_ / "include/aie_api");
    WriteFileAtomic(root_ / "include/aie_api/aie.hpp", "// vectors\n");
    Set("clang++", R"sh(
case "$*" in
  *--print-targets*) echo "  aie2 - AI Engine 2" ;;
  *--version*) echo "clang version 20, fake" ;;
  *) while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
     echo object > "$out" ;;
esac)sh");
    Set("llvm-ar", R"sh(
[ "$1" = --version ] && { echo "ar, fake"; exit; }
echo archive > "$2")sh");
    std::string symbols = "\n[ \"$1\" = --version ] && { echo nm; exit; }\n";
    for (const KernelInfo& kernel : Kernels())
      symbols += "echo '00000000 T " + std::string(kernel.name) + "'\n";
    Set("llvm-nm", symbols + "echo '00000040 t helper'");
    Set("aiecc", R"sh(
[ "$1" = --version ] && { echo "aiecc, fake"; exit; }
grep -q 'aie.device(npu1)' design.mlir || exit 3
for arg in "$@"; do
  case $arg in
    --xclbin-name=*) echo xclbin > "${arg#*=}" ;;
    --npu-insts-name=*) cp planned.bin "${arg#*=}" ;;
  esac
done)sh");
  }

  // Their folder; it goes away with the object.
  const std::filesystem::path& root() const { return root_.path(); }

  void Set(const std::string& name, const std::string& script) {
    const std::filesystem::path path = root_ / "bin" / name;
    WriteFileAtomic(path, "#!/bin/sh" + script + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  void Remove(const std::string& name) {
    std::filesystem::remove(root_ / "bin" / name);
  }

  Environment Probe() const {
    ProbeOptions options;
    options.variable =
        [this](std::string_view name) -> std::optional<std::string> {
      if (name != "PATH") return std::nullopt;
      return (root_ / "bin").string();
    };
    options.devices = root();
    return ProbeEnvironment(options);
  }

 private:
  TestFolder root_;
};

}  // namespace sotto::npu
