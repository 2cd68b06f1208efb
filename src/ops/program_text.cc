// SPDX-License-Identifier: MIT
// Line by line, no recursion, every number checked.
#include "ops/program_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "base/line_parser.h"
#include "ops/tensor.h"

namespace sotto {
namespace {

constexpr size_t kMostVariables = 65536;
constexpr size_t kMostStatements = 1 << 20;
constexpr size_t kMostItems = 65536;  // of a list or a call
constexpr size_t kDeepest = 16;
constexpr size_t kMostQuoted = 20;
constexpr uint64_t kMostBytes = uint64_t{1} << 56;

constexpr std::pair<std::string_view, OpVariableKind> kKinds[] = {
    {"input", OpVariableKind::kInput}, {"const", OpVariableKind::kConst},
    {"state", OpVariableKind::kState}, {"temp", OpVariableKind::kTemp},
    {"view", OpVariableKind::kView},   {"output", OpVariableKind::kOutput}};

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsFileName(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         std::ranges::all_of(name, [](char c) {
           return IsLetter(c) || IsDigit(c) || c == '.' || c == '-';
         });
}

class Parser : LineParser {
 public:
  Parser(std::string_view text, std::string_view file)
      : LineParser(text, file, kMostQuoted) {}

  OpProgramText Run() {
    EachLine([this] { ParseLine(); });
    if (!titled_) Refuse("no program, want a line 'sotto-ops 1' first");
    if (!open_.empty())
      Refuse("'if' of line {} has no end",
             program_.statements[open_.back().statement].line);
    return std::move(program_);
  }

 private:
  struct Block {
    size_t statement = 0;  // of the 'if' or 'else'
    bool is_else = false;
  };

  void ParseLine() {
    const std::string_view word = Word("a statement");
    if (!titled_) {
      // "sotto-ops" is no word: '-' is in no name.
      if (word != "sotto" || !rest_.starts_with("-ops "))
        Refuse("want 'sotto-ops 1' first");
      rest_.remove_prefix(4);
      if (const int64_t version = Integer(); version != 1)
        Refuse("version {}, want 1", version);
      titled_ = true;
      return End();
    }
    for (const auto& [name, kind] : kKinds)
      if (word == name) return Declare(kind);
    if (program_.statements.size() >= kMostStatements)
      Refuse("more than {} statements", kMostStatements);
    OpStatement statement;
    statement.line = line_;
    if (word == "call")
      ParseCall(&statement);
    else if (word == "let")
      ParseLet(&statement);
    else if (word == "set")
      ParseSet(&statement);
    else if (word == "if")
      ParseIf(&statement);
    else if (word == "else")
      ParseElse(&statement);
    else if (word == "end")
      ParseEnd(&statement);
    else
      Refuse(
          "'{}', want input, const, state, temp, view, output, call, let, "
          "set, if, else or end",
          word);
    End();
    program_.statements.push_back(std::move(statement));
  }

  void Declare(OpVariableKind kind) {
    if (!program_.statements.empty())
      Refuse("a declaration behind a statement, want all declarations first");
    if (program_.variables.size() >= kMostVariables)
      Refuse("more than {} variables", kMostVariables);
    OpVariable variable;
    variable.kind = kind;
    variable.line = line_;
    variable.name = std::string(Word("a name"));
    if (variable.name == "none" || variable.name == "true" ||
        variable.name == "false")
      Refuse("'{}' is no name for a variable", variable.name);
    Expect(':');
    const std::string_view dtype = Word("a dtype");
    const auto known = OpDTypeOf(dtype);
    if (!known) Refuse("dtype '{}', want {}", dtype, OpDTypeNames());
    variable.dtype = *known;
    Expect('[');
    if (!Take(']')) {
      do {
        if (variable.sizes.size() >= SOTTO_OPS_MAX_RANK)
          Refuse("more than {} sizes", SOTTO_OPS_MAX_RANK);
        variable.sizes.push_back(Integer());
        if (variable.sizes.back() < 0)
          Refuse("size {}, want 0 or more", variable.sizes.back());
      } while (Take(','));
      Expect(']');
    }
    const auto bytes = DenseOpBytes(variable.dtype, variable.sizes);
    if (!bytes)
      Refuse("'{}' is {}, want less than 2^56 bytes", variable.name,
             OpTypeString(variable.dtype, variable.sizes));
    variable.bytes = *bytes;
    total_bytes_ += variable.bytes;
    if (total_bytes_ > kMostBytes)
      Refuse("'{}' brings all variables over 2^56 bytes", variable.name);
    if (Take('=')) ParseInitial(&variable);
    End();
    const bool starts =
        kind == OpVariableKind::kConst || kind == OpVariableKind::kState;
    if (starts == (variable.initial.kind == OpInitial::Kind::kNone))
      Refuse("{} '{}' has {}", Name(kind), variable.name,
             starts ? "no initial value, want = zeros, fill, values or file"
                    : "an initial value, only a const or state may");
    const auto index = static_cast<uint32_t>(program_.variables.size());
    if (const auto [there, fresh] = names_.emplace(variable.name, index);
        !fresh)
      Refuse("'{}' is declared twice, first in line {}", variable.name,
             program_.variables[there->second].line);
    program_.variables.push_back(std::move(variable));
  }

