// SPDX-License-Identifier: MIT
#include "compile/device_policy.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace sotto {
namespace {

constexpr std::string_view kUnproven =
    "its decoder has no proven parity upstream";

constexpr std::array kTable = {
    DeviceRow{"cpu", "cpu", "cpu", "cpu", false, false, ""},
    DeviceRow{"metal", "metal", "cpu", "metal", true, true, kUnproven},
    DeviceRow{"mlx", "cpu", "cpu", "cpu", true, false,
              "its encoder loses rows (1500 against 1320)"},
    DeviceRow{"vulkan", "vulkan", "cpu", "cpu", true, false, kUnproven},
    DeviceRow{"cuda", "cuda", "cuda", "cuda", true, false, ""},
    DeviceRow{"rocm", "rocm", "rocm", "cpu", true, false, ""},
    DeviceRow{"gpu", "gpu", "gpu", "gpu", true, false, ""},
};

const ParityRecord* RecordOf(std::span<const ParityRecord> records,
                             std::string_view device, Stage stage) {
  const auto found =
      std::find_if(records.begin(), records.end(), [&](const auto& record) {
        return record.device == device && record.stage == stage;
      });
  return found == records.end() ? nullptr : &*found;
}

// Why the device may not run the stage; empty where it may.
std::string Gate(const DeviceRequest& request, std::string_view device,
                 Stage stage) {
  if (device == "cpu") return "";
  const ParityRecord* record = RecordOf(request.records, device, stage);
  if (record == nullptr)
    return fmt::format("{} has no parity on record for {}", device,
                       StageName(stage));
  // note: "not within", so that a NaN does not pass.
  if (!(record->max_abs <= request.limits.max_abs))
    return fmt::format("{} differs from the CPU by {} in {}, want {} at most",
                       device, record->max_abs, StageName(stage),
                       request.limits.max_abs);
  if (!(record->argmax_agreement >= request.limits.argmax_agreement))
    return fmt::format(
        "{} chooses the CPU's token in {} of {} steps only, want {}", device,
        record->argmax_agreement, StageName(stage),
        request.limits.argmax_agreement);
  return "";
}

std::string_view InTable(const DeviceRow& row, Stage stage) {
  return stage == Stage::kEncoder ? row.encoder : row.decoder;
}

}  // namespace

std::span<const DeviceRow> DeviceTable() { return kTable; }

DeviceRow RowOf(std::string_view device) {
  for (const DeviceRow& row : kTable)
    if (row.device == device) return row;
  return {device, device, device, "cpu", false, false, ""};
}

DeviceChoice DeviceFor(const DeviceRequest& request, Stage stage) {
  const DeviceRow row = RowOf(request.device);
  const std::string_view wanted = request.override_table
                                      ? std::string_view(request.device)
                                      : InTable(row, stage);
  if (wanted != request.device)
    return {std::string(wanted),
            fmt::format("{}: {} runs on {}: {}", request.device,
                        StageName(stage), wanted, row.why)};
  const std::string why = Gate(request, wanted, stage);
  if (!why.empty()) return {"cpu", why};
  return {request.device, ""};
}

bool KeepsKvResident(const DeviceRequest& request) {
  if (request.disable_resident_kv || !RowOf(request.device).resident_kv)
    return false;
  return std::all_of(kStages.begin(), kStages.end(), [&](Stage stage) {
    return stage == Stage::kEncoder ||
           DeviceFor(request, stage).device == request.device;
  });
}

std::vector<std::string> NeedlessRows(std::span<const ParityRecord> records,
                                      const ParityLimits& limits) {
  std::vector<std::string> needless;
  for (const DeviceRow& row : kTable)
    for (const Stage stage : kStages) {
      if (InTable(row, stage) == row.device) continue;
      const DeviceRequest request = {.device = std::string(row.device),
                                     .records = records,
                                     .limits = limits};
      if (Gate(request, row.device, stage).empty())
        needless.push_back(fmt::format("{} {}", row.device, StageName(stage)));
    }
  return needless;
}

Profile SafeProfile(std::string_view device, const Profile& profile) {
  Profile safe = profile;
  if (!RowOf(device).guarded) return safe;
  for (const Stage stage : {Stage::kPrefill, Stage::kDecode}) {
    safe.Of(stage).fuse.skip = true;
    safe.Of(stage).fuse.unfuse = true;
  }
  return safe;
}

}  // namespace sotto
