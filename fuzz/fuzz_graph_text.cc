// SPDX-License-Identifier: MIT
// Graphs as text. What is accepted round-trips, and every pass makes a sound
// graph of it whose memory can be planned.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "compile/memory_plan.h"
#include "compile/passes.h"
#include "compile/test_backend.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace {

using namespace sotto;

void Require(bool condition) {
  if (!condition) std::abort();
}

void Compile(const ir::Graph& parsed, Precision precision) {
  StageOptions options;
  options.precision = precision;
  options.mixed = Mixed::kAuto;
  TestBackend backend;
  Backend* const backends[] = {&backend};
  const PassContext context = {
      .options = options,
      .kv = precision == Precision::kBF16 ? DType::kBF16 : DType::kF32,
      .backends = backends};
  ir::Graph graph = parsed;
  for (const PassInfo& pass : kPasses) {
    graph = pass.run(graph, context);
    ir::Verify(graph);
  }
  Require(UnfusedPatterns(graph).empty() || precision != Precision::kF32);
  PlanMemory(graph, backend.LowerAll(graph), backends);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(
      static_cast<const char*>(static_cast<const void*>(data)), size);
  ir::Graph graph;
  try {
    graph = ir::Parse(text, "fuzz");
  } catch (const Error& error) {
    Require(error.code() == ErrorCode::kBadInput);
    return 0;
  }
  const std::string printed = ir::Print(graph);
  Require(ir::Print(ir::Parse(printed)) == printed);
  for (const Precision precision :
       {Precision::kF32, Precision::kF16, Precision::kBF16})
    Compile(graph, precision);
  return 0;
}