  void ParseInitial(OpVariable* variable) {
    OpInitial& initial = variable->initial;
    const std::string_view word = Word("zeros, fill, values or file");
    if (word == "zeros") {
      initial.kind = OpInitial::Kind::kZeros;
    } else if (word == "fill") {
      initial.kind = OpInitial::Kind::kFill;
      initial.values.push_back(Number(variable->dtype));
    } else if (word == "values") {
      initial.kind = OpInitial::Kind::kValues;
      Expect('[');
      if (!Take(']')) {
        do {
          if (initial.values.size() >= kMostItems)
            Refuse("more than {} values, want them in a file", kMostItems);
          initial.values.push_back(Number(variable->dtype));
        } while (Take(','));
        Expect(']');
      }
      const size_t want = variable->bytes / OpInfo(variable->dtype).bytes;
      if (initial.values.size() != want)
        Refuse("'{}' has {} values, want {}", variable->name,
               initial.values.size(), want);
    } else if (word == "file") {
      initial.kind = OpInitial::Kind::kFile;
      Expect('"');
      const size_t end = rest_.find('"');
      if (end == std::string_view::npos) Refuse("a file's name has no end");
      initial.file = std::string(rest_.substr(0, end));
      if (!IsFileName(initial.file))
        Refuse("file '{}', want the plain name of a file beside the program",
               initial.file);
      rest_.remove_prefix(end + 1);
      const int64_t offset = Integer();
      const size_t element = OpInfo(variable->dtype).bytes;
      if (offset < 0 || static_cast<uint64_t>(offset) % element != 0)
        Refuse("offset {}, want a multiple of {}", offset, element);
      initial.offset = static_cast<uint64_t>(offset);
    } else {
      Refuse("'{}', want zeros, fill, values or file", word);
    }
  }

  void ParseLet(OpStatement* statement) {
    do {
      if (statement->results.size() >= kMostItems) Refuse("too many results");
      const OpVariableRef result = Variable();
      const OpVariable& variable = program_.variables[result.index];
      if (variable.kind != OpVariableKind::kView)
        Refuse("'{}' is a{} {}, want a view for a result", variable.name,
               Article(variable.kind), Name(variable.kind));
      statement->results.push_back(result);
    } while (Take(','));
    Expect('=');
    ParseCall(statement);
  }

  void ParseCall(OpStatement* statement) {
    statement->kind = OpStatement::Kind::kCall;
    SkipSpaces();
    const size_t paren = std::min(rest_.find('('), rest_.size());
    statement->op = std::string(rest_.substr(0, paren));
    const bool plain = std::ranges::all_of(statement->op, [](char c) {
      return IsLetter(c) || IsDigit(c) || c == ':' || c == '.';
    });
    if (!plain || statement->op.find("::") == std::string::npos ||
        statement->op.size() > 200)
      Refuse("want an operator like space::name.overload(...)");
    rest_.remove_prefix(paren);
    Expect('(');
    if (Take(')')) return;
    do {
      if (statement->arguments.size() >= kMostItems)
        Refuse("too many arguments");
      statement->arguments.push_back(Argument());
    } while (Take(','));
    Expect(')');
  }

  OpArgument Argument() {
    if (Take('[')) return List();
    SkipSpaces();
    if (!rest_.empty() && !IsLetter(rest_.front())) {
      const std::string_view token = NumberToken();
      int64_t integer = 0;
      if (FromChars(token, &integer)) return integer;
      return ParseDouble(token);
    }
    const std::string_view word = Word("an argument");
    if (word == "none") return std::monostate();
    if (word == "true") return true;
    if (word == "false") return false;
    return Find(word);
  }

  OpArgument List() {
    std::vector<int64_t> integers;
    std::vector<OpVariableRef> variables;
    if (Take(']')) return integers;
    SkipSpaces();
    const bool names = !rest_.empty() && IsLetter(rest_.front());
    do {
      if (integers.size() + variables.size() >= kMostItems)
        Refuse("a list of more than {}", kMostItems);
      if (names) {
        variables.push_back(Variable());
      } else {
        integers.push_back(Integer());
      }
    } while (Take(','));
    Expect(']');
    if (names) return variables;
    return integers;
  }

  void ParseSet(OpStatement* statement) {
    statement->kind = OpStatement::Kind::kSet;
    statement->variable = Variable();
    const OpVariable& variable = program_.variables[statement->variable.index];
    if (variable.kind != OpVariableKind::kState &&
        variable.kind != OpVariableKind::kTemp &&
        variable.kind != OpVariableKind::kOutput)
      Refuse("'{}' is a{} {}, want a state, temp or output to set",
             variable.name, Article(variable.kind), Name(variable.kind));
    Expect('=');
    statement->value = Number(variable.dtype);
  }

