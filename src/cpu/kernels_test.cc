// SPDX-License-Identifier: MIT
// Every row of kernels.def against the reference, over shapes that are not
// multiples of anything, on every level of SOTTO_CPU that this machine has.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/problem_parts.h"
#include "cpu/problems.h"
#include "cpu/select.h"

namespace sotto::cpu {
namespace {

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

// Levels whose features differ on this machine.
std::vector<CpuFeatures> Levels() {
  std::vector<CpuFeatures> levels;
  for (const char* name : {"amx", "avx512", "avx2", "ref"}) {
    const CpuFeatures features = LimitFeatures(HostFeatures(), name);
    if (levels.empty() || !(levels.back() == features))
      levels.push_back(features);
  }
  return levels;
}

// Every accepting row but the reference against the reference; returns how
// many ran.
int CheckRows(Problem& problem, int threads = 2) {
  ThreadPool pool(threads);
  int checked = 0;
  for (const CpuFeatures& features : Levels()) {
    for (const KernelRow& row : KernelRows()) {
      if (row.op != problem.op || row.is_reference()) continue;
      if (!WhyNot(row, problem.shape, features, true).empty()) continue;
      EXPECT_EQ(CompareWithReference(problem, row, features, pool), "")
          << "on " << features.ToString();
      ++checked;
    }
  }
  return checked;
}

std::vector<uint32_t> BitsOf(Problem& problem, const KernelRow& row,
                             const CpuFeatures& features, int threads) {
  ThreadPool pool(threads);
  problem.Run(row, features, pool);
  std::vector<uint32_t> bits;
  for (const float value : problem.y.Values())
    bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

TEST(Linear, AgreesWithTheReferenceForOddShapes) {
  uint32_t seed = 1;
  int checked = 0;
  for (const int64_t m : {1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 100})
    for (const auto& [n, k] : {std::pair<int64_t, int64_t>{1, 1},
                               {16, 32},
                               {17, 45},
                               {200, 64},
                               {33, 130}})
      for (const DType x : {DType::kF32, DType::kBF16})
        for (const DType w : kTypes) {
          ++seed;
          LinearCase c{.m = m, .n = n, .k = k, .x = x, .w = w, .seed = seed};
          c.y = seed % 3 == 0 ? DType::kBF16 : DType::kF32;
          c.bias = seed % 4 != 0;
          c.act = seed % 5 < 2 ? ir::Activation::kGelu : ir::Activation::kNone;
          c.gap = seed % 2 == 0 ? 5 : 0;
          const auto kind = static_cast<ResidualKind>(seed / 3 % 4);
          c.residual = kind == ResidualKind::kInPlace && c.y != DType::kF32
                           ? ResidualKind::kOther
                           : kind;
          checked += CheckRows(*MakeProblem(c), 1 + static_cast<int>(seed % 3));
        }
  if (Has(HostFeatures(), Needs::kVectors)) {
    EXPECT_GT(checked, 330);
  }
}

TEST(Linear, AgreesWithTheReferenceForWhisperShapes) {
  for (const auto& [m, n, k] :
       {std::tuple<int64_t, int64_t, int64_t>{1, 51, 2048},
        {112, 384, 384},
        {226, 96, 1280}})
    for (const DType w : kTypes)
      CheckRows(*MakeProblem(LinearCase{.m = m, .n = n, .k = k, .w = w}));
}

// Batching must not change a bit: row m of a large call is what a call with
// that row alone gives, whichever kernel each takes.
void CheckRowsStandAlone(DType x, DType w, const CpuFeatures& features) {
  const int64_t n = 83, k = 77, all = 37;
  LinearCase c{.m = all, .n = n, .k = k, .x = x, .w = w};
  c.act = ir::Activation::kGelu;
  const auto whole = MakeProblem(c);
  const KernelRow* tile = Select(ir::Op::kLinear, whole->shape, features, true);
  const std::vector<uint32_t> want = BitsOf(*whole, *tile, features, 2);
  for (const int64_t m : {1, 2, 3, 4, 5, 7, 14, 16, 36}) {
    // The same seed gives the same first rows of x.
    c.m = m;
    const auto part = MakeProblem(c);
    const KernelRow* row = Select(ir::Op::kLinear, part->shape, features, true);
    const std::vector<uint32_t> got = BitsOf(*part, *row, features, 1);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin()))
        << part->text << " " << row->name << " and " << tile->name << " on "
        << features.ToString();
  }
}

TEST(Linear, GivesARowTheSameBitsInEveryBatch) {
  for (const CpuFeatures& features : Levels())
    for (const DType x : {DType::kF32, DType::kBF16})
      for (const DType w : kTypes) CheckRowsStandAlone(x, w, features);
}

// All rows that accept a problem with the same order give the same bits.
TEST(Linear, RowsOfOneOrderGiveOneResult) {
  for (const CpuFeatures& features : Levels())
    for (const DType x : {DType::kF32, DType::kBF16})
      for (const DType w : kTypes)
        for (const int64_t m : {1, 3, 4}) {
          const auto p =
              MakeProblem(LinearCase{.m = m, .n = 50, .k = 66, .x = x, .w = w});
          std::map<Order, std::pair<std::string_view, std::vector<uint32_t>>>
              seen;
          for (const KernelRow& row : KernelRows()) {
            if (row.op != p->op ||
                !WhyNot(row, p->shape, features, true).empty())
              continue;
            const auto bits = BitsOf(*p, row, features, 2);
            const auto [first, fresh] =
                seen.try_emplace(row.order, row.name, bits);
            EXPECT_EQ(first->second.second, bits)
                << p->text << ": " << row.name << " and "
                << first->second.first;
          }
        }
}

TEST(Attention, AgreesWithTheReference) {
  uint32_t seed = 10;
  for (const int64_t t : {1, 2, 17, 100, 129, 300})
    for (const DType x : {DType::kF32, DType::kBF16})
      for (const int64_t head_dim : {16, 64, 80}) {
        ++seed;
        const auto p = MakeProblem(
            AttentionCase{.batch = 1 + t % 2,
                          .t = t,
                          .heads = 2,
                          .head_dim = head_dim,
                          .x = x,
                          .y = seed % 2 == 0 ? DType::kBF16 : DType::kF32,
                          .q_chunk = seed % 3 == 0 ? 33 : 0,
                          .gap = seed % 2 == 0 ? 7 : 0,
                          .seed = seed});
        CheckRows(*p, 1 + static_cast<int>(seed % 3));
      }
}

TEST(Attention, AgreesWithTheReferenceForAWindow) {
  CheckRows(*MakeProblem(AttentionCase{.t = 1500, .heads = 1}));
  CheckRows(
      *MakeProblem(AttentionCase{.t = 1500, .heads = 1, .x = DType::kBF16}));
}

TEST(CachedAttention, AgreesWithTheReferenceAtEveryEdge) {
  uint32_t seed = 20;
  for (const int32_t pos : {0, 1, 15, 16, 31, 127, 128, 447})
    for (const int64_t tokens : {1, 3, 16})
      for (const DType kv : {DType::kF32, DType::kBF16}) {
        if (pos + tokens > 448) continue;
        ++seed;
        CachedCase c{.tokens = tokens, .pos = {pos}, .kv = kv};
        c.q = kv == DType::kBF16 && seed % 3 != 0 ? DType::kBF16 : DType::kF32;
        c.y = seed % 2 == 0 ? DType::kBF16 : DType::kF32;
        c.gap = seed % 2 == 0 ? 3 : 0;
        c.poison = std::numeric_limits<float>::quiet_NaN();
        c.seed = seed;
        CheckRows(*MakeProblem(c), 1 + static_cast<int>(seed % 3));
      }
}

TEST(CachedAttention, AgreesWithTheReferenceOverRaggedBatches) {
  for (const DType kv : {DType::kF32, DType::kBF16})
    for (const bool causal : {true, false})
      CheckRows(*MakeProblem(
          CachedCase{.tokens = causal ? 5 : 2,
                     .pos = {0, 200, 31, 96},
                     .slot = {3, 0, 5, 1},
                     .q = kv,
                     .kv = kv,
                     .causal = causal,
                     .extent = causal ? 448 : 301,
                     .poison = std::numeric_limits<float>::quiet_NaN()}));
}

TEST(CachedAttention, IgnoresWhateverStandsBeyondTheLength) {
  for (const CpuFeatures& features : Levels())
    for (const DType kv : {DType::kF32, DType::kBF16})
      for (const KernelRow& row : KernelRows())
        for (const int32_t pos : {0, 1, 14, 15, 16, 30, 127, 200})
          for (const int64_t tokens : {1, 4}) {
            CachedCase c{.tokens = tokens,
                         .positions = 224,
                         .pos = {pos},
                         .q = kv,
                         .kv = kv,
                         .extent = 224};
            const auto clean = MakeProblem(c);
            if (row.op != clean->op ||
                !WhyNot(row, clean->shape, features, true).empty())
              continue;
            const auto want = BitsOf(*clean, row, features, 2);
            for (const float poison :
                 {std::numeric_limits<float>::quiet_NaN(), 1e30f,
                  std::numeric_limits<float>::infinity()}) {
              c.poison = poison;
              const auto poisoned = MakeProblem(c);
              EXPECT_EQ(BitsOf(*poisoned, row, features, 2), want)
                  << poisoned->text << ": " << row.name << " with " << poison;
            }
          }
}

// However many queries share a pass over keys and values: the same bits.
TEST(CachedAttention, ChunksOfQueriesChangeNoBit) {
  for (const CpuFeatures& features : Levels())
    for (const DType kv : {DType::kF32, DType::kBF16})
      for (const KernelRow& row : KernelRows()) {
        CachedCase c{.tokens = 61,
                     .positions = 224,
                     .pos = {0, 100},
                     .slot = {1, 0},
                     .q = kv,
                     .kv = kv,
                     .causal = false,
                     .extent = 201};
        const auto whole = MakeProblem(c);
        if (row.op != whole->op ||
            !WhyNot(row, whole->shape, features, true).empty())
          continue;
        const auto want = BitsOf(*whole, row, features, 2);
        for (const int64_t chunk : {1, 3, 16, 24, 33, 256, 1500}) {
          c.q_chunk = chunk;
          const auto cut = MakeProblem(c);
          EXPECT_EQ(BitsOf(*cut, row, features, 2), want)
              << cut->text << ": " << row.name;
        }
      }
}

// Pages whose end can be made untouchable.
class Pages {
 public:
  explicit Pages(size_t bytes) : size_(bytes) {
    data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SOTTO_CHECK(data_ != MAP_FAILED);
  }
  ~Pages() { ::munmap(data_, size_); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  void* data() const { return data_; }
  // Only [0, bytes) may be touched from now on.
  void Allow(size_t bytes) const {
    ::mprotect(data_, bytes, PROT_READ | PROT_WRITE);
    ::mprotect(static_cast<char*>(data_) + bytes, size_ - bytes, PROT_NONE);
  }

 private:
  void* data_;
  size_t size_;
};

// rlx.md row 2: a padded program computes 1.42 rows for each there is; ours
// end with the length, to the next 16 positions (32 of bf16). One head's keys
// of 16 positions fill a page, and touching the next one would end this test.
TEST(Rlx, Row02KernelsReadTheRowsThereAre) {
  constexpr int64_t kDim = 64, kPositions = 448;
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  if (page != 4096) GTEST_SKIP() << "pages of " << page << " bytes";
  ThreadPool pool(1);
  for (const CpuFeatures& features : Levels())
    for (const DType kv : {DType::kF32, DType::kBF16}) {
      const auto row_bytes = kDim * static_cast<int64_t>(SizeOf(kv));
      const Pages k(static_cast<size_t>(kPositions * row_bytes));
      const Pages v(static_cast<size_t>(kPositions * row_bytes));
      const std::vector<float> q = RandomValues(kDim, 1);
      std::vector<float> y(kDim);
      const int32_t slot = 0;
      int32_t pos = 0;
      const KernelRow* row =
          Select(ir::Op::kCachedAttention, {.w = kv, .m = 1, .head_dim = kDim},
                 features, true);
      ASSERT_NE(row, nullptr);
      int64_t touched = 0, needed = 0;
      for (pos = 4; pos <= 443; ++pos) {
        const int64_t bytes = RoundUp((pos + 1) * row_bytes, page);
        k.Allow(static_cast<size_t>(bytes));
        v.Allow(static_cast<size_t>(bytes));
        RunRow(*row, features, pool,
               CachedAttentionArgs{.heads = 1,
                                   .head_dim = kDim,
                                   .q = q.data(),
                                   .q_stride = kDim,
                                   .k = k.data(),
                                   .v = v.data(),
                                   .kv_type = kv,
                                   .pos = &pos,
                                   .slot = &slot,
                                   .extent = kPositions,
                                   .y = y.data(),
                                   .y_stride = kDim});
        touched += bytes / row_bytes;
        needed += pos + 1;
      }
      const double waste =
          static_cast<double>(touched) / static_cast<double>(needed);
      EXPECT_LE(waste, kv == DType::kF32 ? 1.05 : 1.08) << row->name;
      RecordProperty(std::string(row->name) + "_" + std::string(Name(kv)),
                     fmt::format("{:.3f}", waste));
    }
}

// Token by token or all at once, in any bucket: the same bits.
TEST(CachedAttention, GivesATokenTheSameBitsAloneAndInAPrompt) {
  for (const CpuFeatures& features : Levels())
    for (const DType kv : {DType::kF32, DType::kBF16}) {
      const int64_t width = 2 * 64, tokens = 40;
      CachedCase c{.tokens = tokens, .pos = {100}, .q = kv, .kv = kv};
      const auto prompt = MakeProblem(c);
      const KernelRow* many = Select(prompt->op, prompt->shape, features, true);
      const auto want = BitsOf(*prompt, *many, features, 2);
      c.tokens = 1;
      c.extent = 160;
      // q of the first token is the same; its keys come from the same seed.
      const auto lone = MakeProblem(c);
      const KernelRow* one = Select(lone->op, lone->shape, features, true);
      const auto got = BitsOf(*lone, *one, features, 1);
      EXPECT_TRUE(std::equal(got.begin(), got.begin() + width, want.begin()))
          << one->name << " and " << many->name << " on "
          << features.ToString();
    }
}

TEST(Kernels, OfRowsAgreeWithTheReference) {
  uint32_t seed = 50;
  for (const ir::Op op : {ir::Op::kLayerNorm, ir::Op::kGelu, ir::Op::kCast,
                          ir::Op::kAdd, ir::Op::kTranspose, ir::Op::kEmbed,
                          ir::Op::kSelectRows, ir::Op::kKvWrite})
    for (const int64_t m : {1, 2, 3, 17, 66})
      for (const int64_t n : {1, 2, 15, 16, 33, 48, 96, 513})
        for (const DType x : {DType::kF32, DType::kBF16}) {
          ++seed;
          RowsCase c{.op = op, .m = m, .n = n, .x = x, .seed = seed};
          if (op == ir::Op::kEmbed) c.w = kTypes[seed % 3];
          if (op == ir::Op::kAdd || op == ir::Op::kKvWrite)
            c.w = seed % 2 == 0 ? DType::kF32 : DType::kBF16;
          c.y = seed % 3 == 0 ? DType::kBF16 : DType::kF32;
          c.gap = seed % 5 == 0 ? 9 : 0;
          // bf16 states pack pairs of dimensions.
          if (op == ir::Op::kKvWrite &&
              (c.n / (c.n % 3 == 0 ? 3 : 1) % 2 != 0 || n > 256))
            continue;
          const auto p = MakeProblem(c);
          const int checked = CheckRows(*p, 1 + static_cast<int>(seed % 3));
          if (Has(HostFeatures(), Needs::kVectors)) {
            EXPECT_GT(checked, 0) << p->text;
          }
        }
}

TEST(Kernels, GiveTheSameBitsForAnyNumberOfThreads) {
  std::vector<std::unique_ptr<Problem>> problems;
  for (const DType type : {DType::kF32, DType::kBF16}) {
    problems.push_back(MakeProblem(
        LinearCase{.m = 1, .n = 700, .k = 90, .x = type, .w = type}));
    problems.push_back(MakeProblem(
        LinearCase{.m = 150, .n = 300, .k = 90, .x = type, .w = type}));
    problems.push_back(
        MakeProblem(AttentionCase{.t = 301, .heads = 3, .x = type}));
    problems.push_back(MakeProblem(CachedCase{
        .tokens = 7, .heads = 5, .pos = {200}, .q = type, .kv = type}));
    problems.push_back(MakeProblem(
        RowsCase{.op = ir::Op::kLayerNorm, .m = 80, .n = 515, .x = type}));
  }
  for (const CpuFeatures& features : Levels())
    for (const auto& p : problems)
      for (const KernelRow& row : KernelRows()) {
        if (row.op != p->op || !WhyNot(row, p->shape, features, true).empty())
          continue;
        const auto want = BitsOf(*p, row, features, 1);
        for (const int threads : {2, 3})
          EXPECT_EQ(BitsOf(*p, row, features, threads), want)
              << p->text << ": " << row.name << " with " << threads;
      }
}

}  // namespace
}  // namespace sotto::cpu
