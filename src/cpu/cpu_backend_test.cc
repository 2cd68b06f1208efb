// SPDX-License-Identifier: MIT
// Steps as programs run them: small graphs through Lower, every level of
// SOTTO_CPU against the level "ref".
#include "cpu/cpu_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "cpu/test_util.h"

namespace sotto::cpu {
namespace {

using ir::Op;
using ir::ValueId;
using ::testing::HasSubstr;

// A graph, its weights and the memory of one run.
struct Runner {
  ir::Graph graph;
  ArrayReader weights;
  std::vector<Buffer> memory;

  ValueId Weight(const std::string& name, DType type, const Shape& shape,
                 uint32_t seed) {
    const ValueId id = graph.Weight(name, type, shape);
    graph.values[static_cast<size_t>(id)].parts = {{name, shape[0]}};
    weights.Add(name, shape.Elements(), seed, 0.3f);
    return id;
  }

  // Runs all nodes; inputs are filled from `inputs` (others from their id).
  std::vector<float> Run(
      const CpuFeatures& features, ValueId result,
      const std::map<ValueId, std::vector<int32_t>>& ints = {}) {
    ThreadPool pool(2);
    const auto backend = MakeCpuBackend({.features = features, .pool = &pool});
    std::vector<ir::NodeId> nodes;
    for (size_t i = 0; i < graph.nodes.size(); ++i)
      nodes.push_back(static_cast<ir::NodeId>(i));
    for (const ir::NodeId node : nodes)
      EXPECT_EQ(backend->Refuse(graph, node), "");
    const auto steps = backend->Lower(graph, nodes, weights);
    std::vector<void*> addresses = Allocate(*backend, ints);
    for (const auto& step : steps) {
      const Buffer scratch(step->info().scratch_bytes);
      if (scratch.size() > 0)
        std::memset(scratch.data(), 0xff, scratch.size());
      step->Run({addresses.data(), scratch.data(), &pool});
    }
    const ir::Value& value = graph.value(result);
    std::vector<float> out;
    for (int64_t i = 0; i < value.shape.Elements(); ++i)
      out.push_back(
          LoadElement(addresses[static_cast<size_t>(result)], value.dtype, i));
    return out;
  }

  std::vector<void*> Allocate(
      const Backend& backend,
      const std::map<ValueId, std::vector<int32_t>>& ints) {
    std::vector<void*> addresses(graph.values.size(), nullptr);
    memory.clear();
    for (size_t i = 0; i < graph.values.size(); ++i) {
      const ir::Value& value = graph.values[i];
      const ValueId id = static_cast<ValueId>(i);
      if (value.kind == ir::ValueKind::kWeight) continue;
      if (value.kind == ir::ValueKind::kTemp &&
          Aliases(graph.node(value.producer), addresses, i))
        continue;
      const size_t bytes =
          value.kind == ir::ValueKind::kState
              ? backend.StateBytes(value)
              : BytesOf(value.dtype,
                        static_cast<size_t>(value.shape.Elements()));
      memory.emplace_back(bytes);
      addresses[i] = memory.back().data();
      if (ints.contains(id)) {
        std::memcpy(addresses[i], ints.at(id).data(), bytes);
      } else if (value.kind == ir::ValueKind::kInput) {
        const auto values = RandomValues(value.shape.Elements(),
                                         static_cast<uint32_t>(100 + i));
        for (size_t e = 0; e < values.size(); ++e)
          StoreElement(addresses[i], value.dtype, static_cast<int64_t>(e),
                       values[e]);
      }
    }
    return addresses;
  }

