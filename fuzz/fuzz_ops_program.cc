// SPDX-License-Identifier: MIT
// Programs of operators. What is accepted prints and reads back equal; what
// can be loaded with the cache operators runs twice, whatever it says.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "ops/program.h"
#include "ops/program_text.h"
#include "ops/session.h"
#include "sotto/ops.hpp"

namespace {

using namespace sotto;

constexpr uint64_t kMostBytes = 1 << 20;

void Require(bool condition) {
  if (!condition) std::abort();
}

// Reads nothing, takes anything.
void Any(const ops::Tensor*, int64_t, double, bool, std::span<const int64_t>,
         std::span<const ops::Tensor* const>) {}
void Touch(ops::Tensor&) {}
constexpr sotto_op kOps[] = {ops::Op<Any>("t::any"),
                             ops::Op<Touch>("t::touch")};

const OpRegistry& Registry() {
  static OpRegistry registry;
  const sotto_ops_library& table = *sotto_ops_entry();
  registry.Add("cross_attn", {table.ops, table.count});
  registry.Add("fuzz", kOps);
  return registry;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(
      static_cast<const char*>(static_cast<const void*>(data)), size);
  try {
    const OpProgramText program = ParseOpProgram(text, "fuzz");
    const std::string printed = PrintOpProgram(program);
    Require(PrintOpProgram(ParseOpProgram(printed, "fuzz")) == printed);
    uint64_t bytes = 0;
    for (const OpVariable& variable : program.variables)
      bytes += variable.bytes;
    if (bytes > kMostBytes) return 0;
    OpSession session(
        OpProgram::Parse(text, "fuzz", "/no/such/folder", Registry()));
    for (int i = 0; i < 2; ++i) {
      try {
        session.Run();
      } catch (const Error&) {
        session.Reset();
      }
    }
  } catch (const Error& error) {
    Require(error.code() != ErrorCode::kInternal);
    Require(std::string_view(error.what()).find('\n') ==
            std::string_view::npos);
  }
  return 0;
}
