// SPDX-License-Identifier: MIT
#include "npu/host/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "npu/host/xrt_device.h"
#include "npu/txn.h"

namespace sotto::npu {
namespace {

// amdxdna is in the kernel since this version.
constexpr int kKernelMajor = 6, kKernelMinor = 14;
constexpr std::string_view kVendor = "0x1022";
constexpr std::string_view kNpu1 = "0x1502";  // Phoenix, Hawk Point
constexpr std::string_view kNpu4 = "0x17f0";  // Strix and later: XDNA2
constexpr uint64_t kHeapBytes = 64 << 20;     // the driver's device heap

std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.pop_back();
  return text;
}

// The PCI address of an NPU of this id; empty where there is none.
std::string FindPci(const System& system, std::string_view device) {
  const std::string root = "/sys/bus/pci/devices";
  for (const std::string& address : system.List(root)) {
    const std::string folder = root + "/" + address;
    if (Trimmed(system.Read(folder + "/vendor").value_or("")) == kVendor &&
        Trimmed(system.Read(folder + "/device").value_or("")) == device)
      return address;
  }
  return {};
}

Finding CheckKernel(const System& system, bool driver_loaded) {
  const std::string release = system.KernelRelease();
  int major = 0, minor = 0;
  std::sscanf(release.c_str(), "%d.%d", &major, &minor);
  if (driver_loaded || major > kKernelMajor ||
      (major == kKernelMajor && minor >= kKernelMinor))
    return Ok("kernel", "Linux " + release);
  return Bad("kernel", "Linux " + release,
             fmt::format("the driver amdxdna is in Linux {}.{} and later",
                         kKernelMajor, kKernelMinor),
             "install a newer kernel, or amd/xdna-driver's module");
}

Finding CheckPci(const std::string& npu1, const std::string& npu4) {
  if (!npu1.empty()) return Ok("pci", "npu1 (1022:1502) at " + npu1);
  if (!npu4.empty())
    return Bad("pci", "an XDNA2 NPU (1022:17f0) at " + npu4,
               "Sotto's programs are for npu1: Phoenix and Hawk Point",
               "use --device cpu, or the simulator");
  return Bad("pci", "no AMD NPU (1022:1502)",
             "this processor has none, or it is switched off",
             "use --device cpu, or the simulator; on a Ryzen 7040 or 8040 "
             "switch IPU on in the BIOS");
}

// The accel node that the driver made for this PCI device.
std::string FindNode(const System& system, const std::string& pci) {
  for (const std::string& name :
       system.List("/sys/bus/pci/devices/" + pci + "/accel"))
    return "/dev/accel/" + name;
  return {};
}

Finding CheckNode(const System& system, const std::string& node) {
  if (node.empty())
    return Bad("node", "the driver made no /dev/accel node",
               "the driver did not take the device: firmware, or IOMMU off",
               "look at `dmesg | grep amdxdna`; the NPU needs the IOMMU on");
  const std::string name = node.substr(node.rfind('/') + 1);
  const auto nodes = system.List("/dev/accel");
  if (std::find(nodes.begin(), nodes.end(), name) == nodes.end())
    return Bad("node", node + " is not there",
               "udev made no node, or a container does not show it",
               "pass the device into the container (--device " + node + ")");
  return Ok("node", node);
}

Finding CheckAccess(const System& system, const std::string& node) {
  const int error = system.OpenError(node);
  if (error == 0) return Ok("access", node + " opens");
  std::string detail = fmt::format("{}: {}", node, std::strerror(error));
  if (error != EACCES && error != EPERM)
    return Bad("access", detail, "the driver refuses to open the device",
               "look at `dmesg | grep amdxdna`");
  const auto groups = system.Groups();
  if (std::find(groups.begin(), groups.end(), "render") == groups.end())
    return Bad("access", detail, "the user is not in the group render",
               "sudo usermod -aG render $USER, then log in again");
  return Bad("access", detail, "the node does not belong to the group render",
             "check the udev rule of the driver's package");
}

Finding CheckMemoryLock(const System& system) {
  const uint64_t bytes = system.MemlockBytes();
  if (bytes == System::kUnlimited) return Ok("memory-lock", "unlimited");
  std::string detail = fmt::format("{} MB may be locked", bytes >> 20);
  if (bytes > 2 * kHeapBytes) return Ok("memory-lock", std::move(detail));
  return Bad("memory-lock", std::move(detail),
             "the NPU's buffers are locked in memory, the heap alone is 64 MB",
             "set `memlock unlimited` in /etc/security/limits.conf and log in "
             "again");
}

Finding CheckFirmware(const System& system, const std::string& pci) {
  const std::string version = Trimmed(
      system.Read("/sys/bus/pci/devices/" + pci + "/fw_version").value_or(""));
  if (!version.empty()) return Ok("firmware", "version " + version);
  const std::string folder = "/lib/firmware/amdnpu/1502_00";
  if (!system.List(folder).empty()) return Ok("firmware", folder);
  return Bad("firmware", folder + " is empty or not there",
             "the driver has no firmware to load",
             "install linux-firmware (Debian: firmware-amd-graphics)");
}

}  // namespace

