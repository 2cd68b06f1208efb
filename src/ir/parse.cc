// SPDX-License-Identifier: MIT
// The parser of ir/text.h: line by line, no recursion, every number checked.
#include <charconv>
#include <unordered_map>

#include "base/line_parser.h"
#include "ir/attrs.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace sotto::ir {
namespace {

constexpr size_t kMostQuoted = 80;

bool IsNameChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

class Parser : LineParser {
 public:
  Parser(std::string_view text, std::string_view file)
      : LineParser(text, file, kMostQuoted) {}

  Graph Run() {
    EachLine([this] { ParseLine(); });
    if (!titled_) Refuse("no graph, want a line 'stage ...' first");
    try {
      Verify(graph_);
    } catch (const Error& error) {
      Fail(ErrorCode::kBadInput, "{}: {}", file_, error.what());
    }
    return std::move(graph_);
  }

 private:
  void ParseLine() {
    if (!titled_) return ParseTitle();
    if (rest_.front() == '%') return ParseNode();
    const std::string_view word = Word("input, weight, state, output or %");
    if (word == "input")
      Declare(ValueKind::kInput);
    else if (word == "weight")
      Declare(ValueKind::kWeight);
    else if (word == "state")
      Declare(ValueKind::kState);
    else if (word == "output")
      graph_.outputs.push_back(Reference());
    else
      Refuse("'{}', want input, weight, state, output or %name = ...", word);
    End();
  }

  void ParseTitle() {
    if (Word("stage") != "stage") Refuse("want 'stage' and a title first");
    SkipSpaces();
    while (!rest_.empty() && rest_.back() == ' ') rest_.remove_suffix(1);
    graph_.title = std::string(rest_);
    titled_ = true;
  }

  void Declare(ValueKind kind) {
    Value value{.kind = kind};
    if (kind == ValueKind::kWeight) Expect('@');
    if (kind == ValueKind::kState) Expect('!');
    value.name = std::string(Word("a name", kind == ValueKind::kInput));
    ParseType(value.dtype, value.shape);
    if (kind == ValueKind::kWeight) {
      SkipSpaces();
      if (!rest_.empty() && rest_.front() != '{') {
        const std::string_view layout = Word("a layout");
        if (layout != "panel") Refuse("layout '{}', want panel", layout);
        value.layout = Layout::kPanel;
      }
      SkipSpaces();
      if (!rest_.empty())
        value.parts = ParseParts();
      else
        value.parts = {{.name = value.name, .rows = value.shape[0]}};
    }
    Append(std::move(value));
  }

  std::vector<WeightPart> ParseParts() {
    std::vector<WeightPart> parts;
    Expect('{');
    while (true) {
      WeightPart part;
      SkipSpaces();
      if (!rest_.empty() && rest_.front() != ':')
        part.name = std::string(Word("a tensor's name"));
      Expect(':');
      part.rows = Integer<int64_t>();
      parts.push_back(std::move(part));
      if (!Take('|')) break;
    }
    Expect('}');
    return parts;
  }

  void ParseNode() {
    Expect('%');
    Value value{.kind = ValueKind::kTemp};
    value.name = std::string(Word("a name"));
    Expect('=');
    Node node;
    node.op = ParseOp();
    node.attrs = DefaultAttrs(node.op);
    Expect('(');
    while (true) {
      node.inputs.push_back(Operand());
      if (!Take(',')) break;
      if (node.inputs.size() > 16) Refuse("more than 16 operands");
    }
    Expect(')');
    while (!Peek(':')) ParseAttr(node);
    ParseType(value.dtype, value.shape);
    if (TakeWord("in") && Reference() != node.inputs[0])
      Refuse("'in' names another value than the first operand");
    if (TakeWord("on")) node.backend = std::string(Word("a backend"));
    End();
    value.producer = static_cast<NodeId>(graph_.nodes.size());
    node.output = Append(std::move(value));
    graph_.nodes.push_back(std::move(node));
  }

  Op ParseOp() {
    const std::string_view name = Word("an op");
    for (int i = 0; i < kOpCount; ++i)
      if (Info(static_cast<Op>(i)).name == name) return static_cast<Op>(i);
    Refuse("unknown op '{}'", name);
  }

