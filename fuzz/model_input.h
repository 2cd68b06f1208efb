// SPDX-License-Identifier: MIT
// Bytes as a file for one reader of model/: in memory, so that a run costs no
// disk.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/checkpoint.h"

namespace sotto {

// Reads the input as the format, names and checks it, and reads every value;
// a refusal must be one line and no bug of ours.
inline void FuzzReader(Checkpoint (*read)(const std::filesystem::path&),
                       const uint8_t* data, size_t size) {
  const int fd = ::memfd_create("fuzz", MFD_CLOEXEC);
  if (fd < 0 || ::write(fd, data, size) != static_cast<ssize_t>(size))
    std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  try {
    // Where the decoder is cut off, the encoder is still looked at.
    const bool encoder_only = size % 2 == 1;
    const auto store =
        WeightStoreBuilder::Build(read(path), path, encoder_only);
    for (const auto& [name, entry] : store->entries()) {
      const int64_t count = entry.tensor.Elements();
      std::vector<float> values(static_cast<size_t>(count));
      store->Read(name, 0, count, values.data());
    }
  } catch (const Error& error) {
    const std::string_view text = error.what();
    if (error.code() == ErrorCode::kInternal ||
        text.find('\n') != std::string_view::npos)
      std::abort();
  }
  ::close(fd);
}

}  // namespace sotto