std::string FindNpuNode(const System& system) {
  const std::string npu1 = FindPci(system, kNpu1);
  return npu1.empty() ? "" : FindNode(system, npu1);
}

std::vector<Finding> ExamineMachine(const System& system) {
  const std::string npu1 = FindPci(system, kNpu1);
  const std::string npu4 = npu1.empty() ? FindPci(system, kNpu4) : "";
  const bool driver = !system.List("/sys/module/amdxdna").empty();
  std::vector<Finding> found;
  found.push_back(CheckPci(npu1, npu4));
  if (npu1.empty()) {
    for (const char* id :
         {"kernel", "driver", "node", "access", "memory-lock", "firmware"})
      found.push_back(Skipped(id, "no NPU to look at"));
    return found;
  }
  found.push_back(CheckKernel(system, driver));
  found.push_back(driver ? Ok("driver", "amdxdna is loaded")
                         : Bad("driver", "amdxdna is not loaded",
                               "the module is missing, blocked or failed",
                               "sudo modprobe amdxdna; look at `dmesg`"));
  const std::string node = driver ? FindNode(system, npu1) : "";
  found.push_back(CheckNode(system, node));
  found.push_back(found.back().ok ? CheckAccess(system, node)
                                  : Skipped("access", "no node to open"));
  found.push_back(CheckMemoryLock(system));
  found.push_back(CheckFirmware(system, npu1));
  return found;
}

Finding ExamineXrt(const System& system, const std::filesystem::path& plugin) {
  if (!plugin.empty()) {
    try {
      const SottoXrtApi& api = LoadXrtPlugin(plugin);
      return Ok("xrt",
                fmt::format("XRT {} through {}", api.version, plugin.string()));
    } catch (const Error& error) {
      return Bad("xrt", error.what(),
                 "XRT or its NPU plug-in is not installed, or is another one "
                 "than Sotto was built with",
                 "install libxrt2 and libxrt-npu2, or build Sotto again");
    }
  }
  const auto libraries = system.List("/usr/lib/x86_64-linux-gnu");
  const bool old = std::any_of(
      libraries.begin(), libraries.end(),
      [](const std::string& n) { return n.rfind("libxrt_core.so.2", 0) == 0; });
  const bool npu =
      std::any_of(libraries.begin(), libraries.end(), [](const std::string& n) {
        return n.rfind("libxrt_driver_xdna", 0) == 0;
      });
  if (old && !npu)
    return Bad("xrt", "the XRT here is the one for FPGAs",
               "Debian 12 and 13 have an XRT that is older than the NPU",
               "install libxrt2, libxrt-npu2 and libxrt-dev from "
               "trixie-backports, then build Sotto again");
  return Bad("xrt", "libsotto_xrt.so was not built",
             "no XRT with hardware contexts was found at build time",
             "install XRT 2.18 or newer with its headers, then build Sotto "
             "again");
}

