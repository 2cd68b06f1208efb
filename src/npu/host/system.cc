// SPDX-License-Identifier: MIT
#include "npu/host/system.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sotto::npu {
namespace {

class RealSystem : public System {
 public:
  std::optional<std::string> Read(const std::string& path) const override {
    std::ifstream file(path);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::vector<std::string> List(const std::string& path) const override {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(path, ignored))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  int OpenError(const std::string& path) const override {
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return errno;
    close(fd);
    return 0;
  }
  std::string KernelRelease() const override {
    utsname name{};
    return uname(&name) == 0 ? name.release : "";
  }
  std::vector<std::string> Groups() const override {
    std::vector<gid_t> ids(
        static_cast<size_t>(std::max(0, getgroups(0, nullptr))));
    if (getgroups(static_cast<int>(ids.size()), ids.data()) < 0) return {};
    std::vector<std::string> names;
    for (const gid_t id : ids)
      if (const group* entry = getgrgid(id)) names.emplace_back(entry->gr_name);
    return names;
  }
  uint64_t MemlockBytes() const override {
    rlimit limit{};
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 0;
    return limit.rlim_cur == RLIM_INFINITY ? kUnlimited : limit.rlim_cur;
  }
};

}  // namespace

std::unique_ptr<System> ThisSystem() { return std::make_unique<RealSystem>(); }

}  // namespace sotto::npu
