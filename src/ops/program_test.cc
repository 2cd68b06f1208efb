// SPDX-License-Identifier: MIT
#include "ops/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <thread>

#include "base/file.h"
#include "base/test_folder.h"
#include "ops/session.h"
#include "ops/test_ops.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;
using ::testing::HasSubstr;

std::shared_ptr<const OpProgram> Parse(const std::string& text,
                                       const OpRegistry& registry,
                                       const fs::path& folder = "") {
  return OpProgram::Parse("sotto-ops 1\n" + text, "t", folder, registry);
}

ops::Tensor Identity(const ops::Tensor& x) { return x; }
// Points a view at x; a tensor with memory of its own is moved, which is wrong.
void Point(const ops::Tensor& x, ops::Tensor& out) { out.data = x.data; }
void Grow(ops::Tensor& x) { ++x.sizes[0]; }
void Nothing(ops::Tensor&) {}
ops::Tensor Doubled(ops::Context& context, const ops::Tensor& x) {
  ops::Tensor out = x;
  out.data = context.Allocate(testing::Floats(x).size_bytes());
  testing::Scale(x, 2, out);
  return out;
}
int64_t g_options = 0;
void Options(const ops::Tensor* bias, int64_t i, double f, bool b,
             std::span<const int64_t> list,
             std::span<const ops::Tensor* const> tensors) {
  g_options = (bias == nullptr ? 0 : 1) + 10 * i + (b ? 1000 : 0) +
              static_cast<int64_t>(f * 10000) +
              static_cast<int64_t>(list.size()) * 100000 +
              static_cast<int64_t>(tensors.size()) * 1000000;
}

constexpr sotto_op kOps[] = {
    ops::Op<Identity>("t::same"),   ops::Op<Point>("t::point.out"),
    ops::Op<Grow>("t::grow"),       ops::Op<Nothing>("t::nothing"),
    ops::Op<Doubled>("t::doubled"), ops::Op<Options>("t::options"),
};

class Programs : public ::testing::Test {
 protected:
  Programs() {
    registry_.Add("host", kOps);
    registry_.Add("test", testing::kTestOps);
  }
  std::string LoadError(const std::string& text) {
    return ErrorOf([&] { Parse(text, registry_); });
  }
  OpRegistry registry_;
};

TEST_F(Programs, CallsThatDoNotFitAreRefusedAtLoad) {
  const std::string head =
      "input x : f32[2]\nconst c : f32[2] = zeros\nstate s : f32[2] = zeros\n"
      "view v : f32[2]\nview w : f32[2]\nstate b : bool[2] = zeros\n";
  const struct {
    const char *text, *want;
  } kCases[] = {
      {"call t::same(x)", "t:8: t::same gives 1 results, the line takes 0"},
      {"let v, w = t::same(x)", "gives 1 results, the line takes 2"},
      {"let v = t::same(x, x)", "t::same has 2 arguments, want 1: (T)->(T)"},
      {"let v = t::same(3)", "argument 1 of t::same does not fit, want T: "},
      {"call test::scale.out(x, x, s)",
       "argument 2 of test::scale.out does "
       "not fit, want f: (T,f,T!)"},
      {"call test::accumulate(s, c)",
       "test::accumulate writes argument 2, 'c', which is a const"},
      {"call test::accumulate(s, x)",
       "writes argument 2, 'x', which is an input"},
      {"let v = t::same(w)", "view 'w' shows nothing here on some way"},
      {"if b\nlet v = t::same(s)\nend\nlet w = t::same(v)",
       "t:11: view 'v' shows nothing here on some way"},
      {"if b\nlet v = t::same(s)\nelse\nlet w = t::same(v)\nend",
       "t:11: view 'v' shows nothing"},
  };
  for (const auto& [text, want] : kCases)
    EXPECT_THAT(LoadError(head + text + "\n"), HasSubstr(want)) << text;
  for (const char* text :
       {"let v = t::same(s)\nlet w = t::same(v)",
        "call t::point.out(s, v)\nlet w = t::same(v)",
        "if b\nlet v = t::same(s)\nelse\ncall t::point.out(x, v)\nend\n"
        "let w = t::same(v)",
        "if b\nif b\nlet v = t::same(s)\nelse\nlet v = t::same(x)\nend\n"
        "else\nlet v = t::same(c)\nend\nlet w = t::same(v)",
        "call test::scale.out(x, 2, s)"})
    EXPECT_EQ(LoadError(head + text + "\n"), "") << text;
}

TEST_F(Programs, EveryKindOfArgumentArrives) {
  OpSession session(Parse(
      "input x : f32[1]\ncall t::options(x, 2, 3, true, [1, 2], [x, x, x])\n",
      registry_));
  session.Run();
  EXPECT_EQ(g_options, 1 + 20 + 1000 + 30000 + 200000 + 3000000);
  OpSession none(
      Parse("call t::options(none, 0, 0.5, false, [], [])\n", registry_));
  none.Run();
  EXPECT_EQ(g_options, 5000);
}

