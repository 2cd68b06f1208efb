// SPDX-License-Identifier: MIT
// A fuzzer for compilers without libFuzzer: replays every file of the given
// folders, then runs mutations of them until the time is over. It has no
// coverage to go by; its seeds must reach what matters.
//   fuzz_NAME [-max_total_time=SECONDS] [-runs=N] [-seed=N] FOLDER|FILE...
// Same words as libFuzzer's. A failing input is written to crash-SEED-RUN.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// Of the sanitizers' runtime, where one is linked.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(
    void (*callback)());

namespace {

using Bytes = std::vector<uint8_t>;

// One input may take so long; a hang is a failure too.
constexpr unsigned kLongest_s = 20;
constexpr size_t kSmallestLimit = 4096;

struct State {
  Bytes input;
  char crash_name[64] = "crash";
};
State g_state;  // read by handlers, which take no argument

void Dump() {
  const int fd = ::open(g_state.crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return;
  size_t done = 0;
  while (done < g_state.input.size()) {
    const ssize_t count =
        ::write(fd, g_state.input.data() + done, g_state.input.size() - done);
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  ::close(fd);
}

void OnSignal(int signal) {
  Dump();
  constexpr char kText[] = "fuzz: signal (14: took too long); see crash-*\n";
  static_cast<void>(!::write(2, kText, sizeof kText - 1));
  ::_exit(128 + signal);
}

void Run(const Bytes& input, const std::string& name) {
  g_state.input = input;
  std::snprintf(g_state.crash_name, sizeof g_state.crash_name, "crash-%s",
                name.c_str());
  ::alarm(kLongest_s);
  // An exact copy on the heap: reading past its end is seen.
  const Bytes copy(input);
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  ::alarm(0);
}

class Mutator {
 public:
  Mutator(const std::vector<Bytes>& seeds, uint64_t seed)
      : seeds_(seeds), random_(seed) {
    for (const Bytes& bytes : seeds_)
      limit_ = std::max(limit_, 2 * bytes.size());
  }

  Bytes Next() {
    Bytes bytes = seeds_.empty() ? Bytes{} : seeds_[Below(seeds_.size())];
    const size_t count = 1 + Below(8);
    for (size_t i = 0; i < count; ++i) Change(bytes);
    if (bytes.size() > limit_) bytes.resize(limit_);
    return bytes;
  }

 private:
  size_t Below(size_t n) { return n == 0 ? 0 : random_() % n; }

  static Bytes::iterator At(Bytes& bytes, size_t offset) {
    return bytes.begin() + static_cast<std::ptrdiff_t>(offset);
  }

  void Change(Bytes& bytes) {
    const size_t at = Below(bytes.size());
    const size_t run = 1 + Below(std::min<size_t>(bytes.size() - at, 64));
    switch (bytes.empty() ? 4 : Below(8)) {
      case 0:
        bytes[at] ^= static_cast<uint8_t>(1u << Below(8));
        break;
      case 1:
        bytes[at] = static_cast<uint8_t>(random_());
        break;
      case 2:
        WriteNumber(bytes, at);
        break;
      case 3:
        bytes.erase(At(bytes, at), At(bytes, std::min(at + run, bytes.size())));
        break;
      case 4: {
        Bytes more(1 + Below(16));
        for (uint8_t& byte : more) byte = static_cast<uint8_t>(random_());
        bytes.insert(At(bytes, at), more.begin(), more.end());
        break;
      }
      case 5: {  // a part again, perhaps many times: deep nesting
        const Bytes part(At(bytes, at),
                         At(bytes, std::min(at + run, bytes.size())));
        const size_t times = Below(16) == 0 ? 200 : 1;
        for (size_t i = 0; i < times && bytes.size() < limit_; ++i)
          bytes.insert(At(bytes, at), part.begin(), part.end());
        break;
      }
      case 6:
        bytes.resize(at);
        break;
      default: {  // a part of another seed
        const Bytes& other = seeds_[Below(seeds_.size())];
        const size_t from = Below(other.size());
        const size_t count = std::min(other.size() - from, 1 + Below(256));
        const auto first = other.begin() + static_cast<std::ptrdiff_t>(from);
        bytes.insert(At(bytes, at), first,
                     first + static_cast<std::ptrdiff_t>(count));
      }
    }
  }

  // Lengths and offsets of formats are little-endian; their edges hurt most.
  void WriteNumber(Bytes& bytes, size_t at) {
    constexpr uint64_t kEdges[] = {
        0,          1,          0x7f,       0xff,       0x7fff,     0xffff,
        0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32, ~0ull >> 1, ~0ull};
    const uint64_t value = kEdges[Below(std::size(kEdges))] - Below(2);
    const size_t width = size_t{1} << Below(4);
    for (size_t i = 0; i < width && at + i < bytes.size(); ++i)
      bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
  }

  const std::vector<Bytes>& seeds_;
  std::mt19937_64 random_;
  size_t limit_ = kSmallestLimit;
};

Bytes ReadBytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

bool TakeFlag(const std::string& argument, const char* name, uint64_t* value) {
  if (!argument.starts_with(name)) return false;
  *value = std::strtoull(argument.c_str() + std::strlen(name), nullptr, 10);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seconds = 0;
  uint64_t runs = ~0ull;
  uint64_t seed = 1;
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (TakeFlag(argument, "-max_total_time=", &seconds) ||
        TakeFlag(argument, "-runs=", &runs) ||
        TakeFlag(argument, "-seed=", &seed) || argument.starts_with('-'))
      continue;
    if (!std::filesystem::is_directory(argument)) {
      paths.emplace_back(argument);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argument))
      paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());  // the same order on every machine

  if (__sanitizer_set_death_callback != nullptr)
    __sanitizer_set_death_callback(&Dump);
  for (const int signal : {SIGALRM, SIGABRT}) std::signal(signal, &OnSignal);

  std::vector<Bytes> seeds;
  for (const auto& path : paths) seeds.push_back(ReadBytes(path));
  for (size_t i = 0; i < seeds.size(); ++i)
    Run(seeds[i], paths[i].filename().string());

  Mutator mutator(seeds, seed);
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  uint64_t run = 0;
  for (; run < runs && std::chrono::steady_clock::now() < end; ++run)
    Run(mutator.Next(), std::to_string(seed) + "-" + std::to_string(run));
  std::cout << "fuzz: " << seeds.size() << " seeds, " << run
            << " mutations, no failure\n";
  return 0;
}
