// SPDX-License-Identifier: MIT
// Compiled stages as text, for `sotto compile --print` and goldens.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "compile/profile.h"
#include "runtime/program.h"

namespace sotto {

enum class Dump { kGraph, kProgram, kPlan, kKernels, kProfile };
// "graph", "program", "plan", "kernels", "profile"; nothing for another word.
std::optional<Dump> DumpNamed(std::string_view word);

// kGraph: the graph behind all passes. kProgram: a line a step. kPlan: a line
// a block of the arena, with a drawing of it over the steps. kKernels: which
// kernel each step got and why those before it refused. kProfile: the profile
// as TOML.
std::string DumpText(Dump what, const Program& program, const Profile& profile);

}  // namespace sotto