  // Views and KV writes live in their first input.
  bool Aliases(const ir::Node& node, std::vector<void*>& addresses,
               size_t at) const {
    const size_t from = static_cast<size_t>(node.inputs[0]);
    if (node.op != Op::kSlice && node.op != Op::kReshape &&
        node.op != Op::kKvWrite)
      return false;
    size_t offset = 0;
    if (const auto* slice = std::get_if<ir::SliceAttrs>(&node.attrs))
      offset =
          BytesOf(graph.values[from].dtype, static_cast<size_t>(slice->begin));
    addresses[at] = static_cast<std::byte*>(addresses[from]) + offset;
    return true;
  }
};

float Worst(const std::vector<float>& a, const std::vector<float>& b) {
  float worst = 0;
  for (size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(a[i] - b[i]));
  return std::isnan(worst) ? 1e30f : worst;
}

// Runs on every level and compares with the level "ref".
void ExpectLevelsAgree(
    Runner& runner, ValueId result, float within,
    const std::map<ValueId, std::vector<int32_t>>& ints = {}) {
  const std::vector<float> want = runner.Run({}, result, ints);
  float size = 0;
  for (const float value : want) size = std::max(size, std::abs(value));
  EXPECT_GT(size, 0.1f);
  for (const char* level : {"amx", "avx512", "avx2"}) {
    const CpuFeatures features = LimitFeatures(HostFeatures(), level);
    EXPECT_LE(Worst(runner.Run(features, result, ints), want), within * size)
        << level;
  }
}

ValueId AddConv(Runner& r, DType weights, int64_t batch, int64_t channels,
                int64_t t, int stride, const std::string& name) {
  const ValueId x = r.graph.Input("x", DType::kF32, {batch, channels, t});
  const ValueId rows = r.graph.Add(Op::kTranspose, {x});
  const ValueId w = r.Weight(name + ".w", weights, {24, channels, 3}, 7);
  const ValueId b = r.Weight(name + ".b", DType::kF32, {24}, 8);
  const int64_t out_t = (t - 1) / stride + 1;
  const ValueId pos = r.Weight(name + ".pos", DType::kF32, {out_t, 24}, 9);
  return r.graph.Add(
      Op::kConv1d, {rows, w, b, pos},
      ir::ConvAttrs{.stride = stride, .act = ir::Activation::kGelu});
}

TEST(CpuBackend, RunsConvolutionsAsTheyAreDefined) {
  for (const int stride : {1, 2})
    for (const int64_t batch : {1, 3})
      for (const int64_t t : {1, 2, 17, 40})
        for (const DType weights : {DType::kF32, DType::kF16}) {
          Runner r;
          const ValueId y = AddConv(r, weights, batch, 10, t, stride, "conv");
          ExpectLevelsAgree(r, y, 1e-5f);
        }
}

TEST(CpuBackend, RoundsTheInputOfAHalfConvolution) {
  Runner r;
  const ValueId y = AddConv(r, DType::kBF16, 2, 80, 30, 2, "conv");
  ExpectLevelsAgree(r, y, 0.02f);
}

// Fused QKV, seen through slices, into attention and on with a residual.
TEST(CpuBackend, ReadsSlicesInPlace) {
  for (const DType type : {DType::kF32, DType::kBF16}) {
    Runner r;
    const ValueId x = r.graph.Input("x", DType::kF32, {2, 19, 128});
    const ValueId n = r.graph.Add(Op::kLayerNorm,
                                  {x, r.Weight("ln.w", DType::kF32, {128}, 1),
                                   r.Weight("ln.b", DType::kF32, {128}, 2)},
                                  ir::NormAttrs{.out = type});
    const ValueId qkv =
        r.graph.Add(Op::kLinear, {n, r.Weight("qkv", type, {384, 128}, 3)},
                    ir::LinearAttrs{.out = type});
    std::vector<ValueId> parts;
    for (const int64_t begin : {0, 128, 256})
      parts.push_back(
          r.graph.Add(Op::kSlice, {qkv},
                      ir::SliceAttrs{.begin = begin, .end = begin + 128}));
    const ValueId a = r.graph.Add(
        Op::kAttention, parts,
        ir::AttentionAttrs{.heads = 2, .scale = 0.125f, .out = type});
    const ValueId y = r.graph.Add(Op::kLinear,
                                  {a, r.Weight("o", type, {128, 128}, 4),
                                   r.Weight("o.b", DType::kF32, {128}, 5), x},
                                  ir::LinearAttrs{});
    ExpectLevelsAgree(r, y, type == DType::kF32 ? 1e-5f : 0.02f);
  }
}

TEST(CpuBackend, WritesAndReadsTheCache) {
  for (const DType type : {DType::kF32, DType::kBF16}) {
    Runner r;
    const ValueId tokens = r.graph.Input("tokens", DType::kI32, {2, 3});
    const ValueId pos = r.graph.Input("pos", DType::kI32, {2});
    const ValueId slot = r.graph.Input("slot", DType::kI32, {2});
    const ValueId rows = r.graph.Input("rows", DType::kI32, {2, 1});
    const ValueId table = r.Weight("table", type, {50, 128}, 1);
    const ValueId x = r.graph.Add(
        Op::kEmbed,
        {tokens, table, r.Weight("pos_emb", DType::kF32, {20, 128}, 2), pos},
        ir::CastAttrs{.out = type});
    ValueId states[2];
    const ir::KvKind kinds[] = {ir::KvKind::kKey, ir::KvKind::kValue};
    for (int i = 0; i < 2; ++i) {
      const std::string name = i == 0 ? "k" : "v";
      const ValueId kv = r.graph.Add(
          Op::kLinear,
          {x, r.Weight(name, type, {128, 128}, static_cast<uint32_t>(3 + i))},
          ir::LinearAttrs{.out = type});
      const ValueId state = r.graph.State("self_" + name, type, {3, 2, 20, 64});
      states[i] = r.graph.Add(Op::kKvWrite, {state, kv, pos, slot},
                              ir::KvWriteAttrs{.kind = kinds[i]});
    }
    const ValueId a = r.graph.Add(
        Op::kCachedAttention, {x, states[0], states[1], pos, slot},
        ir::CachedAttentionAttrs{.scale = 0.125f, .extent = 20, .out = type});
    const ValueId last = r.graph.Add(Op::kSelectRows, {a, rows});
    const ValueId logits =
        r.graph.Add(Op::kLinear, {last, table}, ir::LinearAttrs{});
    // note: positions before pos are zero in this run; they count alike.
    ExpectLevelsAgree(r, logits, type == DType::kF32 ? 1e-5f : 0.03f,
                      {{tokens, {1, 2, 3, 49, 0, 7}},
                       {pos, {0, 5}},
                       {slot, {2, 0}},
                       {rows, {2, 1}}});
  }
}

TEST(CpuBackend, AddsCastsAndReshapes) {
  Runner r;
  const ValueId x = r.graph.Input("x", DType::kF32, {2, 6, 20});
  const ValueId half =
      r.graph.Add(Op::kCast, {x}, ir::CastAttrs{.out = DType::kBF16});
  const ValueId sum =
      r.graph.Add(Op::kAdd, {half, r.Weight("p", DType::kF32, {6, 20}, 1)},
                  ir::CastAttrs{});
  const ValueId flat =
      r.graph.Add(Op::kReshape, {sum}, ir::ReshapeAttrs{{12, 20}});
  const ValueId y = r.graph.Add(Op::kGelu, {flat}, ir::CastAttrs{});
  ExpectLevelsAgree(r, y, 1e-6f);
}

TEST(CpuBackend, SharesPackedWeightsAmongPrograms) {
  Runner r;
  const ValueId x = r.graph.Input("x", DType::kF32, {1, 1, 32});
  r.graph.Add(Op::kLinear, {x, r.Weight("w", DType::kBF16, {40, 32}, 1)},
              ir::LinearAttrs{});
  ThreadPool pool(1);
  const auto backend =
      MakeCpuBackend({.features = HostFeatures(), .pool = &pool});
  const std::vector<ir::NodeId> nodes = {0};
  backend->Lower(r.graph, nodes, r.weights);
  const size_t packed = backend->packed_bytes();
  EXPECT_EQ(packed, size_t{48 * 32 * 2});
  backend->Lower(r.graph, nodes, r.weights);
  EXPECT_EQ(backend->packed_bytes(), packed);
  EXPECT_EQ(backend->weight_bytes_copied(), packed);
}

TEST(CpuBackend, RefusesInWords) {
  Runner r;
  const ValueId x = r.graph.Input("x", DType::kF16, {1, 1, 32});
  r.graph.Add(Op::kLinear, {x, r.Weight("w", DType::kF32, {40, 32}, 1)},
              ir::LinearAttrs{});
  ThreadPool pool(1);
  const auto backend =
      MakeCpuBackend({.features = {.avx2 = true}, .pool = &pool});
  const std::string why = backend->Refuse(r.graph, 0);
  EXPECT_THAT(why, HasSubstr("cpu: no kernel for linear(f16, f32) -> f32 m=1 "
                             "n=40 k=32"));
  EXPECT_THAT(why, HasSubstr("simd_row needs f32|bf16 x, not f16"));
  const std::vector<ir::NodeId> nodes = {0};
  EXPECT_THROW(backend->Lower(r.graph, nodes, r.weights), Error);
}

TEST(CpuBackend, ReportsItsWork) {
  Runner r;
  const ValueId x = r.graph.Input("x", DType::kF32, {1, 3, 32});
  r.graph.Add(Op::kLinear, {x, r.Weight("w", DType::kBF16, {40, 32}, 1)},
              ir::LinearAttrs{});
  ThreadPool pool(1);
  const auto backend =
      MakeCpuBackend({.features = LimitFeatures(HostFeatures(), "avx2"),
                      .pool = &pool,
                      .allow_ref = true});
  const std::vector<ir::NodeId> nodes = {0};
  const auto steps = backend->Lower(r.graph, nodes, r.weights);
  ASSERT_EQ(steps.size(), 1u);
  const StepInfo& info = steps[0]->info();
  EXPECT_EQ(info.op, "linear");
  EXPECT_EQ(info.nodes, nodes);
  EXPECT_EQ(info.flops, 2.0 * 3 * 40 * 32);
  EXPECT_EQ(info.read_bytes, 48.0 * 32 * 2);
}

}  // namespace
}  // namespace sotto::cpu
