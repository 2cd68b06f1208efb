// SPDX-License-Identifier: MIT
#include "runtime.h"

#include <dlfcn.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iostream>
#include <mutex>
#include <utility>

#include "base/cpu.h"
#include "base/error.h"
#include "base/file.h"

// The wheel ships libexecutorch_threadpool.so without this part of its header;
// these are the symbols that release 1.5.1 exports.
namespace executorch::extension {
namespace threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace threadpool
namespace cpuinfo {
uint32_t get_num_performant_cores();
}  // namespace cpuinfo
}  // namespace executorch::extension

namespace sotto {
namespace {

constexpr size_t kMostLines = 64;

// note: never destroyed, the runtime may log while the process ends.
struct State {
  std::mutex mutex;
  std::vector<std::string> errors;
  bool verbose = false;
};
State& TheState() {
  static State* const state = new State;
  return *state;
}

// What a signal handler may read: plain bytes.
std::array<char, 512> g_context = {"the model"};

void WriteAll(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

[[noreturn]] void GiveUp(std::string_view cause) {
  WriteAll("sotto-pte-runner: ");
  WriteAll(g_context.data());
  WriteAll(": ");
  WriteAll(cause);
  WriteAll("\n");
  ::_exit(1);
}

void OnLog(et_timestamp_t, et_pal_log_level_t level, const char*, const char*,
           size_t, const char* message, size_t length) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  const std::string line(message, length);
  if (state.verbose) std::cerr << "executorch: " << line << '\n';
  if (level != kError && level != kFatal) return;
  if (state.errors.size() == kMostLines)
    state.errors.erase(state.errors.begin());
  state.errors.push_back(line);
}

void OnAbort() {
  const std::vector<std::string> errors = TakeRuntimeErrors();
  GiveUp(OneLine("the runtime gave up: " +
                 (errors.empty() ? "it says not why" : errors.back())));
}

void OnFault(int signal) {
  switch (signal) {
    case SIGSEGV:
    case SIGBUS:
      GiveUp(
          "memory that is not its own was touched: the program or a library "
          "of operators is damaged");
    case SIGFPE:
      GiveUp("division by zero: the program is damaged");
    case SIGILL:
      GiveUp("this processor lacks an instruction that the runtime uses");
    default:
      GiveUp("a library ended the run: the program is damaged");
  }
}

}  // namespace

std::string OneLine(std::string_view text) {
  std::string line(text);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return line;
}

void StartRuntime(bool verbose) {
  TheState().verbose = verbose;
  executorch::runtime::runtime_init();
  executorch::runtime::register_pal(executorch::runtime::PalImpl::create(
      nullptr, &OnAbort, nullptr, nullptr, &OnLog, nullptr, nullptr, __FILE__));
}

std::vector<std::string> TakeRuntimeErrors() {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  return std::exchange(state.errors, {});
}

void SetFaultContext(const std::string& name) {
  const size_t n = std::min(name.size(), g_context.size() - 1);
  std::copy_n(name.data(), n, g_context.data());
  g_context[n] = '\0';
}

void CatchFaults() {
  // Its own stack: a damaged program may also overflow the usual one.
  static std::array<char, 65536> stack;
  stack_t own{};
  own.ss_sp = stack.data();
  own.ss_size = stack.size();
  ::sigaltstack(&own, nullptr);
  struct sigaction action {};
  action.sa_handler = &OnFault;
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    ::sigaction(signal, &action, nullptr);
}

int SetRuntimeThreads(int threads) {
  namespace et = executorch::extension;
  int wanted = threads;
  if (wanted < 0) {
    // The whole machine's number; a container may have less of it.
    wanted = static_cast<int>(et::cpuinfo::get_num_performant_cores());
    wanted = wanted > 0 ? std::min(wanted, UsableCores()) : UsableCores();
  }
  et::threadpool::ThreadPool* const pool = et::threadpool::get_threadpool();
  if (pool == nullptr ||
      !pool->_unsafe_reset_threadpool(static_cast<uint32_t>(wanted)))
    Fail(ErrorCode::kUnsupported,
         "cpu_threads: the runtime takes no {} threads", wanted);
  return static_cast<int>(pool->get_thread_count());
}

void LoadOperators(const std::filesystem::path& library) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(library, ignored))
    Fail(ErrorCode::kNotFound, "{}: no such library of operators",
         library.string());
  SetFaultContext(library.string());
  // Local: its symbols are its own, it registers by the runtime's.
  const std::string path = std::filesystem::absolute(library).string();
  if (::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr)
    Fail(ErrorCode::kBadInput, "{}: cannot be loaded: {}", library.string(),
         ::dlerror());
}

std::filesystem::path OwnOperators() {
  return FindBesideProgram(
      {"libsotto_executorch.so", "../libsotto_executorch.so",
       "../lib/libsotto_executorch.so", "../lib/sotto/libsotto_executorch.so"});
}

}  // namespace sotto