TEST_F(Programs, ReportsNamesOfOperatorsAndVariables) {
  OpSession session(
      Parse("input hidden : f32[2]\nstate s : f32[2] = zeros\n", registry_));
  EXPECT_EQ(ErrorOf([&] { session.Get("hiden"); }),
            "t: no variable 'hiden', did you mean 'hidden'?");
  const std::vector<float> three(3);
  EXPECT_EQ(ErrorOf([&] { session.SetInput("hidden", testing::Bytes(three)); }),
            "t: input 'hidden' got 12 bytes, want 8 for f32[2]");
  EXPECT_EQ(ErrorOf([&] { session.SetInput("s", testing::Bytes(three)); }),
            "t: 's' is no input");
}

TEST_F(Programs, OperatorsMayMoveViewsAndNothingElse) {
  const std::string head =
      "input x : f32[2]\nstate s : f32[2] = zeros\n"
      "view v : f32[2]\nview w : f32[3]\n"
      "const c : f32[2] = zeros\n";
  const auto run_error = [&](const std::string& text) {
    OpSession session(Parse(head + text + "\n", registry_));
    return ErrorOf([&] { session.Run(); });
  };
  EXPECT_EQ(run_error("call t::point.out(x, v)"), "");
  EXPECT_THAT(run_error("call t::point.out(x, s)"),
              HasSubstr("t:7: t::point.out moved 's', which is no view"));
  EXPECT_THAT(run_error("call t::grow(s)"),
              HasSubstr("t::grow made 's' f32[3], declared as f32[2]"));
  EXPECT_THAT(run_error("let w = t::same(x)"),
              HasSubstr("t::same made 'w' f32[2], declared as f32[3]"));
  EXPECT_THAT(run_error("call t::nothing(v)"),
              HasSubstr("t::nothing left view 'v' showing nothing"));
  // A const cannot be written through a view either.
  EXPECT_THAT(run_error("let v = t::same(c)\ncall test::accumulate(x, v)"),
              HasSubstr("would write view 'v', which shows a const"));
}

TEST_F(Programs, MemoryOfOperatorsLivesUntilTheNextRun) {
  OpSession session(
      Parse("input x : f32[2]\nview v : f32[2]\nview w : "
            "f32[2]\nlet v = t::doubled(x)\nlet w = "
            "t::doubled(v)\n",
            registry_));
  for (float value = 1; value < 4; ++value) {
    const std::vector<float> x(2, value);
    session.SetInput("x", testing::Bytes(x));
    session.Run();
    EXPECT_EQ(testing::Floats(session.Get("w"))[1], 4 * value);
  }
  EXPECT_EQ(session.Timings()[0].calls, 6u);
}

TEST_F(Programs, InitialValuesOfEveryType) {
  const TestFolder here;
  const fs::path& folder = here.path();
  std::vector<float> file(32);
  for (size_t i = 0; i < file.size(); ++i) file[i] = static_cast<float>(i);
  std::ofstream(folder / "w.bin", std::ios::binary)
      .write(static_cast<const char*>(static_cast<const void*>(file.data())),
             static_cast<std::streamsize>(file.size() * sizeof(float)));
  OpSession session(
      Parse("const a : f32[4] = file \"w.bin\" 64\n"
            "const b : f32[2] = file \"w.bin\" 4\n"
            "state c : f32[2] = file \"w.bin\" 8\n"
            "const h : f16[2] = values [0.5, -2]\n"
            "const g : bf16[1] = fill 1\n"
            "const i : i64[2] = values [-9007199254740992, 7]\n"
            "const d : f64[1] = fill 0.1\n"
            "const e : i16[1] = fill -32768\n"
            "const u : u8[1] = fill 255\n"
            "const z : f32[0,3] = zeros\n",
            registry_, folder));
  const auto at = [&](const char* name) { return session.Get(name).data; };
  EXPECT_EQ(testing::Floats(session.Get("a"))[3], 19);
  EXPECT_EQ(testing::Floats(session.Get("b"))[1], 2);
  EXPECT_EQ(testing::Floats(session.Get("c"))[0], 2);
  EXPECT_EQ(static_cast<const uint16_t*>(at("h"))[0], 0x3800);
  EXPECT_EQ(static_cast<const uint16_t*>(at("h"))[1], 0xc000);
  EXPECT_EQ(static_cast<const uint16_t*>(at("g"))[0], 0x3f80);
  EXPECT_EQ(static_cast<const int64_t*>(at("i"))[0], -9007199254740992);
  EXPECT_EQ(static_cast<const double*>(at("d"))[0], 0.1);
  EXPECT_EQ(static_cast<const int16_t*>(at("e"))[0], -32768);
  EXPECT_EQ(static_cast<const uint8_t*>(at("u"))[0], 255);
  EXPECT_NE(at("z"), nullptr);
  EXPECT_EQ(ErrorOf([&] {
              Parse("const a : f32[4] = file \"w.bin\" 120\n", registry_,
                    folder);
            }),
            "t:2: w.bin has 128 bytes, 'a' wants 16 from byte 120 on");
  EXPECT_THAT(ErrorOf([&] {
                Parse("const a : f32[4] = file \"v.bin\" 0\n", registry_,
                      folder);
              }),
              HasSubstr("v.bin"));
}

