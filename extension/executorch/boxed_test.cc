// SPDX-License-Identifier: MIT
// The kernels as the runtime calls them: stacks of values, right and wrong.
// RowNN in a name is the row of the acceptance table.
#include <executorch/runtime/core/evalue.h>
#include <executorch/runtime/kernel/kernel_runtime_context.h>
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

#include "extension/executorch/test_util.h"

namespace sotto::pte {
namespace {

namespace et = ::executorch::runtime;
using et::Error;
using et::EValue;
using ::executorch::aten::ScalarType;
using ::executorch::aten::Tensor;
using ::executorch::aten::TensorImpl;
using Sizes = std::vector<int32_t>;

constexpr ScalarType kTypes[] = {ScalarType::Float,    ScalarType::Half,
                                 ScalarType::BFloat16, ScalarType::Double,
                                 ScalarType::Char,     ScalarType::Bool};
constexpr size_t kGuard = 64;  // bytes before and after

// A tensor and its memory, of random bytes with guards around.
class Box {
 public:
  Box(Sizes sizes, ScalarType type = ScalarType::Float, unsigned seed = 1,
      et::TensorShapeDynamism dynamism = et::TensorShapeDynamism::STATIC)
      : sizes_(std::move(sizes)), order_(sizes_.size()), strides_(sizes_) {
    std::iota(order_.begin(), order_.end(), uint8_t{0});
    int32_t stride = 1;
    for (size_t i = sizes_.size(); i-- > 0;) {
      strides_[i] = stride;
      stride *= sizes_[i];
    }
    impl_ = std::make_unique<TensorImpl>(
        type, static_cast<ssize_t>(sizes_.size()), sizes_.data(), nullptr,
        order_.data(), strides_.data(), dynamism);
    memory_.resize(impl_->nbytes() + 2 * kGuard);
    std::mt19937 random(seed);
    for (std::byte& byte : memory_) byte = static_cast<std::byte>(random());
    impl_->set_data(memory_.data() + kGuard);
    value_ = EValue(Tensor(impl_.get()));
  }

  // Lays the dimensions in another order, outermost first.
  void Permute(const std::vector<uint8_t>& order) {
    order_ = order;
    int32_t stride = 1;
    for (size_t i = order.size(); i-- > 0;) {
      strides_[order[i]] = stride;
      stride *= sizes_[order[i]];
    }
  }

  EValue* value() { return &value_; }
  TensorImpl* impl() { return impl_.get(); }
  std::byte* data() { return static_cast<std::byte*>(impl_->mutable_data()); }
  const std::vector<std::byte>& memory() const { return memory_; }
  // Bytes of the element at [b,h,s,d].
  std::byte* At(int b, int h, int s, int d) {
    return data() + (b * strides_[0] + h * strides_[1] + s * strides_[2] +
                     d * strides_[3]) *
                        impl_->element_size();
  }
  const Sizes& sizes() const { return sizes_; }

 private:
  Sizes sizes_;
  std::vector<uint8_t> order_;
  std::vector<int32_t> strides_;
  std::vector<std::byte> memory_;
  std::unique_ptr<TensorImpl> impl_;
  EValue value_;
};

// The cache as it has to be after the update, by a plain loop.
std::vector<std::byte> Updated(Box& value, Box& cache) {
  std::vector<std::byte> bytes = cache.memory();
  const Sizes& n = value.sizes();
  for (int b = 0; b < n[0]; ++b)
    for (int h = 0; h < n[1]; ++h)
      for (int s = 0; s < n[2]; ++s)
        for (int d = 0; d < n[3]; ++d)
          std::memcpy(
              bytes.data() + (cache.At(b, h, s, d) - cache.memory().data()),
              value.At(b, h, s, d), value.impl()->element_size());
  return bytes;
}

// The library's kernels, through the registry.
class Ops {
 public:
  Ops() : library_(Library::Load()) {
    EXPECT_EQ(library_.Status(), "");
    library_.Reset();
  }
  Error Alias(std::vector<EValue*> stack) {
    return Call("executorch::alias.out", std::move(stack));
  }
  Error Update(std::vector<EValue*> stack) {
    return Call("executorch::update_cross_attn_cache.out", std::move(stack));
  }
  const Library& library() const { return library_; }
  sotto_executorch_counts Counts() const { return library_.Counts(); }

