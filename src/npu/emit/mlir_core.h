// SPDX-License-Identifier: MIT
// What cores run, in MLIR. Not for use outside emit/.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "npu/design/planner.h"
#include "npu/emit/mlir_text.h"

namespace sotto::npu {

class MlirCores {
 public:
  // `archive`: what cores are linked with. All must outlive this.
  MlirCores(const Plan& plan, std::string archive, MlirText* text)
      : plan_(plan), archive_(std::move(archive)), text_(*text) {}

  // The declarations of all kernels. Comes before any core.
  void EmitKernels();
  void EmitCore(TileId id, const TileConfig& tile);

 private:
  std::pair<TileId, const PlacedBuffer*> Find(TileId core,
                                              int64_t address) const;
  int64_t RoomAt(TileId core, int64_t address) const;
  void EmitCoreOp(TileId id, const CoreOp& op);
  void OpenLoop(TileId id, const CoreOp& op);
  void EmitCall(TileId id, const CoreOp& op);
  std::string ValueOf(TileId id, const CoreArg& arg, int64_t bytes);
  std::string AddTrips(const CoreArg& arg, const std::string& name,
                       int64_t base);
  std::string View(TileId core, int64_t address, const std::string& type,
                   const CoreArg* moving = nullptr);
  std::string Load(TileId core, int64_t address);
  std::string Pointer(TileId core, int64_t address, int64_t bytes);
  std::string TripsOf(int64_t loop) const;
  std::string Fresh();
  void Same(const std::string& line) { text_.Line(line, line); }

  const Plan& plan_;
  const std::string archive_;
  MlirText& text_;
  // Of each kernel's arguments, the bytes of a pointer; 0: an integer.
  std::map<std::string, std::vector<int64_t>> kernels_;
  int values_ = 0;
  std::vector<std::string> loops_;  // index of each; empty: an endless loop
};

}  // namespace sotto::npu
