// SPDX-License-Identifier: MIT
// sotto doctor: what this machine can run models on, and what is in the way.
#include "npu/host/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "apps/cli/commands.h"
#include "base/cpu.h"
#include "base/error.h"
#include "hub/environment.h"
#include "npu/host/this_npu.h"
#include "npu/host/xrt_device.h"

namespace sotto::cli {
namespace {

// The folder that models go to, or the first one above it that exists.
npu::Finding ExamineModels() {
  std::filesystem::path folder = HubEnvironment::Read().models;
  const std::string name = folder.string();
  std::error_code ignored;
  while (!folder.empty() && !std::filesystem::exists(folder, ignored) &&
         folder != folder.parent_path())
    folder = folder.parent_path();
  if (access(folder.c_str(), W_OK) != 0)
    return npu::Bad(
        "models", fmt::format("{}: {}", name, std::strerror(errno)),
        "models are brought to this folder and it cannot be written",
        "set SOTTO_MODELS to a folder that you may write");
  const auto space = std::filesystem::space(folder, ignored);
  return npu::Ok("models",
                 fmt::format("{}, {} MB free", name, space.available >> 20));
}

std::vector<npu::Finding> ExamineCpu() {
  return {npu::Ok("cpu",
                  fmt::format("{}: {}", CpuName(), HostFeatures().ToString())),
          npu::Ok("threads", fmt::format("{} usable cores", UsableCores())),
          ExamineModels()};
}

class DoctorCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "Say what this machine can run models on. Every point that fails is "
        "printed with its cause and how to mend it. Exits 1 where the CPU "
        "part fails, or where an NPU is there (or asked for with --npu) and "
        "cannot be used.");
    app.add_option("--json", json_, "print JSON");
    app.add_option("--npu", npu_, "an NPU must be there and usable");
    app.add_option("--xclbin", xclbin_, "also look at this xclbin")
        ->type_name("FILE");
    app.add_option("--instructions", instructions_,
                   "and at its instruction stream")
        ->type_name("FILE");
  }

  int Run() override {
    if (xclbin_.empty() != instructions_.empty())
      Fail(ErrorCode::kBadInput,
           "--xclbin and --instructions are wanted together");
    std::vector<npu::Finding> found = ExamineCpu();
    bool well = npu::Healthy(found);
    const auto system = npu::ThisSystem();
    std::vector<npu::Finding> npu = npu::ExamineMachine(*system);
    const bool there = npu.front().ok;
    if (there || npu_)
      for (auto& f :
           npu::EitherWay(npu::ExamineXrt(*system, npu::FindXrtPlugin()),
                          npu::ExamineRaw(*system)))
        npu.push_back(std::move(f));
    if (!there && !npu_) npu.front().skipped = npu.front().ok = true;
    if (!xclbin_.empty())
      for (auto& f : npu::ExamineFiles(xclbin_, instructions_))
        npu.push_back(std::move(f));
    well = well && npu::Healthy(npu);
    for (auto& f : npu) found.push_back(std::move(f));
    std::cout << (json_ ? npu::ToJson(found) + "\n" : npu::ToText(found));
    return well ? kDone : kFailed;
  }

 private:
  bool json_ = false;
  bool npu_ = false;
  std::string xclbin_;
  std::string instructions_;
};

}  // namespace

std::unique_ptr<Command> MakeDoctor() {
  return std::make_unique<DoctorCommand>();
}

}  // namespace sotto::cli
