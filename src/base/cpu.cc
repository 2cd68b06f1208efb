// SPDX-License-Identifier: MIT
#include "base/cpu.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <set>
#include <utility>

#include "base/cgroup.h"
#include "base/error.h"
#include "base/kernel_file.h"

namespace sotto {
namespace {

#if defined(__x86_64__)
struct Leaf {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Leaf Cpuid(uint32_t leaf, uint32_t sub) {
  Leaf r;
  if (__get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool Bit(uint32_t value, int bit) { return ((value >> bit) & 1u) != 0; }

uint64_t EnabledStates() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

// Linux grants tile data (state component 18) only on request, per process.
bool AskForTiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

CpuFeatures Detect() {
  CpuFeatures f;
  const Leaf one = Cpuid(1, 0);
  if (!Bit(one.c, 27)) return f;  // the system saves no extended state
  const uint64_t states = EnabledStates();
  const Leaf seven = Cpuid(7, 0);
  const Leaf seven_one = Cpuid(7, 1);
  const bool ymm = (states & 0x6) == 0x6;
  const bool zmm = (states & 0xe6) == 0xe6;
  const bool tiles = (states & 0x60000) == 0x60000;
  f.avx2 = ymm && Bit(seven.b, 5) && Bit(one.c, 12) && Bit(one.c, 29);
  f.avx512 = f.avx2 && zmm && Bit(seven.b, 16) && Bit(seven.b, 17) &&
             Bit(seven.b, 28) && Bit(seven.b, 30) && Bit(seven.b, 31);
  f.avx512_bf16 = f.avx512 && Bit(seven_one.a, 5);
  f.avx512_vnni = f.avx512 && Bit(seven.c, 11);
  const bool amx = f.avx512 && tiles && Bit(seven.d, 24) &&
                   (Bit(seven.d, 22) || Bit(seven.d, 25)) && AskForTiles();
  f.amx_bf16 = amx && f.avx512_bf16 && Bit(seven.d, 22);
  f.amx_int8 = amx && Bit(seven.d, 25);
  return f;
}
#elif defined(__aarch64__)
CpuFeatures Detect() { return {.neon = true}; }
#else
CpuFeatures Detect() { return {}; }
#endif

// Hyper-threads of one core count once: they share its vector units.
int PhysicalCoresInMask() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  std::set<std::string> cores;
  int unnamed = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string siblings =
        FirstLine("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                  "/topology/thread_siblings_list");
    if (siblings.empty()) {
      ++unnamed;
    } else {
      cores.insert(siblings);
    }
  }
  return std::max(1, static_cast<int>(cores.size()) + unnamed);
}

size_t CacheSize(int level, std::string_view type, size_t otherwise) {
  for (int index = 0; index < 8; ++index) {
    const std::string base =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index);
    if (FirstLine(base + "/level") != std::to_string(level)) continue;
    const std::string kind = FirstLine(base + "/type");
    if (kind != type && kind != "Unified") continue;
    const std::string size = FirstLine(base + "/size");  // "1024K"
    if (size.empty()) continue;
    const size_t value = std::strtoull(size.c_str(), nullptr, 10);
    return size.back() == 'M' ? value << 20 : value << 10;
  }
  return otherwise;
}

}  // namespace

std::string CpuFeatures::ToString() const {
  const std::pair<bool, const char*> names[] = {{neon, "neon"},
                                                {avx2, "avx2"},
                                                {avx512, "avx512"},
                                                {avx512_bf16, "avx512_bf16"},
                                                {avx512_vnni, "avx512_vnni"},
                                                {amx_bf16, "amx_bf16"},
                                                {amx_int8, "amx_int8"}};
  std::string text;
  for (const auto& [has, name] : names) {
    if (!has) continue;
    if (!text.empty()) text += ' ';
    text += name;
  }
  return text.empty() ? "none" : text;
}

CpuFeatures LimitFeatures(CpuFeatures f, std::string_view level) {
  if (level == "amx") return f;
  if (level != "avx512" && level != "avx2" && level != "ref")
    Fail(ErrorCode::kBadInput,
         "SOTTO_CPU is '{}', want amx, avx512, avx2 or ref", level);
  f.amx_bf16 = f.amx_int8 = false;
  if (level == "avx512") return f;
  f.avx512 = f.avx512_bf16 = f.avx512_vnni = false;
  if (level == "avx2") return f;
  return {};
}

const CpuFeatures& HostFeatures() {
  static const CpuFeatures features = [] {
    const CpuFeatures found = Detect();
    const char* level = std::getenv("SOTTO_CPU");
    return level == nullptr || *level == '\0' ? found
                                              : LimitFeatures(found, level);
  }();
  return features;
}

int UsableCores() {
  const int cores = PhysicalCoresInMask();
  const int quota = CgroupCores();
  return quota == 0 ? cores : std::min(cores, quota);
}

const CacheSizes& HostCaches() {
  static const CacheSizes sizes = [] {
    CacheSizes s;
    s.l1_data = CacheSize(1, "Data", s.l1_data);
    s.l2 = CacheSize(2, "Unified", s.l2);
    s.l3 = CacheSize(3, "Unified", s.l3);
    return s;
  }();
  return sizes;
}

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(": ");
    return colon == std::string::npos ? "" : line.substr(colon + 2);
  }
  return "";
}

}  // namespace sotto
