// SPDX-License-Identifier: MIT
#include "npu/run/kernel_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "base/error.h"
#include "npu/design/kernel_sizes.h"
#include "npu/design/planner.h"
#include "npu/emit/package.h"
#include "npu/kernels/finish_params.h"
#include "npu/sim/device.h"
#include "tensor/buffer.h"
#include "tensor/half.h"

namespace sotto::npu {
namespace {

// Random values that suit the type: whole range of int8, floats around 0.
void Fill(std::string_view type, std::span<std::byte> bytes,
          std::mt19937_64& random) {
  std::normal_distribution<float> normal(0.0F, 1.0F);
  const auto put = [&]<typename T>(size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  if (type == "bf16") {
    for (size_t i = 0; i + 2 <= bytes.size(); i += 2)
      put(i, ToBF16(normal(random)).bits);
  } else if (type == "f32") {
    for (size_t i = 0; i + 4 <= bytes.size(); i += 4) put(i, normal(random));
  } else if (type == "i16") {  // codes of 12 bits: sums stay inside int32
    for (size_t i = 0; i + 2 <= bytes.size(); i += 2)
      put(i, static_cast<int16_t>(static_cast<int>(random() % 4096) - 2048));
  } else if (type == "i32") {
    for (size_t i = 0; i + 4 <= bytes.size(); i += 4)
      put(i, static_cast<int32_t>(random() % 65536) - 32768);
  } else {
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  }
}

// finish_i8's second pointer: steps, shifts and zeros that belong together.
void FillColumns(int mode, std::span<std::byte> bytes,
                 std::mt19937_64& random) {
  std::uniform_real_distribution<double> any(0.5, 1.5);
  for (size_t at = 0; at + sizeof(FinishColumn) <= bytes.size();
       at += sizeof(FinishColumn)) {
    std::array<FinishChannel, 8> channels;
    for (FinishChannel& c : channels)
      c = {.multiplier = any(random) / (1 << 14),
           .bias = any(random) - 1,
           .reach = 1 << 15,
           .scale = 30,
           .zero = (mode & kFinishInt16) != 0 ? -1966 : -123};
    const FinishColumn column = MakeFinishColumn(channels, mode);
    std::memcpy(bytes.data() + at, &column, sizeof column);
  }
}

void FillInputs(const KernelInfo& kernel, const KernelRunOptions& options,
                std::map<std::string, sotto::Buffer>* inputs) {
  std::mt19937_64 random(options.seed);
  const std::vector<KernelBuffer> buffers = BuffersOf(kernel, options.design);
  for (const KernelBuffer& b : buffers) {
    if (b.in.empty()) continue;
    sotto::Buffer& input = inputs->at(b.in);
    const bool columns = kernel.name == "finish_i8" && &b == &buffers[1];
    const auto stride =
        static_cast<int64_t>(input.size()) / options.design.calls;
    for (int call = 0; call < options.design.calls; ++call) {
      const auto bytes = input.bytes().subspan(
          static_cast<size_t>(stride * call + b.in_offset),
          static_cast<size_t>(b.bytes));
      if (columns)
        FillColumns(WholeInts(kernel, options.design.ints)[2], bytes, random);
      else
        Fill(b.arg.type, bytes, random);
    }
  }
}

// The kernel on the host: what the device's outputs are held to.
std::map<std::string, sotto::Buffer> Reference(
    const KernelInfo& kernel, const KernelDesign& options, const Design& design,
    const std::map<std::string, sotto::Buffer>& inputs) {
  std::map<std::string, sotto::Buffer> outputs;
  for (const HostBufferDesign& b : design.host_buffers)
    if (b.output)
      outputs.emplace(b.name, sotto::Buffer(static_cast<size_t>(b.bytes)));
  const std::vector<KernelBuffer> buffers = BuffersOf(kernel, options);
  const std::vector<int32_t> ints = WholeInts(kernel, options.ints);
  for (int call = 0; call < options.calls; ++call) {
    std::vector<sotto::Buffer> copies;  // aligned, as tile memory is
    std::vector<std::byte*> pointers;
    const auto at = [&](const std::string& name, int64_t offset) {
      const auto found =
          std::find_if(design.host_buffers.begin(), design.host_buffers.end(),
                       [&](const auto& b) { return b.name == name; });
      return found->bytes / options.calls * call + offset;
    };
    for (const KernelBuffer& b : buffers) {
      copies.emplace_back(static_cast<size_t>(b.bytes));
      pointers.push_back(copies.back().data());
      if (!b.in.empty())
        std::memcpy(copies.back().data(),
                    inputs.at(b.in).data() + at(b.in, b.in_offset),
                    static_cast<size_t>(b.bytes));
    }
    kernel.call({.pointers = pointers, .ints = ints});
    for (size_t i = 0; i < buffers.size(); ++i)
      if (!buffers[i].out.empty())
        std::memcpy(outputs.at(buffers[i].out).data() +
                        at(buffers[i].out, buffers[i].out_offset),
                    copies[i].data(), static_cast<size_t>(buffers[i].bytes));
  }
  return outputs;
}

// Compares the parts that kernels write; gaps between them are nobody's.
void Compare(const KernelInfo& kernel, const KernelRunOptions& options,
             const std::map<std::string, sotto::Buffer>& want,
             const std::map<std::string, HostBuffer*>& got,
             KernelRunResult* result) {
  result->compared_bytes = 0;
  for (const KernelBuffer& b : BuffersOf(kernel, options.design)) {
    if (b.out.empty()) continue;
    const auto stride =
        static_cast<int64_t>(want.at(b.out).size()) / options.design.calls;
    for (int call = 0; call < options.design.calls; ++call) {
      for (int64_t i = 0; i < b.bytes; ++i) {
        const auto at = static_cast<size_t>(stride * call + b.out_offset + i);
        const std::byte is = got.at(b.out)->bytes()[at];
        const std::byte should = want.at(b.out).data()[at];
        ++result->compared_bytes;
        if (is == should) continue;
        if (++result->wrong_bytes == 1)
          result->first_wrong = fmt::format(
              "{} byte {} is {:#04x}, want {:#04x}", b.out, at,
              std::to_integer<int>(is), std::to_integer<int>(should));
      }
    }
  }
}

}  // namespace

Statistics StatisticsOf(std::span<const double> values) {
  SOTTO_CHECK(!values.empty());
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  Statistics s;
  for (const double v : sorted) s.mean += v / double(sorted.size());
  for (const double v : sorted)
    s.std += (v - s.mean) * (v - s.mean) / double(sorted.size());
  s.std = std::sqrt(s.std);
  s.min = sorted.front();
  s.max = sorted.back();
  s.p95 =
      sorted[static_cast<size_t>(std::ceil(0.95 * double(sorted.size()))) - 1];
  return s;
}

KernelRunResult RunKernel(Device& device, const KernelInfo& kernel,
                          const KernelRunOptions& options,
                          const std::string& xclbin_path) {
  if (options.iterations < 1 || options.warm_up < 0)
    Fail(ErrorCode::kBadInput, "npu: {} iterations after {} of warm-up",
         options.iterations, options.warm_up);
  Design design = MakeKernelDesign(kernel, options.design);
  // The stream writes to addresses of the package's own map.
  if (!xclbin_path.empty()) design = ForDevice(std::move(design));
  const Plan plan = MakePlan(design);
  const Image image{std::make_shared<const ArrayConfig>(plan.config),
                    xclbin_path, Encode(plan.stream)};
  const auto context = device.Open(image);

  std::map<std::string, sotto::Buffer> inputs;
  std::map<std::string, HostBuffer*> outputs;
  std::vector<std::unique_ptr<HostBuffer>> owned;
  std::vector<HostBuffer*> data;
  for (const HostBufferDesign& b : design.host_buffers) {
    owned.push_back(context->MakeBuffer(
        HostBuffer::Kind::kData, static_cast<size_t>(b.bytes),
        kFirstDataGroup + static_cast<int>(data.size())));
    data.push_back(owned.back().get());
    if (b.output)
      outputs[b.name] = data.back();
    else
      inputs.emplace(b.name, sotto::Buffer(static_cast<size_t>(b.bytes)));
  }
  FillInputs(kernel, options, &inputs);
  const auto want = Reference(kernel, options.design, design, inputs);

  const auto code =
      context->MakeBuffer(HostBuffer::Kind::kInstructions,
                          4 * image.instructions.size(), kInstructionGroup);
  std::memcpy(code->bytes().data(), image.instructions.data(),
              4 * image.instructions.size());
  code->SyncToDevice();

  KernelRunResult result;
  result.kernel = kernel.name;
  result.device = device.name();
  result.iterations = options.iterations;
  std::vector<double> ms;
  const auto own = options.system == nullptr ? ThisSystem() : nullptr;
  PowerMeter meter(own ? *own : *options.system);
  const auto begin = std::chrono::steady_clock::now();
  meter.Start();
  for (int i = 0; i < options.warm_up + options.iterations; ++i) {
    for (size_t b = 0; b < data.size(); ++b) {
      const std::string& name = design.host_buffers[b].name;
      const auto input = inputs.find(name);
      if (input != inputs.end())
        std::memcpy(data[b]->bytes().data(), input->second.data(),
                    input->second.size());
      else
        std::fill(data[b]->bytes().begin(), data[b]->bytes().end(),
                  std::byte{0xA5});
      data[b]->SyncToDevice();
    }
    const RunResult run =
        context->Run(*code, static_cast<uint32_t>(image.instructions.size()),
                     data, options.timeout);
    if (run.state != RunState::kCompleted)
      Fail(ErrorCode::kDevice, "{} on {}: {}: {}", kernel.name, device.name(),
           Name(run.state), run.detail);
    for (auto& [name, buffer] : outputs) buffer->SyncFromDevice();
    Compare(kernel, options, want, outputs, &result);
    result.modelled = run.modelled;
    result.clock_ghz = run.modelled ? run.time.clock_ghz : 0;
    if (i >= options.warm_up)
      ms.push_back(run.modelled ? static_cast<double>(run.time.cycles) /
                                      (run.time.clock_ghz * 1e6)
                                : run.wall_ms);
  }
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begin;
  if (!device.simulated()) result.power = meter.Stop(took.count());
  result.ms = StatisticsOf(ms);
  if (const auto* sim = dynamic_cast<const SimContext*>(context.get()))
    result.report = sim->report();
  return result;
}

}  // namespace sotto::npu
