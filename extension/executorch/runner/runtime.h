// SPDX-License-Identifier: MIT
// The process-wide side of ExecuTorch's runtime: its log, its threads, its
// operator libraries, and what happens where it would end the process.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sotto {

// Takes over the runtime's log lines and its abort. Call once, before anything
// else of the runtime. The log is kept, not printed, unless `verbose`.
void StartRuntime(bool verbose);

// `text` with '?' for what would break a line or a terminal: names out of a
// damaged file stand in messages.
std::string OneLine(std::string_view text);

// The runtime's error lines since the last call, oldest first, 64 at most.
std::vector<std::string> TakeRuntimeErrors();

// Names what is being worked on ("tiny.en.pte"). Where the runtime gives up,
// or a damaged program makes it fault, the process ends with
// "sotto-pte-runner: NAME: CAUSE" and status 1 instead of a signal.
void SetFaultContext(const std::string& name);
// Also catches the signals of a fault (a last line of defence: a file's checks
// come first). For programs, not for tests.
void CatchFaults();

// Threads for all methods loaded from now on; -1: the performance cores that
// this process may use. Returns how many there are now.
int SetRuntimeThreads(int threads);

// Loads a library that registers operators. Throws kNotFound or kBadInput
// naming it and the cause.
void LoadOperators(const std::filesystem::path& library);
// libsotto_executorch.so beside this program, or in ../lib of it; empty where
// there is none.
std::filesystem::path OwnOperators();

}  // namespace sotto
