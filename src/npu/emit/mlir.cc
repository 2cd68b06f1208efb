// SPDX-License-Identifier: MIT
// Facts of the dialects: operation definitions and tests of Xilinx/mlir-aie
// (AIEOps.td, AIEX.td, test/npu-xrt), the form of 2024-2025 releases.
#include "npu/emit/mlir.h"

#include <fmt/format.h>

#include <utility>

#include "npu/emit/mlir_core.h"
#include "npu/emit/mlir_dma.h"
#include "npu/emit/mlir_sequence.h"
#include "npu/emit/mlir_text.h"

namespace sotto::npu {
namespace {

class Emitter {
 public:
  Emitter(const Plan& plan, MlirForm form, std::string archive)
      : plan_(plan), text_(form), cores_(plan, std::move(archive), &text_) {}

  std::string Run() {
    text_.Open("module {", "module {");
    text_.Open("aie.device(npu1) {", "\"aie.device\"() ({");
    cores_.EmitKernels();
    for (const auto& [id, tile] : plan_.config.tiles) {
      text_.Line(
          fmt::format("{} = aie.tile({}, {})", TileName(id), id.col, id.row),
          fmt::format("{} = \"aie.tile\"() {{col = {} : i32, row = {} : i32}} "
                      ": () -> index",
                      TileName(id), id.col, id.row));
    }
    for (const auto& [id, tile] : plan_.config.tiles) EmitMemory(id, tile);
    for (const auto& [id, tile] : plan_.config.tiles) EmitLocks(id, tile);
    for (const Flow& flow : plan_.flows) EmitFlow(flow);
    for (const auto& [id, tile] : plan_.config.tiles) {
      if (!tile.program.empty()) cores_.EmitCore(id, tile);
    }
    for (const auto& [id, tile] : plan_.config.tiles) {
      if (!tile.starts.empty()) EmitDma(id, tile, &text_);
    }
    EmitSequence(plan_, &text_);
    text_.Close("}", "}) {device = 4 : i32} : () -> ()");
    text_.Close("}", "}");
    return text_.Take();
  }

 private:
  void EmitMemory(TileId id, const TileConfig& tile) {
    for (const PlacedBuffer& b : tile.buffers) {
      if (b.name == ".data") continue;  // the linker places tables
      const std::string name = BufferName(id, b);
      const std::string attributes = fmt::format(
          "address = {} : i32, sym_name = \"{}\"", b.address, name.substr(1));
      const std::string initial =
          b.initial.empty() ? "" : fmt::format(" = {}", Dense(b));
      text_.Line(
          fmt::format("{} = aie.buffer({}) {{{}}} : {}{}", name, TileName(id),
                      attributes, BytesType(b.bytes), initial),
          fmt::format("{} = \"aie.buffer\"({}) {{{}{}}} : (index) -> {}", name,
                      TileName(id), attributes,
                      b.initial.empty()
                          ? ""
                          : ", initial_value = " + Dense(b) + " : tensor<" +
                                std::to_string(b.bytes) + "xi8>",
                      BytesType(b.bytes)));
    }
  }

  static std::string Dense(const PlacedBuffer& b) {
    std::string hex;
    for (int64_t i = 0; i < b.bytes; ++i) {
      const size_t at = static_cast<size_t>(i);
      hex += fmt::format("{:02X}", at < b.initial.size() ? b.initial[at] : 0);
    }
    return fmt::format("dense<\"0x{}\">", hex);
  }

  void EmitLocks(TileId id, const TileConfig& tile) {
    for (const LockInit& lock : tile.locks) {
      const std::string name = LockName(id, lock.id);
      const std::string symbol = fmt::format("sym_name = \"l_{}_{}\"",
                                             Suffix(id), Identifier(lock.name));
      text_.Line(
          fmt::format("{} = aie.lock({}, {}) {{init = {} : i32, {}}}", name,
                      TileName(id), lock.id, lock.value, symbol),
          fmt::format("{} = \"aie.lock\"({}) {{lockID = {} : i32, init = {} : "
                      "i32, {}}} : (index) -> index",
                      name, TileName(id), lock.id, lock.value, symbol));
    }
  }

  void EmitFlow(const Flow& flow) {
    for (const Flow::Endpoint& sink : flow.sinks) {
      text_.Line(
          fmt::format("aie.flow({}, DMA : {}, {}, DMA : {})",
                      TileName(flow.source.tile), flow.source.channel,
                      TileName(sink.tile), sink.channel),
          fmt::format("\"aie.flow\"({}, {}) {{source_bundle = 1 : i32, "
                      "source_channel = {} : i32, dest_bundle = 1 : i32, "
                      "dest_channel = {} : i32}} : (index, index) -> ()",
                      TileName(flow.source.tile), TileName(sink.tile),
                      flow.source.channel, sink.channel));
    }
  }

  const Plan& plan_;
  MlirText text_;
  MlirCores cores_;
};

}  // namespace

std::string EmitMlir(const Plan& plan, MlirForm form,
                     const std::string& archive) {
  return Emitter(plan, form, archive).Run();
}

}  // namespace sotto::npu