  void ParseAttr(Node& node) {
    const std::string_view key = Word("an attribute or ':'");
    Expect('=');
    bool found = false;
    std::visit(
        [&](auto& attrs) {
          VisitAttrs(attrs, [&](std::string_view name, auto& field) {
            if (name != key) return;
            found = true;
            Read(field);
          });
        },
        node.attrs);
    if (!found) Refuse("{} has no attribute '{}'", Info(node.op).name, key);
  }

  void Read(DType& type) {
    const std::string_view word = Word("an element type");
    for (const DType candidate :
         {DType::kF32, DType::kF16, DType::kBF16, DType::kI8, DType::kI32})
      if (Name(candidate) == word) {
        type = candidate;
        return;
      }
    Refuse("unknown type '{}', want f32, f16, bf16, i8 or i32", word);
  }
  void Read(Activation& act) {
    act = Choose("none", "gelu") == 0 ? Activation::kNone : Activation::kGelu;
  }
  void Read(KvKind& kind) {
    kind = Choose("key", "value") == 0 ? KvKind::kKey : KvKind::kValue;
  }
  void Read(bool& value) { value = Choose("false", "true") == 1; }
  void Read(int& value) { value = Integer<int>(); }
  void Read(int64_t& value) { value = Integer<int64_t>(); }
  void Read(float& value) {
    SkipSpaces();
    const auto [end, error] =
        std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) Refuse("'{}' is no number", Head());
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
  }
  void Read(Shape& shape) {
    shape = Shape();
    Expect('[');
    do {
      if (shape.rank() == Shape::kMaxRank) Refuse("more than 4 dimensions");
      shape.Append(Integer<int64_t>());
    } while (Take(','));
    Expect(']');
  }

  int Choose(std::string_view first, std::string_view second) {
    const std::string_view word = Word(first);
    if (word == first) return 0;
    if (word == second) return 1;
    Refuse("'{}', want {} or {}", word, first, second);
  }

  void ParseType(DType& dtype, Shape& shape) {
    Expect(':');
    Read(dtype);
    Read(shape);
  }

  ValueId Operand() {
    SkipSpaces();
    if (rest_.empty()) Refuse("the line ends, want an operand");
    if (rest_.front() == '_' && (rest_.size() == 1 || !IsNameChar(rest_[1]))) {
      rest_.remove_prefix(1);
      return kNoValue;
    }
    return Reference();
  }

  ValueId Reference() {
    SkipSpaces();
    std::string name;
    if (!rest_.empty() && (rest_.front() == '@' || rest_.front() == '!' ||
                           rest_.front() == '%')) {
      name = rest_.front();
      rest_.remove_prefix(1);
    }
    name += Word("a value", name.empty());
    const auto found = by_label_.find(name);
    if (found == by_label_.end()) Refuse("unknown value '{}'", name);
    return found->second;
  }

  ValueId Append(Value value) {
    const auto id = static_cast<ValueId>(graph_.values.size());
    if (!by_label_.emplace(Label(value), id).second)
      Refuse("{} is declared twice", Label(value));
    graph_.values.push_back(std::move(value));
    return id;
  }

  bool Peek(char c) {
    SkipSpaces();
    if (rest_.empty()) Refuse("the line ends, want '{}'", c);
    return rest_.front() == c;
  }
  bool TakeWord(std::string_view word) {
    SkipSpaces();
    if (rest_.substr(0, word.size()) != word) return false;
    if (rest_.size() > word.size() && IsNameChar(rest_[word.size()]))
      return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::string_view Word(std::string_view want, bool spaces = true) {
    if (spaces) SkipSpaces();
    size_t size = 0;
    while (size < rest_.size() && IsNameChar(rest_[size])) ++size;
    if (size == 0) Refuse("'{}', want {}", Head(), want);
    const std::string_view word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return word;
  }
  template <typename T>
  T Integer() {
    SkipSpaces();
    T value = 0;
    const auto [end, error] =
        std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) Refuse("'{}' is no whole number", Head());
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }
  void End() {
    SkipSpaces();
    if (!rest_.empty()) Refuse("'{}' after the end", Head());
  }

  bool titled_ = false;
  Graph graph_;
  std::unordered_map<std::string, ValueId> by_label_;
};

}  // namespace

Graph Parse(std::string_view text, std::string_view file) {
  return Parser(text, file).Run();
}

}  // namespace sotto::ir
