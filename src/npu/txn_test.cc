// SPDX-License-Identifier: MIT
// The codec against streams that others published: their hashes are facts that
// do not come from this code.
#include "npu/txn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "acceptance_row.h"
#include "base/error.h"
#include "base/test_folder.h"
#include "hub/digest.h"

namespace sotto::npu {
namespace {

std::vector<uint32_t> ShimBd(uint32_t words) {
  return {words, 0, 0, 0, 0x80000000, 0x02000000, 0, 0x02000000};
}

// One input through BD 1 and MM2S 0, one output through BD 0 and S2MM 0.
TxnStream SingleTile(uint32_t in_words, uint32_t out_words) {
  using Kind = TxnOp::Kind;
  TxnStream s;
  s.ops = {
      {.kind = Kind::kBlockWrite,
       .address = 0x1D020,
       .values = ShimBd(in_words)},
      {.kind = Kind::kDdrPatch, .address = 0x1D024, .argument = 0},
      {.kind = Kind::kWrite32, .address = 0x1D214, .values = {1}},
      {.kind = Kind::kBlockWrite,
       .address = 0x1D000,
       .values = ShimBd(out_words)},
      {.kind = Kind::kDdrPatch, .address = 0x1D004, .argument = 1},
      {.kind = Kind::kMaskWrite,
       .address = 0x1D200,
       .values = {0xF00},
       .mask = 0x1F00},
      {.kind = Kind::kWrite32, .address = 0x1D204, .values = {0x80000000}},
      {.kind = Kind::kWaitToken, .tile = {0, 0}},
  };
  return s;
}

std::string Sha256(const std::vector<uint32_t>& words) {
  const TestFolder folder;
  const auto path = folder / "stream.bin";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(words.data()),
             static_cast<std::streamsize>(4 * words.size()));
  return DigestOfFile(path, Digest::Kind::kSha256).hex;
}

// R1, N12: 300 bytes each; the first two are the LFS ids of published files.
TEST(Txn, R1N12StreamsHaveThePublishedHashes) {
  EXPECT_EQ(Encode(SingleTile(200, 20)).size() * 4, 300u);
  EXPECT_EQ(Sha256(Encode(SingleTile(200, 20))),
            "5ffe91a930c7660586724f170d4f368b833704636776eded1ea58fa8dd3d35dd");
  EXPECT_EQ(Sha256(Encode(SingleTile(256, 256))),
            "32eaf54e292bf1ef8738ce51de5abfe19a61b65592e906186e071ea8b6d12635");
  EXPECT_EQ(Sha256(Encode(SingleTile(3072, 1024))),
            "d2a0dfe6fc3a289e830dfb896ad1fb8e763909dbc92662313cb0651c03582b38");
  for (const char* row : {"R1", "N12"})
    ReportRow(row, "three streams of 300 bytes with the published SHA-256",
              RowTag::kMeasured);
}

TxnOp RandomOp(std::mt19937& rng) {
  const auto word = [&rng] { return static_cast<uint32_t>(rng()); };
  const auto below = [&rng](unsigned n) { return static_cast<int>(rng() % n); };
  TxnOp op;
  op.kind = static_cast<TxnOp::Kind>(below(5));
  switch (op.kind) {
    case TxnOp::Kind::kWrite32:
      op.address = word(), op.values = {word()};
      break;
    case TxnOp::Kind::kBlockWrite:
      op.address = word(), op.values.resize(1 + rng() % 12);
      for (uint32_t& v : op.values) v = word();
      break;
    case TxnOp::Kind::kMaskWrite:
      op.address = word(), op.mask = word(), op.values = {word()};
      break;
    case TxnOp::Kind::kDdrPatch:
      op.address = word(), op.argument = word(), op.offset = word();
      break;
    case TxnOp::Kind::kWaitToken:
      op.tile = {below(5), below(6)};
      op.mm2s = below(2) != 0, op.channel = below(6);
      op.columns = 1 + below(4), op.rows = 1 + below(4);
      break;
  }
  return op;
}

TEST(Txn, R1RoundTrip) {
  std::mt19937 rng(7);
  for (int round = 0; round < 200; ++round) {
    TxnStream stream;
    stream.columns = 1 + static_cast<int>(rng() % 4);
    for (size_t n = rng() % 20; n > 0; --n) stream.ops.push_back(RandomOp(rng));
    EXPECT_EQ(Decode(Encode(stream)), stream);
  }
}

// Whatever Decode accepts, Encode gives back; whatever it refuses, it refuses
// with an error that names the word.
TEST(Txn, AlteredStreamsAreRefusedOrTheSame) {
  std::mt19937 rng(8);
  const std::vector<uint32_t> good = Encode(SingleTile(200, 20));
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint32_t> words = good;
    words[rng() % words.size()] ^= 1u << rng() % 32;
    if (rng() % 4 == 0) words.resize(rng() % words.size());
    try {
      EXPECT_EQ(Encode(Decode(words)), words);
    } catch (const Error& error) {
      ++refused;
      EXPECT_THAT(error.what(), testing::HasSubstr("instruction stream: word"));
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace sotto::npu