  void ParseIf(OpStatement* statement) {
    statement->kind = OpStatement::Kind::kIf;
    statement->variable = Variable();
    const OpVariable& variable = program_.variables[statement->variable.index];
    if (variable.dtype != SOTTO_OP_BOOL || variable.bytes == 0)
      Refuse("'{}' is {}, want bool of one element or more", variable.name,
             OpTypeString(variable.dtype, variable.sizes));
    if (open_.size() >= kDeepest) Refuse("more than {} 'if' inside", kDeepest);
    open_.push_back({.statement = program_.statements.size()});
  }

  void ParseElse(OpStatement* statement) {
    statement->kind = OpStatement::Kind::kElse;
    if (open_.empty() || open_.back().is_else) Refuse("'else' without 'if'");
    Block& block = open_.back();
    program_.statements[block.statement].target =
        program_.statements.size() + 1;
    block.statement = program_.statements.size();
    block.is_else = true;
  }

  void ParseEnd(OpStatement* statement) {
    statement->kind = OpStatement::Kind::kEnd;
    if (open_.empty()) Refuse("'end' without 'if'");
    program_.statements[open_.back().statement].target =
        program_.statements.size();
    open_.pop_back();
  }

  static std::string_view Article(OpVariableKind kind) {
    return kind == OpVariableKind::kInput || kind == OpVariableKind::kOutput
               ? "n"
               : "";
  }

  OpVariableRef Variable() { return Find(Word("a variable")); }
  OpVariableRef Find(std::string_view name) const {
    const auto found = names_.find(std::string(name));
    if (found == names_.end()) Refuse("'{}' is not declared", name);
    return {found->second};
  }

  void End() {
    SkipSpaces();
    if (!rest_.empty() && rest_.front() != '#')
      Refuse("'{}' behind the end", Head());
  }
  // A letter, then letters, digits and dots.
  std::string_view Word(std::string_view want) {
    SkipSpaces();
    size_t length = 0;
    while (length < rest_.size() &&
           (IsLetter(rest_[length]) ||
            (length > 0 && (IsDigit(rest_[length]) || rest_[length] == '.'))))
      ++length;
    if (length == 0 || length > 200) Refuse("'{}', want {}", Head(), want);
    const std::string_view word = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return word;
  }
  std::string_view NumberToken() {
    SkipSpaces();
    size_t length = 0;
    while (length < rest_.size() &&
           (IsLetter(rest_[length]) || IsDigit(rest_[length]) ||
            rest_[length] == '.' || rest_[length] == '-' ||
            rest_[length] == '+'))
      ++length;
    const std::string_view token = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return token;
  }
  template <typename T>
  static bool FromChars(std::string_view token, T* value) {
    const char* const end = token.data() + token.size();
    const auto [stop, error] = std::from_chars(token.data(), end, *value);
    return error == std::errc() && stop == end && !token.empty();
  }
  int64_t Integer() {
    const std::string_view token = NumberToken();
    int64_t value = 0;
    if (!FromChars(token, &value)) Refuse("'{}', want a whole number", token);
    return value;
  }
  double ParseDouble(std::string_view token) const {
    double value = 0;
    if (!FromChars(token, &value) || !std::isfinite(value))
      Refuse("'{}', want a finite number", token);
    return value;
  }
  // A number that `dtype` has: whole and in range for whole types.
  double Number(sotto_op_dtype dtype) {
    const std::string_view token = NumberToken();
    const double value = ParseDouble(token);
    double low = 0, high = 0;
    switch (dtype) {
      case SOTTO_OP_F32:
      case SOTTO_OP_F16:
      case SOTTO_OP_BF16:
      case SOTTO_OP_F64:
        return value;
      case SOTTO_OP_I8:
        low = -0x1p7, high = 0x1p7 - 1;
        break;
      case SOTTO_OP_U8:
        low = 0, high = 0x1p8 - 1;
        break;
      case SOTTO_OP_I16:
        low = -0x1p15, high = 0x1p15 - 1;
        break;
      case SOTTO_OP_I32:
        low = -0x1p31, high = 0x1p31 - 1;
        break;
      // Numbers are kept as double: past 2^53 one would be another.
      case SOTTO_OP_I64:
        low = -0x1p53, high = 0x1p53;
        break;
      case SOTTO_OP_BOOL:
        low = 0, high = 1;
        break;
    }
    if (value < low || value > high || value != std::trunc(value))
      Refuse("{}, want a whole number from {} to {}", token, low, high);
    return value;
  }

  bool titled_ = false;
  OpProgramText program_;
  uint64_t total_bytes_ = 0;
  std::unordered_map<std::string, uint32_t> names_;
  std::vector<Block> open_;
};

}  // namespace

std::string_view Name(OpVariableKind kind) {
  for (const auto& [name, known] : kKinds)
    if (known == kind) return name;
  return "?";
}

OpProgramText ParseOpProgram(std::string_view text, std::string_view file) {
  return Parser(text, file).Run();
}

}  // namespace sotto
