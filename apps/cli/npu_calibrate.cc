// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <iostream>

#include "apps/cli/commands.h"
#include "apps/cli/common.h"
#include "apps/cli/files.h"
#include "apps/cli/npu.h"
#include "audio/decode.h"
#include "audio/mel_source.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/stop_signal.h"
#include "engine/calibrate.h"
#include "model/weights.h"
#include "output/writer.h"

namespace sotto::cli {

namespace {

// Fewer tell little of how large activations become.
constexpr int kFewWindows = 10;

// Window `number` of the file; false where it has ended before.
bool ReadWindow(const std::filesystem::path& file, int number, int n_mels,
                std::vector<float>* mel) {
  AudioReader reader(file);
  const MelSource sound(reader, n_mels);
  if (sound.content_frames() <= int64_t{3000} * number) return false;
  sound.Window(int64_t{3000} * number, *mel);
  return true;
}

}  // namespace

int Calibrate(const CalibrateRequest& request) {
  if (request.files.empty())
    Fail(ErrorCode::kBadInput,
         "sotto npu calibrate wants speech: audio files or folders of them");
  if (request.windows < 1)
    Fail(ErrorCode::kBadInput, "--windows is {}, want 1 or more",
         request.windows);
  bool all_done = true;
  auto files = ExpandFiles(request.files, &all_done);
  const auto store = WeightStore::Load(FindModel(request.model));
  const std::filesystem::path out = request.out.empty()
                                        ? npu::CalibrationPath(store->path())
                                        : std::filesystem::path(request.out);
  MakeOutputFolder(out.parent_path());  // not after minutes of work
  Calibrator calibrator(*store, UsableCores());
  const int n_mels = store->spec().n_mels;
  std::vector<float> mel(static_cast<size_t>(n_mels) * 3000);
  const StopSignals signals(
      "stopping after this window; the same again stops at once");
  ProgressLine progress("calibrating", "windows");
  // Round the files, a window from each, so that no speaker fills the table.
  for (int round = 0; calibrator.result().windows < request.windows; ++round) {
    const int before = calibrator.result().windows;
    for (size_t i = 0; i < files.size(); ++i) {
      if (calibrator.result().windows >= request.windows) break;
      try {
        if (!ReadWindow(files[i], round, n_mels, &mel)) continue;
      } catch (const Error& error) {
        progress.Clear();
        std::cerr << "sotto: " << error.what() << '\n';
        all_done = false;
        files.erase(files.begin() + static_cast<ptrdiff_t>(i--));
        continue;
      }
      if (!StopAsked()) calibrator.See(mel);
      // Half the windows would make other scales than were asked for.
      if (StopAsked())
        Fail(ErrorCode::kCancelled,
             "stopped after {} of {} windows, no scales are written",
             calibrator.result().windows, request.windows);
      progress.Show(calibrator.result().windows, request.windows);
    }
    if (calibrator.result().windows == before) break;
  }
  progress.Clear();
  if (calibrator.result().windows == 0)
    Fail(ErrorCode::kBadInput, "no sound in the files to calibrate on");
  ProgressLine rounding("rounding", "matrices");
  calibrator.Round([&](int done, int all) {
    if (StopAsked())
      Fail(ErrorCode::kCancelled,
           "stopped after rounding {} of {} matrices, no scales are written",
           done, all);
    rounding.Show(done, all);
  });
  rounding.Clear();
  calibrator.result().Save(out);
  const int windows = calibrator.result().windows;
  std::cout << fmt::format("{}: {} {}\n", out.string(), windows,
                           windows == 1 ? "window" : "windows");
  if (windows < kFewWindows)
    std::cerr << "warning: of little speech: int8 is as good as what it was "
                 "calibrated on, want 40 windows of 30 s\n";
  return all_done ? kDone : kFailed;
}

}  // namespace sotto::cli
