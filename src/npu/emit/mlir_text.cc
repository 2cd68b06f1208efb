// SPDX-License-Identifier: MIT
#include "npu/emit/mlir_text.h"

#include <cctype>

#include "npu/registers.h"

namespace sotto::npu {

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
