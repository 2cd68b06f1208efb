// SPDX-License-Identifier: MIT
// Which device runs which stage: a table, a parity gate in front of it, and
// what guarded devices compile with.
//
// The table holds what is known of other engines' devices (they were found
// wrong somewhere, or were never tried), so it only says where a stage may
// run. Whether it does is measured: a device other than the CPU runs a stage
// only if its recorded parity with the CPU passes.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compile/profile.h"
#include "model/stages.h"

namespace sotto {

struct DeviceRow {
  std::string_view device;
  std::string_view encoder;  // device that runs the encoder
  std::string_view decoder;  // ... cross_kv, prefill and decode
  std::string_view align;    // ... word alignment
  bool resident_kv = false;  // can keep K and V in its own memory
  // Decoder stages compile without fusion, and under the compile guard.
  bool guarded = false;
  std::string_view why;  // where a stage is sent elsewhere
};
// cpu first. Devices that are not listed run everything themselves, alignment
// aside, and keep no K and V.
std::span<const DeviceRow> DeviceTable();
// The row of a device; of unlisted ones the default under their name.
DeviceRow RowOf(std::string_view device);

// How a device's stage compared with the CPU's on real weights.
struct ParityRecord {
  std::string device;
  Stage stage = Stage::kEncoder;
  double max_abs = 0;           // of what the stage gives
  double argmax_agreement = 1;  // share of steps with the same best token
};
struct ParityLimits {
  double max_abs = 1e-2;
  double argmax_agreement = 0.999;
};

struct DeviceChoice {
  std::string device;
  std::string reason;  // why not the one asked for; empty where it is
};

struct DeviceRequest {
  std::string device = "cpu";
  std::span<const ParityRecord> records;
  ParityLimits limits;
  // Ask for the device's own decoder even where the table sends it elsewhere;
  // the gate still holds.
  bool override_table = false;
  bool disable_resident_kv = false;
};

// The device of a stage, and the reason where it is not the one asked for.
DeviceChoice DeviceFor(const DeviceRequest& request, Stage stage);
// Whether K and V stay on the device: it can, and it runs both the encoder and
// the decoder of this request.
bool KeepsKvResident(const DeviceRequest& request);
// Table rows whose redirection of `stage` the records prove needless.
std::vector<std::string> NeedlessRows(std::span<const ParityRecord> records,
                                      const ParityLimits& limits = {});

// The profile that a guarded device's decoder compiles with: no fusion in
// prefill and decode. Other devices' profiles come back as they are.
Profile SafeProfile(std::string_view device, const Profile& profile);

// An option that is on while someone needs it: "no graph compiler", say. One
// object per compiler, shared by its threads.
class CompileSwitch {
 public:
  explicit CompileSwitch(bool on = false) : on_(on) {}
  bool on() const { return on_ || held_.load() > 0; }

  // Turns the switch on for its own life. Nested and overlapping holds, on any
  // threads, each count; what was before comes back with the last one's end,
  // by return or by exception.
  class Hold {
   public:
    explicit Hold(CompileSwitch* held) : held_(held) {
      if (held_ != nullptr) ++held_->held_;
    }
    ~Hold() {
      if (held_ != nullptr) --held_->held_;
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    CompileSwitch* held_;
  };

 private:
  const bool on_;
  std::atomic<int> held_{0};
};

// Runs f with the switch on where the device is guarded, as it is elsewhere.
template <typename F>
decltype(auto) WithCompileGuard(std::string_view device, CompileSwitch& guard,
                                F&& f) {
  const CompileSwitch::Hold hold(RowOf(device).guarded ? &guard : nullptr);
  return std::forward<F>(f)();
}

}  // namespace sotto
