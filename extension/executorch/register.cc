// SPDX-License-Identifier: MIT
#include "extension/executorch/register.h"

#include <dlfcn.h>
#include <executorch/runtime/kernel/operator_registry.h>
#include <executorch/runtime/platform/log.h>
#include <executorch/runtime/platform/runtime.h>

#include <bit>
#include <cstring>
#include <exception>
#include <fstream>
#include <string>

#include "extension/executorch/kernels.h"

namespace sotto::pte {
namespace {

namespace et = ::executorch::runtime;

// "1.5.1" of "1.5.1+cpu": builds of one release differ in their delegates.
std::string ReleaseOf(const std::string& version) {
  return version.substr(0, version.find('+'));
}

// The file of the runtime that this library is bound to.
std::string RuntimePath() {
  Dl_info info{};
  if (dladdr(std::bit_cast<void*>(&et::get_registered_kernels), &info) == 0 ||
      info.dli_fname == nullptr)
    return "";
  return info.dli_fname;
}

// The version of that runtime. The library holds none; the CMake package
// beside it does. Empty where the runtime was moved away from its package.
std::string RuntimeVersion(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  for (const char* name : {"cmake/executorch/", "cmake/ExecuTorch/"}) {
    std::ifstream file(folder + name + "executorch-config-version.cmake");
    std::string line, version;
    while (std::getline(file, line)) {
      if (line.rfind("set(EXECUTORCH_BUILD_VERSION ", 0) != 0 &&
          line.rfind("set(PACKAGE_VERSION ", 0) != 0)
        continue;
      const size_t begin = line.find('"'), end = line.rfind('"');
      if (begin < end) version = line.substr(begin + 1, end - begin - 1);
    }
    if (!version.empty()) return version;
  }
  return "";
}

// The function of that name in the registry, whatever its key.
et::OpFunction Registered(const char* name) {
  // note: registry_has_op_function logs an error for each name it lacks.
  for (const et::Kernel& kernel : et::get_registered_kernels())
    if (std::strcmp(kernel.name_, name) == 0) return kernel.op_;
  return nullptr;
}

std::string Register() {
  et::runtime_init();
  const std::string path = RuntimePath();
  const std::string version = RuntimeVersion(path);
  if (!version.empty() &&
      ReleaseOf(version) != ReleaseOf(SOTTO_EXECUTORCH_VERSION))
    return "built with ExecuTorch " SOTTO_EXECUTORCH_VERSION
           ", the runtime in " +
           path + " is " + version + ", nothing registered";
  // Static: the registry keeps the pointers.
  static constexpr et::Kernel kKernels[] = {
      et::Kernel(kAliasName, AliasKernel),
      et::Kernel(kUpdateName, UpdateKernel)};
  std::string status;
  for (const et::Kernel& kernel : kKernels) {
    // A second registration of a name would end the process.
    if (Registered(kernel.name_) != nullptr) {
      status += std::string(status.empty() ? "" : ", ") + kernel.name_ +
                " was registered before and is kept";
    } else if (et::register_kernels({&kernel, 1}) != et::Error::Ok) {
      status += std::string(status.empty() ? "" : ", ") + kernel.name_ +
                " was not taken by the registry";
    }
  }
  return status;
}

const std::string& Status() {
  static const std::string status = [] {
    try {
      return Register();
    } catch (const std::exception& e) {
      return std::string(e.what());
    }
  }();
  return status;
}

// Loading the library is the registration. Loading the same file again does
// not run this again; a copy of it finds the names taken.
[[maybe_unused]] const bool kRegisteredAtLoad = [] {
  if (!Status().empty())
    ET_LOG(Error, "libsotto_executorch: %s", Status().c_str());
  return true;
}();

}  // namespace

const char* RegistrationStatus() { return Status().c_str(); }

}  // namespace sotto::pte
