// SPDX-License-Identifier: MIT
// Whole programs on the published runtime, mapped from files as users load
// them. testdata/make.py wrote the programs; its modules are their source.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <numeric>
#include <random>

#include "extension/executorch/test_util.h"

namespace sotto::pte {
namespace {

using ::executorch::extension::make_tensor_ptr;
using ::executorch::extension::Module;
using ::executorch::extension::TensorPtr;
using ::executorch::runtime::Error;
using ::executorch::runtime::EValue;
using Floats = std::vector<float>;

constexpr size_t kValue = 1 * 2 * 4 * 3;  // elements of [B,H,S,D]
constexpr size_t kCache = 1 * 2 * 6 * 3;
const std::vector<int> kValueSizes = {1, 2, 4, 3};
const std::vector<int> kCacheSizes = {1, 2, 6, 3};

Module Open(const std::string& name) {
  return Module(std::string(SOTTO_TESTDATA) + "/" + name + ".pte",
                Module::LoadMode::Mmap);
}

Floats Random(unsigned seed, size_t count) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> draw(-4, 4);
  Floats values(count);
  for (float& value : values) value = draw(random);
  return values;
}

Floats Values(const EValue& value) {
  const auto& tensor = value.toTensor();
  const auto* data = tensor.const_data_ptr<float>();
  return Floats(data, data + tensor.numel());
}

// ---- loading ----

TEST(Pte, ProgramsWithoutTheLibraryLackAnOperator) {
  InChild([] {
    for (const char* name :
         {"update", "alias", "temporaries", "layers1", "layers3"}) {
      Module module = Open(name);
      EXPECT_EQ(module.load(), Error::Ok) << name;
      EXPECT_EQ(module.load_method("forward"), Error::OperatorMissing) << name;
    }
  });
}

TEST(Pte, TheSameProcessMayLoadTheLibraryAndTryAgain) {
  InChild([] {
    Module before = Open("layers3");
    EXPECT_EQ(before.load_method("forward"), Error::OperatorMissing);
    EXPECT_EQ(Library::Load().Status(), "");
    EXPECT_EQ(before.load_method("forward"), Error::Ok);
    Module after = Open("layers3");
    EXPECT_EQ(after.load_method("forward"), Error::Ok);
  });
}

TEST(Pte, ExactlyTwoNamesAreGainedHoweverOftenItIsLoaded) {
  InChild([] {
    const std::vector<std::string> before = RegisteredNames();
    const Library library = Library::Load();
    std::vector<std::string> gained;
    const std::vector<std::string> after = RegisteredNames();
    std::set_difference(after.begin(), after.end(), before.begin(),
                        before.end(), std::back_inserter(gained));
    EXPECT_THAT(gained, ::testing::ElementsAre(
                            "executorch::alias.out",
                            "executorch::update_cross_attn_cache.out"));

    EXPECT_EQ(Library::Load().Status(), "");
    EXPECT_EQ(RegisteredNames(), after);

    // Another file with the same operators, as of a second installation.
    const std::string copy = ::testing::TempDir() + "libsotto_executorch_copy" +
                             std::to_string(getpid()) + ".so";
    std::filesystem::copy_file(
        SOTTO_EXECUTORCH_LIBRARY, copy,
        std::filesystem::copy_options::overwrite_existing);
    const Library second = Library::Load(copy);
    std::filesystem::remove(copy);
    EXPECT_THAT(second.Status(), ::testing::HasSubstr("registered before"));
    EXPECT_EQ(library.Status(), "");
    EXPECT_EQ(RegisteredNames(), after);
  });
}

TEST(Pte, ClosingTheLibraryLeavesTheOperators) {
  InChild([] {
    EXPECT_EQ(dlclose(Library::Load().handle), 0);
    Module module = Open("layers1");
    auto result =
        module.forward({make_tensor_ptr(kValueSizes, Floats(kValue, 1)),
                        make_tensor_ptr({1}, std::vector<int64_t>{0})});
    ASSERT_EQ(result.error(), Error::Ok);
    EXPECT_EQ(Values(result->at(0)), Floats{kValue});
  });
}

// ---- the operators by themselves ----

TEST(Pte, Row05And06UpdateWritesThePrefixOnly) {
  InChild([] {
    const Library library = Library::Load();
    Module module = Open("update");
    for (unsigned seed : {1u, 2u}) {
      const Floats value = Random(seed, kValue);
      const Floats canary = Random(seed + 10, kCache);
      const TensorPtr cache = make_tensor_ptr(kCacheSizes, canary);
      Floats want = canary;
      for (size_t head = 0; head < 2; ++head)
        std::copy_n(value.begin() + head * 12, 12, want.begin() + head * 18);
      library.Reset();
      auto result =
          module.forward({make_tensor_ptr(kValueSizes, value), cache});
      ASSERT_EQ(result.error(), Error::Ok);
      EXPECT_EQ(Values(result->at(0)), want);
      EXPECT_EQ(Values(cache), want);
      EXPECT_EQ(library.Counts().update_calls, 1u);
      EXPECT_EQ(library.Counts().value_bytes_written, kValue * 4);
      // Stock planning gives the result memory of its own.
      EXPECT_EQ(library.Counts().out_bytes_copied, kCache * 4);
    }
  });
}

TEST(Pte, AliasGivesItsArguments) {
  InChild([] {
    const Library library = Library::Load();
    Module module = Open("alias");
    const Floats x = Random(3, 20), y = Random(4, 20);
    auto result = module.forward(
        {make_tensor_ptr({4, 5}, x), make_tensor_ptr({4, 5}, y)});
    ASSERT_EQ(result.error(), Error::Ok);
    EXPECT_EQ(Values(result->at(0)), x);
    EXPECT_EQ(Values(result->at(1)), y);
    EXPECT_EQ(library.Counts().alias_calls, 1u);
  });
}

// The planner puts x + y where x * 2 was: a result that only pointed there
// would change.
TEST(Pte, Trap1AliasesOfTemporariesKeepTheirValues) {
  InChild([] {
    const Library library = Library::Load();
    Module module = Open("temporaries");
    const Floats x = Random(5, 20), y = Random(6, 20);
    auto result = module.forward(
        {make_tensor_ptr({4, 5}, x), make_tensor_ptr({4, 5}, y)});
    ASSERT_EQ(result.error(), Error::Ok);
    const Floats a = Values(result->at(0)), b = Values(result->at(1));
    for (size_t i = 0; i < 20; ++i) {
      EXPECT_FLOAT_EQ(a[i], x[i] * 2 + (x[i] + y[i]));
      EXPECT_FLOAT_EQ(b[i], y[i] * 3 - (x[i] + y[i]));
    }
    EXPECT_EQ(library.Counts().repointed, 0u);
  });
}

// ---- caches of layers under cond ----

// The sums that the program gives back for this value, written anew or kept.
Floats Step(Module& module, const Floats& value, int64_t position) {
  auto result =
      module.forward({make_tensor_ptr(kValueSizes, value),
                      make_tensor_ptr({1}, std::vector<int64_t>{position})});
  EXPECT_EQ(result.error(), Error::Ok);
  if (!result.ok()) return {};
  return Values(result->at(0));
}

void ExpectSums(const Floats& sums, const Floats& value, size_t layers) {
  const double sum = std::accumulate(value.begin(), value.end(), 0.0);
  ASSERT_EQ(sums.size(), layers);
  for (size_t i = 0; i < layers; ++i)
    EXPECT_NEAR(sums[i], sum * double(i + 1), 1e-3) << "layer " << i;
}

// Two recordings on one loaded method, and steps between: rows 10 and 11.
void ExpectCachesOfTheirOwn(Module& module, size_t layers) {
  const Floats first = Random(7, kValue), second = Random(8, kValue);
  const Floats other = Random(9, kValue);
  ExpectSums(Step(module, first, 0), first, layers);
  for (int64_t position = 1; position < 4; ++position)
    ExpectSums(Step(module, other, position), first, layers);
  ExpectSums(Step(module, second, 0), second, layers);
  ExpectSums(Step(module, other, 1), second, layers);
  ExpectSums(Step(module, first, 0), first, layers);
}

TEST(Pte, Trap2OneLayer) {
  InChild([] {
    Library::Load();
    Module module = Open("layers1");
    ExpectCachesOfTheirOwn(module, 1);
  });
}

TEST(Pte, Trap2ThreeLayersTwoCalls) {
  InChild([] {
    Library::Load();
    Module module = Open("layers3");
    const Floats value(kValue, 11);
    const Floats want = {264, 528, 792};
    EXPECT_EQ(Step(module, value, 0), want);
    EXPECT_EQ(Step(module, value, 1), want);
    ExpectCachesOfTheirOwn(module, 3);
  });
}

TEST(Pte, Row07ZeroCopyPlanningMovesTheValueAlone) {
  InChild([] {
    const Library library = Library::Load();
    Module module = Open("layers3");
    Step(module, Random(10, kValue), 0);
    sotto_executorch_counts counts = library.Counts();
    EXPECT_EQ(counts.update_calls, 3u);
    EXPECT_EQ(counts.value_bytes_written, 3 * kValue * sizeof(float));
    EXPECT_EQ(counts.out_bytes_copied, 0u);
    EXPECT_EQ(counts.alias_calls, 0u);  // planned away
    library.Reset();
    Step(module, Random(11, kValue), 1);
    counts = library.Counts();
    EXPECT_EQ(counts.update_calls, 0u);
    EXPECT_EQ(counts.value_bytes_written, 0u);
    EXPECT_EQ(counts.out_bytes_copied, 0u);
    EXPECT_EQ(counts.alias_bytes_copied, 0u);
  });
}

TEST(Pte, Row08StockPlanningOfOneLayerCopiesAndIsRight) {
  InChild([] {
    const Library library = Library::Load();
    Module module = Open("layers1_stock");
    ExpectCachesOfTheirOwn(module, 1);
    EXPECT_GT(library.Counts().out_bytes_copied, 0u);
    EXPECT_GT(library.Counts().alias_bytes_copied, 0u);
    EXPECT_EQ(library.Counts().repointed, 0u);
  });
}

// Stock planning lays the copies of several layers on one place. With the
// buffers in an arena of their own, named as kept, there are no copies.
TEST(Pte, Row02KeptBuffersAreShownNotCopied) {
  InChild([] {
    const Library library = Library::Load();
    Module module = Open("layers3_apart");
    ASSERT_EQ(module.load(), Error::Ok);
    const auto meta = module.method_meta("forward");
    ASSERT_TRUE(meta.ok());
    ASSERT_EQ(meta->num_memory_planned_buffers(), 2u);
    std::vector<std::vector<uint8_t>> arenas;
    std::vector<::executorch::runtime::Span<uint8_t>> spans;
    for (size_t i = 0; i < 2; ++i) {
      arenas.emplace_back(
          static_cast<size_t>(*meta->memory_planned_buffer_size(i)));
      spans.emplace_back(arenas[i].data(), arenas[i].size());
    }
    EXPECT_EQ(library.Keep(arenas[1].data(), arenas[1].size()), 0);
    ::executorch::runtime::HierarchicalAllocator memory(
        {spans.data(), spans.size()});
    ASSERT_EQ(module.load_method("forward", &memory), Error::Ok);
    ExpectCachesOfTheirOwn(module, 3);
    const sotto_executorch_counts counts = library.Counts();
    EXPECT_EQ(counts.out_bytes_copied, 0u);
    EXPECT_EQ(counts.alias_bytes_copied, 0u);
    EXPECT_GT(counts.repointed, 0u);
  });
}

// The buffer lies in the file, mapped read-only. Upstream's way to write there
// ends the process.
TEST(Pte, Trap3UndeclaredMutationIsAnError) {
  InChild([] {
    const Library library = Library::Load();
    Module module = Open("undeclared");
    for (int call = 0; call < 2; ++call) {
      const auto result =
          module.forward(make_tensor_ptr(kValueSizes, Random(12, kValue)));
      EXPECT_EQ(result.error(), Error::InvalidProgram);
    }
    EXPECT_EQ(library.Counts().refused, 2u);
    EXPECT_EQ(library.Counts().value_bytes_written, 0u);
  });
}

}  // namespace
}  // namespace sotto::pte
