// SPDX-License-Identifier: MIT
// Compile: a stage of a model becomes a Program. Passes, placement, lowering,
// memory plan; each pass's graph is verified.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "compile/passes.h"
#include "compile/profile.h"
#include "model/spec.h"
#include "model/stages.h"
#include "model/weights.h"
#include "runtime/backend.h"
#include "runtime/program.h"
#include "runtime/weight_reader.h"

namespace sotto {

// A WeightStore as backends read it.
class StoreReader final : public WeightReader {
 public:
  // Borrows the store.
  explicit StoreReader(const WeightStore& store) : store_(store) {}
  void Read(std::string_view name, int64_t first, int64_t count,
            float* out) const override {
    store_.Read(name, first, count, out);
  }
  void Release(std::string_view name) const override { store_.Release(name); }

 private:
  const WeightStore& store_;
};

// What a compilation tells beside its program.
struct CompileReport {
  // In: keep every pass's graph as text?
  bool keep_graphs = false;
  FusionReport fusion;
  // (pass, text), "build" first.
  std::vector<std::pair<std::string, std::string>> graphs;
  // Why the stage was compiled again without fusion; empty where it was not.
  std::string without_fusion;
  double milliseconds = 0;
};

// Thread-safe as far as the backends are. Backends are asked in order; they
// and what `weights` reads from must live as long as the program. Throws
// kBadInput for a shape that does not suit the model, kUnsupported where no
// backend takes a node, with every reason.
std::shared_ptr<const Program> Compile(const ModelSpec& spec,
                                       const WeightReader& weights, Stage stage,
                                       const StageShape& shape,
                                       const Profile& profile,
                                       std::span<Backend* const> backends,
                                       CompileReport* report = nullptr);
std::shared_ptr<const Program> Compile(const WeightStore& weights, Stage stage,
                                       const StageShape& shape,
                                       const Profile& profile,
                                       std::span<Backend* const> backends,
                                       CompileReport* report = nullptr);

// The same for a graph of any make (a detector's network, a test).
std::shared_ptr<const Program> CompileGraph(const ir::Graph& graph,
                                            const WeightReader& weights,
                                            const Profile& profile,
                                            const StageOptions& options,
                                            std::span<Backend* const> backends,
                                            CompileReport* report = nullptr);

}  // namespace sotto
