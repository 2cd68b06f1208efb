// SPDX-License-Identifier: MIT
// Audio files of every format. The seeds are half a second of the synthetic
// sound of audio/fixtures_test.cc, as its Encode() writes each format.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "audio/decode.h"
#include "audio/log_mel.h"
#include "base/error.h"

namespace {

using namespace sotto;

void Require(bool condition) {
  if (!condition) std::abort();
}

bool IsOneLine(const std::string& text) {
  return !text.empty() && text.find('\n') == text.npos;
}

void ReadSome(const std::string& path) {
  AudioReader reader(path);
  // A small file may declare hours of silence: enough is enough.
  constexpr int kMostBlocks = 100;
  std::vector<float> block(16000);
  std::vector<float> mel;
  LogMelStream stream(80);
  int blocks = 0;
  size_t n = 0;
  while (blocks++ < kMostBlocks && (n = reader.Read(block)) > 0) {
    Require(n <= block.size());
    for (size_t i = 0; i < n; ++i) Require(block[i] >= -1 && block[i] < 1);
    if (blocks == 1) stream.Push(std::span(block).first(n), mel);
  }
  if (n == 0) Require(reader.Read(block) == 0);
  if (reader.damaged()) Require(IsOneLine(reader.damage()));
  for (const std::string& line : reader.warnings()) Require(IsOneLine(line));
  stream.Finish(mel);
  for (const float x : mel) Require(x >= kSilenceLog && x < 10);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = ::memfd_create("fuzz_audio", MFD_CLOEXEC);
  Require(fd >= 0 && ::write(fd, data, size) == static_cast<ssize_t>(size));
  try {
    ReadSome("/proc/self/fd/" + std::to_string(fd));
  } catch (const Error& error) {
    Require(IsOneLine(error.what()));
    Require(error.code() != ErrorCode::kInternal);
  }
  ::close(fd);
  return 0;
}
