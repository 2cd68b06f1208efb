// SPDX-License-Identifier: MIT
#include "text/compression_ratio.h"

#include <zlib.h>

#include <vector>

#include "base/error.h"

namespace sotto {

double CompressionRatio(std::string_view text) {
  const auto size = static_cast<uLong>(text.size());
  std::vector<Bytef> packed(compressBound(size));
  auto packed_size = static_cast<uLongf>(packed.size());
  const int status =
      compress2(packed.data(), &packed_size,
                reinterpret_cast<const Bytef*>(text.data()), size,
                Z_DEFAULT_COMPRESSION);  // level 6, as zlib.compress
  if (status != Z_OK)
    Fail(ErrorCode::kOutOfMemory, "zlib: cannot compress {} bytes",
         text.size());
  return static_cast<double>(text.size()) / static_cast<double>(packed_size);
}

}  // namespace sotto
