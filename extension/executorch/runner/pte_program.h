// SPDX-License-Identifier: MIT
// PteProgram: one ExecuTorch program file, its methods and constants, behind
// an interface without ExecuTorch's headers. Knows nothing of speech.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sotto {

// Element types with the codes that the file format gives them.
enum class PteScalar : int8_t {
  kU8 = 0,
  kI8 = 1,
  kI16 = 2,
  kI32 = 3,
  kI64 = 4,
  kF16 = 5,
  kF32 = 6,
  kF64 = 7,
  kBool = 11,
  kBF16 = 15,
};
// "f32"; "type 42" for a code that is none of the above.
std::string ScalarName(PteScalar scalar);
// Bytes of one element; 0 for a code that is none of the above.
size_t SizeOf(PteScalar scalar);

struct PteTensorType {
  PteScalar scalar = PteScalar::kF32;
  std::vector<int32_t> shape;
  size_t elements() const;
  // "f32[1,80,3000]"
  std::string text() const;
  friend bool operator==(const PteTensorType&, const PteTensorType&) = default;
};

// A tensor in somebody else's memory, dense and row-major.
struct PteTensor {
  PteTensorType type;
  const void* data = nullptr;
};

// One input or output of a method.
struct PteValue {
  std::string name;
  std::string kind;  // "tensor", "int", "string", ...
  std::optional<PteTensorType> tensor;
  std::string text() const { return tensor ? tensor->text() : kind; }
};

struct PteMethod {
  std::string name;
  std::vector<PteValue> inputs;
  std::vector<PteValue> outputs;
  std::vector<std::string> backends;  // delegates it needs
  uint64_t planned_bytes = 0;         // memory for its activations and caches
  bool is_constant = false;           // no input, no instruction: see Constant
};

// What a constant method returns: a scalar, a string, or a list of them.
using PteScalarValue = std::variant<int64_t, double, bool, std::string>;
using PteConstant = std::vector<PteScalarValue>;
// "50257", "[1,2,7]", "'en,zh'"
std::string ConstantText(const PteConstant& constant);

// One thread at a time. Every error names the file.
class PteProgram {
 public:
  // Maps the file and checks it: header against the file's length, then the
  // whole structure (not the weights, for which the format has no checksum).
  // Throws kNotFound, or kBadInput with the cause.
  explicit PteProgram(const std::filesystem::path& path);
  ~PteProgram();
  PteProgram(const PteProgram&) = delete;
  PteProgram& operator=(const PteProgram&) = delete;

  // The path as it was given, for messages.
  const std::string& name() const;
  // In the order of the file.
  std::span<const PteMethod> methods() const;
  bool Has(std::string_view method) const;
  // Throws kBadInput naming the methods that there are.
  const PteMethod& Method(std::string_view method) const;

  // By name; every method that is_constant.
  const std::map<std::string, PteConstant, std::less<>>& constants() const;
  // A constant that is one whole number (or bool); nothing where there is no
  // such. Throws kBadInput where it is of another kind.
  std::optional<int64_t> Int(std::string_view constant) const;
  // A list of whole numbers, maybe empty; nothing where there is no such.
  std::optional<std::vector<int64_t>> Ints(std::string_view constant) const;

  // Makes a method ready to run; again is harmless. Throws kUnsupported naming
  // all operators that nobody has registered; they may be registered then and
  // the call repeated. Throws kBadInput where the method cannot be.
  void Load(std::string_view method);

  // Forgets a loaded method with all its state; the next Load or Run starts
  // from the file.
  void Unload(std::string_view method);
  // Whether `text` stands in the program itself (not among the weights), as
  // the name of each operator does.
  bool Mentions(std::string_view text) const;

  // Loads and runs a method. Throws kBadInput naming the input that is missing,
  // one too many, or of another type or shape than the method takes. The
  // outputs are the program's memory, valid until its next call.
  std::vector<PteTensor> Run(std::string_view method,
                             std::span<const PteTensor> inputs);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sotto