std::vector<Finding> ExamineFiles(const std::filesystem::path& xclbin,
                                  const std::filesystem::path& instructions) {
  std::vector<Finding> found;
  const char* build = "make it again with `sotto npu build`";
  std::array<char, 8> magic{};
  std::ifstream file(xclbin, std::ios::binary);
  if (!file.read(magic.data(), magic.size())) {
    found.push_back(Bad("xclbin", xclbin.string() + ": cannot be read",
                        "it was not built, or the path is wrong", build));
  } else if (std::memcmp(magic.data(), "xclbin2", 7) != 0) {
    found.push_back(Bad("xclbin", xclbin.string() + ": is no xclbin",
                        "it does not begin with xclbin2", build));
  } else {
    found.push_back(Ok("xclbin", xclbin.string()));
  }
  std::ifstream stream(instructions, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(stream)), {});
  if (!stream.good() && bytes.empty()) {
    found.push_back(Bad("instructions",
                        instructions.string() + ": cannot be read",
                        "it was not built, or the path is wrong", build));
    return found;
  }
  std::vector<uint32_t> words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), 4 * words.size());
  try {
    const TxnStream decoded = Decode(words);
    if (bytes.size() % 4 != 0)
      Fail(ErrorCode::kBadInput, "{} bytes are no whole words", bytes.size());
    found.push_back(
        Ok("instructions",
           fmt::format("{}: {} words, {} operations", instructions.string(),
                       words.size(), decoded.ops.size())));
  } catch (const Error& error) {
    found.push_back(Bad("instructions",
                        instructions.string() + ": " + error.what(),
                        "the file is damaged or of another kind", build));
  }
  return found;
}

std::vector<Finding> ExamineRun(const SottoXrtApi& api, const TestRun& run) {
  XrtRecorder recorder(api);
  Finding result = Bad("result", "there is none", "the run did not complete",
                       "see the points above");
  try {
    const auto device = OpenXrtDevice(recorder.api());
    const auto context = device->Open(run.image);
    const auto& words = run.image.instructions;
    const auto code = context->MakeBuffer(HostBuffer::Kind::kInstructions,
                                          4 * words.size(), kInstructionGroup);
    std::memcpy(code->bytes().data(), words.data(), 4 * words.size());
    code->SyncToDevice();
    const auto in = context->MakeBuffer(HostBuffer::Kind::kData,
                                        run.input.size(), kFirstDataGroup);
    const auto out = context->MakeBuffer(HostBuffer::Kind::kData,
                                         run.want.size(), kFirstDataGroup + 1);
    std::copy(run.input.begin(), run.input.end(), in->bytes().begin());
    std::fill(out->bytes().begin(), out->bytes().end(), std::byte{0x5A});
    in->SyncToDevice();
    out->SyncToDevice();
    const std::array<HostBuffer*, 2> data{in.get(), out.get()};
    const RunResult done = context->Run(
        *code, static_cast<uint32_t>(words.size()), data, run.timeout);
    if (done.state == RunState::kCompleted) {
      out->SyncFromDevice();
      const auto [got, want] = std::mismatch(
          out->bytes().begin(), out->bytes().end(), run.want.begin());
      if (got == out->bytes().end())
        result = Ok("result", fmt::format("all {} bytes as wanted, {:.3f} ms",
                                          run.want.size(), done.wall_ms));
      else
        result = Bad(
            "result",
            fmt::format("byte {} is {:#04x}, want {:#04x}",
                        got - out->bytes().begin(), std::to_integer<int>(*got),
                        std::to_integer<int>(*want)),
            "the xclbin and the instructions are of different builds, or the "
            "buffers are mixed up",
            "build both again; look at data-banks and arguments");
    }
  } catch (const Error& error) {
    result = Bad("result", error.what(), "the run could not be made",
                 "see the points above");
  }
  std::vector<Finding> found = Audit(recorder.calls());
  found.push_back(std::move(result));
  return found;
}

bool Healthy(const std::vector<Finding>& findings) {
  return std::all_of(findings.begin(), findings.end(),
                     [](const Finding& f) { return f.ok; });
}

std::string ToText(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& f : findings) {
    text += fmt::format("{:5} {:17} {}\n",
                        f.skipped ? "-"
                        : f.ok    ? "ok"
                                  : "FAIL",
                        f.id, f.detail);
    if (!f.ok)
      text += fmt::format("{:23} cause: {}\n{:23} fix: {}\n", "", f.cause, "",
                          f.fix);
  }
  return text;
}

std::string ToJson(const std::vector<Finding>& findings) {
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  for (const Finding& f : findings) {
    nlohmann::ordered_json point = {{"id", f.id},
                                    {"status", f.skipped ? "skipped"
                                               : f.ok    ? "ok"
                                                         : "failed"},
                                    {"detail", f.detail}};
    if (!f.ok) {
      point["cause"] = f.cause;
      point["fix"] = f.fix;
    }
    points.push_back(std::move(point));
  }
  const nlohmann::ordered_json all = {{"ok", Healthy(findings)},
                                      {"points", std::move(points)}};
  return all.dump(1, ' ', false,
                  nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace sotto::npu
