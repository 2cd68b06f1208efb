// SPDX-License-Identifier: MIT
#include "npu/txn.h"

#include <fmt/format.h>

#include "base/error.h"

namespace sotto::npu {
namespace {

// Version 0.1 of the stream, device generation 3 (AIE2), 6 rows; then columns
// and one row of mem tiles.
constexpr uint32_t kVersion = 0x06030100;
constexpr uint32_t kMemRows = 0x00000100;
constexpr size_t kHeaderWords = 4;

enum Opcode : uint32_t {
  kOpWrite32 = 0x00,
  kOpBlockWrite = 0x01,
  kOpMaskWrite = 0x03,
  kOpToken = 0x80,
  kOpPatch = 0x81,
};

void Append(const TxnOp& op, std::vector<uint32_t>* out) {
  const auto put = [out](std::initializer_list<uint32_t> words) {
    out->insert(out->end(), words);
  };
  switch (op.kind) {
    case TxnOp::Kind::kWrite32:
      put({kOpWrite32, 0, op.address, 0, op.values.at(0), 24});
      return;
    case TxnOp::Kind::kBlockWrite:
      put({kOpBlockWrite, 0, op.address,
           static_cast<uint32_t>(16 + 4 * op.values.size())});
      out->insert(out->end(), op.values.begin(), op.values.end());
      return;
    case TxnOp::Kind::kMaskWrite:
      put({kOpMaskWrite, 0, op.address, 0, op.values.at(0), op.mask, 28});
      return;
    case TxnOp::Kind::kDdrPatch:
      put({kOpPatch, 48, 0, 0, 0, 0, op.address, 0, op.argument, 0, op.offset,
           0});
      return;
    case TxnOp::Kind::kWaitToken:
      put({kOpToken, 16,
           static_cast<uint32_t>(op.tile.col) << 16 |
               static_cast<uint32_t>(op.tile.row) << 8 |
               static_cast<uint32_t>(op.mm2s),
           static_cast<uint32_t>(op.channel) << 24 |
               static_cast<uint32_t>(op.columns) << 16 |
               static_cast<uint32_t>(op.rows) << 8});
      return;
  }
}

// Reads the stream with every step checked against its end.
class Reader {
 public:
  explicit Reader(std::span<const uint32_t> words) : words_(words) {}
  size_t at() const { return at_; }
  bool done() const { return at_ == words_.size(); }

  std::span<const uint32_t> Take(size_t n, const char* what) {
    if (words_.size() - at_ < n) {
      Fail(ErrorCode::kBadInput,
           "instruction stream: word {}: {} needs {} words, {} are left", at_,
           what, n, words_.size() - at_);
    }
    const auto taken = words_.subspan(at_, n);
    at_ += n;
    return taken;
  }

