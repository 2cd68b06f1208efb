// SPDX-License-Identifier: MIT
#include "model/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "model/bytes.h"

namespace sotto {
namespace {

using Kind = Pickle::Kind;

// large-v3 makes 25,000 nodes.
constexpr size_t kMaxNodes = 1 << 18;
// Small, because every tensor may copy one: a few bytes that recall a long
// one must not fill memory.
constexpr size_t kMaxKey = 256;
constexpr size_t kMaxRank = 16;

constexpr std::string_view kStorages[] = {
    "FloatStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage",
    "LongStorage",  "IntStorage",  "ShortStorage",    "CharStorage",
    "ByteStorage",  "BoolStorage"};

}  // namespace

class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::string& file,
                Pickle* out)
      : in_(bytes, file), out_(*out) {}

  void Run();

 private:
  using Id = Pickle::Id;
  using Node = Pickle::Node;

  [[noreturn]] void Bad(std::string_view what) const {
    Fail(ErrorCode::kBadInput, "{}: {} at byte {}", in_.file(), what,
         in_.offset());
  }
  Node& At(Id id) { return out_.nodes_[id]; }
  void Push(Node node) {
    if (out_.nodes_.size() >= kMaxNodes) Bad("too many objects");
    stack_.push_back(static_cast<Id>(out_.nodes_.size()));
    out_.nodes_.push_back(std::move(node));
  }
  void PushInt(int64_t value) { Push({.kind = Kind::kInt, .number = value}); }
  void PushText(uint64_t length) {
    Push({.kind = Kind::kText, .text = std::string(in_.Text(length, "text"))});
  }
  Id Pop() {
    if (stack_.empty()) Bad("nothing on the stack");
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  Id Top() {
    if (stack_.empty()) Bad("nothing on the stack");
    return stack_.back();
  }
  std::vector<Id> PopToMark();
  void PushTuple(size_t count);
  void PushLong();
  void PushGlobal(const std::string& module, const std::string& name);
  std::string Line();
  void Memoize(uint32_t key) { memo_[key] = Top(); }
  void Recall(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) Bad("an unknown memo");
    stack_.push_back(found->second);
  }
  void Extend(Kind kind, std::vector<Id> items);
  void Reduce();
  void Persistent();
  Node RebuildTensor(const Node& arguments);
  std::vector<int64_t> Numbers(Id id);
  bool Constant(uint8_t op);
  bool Container(uint8_t op);
  bool Object(uint8_t op);

  ByteReader in_;
  Pickle& out_;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;
  std::map<uint32_t, Id> memo_;
};

