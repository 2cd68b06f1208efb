// SPDX-License-Identifier: MIT
// Damaged and malicious files: each loads or is refused in one line, and
// none crashes. Run under ASan this is the test of every bound in a reader.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <fstream>
#include <random>

#include "model/convert.h"
#include "model/test_folder.h"
#include "tiny_model.h"

namespace sotto {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

struct File {
  std::string name;
  std::string bytes;
};

// A micro model in every format, and quantised where a format can be.
std::vector<File> MicroFiles() {
  TinyOptions options = MicroOptions();
  options.width = 32;
  options.n_audio_ctx = 4;
  options.n_text_ctx = 4;
  options.n_vocab = 40;
  options.dtype = DType::kF16;
  const auto store = MakeTinyStore(options);
  TestFolder folder;
  std::vector<File> files;
  const auto add = [&](ModelFormat format, const ConvertOptions& how) {
    fs::path path = ConvertModel(*store, format, folder / "x", how);
    if (format == ModelFormat::kHf) path /= "model.safetensors";
    if (format == ModelFormat::kCt2) path /= "model.bin";
    files.push_back({std::string(Name(format)), ReadFile(path)});
  };
  for (const ModelFormat format :
       {ModelFormat::kHf, ModelFormat::kOpenAi, ModelFormat::kCt2,
        ModelFormat::kGgml, ModelFormat::kGguf})
    add(format, {});
  add(ModelFormat::kCt2, {.quantisation = DType::kI8});
  add(ModelFormat::kGgml, {.quantisation = DType::kQ5_1});
  add(ModelFormat::kGguf, {.quantisation = DType::kQ8_0});
  return files;
}

// Loads, and where that works reads every value. Returns the error.
std::string LoadAll(const fs::path& path) {
  return ErrorFrom([&] {
    const auto store = WeightStore::Load(path);
    for (const auto& [name, entry] : store->entries()) AllValues(*store, name);
  });
}

// Without the sync of WriteFileAtomic, which would take most of the time.
void Write(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void ExpectOneLine(const std::string& error, const File& file) {
  if (error == "no error") return;
  EXPECT_THAT(error, Not(HasSubstr("\n"))) << file.name;
  EXPECT_THAT(error, Not(HasSubstr("internal error"))) << file.name;
  EXPECT_LT(error.size(), 600u) << error;
}

TEST(Damaged, EveryTruncationIsRefused) {
  TestFolder folder;
  for (const File& file : MicroFiles()) {
    const fs::path path = folder / "model";
    Write(path, file.bytes);
    ASSERT_EQ(LoadAll(path), "no error") << file.name;
    // All lengths of the head, where structure is, and coarse steps behind.
    size_t step = 1;
    for (size_t n = 0; n + 1 < file.bytes.size(); n += step) {
      if (n > 200) step = 1 + file.bytes.size() / 100;
      Write(path, std::string_view(file.bytes).substr(0, n));
      const std::string error = LoadAll(path);
      ExpectOneLine(error, file);
      // The last bytes may be padding, or CTranslate2's aliases.
      if (n + 128 >= file.bytes.size()) continue;
      EXPECT_NE(error, "no error") << file.name << " cut at " << n;
    }
  }
}

TEST(Damaged, FlippedBitsNeverCrash) {
  TestFolder folder;
  std::mt19937 random(11);
  for (const File& file : MicroFiles()) {
    const fs::path path = folder / "model";
    for (int round = 0; round < 400; ++round) {
      std::string bytes = file.bytes;
      // Half of the flips go to the head, half anywhere, some to the tail,
      // where a ZIP keeps its directory.
      const size_t range =
          round % 4 < 2 ? std::min<size_t>(2000, bytes.size()) : bytes.size();
      for (int flips = 1 + round % 3; flips > 0; --flips) {
        size_t at = random() % range;
        if (round % 4 == 3) at = bytes.size() - 1 - at % 4000 % bytes.size();
        bytes[at] = static_cast<char>(bytes[at] ^ (1u << (random() % 8)));
      }
      Write(path, bytes);
      ExpectOneLine(LoadAll(path), file);
    }
  }
}

// Numbers at their extremes, each 32-bit word of the head in turn.
TEST(Damaged, ExtremeNumbersNeverCrash) {
  TestFolder folder;
  for (const File& file : MicroFiles()) {
    const fs::path path = folder / "model";
    for (size_t at = 4; at < std::min<size_t>(400, file.bytes.size() - 8);
         ++at) {
      constexpr uint64_t kExtremes[] = {~uint64_t{0}, 0x7fffffff7fffffffu, 0};
      std::string bytes = file.bytes;
      std::memcpy(bytes.data() + at, &kExtremes[at % 3], at % 2 == 0 ? 4 : 8);
      Write(path, bytes);
      ExpectOneLine(LoadAll(path), file);
    }
  }
}

// A .pt with this pickle; `level` above 0 deflates.
void WritePt(const fs::path& path, const std::string& pickle,
             const std::string& data = std::string(64, '\0'), int level = 0) {
  zipFile zip = zipOpen64(path.c_str(), APPEND_STATUS_CREATE);
  ASSERT_NE(zip, nullptr);
  const auto add = [&](const char* name, const std::string& bytes) {
    const zip_fileinfo info{};
    zipOpenNewFileInZip64(zip, name, &info, nullptr, 0, nullptr, 0, nullptr,
                          level > 0 ? Z_DEFLATED : 0, level, 0);
    zipWriteInFileInZip(zip, bytes.data(), static_cast<unsigned>(bytes.size()));
    zipCloseFileInZip(zip);
  };
  add("x/data.pkl", pickle);
  add("x/data/0", data);
  zipClose(zip, nullptr);
}

std::string PickleError(const std::string& pickle) {
  TestFolder folder;
  WritePt(folder / "a.pt", pickle);
  return LoadError(folder / "a.pt");
}

std::string S(const char* text) {
  const std::string value = text;
  return std::string("X") + static_cast<char>(value.size()) +
         std::string(3, '\0') + value;
}

// {"w": a tensor of `sizes` and `strides` over 16 floats}.
std::string TensorPickle(const std::string& offset, const std::string& sizes,
                         const std::string& strides) {
  return "\x80\x02}" + S("w") + "ctorch._utils\n_rebuild_tensor_v2\n((" +
         S("storage") + "ctorch\nFloatStorage\n" + S("0") + S("cpu") +
         "K\x10tQ" + offset + sizes + strides + "\x89" + ")tRs.";
}

TEST(Pickles, AreNeverRun) {
  EXPECT_THAT(PickleError("\x80\x02"
                          "cos\nsystem\n" +
                          S("true") + "\x85R."),
              HasSubstr("asks for os.system, want nothing but tensors"));
  EXPECT_THAT(PickleError("\x80\x04\x8c\x08"
                          "builtins\x8c\x04"
                          "eval\x93."),
              HasSubstr("asks for builtins.eval"));
  EXPECT_THAT(PickleError("\x80\x02"
                          "ctorch\nload\n."),
              HasSubstr("asks for torch.load"));
  EXPECT_THAT(PickleError("\x80\x02i"), HasSubstr("opcode 0x69"));
  EXPECT_THAT(PickleError("\x80\x02R."), HasSubstr("nothing on the stack"));
  EXPECT_THAT(PickleError("\x80\x02t."), HasSubstr("no mark"));
  EXPECT_THAT(PickleError("\x80\x02K\x01."), HasSubstr("no dictionary"));
  EXPECT_THAT(PickleError("\x80\x02h\x05."), HasSubstr("unknown memo"));
  EXPECT_THAT(PickleError("\x80\x02"), HasSubstr("truncated"));
}

TEST(Pickles, DeepNestingAndManyObjectsAreRefusedOrHarmless) {
  std::string deep = "\x80\x02)";
  for (int i = 0; i < 100000; ++i) deep += '\x85';
  EXPECT_THAT(PickleError(deep + "."), HasSubstr("no dictionary"));
  EXPECT_THAT(PickleError("\x80\x02" + std::string(400000, '}') + "."),
              HasSubstr("too many objects"));
}

TEST(Pickles, TensorsStayInsideTheirStorage) {
  const std::string two = "K\x04K\x04\x86";
  const auto error = [&](const std::string& offset, const std::string& sizes,
                         const std::string& strides) {
    return PickleError(TensorPickle(offset, sizes, strides));
  };
  // Right in itself, but no Whisper.
  const std::string fits = "1 tensors, none with a name of Whisper";
  EXPECT_THAT(error(std::string("K\0", 2), two, "K\x04K\x01\x86"),
              HasSubstr(fits));
  EXPECT_THAT(error(std::string("K\0", 2), two, "K\x01K\x04\x86"),
              HasSubstr(fits));  // transposed
  EXPECT_THAT(error("K\x01", two, "K\x04K\x01\x86"), HasSubstr("past the 64"));
  EXPECT_THAT(error("J\xff\xff\xff\xff", two, "K\x04K\x01\x86"),
              HasSubstr("negative"));
  EXPECT_THAT(error(std::string("K\0", 2), two, "J\xff\xff\xff\xffK\x01\x86"),
              HasSubstr("negative"));
  // 2^62 strides wrap 64 bits round.
  const std::string huge = std::string("\x8a\x08\0\0\0\0\0\0\0\x40", 10);
  EXPECT_THAT(error(std::string("K\0", 2), two, huge + huge + "\x86"),
              HasSubstr("past the 64"));
  EXPECT_THAT(
      error(std::string("K\0", 2), huge + huge + "\x86", "K\x04K\x01\x86"),
      HasSubstr("absurd shape"));
  // One value seen as 65536 x 65536.
  const std::string wide = std::string("J\0\0\1\0J\0\0\1\0\x86", 11);
  EXPECT_THAT(error(std::string("K\0", 2), wide, std::string("K\0K\0\x86", 5)),
              HasSubstr("strided views of more than the file"));
}

TEST(Zips, BombsAreRefused) {
  TestFolder folder;
  const std::string pickle =
      TensorPickle(std::string("K\0", 2), "K\x04K\x04\x86", "K\x04K\x01\x86");
  // 64 MB of zeros in 64 kB.
  WritePt(folder / "a.pt", pickle, std::string(size_t{1} << 26, '\0'), 9);
  EXPECT_THAT(LoadError(folder / "a.pt"), HasSubstr("want at most 64 times"));
  // A deflated pickle of the usual kind is read.
  WritePt(folder / "a.pt", pickle, std::string(64, '\0'), 9);
  EXPECT_THAT(LoadError(folder / "a.pt"),
              HasSubstr("1 tensors, none with a name of Whisper"));
  Write(folder / "a.pt", "PK\x03\x04 and no more");
  EXPECT_THAT(LoadError(folder / "a.pt"), HasSubstr("no ZIP directory"));
}

TEST(Safetensors, HeadersThatLieAreRefused) {
  TestFolder folder;
  const auto error = [&](const std::string& header) {
    const uint64_t size = header.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &size, 8);
    Write(folder / "a.safetensors", file + header + std::string(64, '\0'));
    return LoadError(folder / "a.safetensors");
  };
  const auto tensor = [](const char* dtype, const char* shape,
                         const char* offsets) {
    return fmt::format(
        "{{\"w\":{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":{}}}}}",
        dtype, shape, offsets);
  };
  EXPECT_THAT(error(tensor("F32", "[4,4]", "[0,64]")), HasSubstr("none with"));
  EXPECT_THAT(error(tensor("F32", "[4,4]", "[0,65]")),
              HasSubstr("data at [0, 65) of a file with 64 bytes"));
  EXPECT_THAT(error(tensor("F32", "[4,4]", "[32,0]")), HasSubstr("[32, 0)"));
  EXPECT_THAT(error(tensor("F16", "[4,4]", "[0,64]")),
              HasSubstr("64 bytes of data, want 32 for f16[4,4]"));
  EXPECT_THAT(error(tensor("F32", "[4294967296,4294967296]", "[0,64]")),
              HasSubstr("absurd shape"));
  EXPECT_THAT(error(tensor("F32", "[-1]", "[0,64]")), HasSubstr("dimension"));
  EXPECT_THAT(error(tensor("F64", "[4]", "[0,32]")),
              HasSubstr("type F64, want F32, F16 or BF16"));
  EXPECT_THAT(error("{\"w\":3}"), HasSubstr("no dtype, shape"));
  EXPECT_THAT(error("{" + std::string(50000, '[') + "}"),
              HasSubstr("not JSON at byte"));
}

TEST(Disk, AFolderThatCannotBeWrittenIsToldAndLeftAlone) {
  const auto store = MakeTinyStore(MicroOptions());
  TestFolder folder;
  Write(folder / "file", "in the way");
  EXPECT_THAT(ErrorFrom([&] {
                ConvertModel(*store, ModelFormat::kHf, folder / "file");
              }),
              HasSubstr("cannot make this folder"));
  EXPECT_THAT(ErrorFrom([&] {
                ConvertModel(*store, ModelFormat::kHf, folder / "a/b");
              }),
              HasSubstr("cannot make this folder"));
}

}  // namespace
}  // namespace sotto