 private:
  std::span<const uint32_t> words_;
  size_t at_ = 0;
};

// Words that the format fixes, as {index, value}.
void Expect(std::span<const uint32_t> words, size_t at,
            std::initializer_list<std::pair<size_t, uint32_t>> fixed) {
  for (const auto& [index, value] : fixed) {
    if (words[index] == value) continue;
    Fail(ErrorCode::kBadInput,
         "instruction stream: word {}: is {:#x}, want {:#x}", at + index,
         words[index], value);
  }
}

TxnOp ReadBlockWrite(Reader* in) {
  const size_t at = in->at();
  const auto head = in->Take(4, "a block write");
  Expect(head, at, {{1, 0}});
  if (head[3] < 20 || head[3] % 4 != 0) {
    Fail(ErrorCode::kBadInput,
         "instruction stream: word {}: block write of {} bytes, want 20 or "
         "more and a multiple of 4",
         at + 3, head[3]);
  }
  const auto data = in->Take((head[3] - 16) / 4, "a block write's data");
  TxnOp op{.kind = TxnOp::Kind::kBlockWrite, .address = head[2]};
  op.values.assign(data.begin(), data.end());
  return op;
}

TxnOp ReadToken(Reader* in) {
  const size_t at = in->at();
  const auto w = in->Take(4, "a token wait");
  Expect(w, at, {{1, 16}});
  if ((w[2] & 0xFF0000FE) != 0 || (w[3] & 0xFF) != 0) {
    Fail(ErrorCode::kBadInput,
         "instruction stream: word {}: token wait {:#x} {:#x} has bits set "
         "that must be 0",
         at + 2, w[2], w[3]);
  }
  TxnOp op{.kind = TxnOp::Kind::kWaitToken};
  op.tile = {static_cast<int>(w[2] >> 16), static_cast<int>(w[2] >> 8 & 0xFF)};
  op.mm2s = (w[2] & 1) != 0;
  op.channel = static_cast<int>(w[3] >> 24);
  op.columns = static_cast<int>(w[3] >> 16 & 0xFF);
  op.rows = static_cast<int>(w[3] >> 8 & 0xFF);
  return op;
}

TxnOp ReadOp(Reader* in, uint32_t opcode) {
  const size_t at = in->at();
  switch (opcode) {
    case kOpWrite32: {
      const auto w = in->Take(6, "a write");
      Expect(w, at, {{1, 0}, {3, 0}, {5, 24}});
      return {.kind = TxnOp::Kind::kWrite32, .address = w[2], .values = {w[4]}};
    }
    case kOpBlockWrite:
      return ReadBlockWrite(in);
    case kOpMaskWrite: {
      const auto w = in->Take(7, "a masked write");
      Expect(w, at, {{1, 0}, {3, 0}, {6, 28}});
      return {.kind = TxnOp::Kind::kMaskWrite,
              .address = w[2],
              .values = {w[4]},
              .mask = w[5]};
    }
    case kOpToken:
      return ReadToken(in);
    case kOpPatch: {
      const auto w = in->Take(12, "an address patch");
      Expect(
          w, at,
          {{1, 48}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {7, 0}, {9, 0}, {11, 0}});
      return {.kind = TxnOp::Kind::kDdrPatch,
              .address = w[6],
              .argument = w[8],
              .offset = w[10]};
    }
    default:
      Fail(ErrorCode::kBadInput,
           "instruction stream: word {}: unknown operation {:#x}", at, opcode);
  }
}

}  // namespace

std::vector<uint32_t> Encode(const TxnStream& stream) {
  std::vector<uint32_t> words{kVersion,
                              kMemRows | static_cast<uint32_t>(stream.columns),
                              static_cast<uint32_t>(stream.ops.size()), 0};
  for (const TxnOp& op : stream.ops) Append(op, &words);
  words[3] = static_cast<uint32_t>(4 * words.size());
  return words;
}

TxnStream Decode(std::span<const uint32_t> words) {
  Reader in(words);
  const auto header = in.Take(kHeaderWords, "the header");
  Expect(header, 0,
         {{0, kVersion},
          {1, kMemRows | (header[1] & 0xFF)},
          {3, static_cast<uint32_t>(4 * words.size())}});
  TxnStream stream;
  stream.columns = static_cast<int>(header[1] & 0xFF);
  while (!in.done()) stream.ops.push_back(ReadOp(&in, words[in.at()]));
  if (stream.ops.size() != header[2]) {
    Fail(ErrorCode::kBadInput,
         "instruction stream: word 2: says {} operations, there are {}",
         header[2], stream.ops.size());
  }
  return stream;
}

std::string ToString(const TxnStream& stream) {
  std::string text = fmt::format("txn {} columns, {} operations\n",
                                 stream.columns, stream.ops.size());
  for (const TxnOp& op : stream.ops) {
    switch (op.kind) {
      case TxnOp::Kind::kWrite32:
        text +=
            fmt::format("write {:#09x} = {:#x}\n", op.address, op.values.at(0));
        break;
      case TxnOp::Kind::kBlockWrite:
        text += fmt::format("block {:#09x} = {:#x}\n", op.address,
                            fmt::join(op.values, " "));
        break;
      case TxnOp::Kind::kMaskWrite:
        text += fmt::format("mask  {:#09x} = {:#x} & {:#x}\n", op.address,
                            op.values.at(0), op.mask);
        break;
      case TxnOp::Kind::kDdrPatch:
        text += fmt::format("patch {:#09x} += buffer {} + {}\n", op.address,
                            op.argument, op.offset);
        break;
      case TxnOp::Kind::kWaitToken:
        text += fmt::format("wait  {} {} {}\n", op.tile.ToString(),
                            op.mm2s ? "MM2S" : "S2MM", op.channel);
        break;
    }
  }
  return text;
}

}  // namespace sotto::npu
