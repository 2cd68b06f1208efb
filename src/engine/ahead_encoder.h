// SPDX-License-Identifier: MIT
// AheadEncoder: a device encodes a window while the caller decodes another one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "base/thread_pool.h"
#include "model/spec.h"
#include "runtime/program.h"
#include "runtime/session.h"

namespace sotto {

// Windows since the model was made; none is in two of used and dropped.
struct AheadTimes {
  int64_t encoded = 0;   // begun, the one under way included
  int64_t used = 0;      // were the next window, bit for bit
  int64_t dropped = 0;   // were not, or their run failed
  double waited_ms = 0;  // the caller, for runs that were not done yet
};

// Holds room for one window: the encoder's input, output and arena. Its thread
// lives as long as it does. Used by one thread.
class AheadEncoder {
 public:
  // Makes all memory that `program`, the model's encoder, needs.
  AheadEncoder(const ModelSpec& spec, const Program& program);
  // Waits for the run under way.
  ~AheadEncoder();
  AheadEncoder(const AheadEncoder&) = delete;
  AheadEncoder& operator=(const AheadEncoder&) = delete;

  // Where the window to encode is written: [n_mels][3000]. A run under way is
  // waited for and dropped.
  std::span<float> mel();
  // Begins to encode mel() and returns.
  void Start(std::shared_ptr<const Program> program);
  // Waits for the run under way. Where it had this very window, writes its
  // result to `audio` ([n_audio_ctx][n_audio_state]) and returns the
  // milliseconds that it took; else drops it. Throws what the run threw,
  // whichever window it had: a device that failed has failed.
  std::optional<double> Take(std::span<const float> mel,
                             std::span<float> audio);
  const AheadTimes& times() const { return times_; }

 private:
  void Work();
  void Wait();  // until nothing is under way
  std::span<float> Io(const char* name, int rows, int columns);

  const ModelSpec& spec_;
  // Its device's step is all of the program: one thread is enough.
  ThreadPool pool_{1};
  Session session_;
  AheadTimes times_;
  bool holds_ = false;  // a run was begun and neither used nor dropped

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. A program stands here from Start until its run is over.
  std::shared_ptr<const Program> program_;
  std::exception_ptr error_;
  double run_ms_ = 0;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sotto
