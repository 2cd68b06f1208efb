// SPDX-License-Identifier: MIT
#include "npu/emit/mlir_text.h"

#include <fmt/format.h>

#include <cctype>

#include "npu/registers.h"

namespace sotto::npu {

const char* NameOf(Direction direction) {
  return direction == Direction::kS2MM ? "S2MM" : "MM2S";
}
int NumberOf(Direction direction) {
  return direction == Direction::kS2MM ? 0 : 1;
}
std::string WordsType(int64_t words) {
  return fmt::format("memref<{}xi32>", words);
}

std::string Identifier(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return out;
}

bool IsDescriptorAddress(uint32_t address) {
  return LocateRegister(address).kind == RegisterAddress::Kind::kDescriptor;
}

bool IsQueueAddress(uint32_t address) {
  return LocateRegister(address).kind == RegisterAddress::Kind::kQueue;
}

}  // namespace sotto::npu
