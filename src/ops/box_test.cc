// SPDX-License-Identifier: MIT
// Row 15: one line registers functions of 0 to 4 outputs and
// `(const T&, T& cache, T& out)`. Most of it is that this file compiles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <tuple>

#include "ops/test_ops.h"

namespace sotto {
namespace {

using ops::Context;
using ops::kBoxable;
using ops::Op;
using ops::Tensor;
using ::testing::HasSubstr;

// Results by value, 0 to 4 and more.
void Results0(const Tensor&) {}
Tensor Results1(const Tensor& x) { return x; }
std::tuple<Tensor, Tensor> Results2(const Tensor& x, const Tensor& y) {
  return {y, x};
}
std::array<Tensor, 3> Results3(const Tensor& x) { return {x, x, x}; }
std::tuple<Tensor, Tensor, Tensor, Tensor> Results4(const Tensor& x) noexcept {
  return {x, x, x, x};
}
// Results by reference, 0 to 4, and the form that ExecuTorch's macro rejects.
void Outs1(const Tensor&, Tensor&) {}
void Outs2(const Tensor&, const Tensor&, Tensor&, Tensor&) {}
void Outs3(Context&, const Tensor&, Tensor&, Tensor&, Tensor&) {}
void Outs4(const Tensor&, Tensor&, Tensor&, Tensor&, Tensor&) {}
void CacheAndOut(const Tensor&, Tensor&, Tensor&) {}
// Every kind of argument.
int64_t g_seen = 0;
Tensor Everything(Context& context, const Tensor& x, Tensor& y,
                  const Tensor* none, int64_t i, double f, bool b,
                  std::span<const int64_t> integers,
                  std::span<const Tensor* const> tensors,
                  std::span<Tensor* const> outs) {
  context.Count(SOTTO_OP_BYTES_WRITTEN, 7);
  g_seen = (none == nullptr ? 1 : 0) + i + static_cast<int64_t>(f) +
           (b ? 1 : 0) + integers[1] + static_cast<int64_t>(tensors.size()) +
           static_cast<int64_t>(outs.size());
  static_cast<float*>(y.data)[0] = static_cast<const float*>(x.data)[0];
  return x;
}

// What is no operator is told apart.
int Number(const Tensor&) { return 0; }
void Pointer(const Tensor&, float*) {}
void ByValue(Tensor) {}
static_assert(!kBoxable<Number> && !kBoxable<Pointer> && !kBoxable<ByValue>);

constexpr sotto_op kOps[] = {
    Op<Results0>("t::r0"),      Op<Results1>("t::r1"),
    Op<Results2>("t::r2"),      Op<Results3>("t::r3"),
    Op<Results4>("t::r4"),      Op<Outs1>("t::o1.out"),
    Op<Outs2>("t::o2.out"),     Op<Outs3>("t::o3.out"),
    Op<Outs4>("t::o4.out"),     Op<CacheAndOut>("t::cache.out"),
    Op<Everything>("t::every"), Op<Outs1>("t::o1.out", "f16,f16"),
};

constexpr std::string_view Schema(int i) { return kOps[i].schema; }
static_assert(Schema(0) == "(T)");
static_assert(Schema(1) == "(T)->(T)");
static_assert(Schema(2) == "(T,T)->(T,T)");
static_assert(Schema(3) == "(T)->(T,T,T)");
static_assert(Schema(4) == "(T)->(T,T,T,T)");
static_assert(Schema(6) == "(T,T,T!,T!)");
static_assert(Schema(7) == "(T,T!,T!,T!)");
static_assert(Schema(8) == "(T,T!,T!,T!,T!)");
static_assert(Schema(9) == "(T,T!,T!)");
static_assert(Schema(10) == "(T,T!,T?,i,f,b,i[],T[],T![])->(T)");

TEST(Row15OneLineRegistration, EveryShapeOfFunctionIsRegisteredAndCalled) {
  OpRegistry registry;
  registry.Add("host", kOps);
  EXPECT_EQ(registry.Kernels().size(), std::size(kOps));
  EXPECT_EQ(registry.Names().size(), std::size(kOps) - 1);  // o1.out twice

  std::vector<float> a{1}, b{2}, c{3}, d{4}, e{5};
  std::array<Tensor, 5> t;
  const std::array<std::vector<float>*, 5> data = {&a, &b, &c, &d, &e};
  const auto fresh = [&] {
    for (size_t i = 0; i < 5; ++i) t[i] = testing::F32(*data[i], {1});
  };
  for (const OpKernel& kernel : registry.Kernels()) {
    if (kernel.name == "t::every") continue;
    fresh();
    std::vector<sotto_op_value> stack;
    const size_t count = kernel.schema.arguments.size() + kernel.schema.results;
    for (size_t i = 0; i < count; ++i) stack.push_back(ops::Value(t[i]));
    EXPECT_NO_THROW(CallOp(kernel, stack, nullptr, nullptr)) << kernel.name;
    stack.push_back(ops::None());
    stack.push_back(ops::None());
    EXPECT_THROW(CallOp(kernel, stack, nullptr, nullptr), Error);
  }
  fresh();
  std::vector<sotto_op_value> stack = {ops::Value(t[0]), ops::Value(t[1]),
                                       ops::Value(t[2]), ops::Value(t[3])};
  CallOp(testing::KernelOf(registry, "t::r2"), stack, nullptr, nullptr);
  EXPECT_EQ(t[2].data, b.data());
  EXPECT_EQ(t[3].data, a.data());
}

TEST(Row15OneLineRegistration, ArgumentsArriveInTheirPlaces) {
  OpRegistry registry;
  registry.Add("host", kOps);
  std::vector<float> a{1}, b{2};
  Tensor x = testing::F32(a, {1}), y = testing::F32(b, {1}), result = y;
  const std::vector<int64_t> integers = {5, 100};
  const std::vector<Tensor*> list = {&x, &y};
  const std::vector<Tensor*> outs = {&y};
  std::vector<sotto_op_value> stack = {
      ops::Value(x),
      ops::Value(y),
      ops::None(),
      ops::Value(int64_t{1000}),
      ops::Value(20000.0),
      ops::Value(true),
      ops::Value(std::span<const int64_t>(integers)),
      ops::Value(std::span<Tensor* const>(list)),
      ops::Value(std::span<Tensor* const>(outs)),
      ops::Value(result)};
  OpCounters counters;
  const OpKernel kernel = testing::KernelOf(registry, "t::every");
  CallOp(kernel, stack, &counters, nullptr);
  EXPECT_EQ(g_seen, 1 + 1000 + 20000 + 1 + 100 + 2 + 1);
  EXPECT_EQ(counters.bytes_written, 7u);
  EXPECT_EQ(b[0], 1);
  EXPECT_EQ(result.data, a.data());

  // Each argument of another kind is refused by its number.
  for (size_t i = 0; i < stack.size(); ++i) {
    std::vector<sotto_op_value> wrong = stack;
    wrong[i].kind =
        wrong[i].kind == SOTTO_OP_TENSORS ? SOTTO_OP_INTS : SOTTO_OP_TENSORS;
    EXPECT_THAT(
        testing::ErrorOf([&] { CallOp(kernel, wrong, nullptr, nullptr); }),
        HasSubstr("t::every: argument " + std::to_string(i)));
  }
}

TEST(Box, ExceptionsBecomeReasons) {
  OpRegistry registry;
  registry.Add("host", testing::kTestOps);
  std::vector<float> data{-1};
  Tensor x = testing::F32(data, {1});
  std::vector<sotto_op_value> stack = {ops::Value(x)};
  EXPECT_EQ(testing::ErrorOf([&] {
              CallOp(testing::KernelOf(registry, "test::require_positive"),
                     stack, nullptr, nullptr);
            }),
            "test::require_positive: the sum is negative");
}

}  // namespace
}  // namespace sotto