 private:
  static Error Call(const char* name, std::vector<EValue*> stack) {
    const auto function = et::get_op_function_from_registry(name);
    EXPECT_TRUE(function.ok());
    et::KernelRuntimeContext context;
    (*function)(context, {stack.data(), stack.size()});
    return context.failure_state();
  }
  Library library_;
};

// ---- alias.out ----

TEST(Boxed, Row01AliasOfEveryTypeAndRank) {
  InChild([] {
    Ops ops;
    for (const ScalarType type : kTypes) {
      for (const Sizes& sizes : {Sizes{}, Sizes{3}, Sizes{2, 5}, Sizes{2, 0, 4},
                                 Sizes{1, 2, 3, 4}}) {
        Box x(sizes, type, 2), y({2, 2}, type, 3);
        Box out_x(sizes, type, 4), out_y({2, 2}, type, 5);
        const std::vector<std::byte> before = x.memory();
        ASSERT_EQ(
            ops.Alias({x.value(), y.value(), out_x.value(), out_y.value()}),
            Error::Ok);
        EXPECT_EQ(std::memcmp(out_x.data(), x.data(), x.impl()->nbytes()), 0);
        EXPECT_EQ(std::memcmp(out_y.data(), y.data(), y.impl()->nbytes()), 0);
        EXPECT_EQ(x.memory(), before);
      }
    }
  });
}

TEST(Boxed, Row02AliasOfKeptMemoryIsAView) {
  InChild([] {
    Ops ops;
    Box x({2, 3}), y({4}), out_x({2, 3}), out_y({4});
    ASSERT_EQ(ops.library().Keep(x.data(), x.impl()->nbytes()), 0);
    ASSERT_EQ(ops.library().Keep(y.data(), y.impl()->nbytes()), 0);
    for (int call = 0; call < 2; ++call) {
      ASSERT_EQ(ops.Alias({x.value(), y.value(), out_x.value(), out_y.value()}),
                Error::Ok);
      EXPECT_EQ(out_x.data(), x.data());
      EXPECT_EQ(out_y.data(), y.data());
      x.data()[3] ^= std::byte{0xff};
      EXPECT_EQ(out_x.data()[3], x.data()[3]);
    }
    EXPECT_EQ(ops.Counts().alias_bytes_copied, 0u);
    EXPECT_EQ(ops.Counts().repointed, 2u);

    // An out that shows a kept buffer must not be written through.
    Box other({2, 3}, ScalarType::Float, 9);
    const std::vector<std::byte> before = x.memory();
    EXPECT_EQ(
        ops.Alias({other.value(), y.value(), out_x.value(), out_y.value()}),
        Error::InvalidState);
    EXPECT_EQ(x.memory(), before);

    EXPECT_EQ(ops.library().Keep(nullptr, 4), -1);
    EXPECT_EQ(ops.library().Keep(x.data(), 0), -1);
  });
}

TEST(Boxed, Row02MemoryIsKeptOnlyAsAWholeAndUntilForgotten) {
  InChild([] {
    Ops ops;
    Box x({2, 3}), out({2, 3}), y({1}), out_y({1});
    ASSERT_EQ(ops.library().Keep(x.data(), x.impl()->nbytes() - 1), 0);
    ASSERT_EQ(ops.Alias({x.value(), y.value(), out.value(), out_y.value()}),
              Error::Ok);
    EXPECT_NE(out.data(), x.data());
    ASSERT_EQ(ops.library().Keep(x.data(), x.impl()->nbytes()), 0);
    ops.library().Forget();
    ASSERT_EQ(ops.Alias({x.value(), y.value(), out.value(), out_y.value()}),
              Error::Ok);
    EXPECT_NE(out.data(), x.data());
    EXPECT_EQ(ops.Counts().repointed, 0u);
  });
}

TEST(Boxed, Row02TimeOf24CachesOfSmall) {
  InChild([] {
    Ops ops;
    Box x({1, 12, 1500, 64}), out_x({1, 12, 1500, 64});
    Box y({1, 12, 1500, 64}), out_y({1, 12, 1500, 64});
    const auto time = [&] {
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < 12; ++i)
        EXPECT_EQ(
            ops.Alias({x.value(), y.value(), out_x.value(), out_y.value()}),
            Error::Ok);
      return std::chrono::duration<double, std::milli>(
                 std::chrono::steady_clock::now() - start)
          .count();
    };
    const double copied = time();
    ops.library().Keep(x.data(), x.impl()->nbytes());
    ops.library().Keep(y.data(), y.impl()->nbytes());
    const double shown = time();
    std::printf(
        "24 caches of [1,12,1500,64] f32: copied %.2f ms, kept %.4f ms\n",
        copied, shown);
  });
}

TEST(Boxed, Row03AliasRefusesWrongCalls) {
  InChild([] {
    Ops ops;
    Box x({2, 3}), y({4}), out_x({2, 3}), out_y({4});
    Box half({2, 3}, ScalarType::Half), long_x({2, 4}), flat({6});
    Box turned({2, 3});
    turned.Permute({1, 0});
    EValue number(int64_t{3}), none;
    const std::vector<std::byte> before = out_x.memory();
    const auto call = [&](EValue* a, EValue* b, EValue* c, EValue* d) {
      return ops.Alias({a, b, c, d});
    };
    EXPECT_EQ(call(x.value(), y.value(), half.value(), out_y.value()),
              Error::InvalidArgument);
    EXPECT_EQ(call(x.value(), y.value(), long_x.value(), out_y.value()),
              Error::InvalidArgument);
    EXPECT_EQ(call(x.value(), y.value(), flat.value(), out_y.value()),
              Error::InvalidArgument);
    EXPECT_EQ(call(x.value(), y.value(), turned.value(), out_y.value()),
              Error::InvalidArgument);
    EXPECT_EQ(call(x.value(), y.value(), out_x.value(), half.value()),
              Error::InvalidArgument);
    EXPECT_EQ(call(x.value(), &number, out_x.value(), out_y.value()),
              Error::InvalidType);
    EXPECT_EQ(call(x.value(), y.value(), &none, out_y.value()),
              Error::InvalidType);
    EXPECT_EQ(call(x.value(), nullptr, out_x.value(), out_y.value()),
              Error::InvalidType);
    EXPECT_EQ(out_x.memory(), before);
    EXPECT_EQ(ops.Counts().alias_calls, 0u);
    EXPECT_EQ(ops.Counts().refused, 8u);
  });
}

TEST(Boxed, Row03AliasTakesFourOrFiveEntries) {
  InChild([] {
    Ops ops;
    Box x({2, 3}), y({4}), out_x({2, 3}), out_y({4});
    EValue* outs[] = {out_x.value(), out_y.value()};
    Tensor unwrapped[] = {Tensor(out_x.impl()), Tensor(out_y.impl())};
    et::BoxedEvalueList<Tensor> list(outs, unwrapped, 2);
    EValue last(&list);
    std::vector<EValue*> stack = {x.value(), y.value()};
    EXPECT_EQ(ops.Alias({}), Error::InvalidProgram);
    EXPECT_EQ(ops.Alias({x.value(), y.value(), out_x.value()}),
              Error::InvalidProgram);
    stack = {x.value(), y.value(), out_x.value(), out_y.value()};
    EXPECT_EQ(ops.Alias(stack), Error::Ok);
    stack.push_back(&last);
    EXPECT_EQ(ops.Alias(stack), Error::Ok);
    stack.push_back(&last);
    EXPECT_EQ(ops.Alias(stack), Error::InvalidProgram);
  });
}

TEST(Boxed, OutsOfBoundedShapeTakeTheSizesOfTheirInput) {
  InChild([] {
    Ops ops;
    Box x({2, 3}), y({4}), out_y({4});
    Box out_x({5, 3}, ScalarType::Float, 2,
              et::TensorShapeDynamism::DYNAMIC_BOUND);
    ASSERT_EQ(ops.Alias({x.value(), y.value(), out_x.value(), out_y.value()}),
              Error::Ok);
    EXPECT_EQ(out_x.impl()->size(0), 2);
    EXPECT_EQ(std::memcmp(out_x.data(), x.data(), x.impl()->nbytes()), 0);
    Box longer({6, 3});
    EXPECT_NE(
        ops.Alias({longer.value(), y.value(), out_x.value(), out_y.value()}),
        Error::Ok);
  });
}

// ---- update_cross_attn_cache.out ----

TEST(Boxed, Row05UpdateOfEveryType) {
  InChild([] {
    Ops ops;
    for (const ScalarType type : kTypes) {
      for (const auto& [value_sizes, cache_sizes] :
           {std::pair<Sizes, Sizes>{{1, 2, 5, 8}, {1, 2, 10, 8}},
            {{4, 4, 3, 16}, {4, 4, 8, 16}},
            {{2, 1, 10, 32}, {2, 1, 16, 32}},
            {{1, 2, 6, 8}, {1, 2, 6, 8}},
            {{2, 3, 0, 4}, {2, 3, 5, 4}}}) {
        Box value(value_sizes, type, 2), cache(cache_sizes, type, 3);
        Box out(cache_sizes, type, 4);
        const std::vector<std::byte> want = Updated(value, cache);
        const std::vector<std::byte> source = value.memory();
        ops.library().Reset();
        ASSERT_EQ(ops.Update(
                      {value.value(), cache.value(), out.value(), out.value()}),
                  Error::Ok);
        EXPECT_EQ(cache.memory(), want);  // guards and tail as they were
        EXPECT_EQ(value.memory(), source);
        EXPECT_EQ(std::memcmp(out.data(), cache.data(), cache.impl()->nbytes()),
                  0);
        EXPECT_EQ(ops.Counts().value_bytes_written, value.impl()->nbytes());
        EXPECT_EQ(ops.Counts().out_bytes_copied, cache.impl()->nbytes());
      }
    }
  });
}

TEST(Boxed, Row07OutThatIsTheCacheCostsNothing) {
  InChild([] {
    Ops ops;
    Box value({1, 3, 4, 5}), cache({1, 3, 9, 5}, ScalarType::Float, 3);
    const std::vector<std::byte> want = Updated(value, cache);
    ASSERT_EQ(ops.Update(
                  {value.value(), cache.value(), cache.value(), cache.value()}),
              Error::Ok);
    EXPECT_EQ(cache.memory(), want);
    EXPECT_EQ(ops.Counts().value_bytes_written, 1u * 3 * 4 * 5 * 4);
    EXPECT_EQ(ops.Counts().out_bytes_copied, 0u);
  });
}

TEST(Boxed, Row07OutOfAKeptCacheShowsIt) {
  InChild([] {
    Ops ops;
    Box value({1, 3, 4, 5}), cache({1, 3, 9, 5}, ScalarType::Float, 3);
    Box out({1, 3, 9, 5});
    const std::vector<std::byte> want = Updated(value, cache);
    ops.library().Keep(cache.data(), cache.impl()->nbytes());
    ASSERT_EQ(ops.Update({value.value(), cache.value(), out.value()}),
              Error::Ok);
    EXPECT_EQ(out.data(), cache.data());
    EXPECT_EQ(cache.memory(), want);
    EXPECT_EQ(ops.Counts().out_bytes_copied, 0u);
  });
}

TEST(Boxed, Row09ValuesOfAnyLayout) {
  InChild([] {
    Ops ops;
    std::vector<uint8_t> order = {0, 1, 2, 3};
    do {
      Box value({2, 3, 4, 5}, ScalarType::Float, 2);
      Box cache({2, 3, 7, 5}, ScalarType::Float, 3);
      value.Permute(order);
      const std::vector<std::byte> want = Updated(value, cache);
      ASSERT_EQ(ops.Update({value.value(), cache.value(), cache.value()}),
                Error::Ok);
      EXPECT_EQ(cache.memory(), want);
    } while (std::next_permutation(order.begin(), order.end()));
  });
}

TEST(Boxed, Row04And08UpdateRefusesWrongCalls) {
  InChild([] {
    Ops ops;
    Box cache({2, 3, 5, 4}, ScalarType::Float, 3);
    Box out({2, 3, 5, 4}, ScalarType::Float, 4);
    const std::vector<std::byte> cache_before = cache.memory();
    const std::vector<std::byte> out_before = out.memory();
    for (const Sizes& sizes :
         {Sizes{2, 3, 6, 4}, Sizes{3, 5, 4}, Sizes{1, 3, 5, 4},
          Sizes{2, 2, 5, 4}, Sizes{2, 3, 5, 3}}) {
      Box value(sizes);
      EXPECT_EQ(ops.Update({value.value(), cache.value(), out.value()}),
                Error::InvalidArgument);
    }
    Box half({2, 3, 5, 4}, ScalarType::Half), value({2, 3, 5, 4});
    EXPECT_EQ(ops.Update({half.value(), cache.value(), out.value()}),
              Error::InvalidArgument);
    EXPECT_EQ(ops.Update({value.value(), cache.value(), half.value()}),
              Error::InvalidArgument);
    // An out that begins within the cache.
    Sizes sizes = cache.sizes();
    TensorImpl shifted(
        ScalarType::Float, 4, sizes.data(), cache.data() + 16,
        cache.impl()->dim_order().empty()
            ? nullptr
            : const_cast<uint8_t*>(cache.impl()->dim_order().data()),
        const_cast<int32_t*>(cache.impl()->strides().data()));
    EValue overlapping{Tensor(&shifted)};
    EXPECT_EQ(ops.Update({value.value(), cache.value(), &overlapping}),
              Error::InvalidArgument);
    EXPECT_EQ(cache.memory(), cache_before);
    EXPECT_EQ(out.memory(), out_before);
    EXPECT_EQ(ops.Counts().refused, 8u);
    EXPECT_EQ(ops.Counts().value_bytes_written, 0u);
  });
}

TEST(Boxed, UpdateTakesThreeOrFourEntries) {
  InChild([] {
    Ops ops;
    Box value({1, 2, 3, 4}), cache({1, 2, 3, 4}), out({1, 2, 3, 4});
    EValue number(2.5);
    const auto call = [&](std::vector<EValue*> stack) {
      return ops.Update(std::move(stack));
    };
    EXPECT_EQ(call({}), Error::InvalidProgram);
    EXPECT_EQ(call({value.value(), cache.value()}), Error::InvalidProgram);
    EXPECT_EQ(call({value.value(), cache.value(), out.value()}), Error::Ok);
    EXPECT_EQ(call({value.value(), cache.value(), out.value(), out.value()}),
              Error::Ok);
    EXPECT_EQ(call({value.value(), cache.value(), out.value(), out.value(),
                    out.value()}),
              Error::InvalidProgram);
    EXPECT_EQ(call({value.value(), cache.value(), out.value(), cache.value()}),
              Error::InvalidProgram);
    EXPECT_EQ(call({value.value(), &number, out.value()}), Error::InvalidType);
    EXPECT_EQ(call({nullptr, cache.value(), out.value()}), Error::InvalidType);
  });
}

TEST(Boxed, CachesInReadOnlyMemoryAreRefused) {
  InChild([] {
    Ops ops;
    Box value({1, 2, 3, 4}), cache({1, 2, 3, 4}), out({1, 2, 3, 4});
    void* page =
        mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    cache.impl()->set_data(page);
    EXPECT_EQ(ops.Update({value.value(), cache.value(), out.value()}),
              Error::InvalidProgram);
    ASSERT_EQ(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
    EXPECT_EQ(ops.Update({value.value(), cache.value(), out.value()}),
              Error::Ok);
  });
}

}  // namespace
}  // namespace sotto::pte
