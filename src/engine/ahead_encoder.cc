// SPDX-License-Identifier: MIT
#include "engine/ahead_encoder.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "audio/log_mel.h"
#include "base/error.h"

namespace sotto {
namespace {

using Clock = std::chrono::steady_clock;

double Milliseconds(Clock::time_point since) {
  return std::chrono::duration<double, std::milli>(Clock::now() - since)
      .count();
}

}  // namespace

AheadEncoder::AheadEncoder(const ModelSpec& spec, const Program& program)
    : spec_(spec) {
  session_.Prepare(program);
  Io("mel", spec_.n_mels, kWindowFrames);
  Io("audio", spec_.n_audio_ctx, spec_.n_audio_state);
  thread_ = std::thread([this] { Work(); });
}

AheadEncoder::~AheadEncoder() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::span<float> AheadEncoder::Io(const char* name, int rows, int columns) {
  const size_t values =
      static_cast<size_t>(rows) * static_cast<size_t>(columns);
  std::byte* data = session_.Io(name, values * sizeof(float));
  return {static_cast<float*>(static_cast<void*>(data)), values};
}

void AheadEncoder::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || program_ != nullptr; });
    // note: a run that was asked for is run, so that nobody waits for ever.
    if (program_ == nullptr) return;
    const Program& program = *program_;  // nobody changes it before we do
    lock.unlock();
    std::exception_ptr error;
    const auto start = Clock::now();
    try {
      session_.Run(program, pool_);
    } catch (...) {
      error = std::current_exception();
    }
    const double ms = Milliseconds(start);
    lock.lock();
    error_ = std::exchange(error, nullptr);
    run_ms_ = ms;
    program_ = nullptr;
    changed_.notify_all();
  }
}

void AheadEncoder::Wait() {
  const auto start = Clock::now();
  std::unique_lock lock(mutex_);
  if (program_ == nullptr) return;
  changed_.wait(lock, [this] { return program_ == nullptr; });
  times_.waited_ms += Milliseconds(start);
}

std::span<float> AheadEncoder::mel() {
  Wait();
  if (std::exchange(holds_, false)) ++times_.dropped;
  return Io("mel", spec_.n_mels, kWindowFrames);
}

void AheadEncoder::Start(std::shared_ptr<const Program> program) {
  SOTTO_CHECK(!holds_);
  session_.Prepare(*program);  // its addresses, here rather than over there
  {
    const std::lock_guard lock(mutex_);
    SOTTO_CHECK(program_ == nullptr);
    error_ = nullptr;
    program_ = std::move(program);
  }
  changed_.notify_all();
  holds_ = true;
  ++times_.encoded;
}

std::optional<double> AheadEncoder::Take(std::span<const float> mel,
                                         std::span<float> audio) {
  if (!holds_) return std::nullopt;
  Wait();
  holds_ = false;
  const std::span<const float> had = Io("mel", spec_.n_mels, kWindowFrames);
  if (error_ != nullptr) {
    ++times_.dropped;
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
  SOTTO_CHECK(mel.size() == had.size());
  if (std::memcmp(mel.data(), had.data(), had.size_bytes()) != 0) {
    ++times_.dropped;
    return std::nullopt;
  }
  const std::span<const float> result =
      Io("audio", spec_.n_audio_ctx, spec_.n_audio_state);
  SOTTO_CHECK(audio.size() == result.size());
  std::memcpy(audio.data(), result.data(), result.size_bytes());
  ++times_.used;
  return run_ms_;
}

}  // namespace sotto