TEST_F(Programs, HugeDeclarationsFailWithAnErrorWhenMemoryIsAsked) {
  auto program = Parse("state s : i8[36028797018963968] = zeros\n", registry_);
  ErrorCode code{};
  EXPECT_NE(ErrorOf([&] { OpSession session(program); }, &code), "");
  EXPECT_EQ(code, ErrorCode::kOutOfMemory);
}

// A stream with a memory: total += x; out = total * 2. Fails on negative x,
// after it has changed the memory.
const char kRecorder[] =
    "input x : f32[3]\n"
    "state total : f32[3] = values [1, 2, 3]\n"
    "state started : bool[1] = fill 0\n"
    "temp scratch : f32[3]\n"
    "output out : f32[3]\n"
    "call test::accumulate(x, total)\n"
    "call test::accumulate(x, scratch)\n"
    "if started\n"
    "  call test::scale.out(total, 2, out)\n"
    "else\n"
    "  call test::scale.out(total, 3, out)\n"
    "  set started = 1\n"
    "end\n"
    "call test::require_positive(x)\n";

std::vector<float> Record(OpSession& session, uint32_t seed, int steps = 20) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> all;
  for (int step = 0; step < steps; ++step) {
    std::vector<float> x(3);
    for (float& value : x) value = uniform(random);
    session.SetInput("x", testing::Bytes(x));
    session.Run();
    std::vector<float> out(3);
    session.Read("out", std::as_writable_bytes(std::span(out)));
    all.insert(all.end(), out.begin(), out.end());
  }
  return all;
}

TEST_F(Programs, Row30FreshResetAndFailedThenResetAreAlike) {
  const auto program = Parse(kRecorder, registry_);
  OpSession fresh(program);
  const std::vector<float> want = Record(fresh, 7);
  EXPECT_NE(Record(fresh, 7), want) << "the state is kept from run to run";
  fresh.Reset();
  EXPECT_EQ(Record(fresh, 7), want);

  OpSession failed(program);
  Record(failed, 3, 4);
  const std::vector<float> negative(3, -1.0f);
  failed.SetInput("x", testing::Bytes(negative));
  EXPECT_EQ(ErrorOf([&] { failed.Run(); }),
            "t:15: test::require_positive: the sum is negative");
  EXPECT_EQ(ErrorOf([&] { failed.Run(); }),
            "t: the last run failed, reset the session before the next");
  failed.Reset();
  EXPECT_EQ(Record(failed, 7), want);

  OpSession stopped(program);
  const std::atomic<bool> stop = true;
  ErrorCode code{};
  EXPECT_EQ(ErrorOf([&] { stopped.Run(&stop); }, &code), "t: stopped");
  EXPECT_EQ(code, ErrorCode::kCancelled);
  stopped.Reset();
  EXPECT_EQ(Record(stopped, 7), want);
  OpSession again(program);  // a new session of the old program
  EXPECT_EQ(Record(again, 7), want);
}

TEST_F(Programs, Row30CachesAreTheSessionsOwnAndWritable) {
  const auto program = Parse(kRecorder, registry_);
  OpSession a(program), b(program);
  EXPECT_NE(a.Get("total").data, b.Get("total").data);
  EXPECT_FALSE(program->IsConst(a.Get("total").data));
  EXPECT_FALSE(program->IsConst(b.Get("total").data));
}

// Clean under the thread sanitizer (cmake --preset tsan).
TEST_F(Programs, Row30SessionsInTwoThreadsDoNotDisturbEachOther) {
  const auto program = Parse(kRecorder, registry_);
  std::vector<std::vector<float>> want, got(4);
  for (uint32_t seed = 0; seed < 4; ++seed) {
    OpSession alone(program);
    want.push_back(Record(alone, seed, 500));
  }
  std::vector<std::thread> threads;
  for (uint32_t seed = 0; seed < 4; ++seed)
    threads.emplace_back([&, seed] {
      OpSession session(program);
      got[seed] = Record(session, seed, 500);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, want);
}

TEST_F(Programs, RunsAllocateNothingByThemselves) {
  OpSession session(Parse(kRecorder, registry_));
  Record(session, 1, 2);
  const uint64_t before = Buffer::allocations();
  Record(session, 1, 10);
  EXPECT_EQ(Buffer::allocations(), before);
}

}  // namespace
}  // namespace sotto
