// SPDX-License-Identifier: MIT
// What ops/program_text.h prints is read back as the same program.
#include <fmt/ranges.h>

#include "ops/program_text.h"
#include "ops/tensor.h"

namespace sotto {
namespace {

// So that it is read back as the same kind of number.
std::string DoubleText(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string Join(const std::vector<std::string>& items) {
  return fmt::format("{}", fmt::join(items, ", "));
}

class Printer {
 public:
  explicit Printer(const OpProgramText& program) : program_(program) {}

  std::string Run() {
    std::string text = "sotto-ops 1\n";
    for (const OpVariable& variable : program_.variables) {
      text += fmt::format("{} {} : {}", Name(variable.kind), variable.name,
                          OpTypeString(variable.dtype, variable.sizes));
      text += Initial(variable.initial) + '\n';
    }
    size_t depth = 0;
    for (const OpStatement& statement : program_.statements) {
      if (statement.kind == OpStatement::Kind::kElse ||
          statement.kind == OpStatement::Kind::kEnd)
        --depth;
      text += std::string(2 * depth, ' ') + Statement(statement) + '\n';
      if (statement.kind == OpStatement::Kind::kIf ||
          statement.kind == OpStatement::Kind::kElse)
        ++depth;
    }
    return text;
  }

 private:
  std::string Initial(const OpInitial& initial) const {
    switch (initial.kind) {
      case OpInitial::Kind::kNone:
        return "";
      case OpInitial::Kind::kZeros:
        return " = zeros";
      case OpInitial::Kind::kFill:
        return fmt::format(" = fill {}", initial.values[0]);
      case OpInitial::Kind::kValues:
        return fmt::format(" = values [{}]", fmt::join(initial.values, ", "));
      case OpInitial::Kind::kFile:
        return fmt::format(" = file \"{}\" {}", initial.file, initial.offset);
    }
    return "";
  }

  const std::string& NameOf(OpVariableRef ref) const {
    return program_.variables[ref.index].name;
  }

  std::string Argument(const OpArgument& argument) const {
    struct Visitor {
      const Printer& self;
      std::string operator()(std::monostate) const { return "none"; }
      std::string operator()(OpVariableRef ref) const {
        return self.NameOf(ref);
      }
      std::string operator()(int64_t value) const {
        return std::to_string(value);
      }
      std::string operator()(double value) const { return DoubleText(value); }
      std::string operator()(bool value) const {
        return value ? "true" : "false";
      }
      std::string operator()(const std::vector<int64_t>& list) const {
        return fmt::format("[{}]", fmt::join(list, ", "));
      }
      std::string operator()(const std::vector<OpVariableRef>& list) const {
        std::vector<std::string> names;
        for (const OpVariableRef ref : list) names.push_back(self.NameOf(ref));
        return '[' + Join(names) + ']';
      }
    };
    return std::visit(Visitor{*this}, argument);
  }

  std::string Statement(const OpStatement& statement) const {
    switch (statement.kind) {
      case OpStatement::Kind::kSet:
        return fmt::format("set {} = {}", NameOf(statement.variable),
                           statement.value);
      case OpStatement::Kind::kIf:
        return "if " + NameOf(statement.variable);
      case OpStatement::Kind::kElse:
        return "else";
      case OpStatement::Kind::kEnd:
        return "end";
      case OpStatement::Kind::kCall:
        break;
    }
    std::vector<std::string> arguments;
    for (const OpArgument& argument : statement.arguments)
      arguments.push_back(Argument(argument));
    std::vector<std::string> results;
    for (const OpVariableRef ref : statement.results)
      results.push_back(NameOf(ref));
    const std::string head =
        results.empty() ? "call " : "let " + Join(results) + " = ";
    return head + statement.op + '(' + Join(arguments) + ')';
  }

  const OpProgramText& program_;
};

}  // namespace

std::string PrintOpProgram(const OpProgramText& program) {
  return Printer(program).Run();
}

}  // namespace sotto