std::vector<Pickle::Id> PickleMachine::PopToMark() {
  if (marks_.empty() || marks_.back() > stack_.size()) Bad("no mark");
  const auto first = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
  std::vector<Id> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

void PickleMachine::PushTuple(size_t count) {
  if (stack_.size() < count) Bad("too little on the stack");
  const auto first = stack_.end() - static_cast<ptrdiff_t>(count);
  std::vector<Id> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  Push({.kind = Kind::kTuple, .items = std::move(items)});
}

// A little-endian two's complement number of up to 8 bytes.
void PickleMachine::PushLong() {
  const uint8_t length = in_.U8("a number's length");
  if (length > 8) Bad("a number of more than 8 bytes");
  uint64_t bits = 0;
  const auto bytes = in_.Take(length, "a number");
  for (size_t i = 0; i < bytes.size(); ++i)
    bits |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  if (length > 0 && length < 8 && (bits >> (8 * length - 1)) != 0)
    bits |= ~uint64_t{0} << (8 * length);
  PushInt(std::bit_cast<int64_t>(bits));
}

std::string PickleMachine::Line() {
  std::string line;
  for (;;) {
    const char c = in_.Text(1, "a name")[0];
    if (c == '\n') return line;
    line += c;
    if (line.size() > 256) Bad("a name of more than 256 characters");
  }
}

void PickleMachine::PushGlobal(const std::string& module,
                               const std::string& name) {
  const std::string full = module + "." + name;
  const bool storage =
      module == "torch" && std::find(std::begin(kStorages), std::end(kStorages),
                                     name) != std::end(kStorages);
  if (!storage && full != "collections.OrderedDict" &&
      full != "torch._utils._rebuild_tensor_v2" &&
      full != "torch._utils._rebuild_parameter")
    Fail(ErrorCode::kBadInput,
         "{}: its pickle asks for {}, want nothing but tensors", in_.file(),
         Legible(full));
  Push({.kind = Kind::kGlobal, .text = storage ? name : full});
}

void PickleMachine::Extend(Kind kind, std::vector<Id> items) {
  Node& target = At(Top());
  if (target.kind != kind) Bad("an item for something else");
  if (kind == Kind::kDict && items.size() % 2 != 0) Bad("a key without value");
  target.items.insert(target.items.end(), items.begin(), items.end());
}

std::vector<int64_t> PickleMachine::Numbers(Id id) {
  const Node& tuple = At(id);
  std::vector<int64_t> out;
  if (tuple.kind != Kind::kTuple || tuple.items.size() > kMaxRank)
    Bad("no tuple of numbers");
  for (const Id item : tuple.items) {
    if (At(item).kind != Kind::kInt) Bad("no tuple of numbers");
    out.push_back(At(item).number);
  }
  return out;
}

// (storage, offset, sizes, strides, requires_grad, hooks, ...)
Pickle::Node PickleMachine::RebuildTensor(const Node& arguments) {
  const auto& a = arguments.items;
  if (a.size() < 4 || At(a[0]).kind != Kind::kStorage ||
      At(a[1]).kind != Kind::kInt)
    Bad("a tensor without storage, offset, sizes and strides");
  Node tensor{.kind = Kind::kTensor};
  tensor.storage = a[0];
  tensor.offset = At(a[1]).number;
  tensor.sizes = Numbers(a[2]);
  tensor.strides = Numbers(a[3]);
  if (tensor.sizes.size() != tensor.strides.size())
    Bad("a tensor with more sizes than strides");
  return tensor;
}

// note: references to nodes live until the next Push, which comes last.
void PickleMachine::Reduce() {
  const Node& arguments = At(Pop());
  const Node& function = At(Pop());
  if (arguments.kind != Kind::kTuple || function.kind != Kind::kGlobal)
    Bad("a call of no function");
  if (function.text == "collections.OrderedDict") {
    if (!arguments.items.empty()) Bad("a dictionary made of something");
    Push({.kind = Kind::kDict});
  } else if (function.text == "torch._utils._rebuild_tensor_v2") {
    Push(RebuildTensor(arguments));
  } else if (function.text == "torch._utils._rebuild_parameter") {
    if (arguments.items.empty() || At(arguments.items[0]).kind != Kind::kTensor)
      Bad("a parameter of no tensor");
    stack_.push_back(arguments.items[0]);
  } else {
    Bad("a call of no function");
  }
}

// ("storage", type, key, device, elements)
void PickleMachine::Persistent() {
  const Node& tuple = At(Pop());
  if (tuple.kind != Kind::kTuple || tuple.items.size() < 5)
    Bad("a storage that is no tuple of five");
  const Node &tag = At(tuple.items[0]), &type = At(tuple.items[1]),
             &key = At(tuple.items[2]), &count = At(tuple.items[4]);
  if (tag.text != "storage" || type.kind != Kind::kGlobal ||
      !type.text.ends_with("Storage") || key.kind != Kind::kText ||
      key.text.size() > kMaxKey || count.kind != Kind::kInt || count.number < 0)
    Bad("a storage without type, key and size");
  Push({.kind = Kind::kStorage,
        .number = count.number,
        .text = key.text,
        .type = type.text});
}

bool PickleMachine::Constant(uint8_t op) {
  switch (op) {
    case 'N':
      Push({});
      return true;
    case 0x88:
      Push({.kind = Kind::kBool, .number = 1});
      return true;
    case 0x89:
      Push({.kind = Kind::kBool});
      return true;
    case 'J':
      PushInt(in_.I32("a number"));
      return true;
    case 'K':
      PushInt(in_.U8("a number"));
      return true;
    case 'M':
      PushInt(in_.U16("a number"));
      return true;
    case 0x8a:
      PushLong();
      return true;
    case 'G': {
      const uint64_t bits = __builtin_bswap64(in_.U64("a number"));
      Push({.kind = Kind::kFloat, .real = std::bit_cast<double>(bits)});
      return true;
    }
    case 'X':
    case 'T':
      PushText(in_.U32("a text's length"));
      return true;
    case 0x8c:
    case 'U':
      PushText(in_.U8("a text's length"));
      return true;
    case 0x8d:
      PushText(in_.U64("a text's length"));
      return true;
    default:
      return false;
  }
}

bool PickleMachine::Container(uint8_t op) {
  switch (op) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case '}':
      Push({.kind = Kind::kDict});
      return true;
    case ']':
      Push({.kind = Kind::kList});
      return true;
    case ')':
      PushTuple(0);
      return true;
    case 0x85:
      PushTuple(1);
      return true;
    case 0x86:
      PushTuple(2);
      return true;
    case 0x87:
      PushTuple(3);
      return true;
    case 't':
      Push({.kind = Kind::kTuple, .items = PopToMark()});
      return true;
    case 'l':
      Push({.kind = Kind::kList, .items = PopToMark()});
      return true;
    case 'a': {
      const Id item = Pop();
      Extend(Kind::kList, {item});
      return true;
    }
    case 'e': {
      std::vector<Id> items = PopToMark();
      Extend(Kind::kList, std::move(items));
      return true;
    }
    case 's': {
      const Id value = Pop(), key = Pop();
      Extend(Kind::kDict, {key, value});
      return true;
    }
    case 'u': {
      std::vector<Id> items = PopToMark();
      Extend(Kind::kDict, std::move(items));
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::Object(uint8_t op) {
  switch (op) {
    case 'q':
      Memoize(in_.U8("a memo"));
      return true;
    case 'r':
      Memoize(in_.U32("a memo"));
      return true;
    case 0x94:
      Memoize(static_cast<uint32_t>(memo_.size()));
      return true;
    case 'h':
      Recall(in_.U8("a memo"));
      return true;
    case 'j':
      Recall(in_.U32("a memo"));
      return true;
    case '0':
      Pop();
      return true;
    case 'c': {
      const std::string module = Line();
      PushGlobal(module, Line());
      return true;
    }
    case 0x93: {
      const std::string name = At(Pop()).text;
      PushGlobal(At(Pop()).text, name);
      return true;
    }
    case 'R':
      Reduce();
      return true;
    case 'Q':
      Persistent();
      return true;
    case 'b':  // attributes of an OrderedDict: nothing of ours
      Pop();
      if (At(Top()).kind != Kind::kDict) Bad("attributes of no dictionary");
      return true;
    default:
      return false;
  }
}

void PickleMachine::Run() {
  for (;;) {
    const uint8_t op = in_.U8("the next opcode");
    if (op == '.') break;
    if (op == 0x80) {
      const uint8_t protocol = in_.U8("the protocol");
      if (protocol < 2 || protocol > 5) Bad("protocol not 2 to 5");
      continue;
    }
    if (op == 0x95) {  // a frame only tells how much to read ahead
      in_.U64("a frame");
      continue;
    }
    if (Constant(op) || Container(op) || Object(op)) continue;
    Fail(ErrorCode::kBadInput,
         "{}: opcode {:#04x} at byte {}, want what tensors need", in_.file(),
         op, in_.offset() - 1);
  }
  out_.root_ = Pop();
}

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& file) {
  PickleMachine(bytes, file, this).Run();
}

const Pickle::Node* Pickle::Find(const Node& dict, std::string_view key) const {
  if (dict.kind != Kind::kDict) return nullptr;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const Node& name = node(dict.items[i]);
    if (name.kind == Kind::kText && name.text == key)
      return &node(dict.items[i + 1]);
  }
  return nullptr;
}

}  // namespace sotto
