// SPDX-License-Identifier: MIT
#include "text/shipped.h"

#include <zlib.h>

#include "base/error.h"

// In shipped_data.S: a deflate stream each, then the 8 bytes of gzip's end.
#define SOTTO_SHIPPED(symbol, path)                        \
  extern "C" const unsigned char sotto_shipped_##symbol[]; \
  extern "C" const unsigned char sotto_shipped_end_##symbol[];
#include "text/shipped.def"
#undef SOTTO_SHIPPED

namespace sotto {
namespace {

struct Packed {
  std::string_view path;
  const unsigned char* begin;
  const unsigned char* end;
};

const Packed kPacked[] = {
#define SOTTO_SHIPPED(symbol, path) \
  {path, sotto_shipped_##symbol, sotto_shipped_end_##symbol},
#include "text/shipped.def"
#undef SOTTO_SHIPPED
};

std::string Inflate(const Packed& packed) {
  z_stream stream{};
  // A negative window means deflate without a header of its own.
  SOTTO_CHECK(inflateInit2(&stream, -MAX_WBITS) == Z_OK);
  stream.next_in = const_cast<unsigned char*>(packed.begin);
  stream.avail_in = static_cast<uInt>(packed.end - packed.begin);
  std::string text;
  int status = Z_OK;
  while (status == Z_OK) {
    const size_t done = text.size();
    text.resize(done + (size_t{1} << 20));
    stream.next_out = reinterpret_cast<unsigned char*>(text.data() + done);
    stream.avail_out = uInt{1} << 20;
    status = inflate(&stream, Z_NO_FLUSH);
    text.resize(text.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  SOTTO_CHECK(status == Z_STREAM_END);
  return text;
}

}  // namespace

std::string ShippedFile(std::string_view name) {
  for (const Packed& packed : kPacked)
    if (packed.path == name) return Inflate(packed);
  Fail(ErrorCode::kInternal, "{} is not shipped", name);
}

}  // namespace sotto
