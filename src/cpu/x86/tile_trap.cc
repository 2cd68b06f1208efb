// SPDX-License-Identifier: MIT
#include "cpu/x86/tile_trap.h"

#include <signal.h>
#include <ucontext.h>

#include <atomic>
#include <optional>

#include "base/cpu.h"
#include "cpu/x86/tile.h"

namespace sotto::cpu::x86 {
namespace {

std::atomic<long> emulated{0};
thread_local std::optional<EmulatedTiles> tiles;
struct sigaction before;

// The registers of the interrupted code, by their number in an instruction.
int64_t Register(const ucontext_t& context, int number) {
  static constexpr int kNames[] = {
      REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return context.uc_mcontext.gregs[kNames[number]];
}

// A VEX instruction of map 0F38, as far as tiles use it.
struct Instruction {
  int prefix = 0;  // 0 none, 1 66, 2 F3, 3 F2
  int opcode = 0, mod = 0, reg = 0, rm = 0, vvvv = 0;
  int64_t base = 0;    // address without the index
  int64_t index = 0;   // the index register, times its scale
  int64_t length = 0;  // bytes
};

int64_t Displacement(const uint8_t* at, int bytes) {
  if (bytes == 1) return static_cast<int8_t>(*at);
  int32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void DecodeAddress(const ucontext_t& context, const uint8_t* code, int vex,
                   Instruction& i) {
  const uint8_t* next = code + 5;  // after ModRM
  int base = i.rm;
  if (i.rm == 4) {
    const int sib = *next++;
    const int index = ((sib >> 3) & 7) | ((vex & 0x40) != 0 ? 0 : 8);
    if (index != 4) i.index = Register(context, index) << (sib >> 6);
    base = sib & 7;
  }
  const int size = i.mod == 1 ? 1 : i.mod == 2 || base == 5 ? 4 : 0;
  if (size != 0 && !(i.mod == 0 && base != 5)) {
    i.base = Displacement(next, size);
    next += size;
  }
  i.length = next - code;
  if (i.mod == 0 && base == 5) {  // no base, or the instruction pointer
    if (i.rm != 4) i.base += context.uc_mcontext.gregs[REG_RIP] + i.length;
  } else {
    i.base += Register(context, base | ((vex & 0x20) != 0 ? 0 : 8));
  }
}

std::optional<Instruction> Decode(const ucontext_t& context) {
  const auto* code = static_cast<const uint8_t*>(
      // NOLINTNEXTLINE: the address of code is an integer there
      reinterpret_cast<const void*>(context.uc_mcontext.gregs[REG_RIP]));
  if (code[0] != 0xc4 || (code[1] & 0x1f) != 2) return std::nullopt;
  Instruction i;
  i.prefix = code[2] & 3;
  i.vvvv = (~code[2] >> 3) & 15;
  i.opcode = code[3];
  i.mod = code[4] >> 6;
  i.reg = (code[4] >> 3) & 7;
  i.rm = code[4] & 7;
  i.length = 5;
  if (i.mod != 3) DecodeAddress(context, code, code[1], i);
  return i;
}

void* Address(int64_t value) {
  return reinterpret_cast<void*>(value);  // NOLINT
}

// Does one instruction; false where it is none of ours.
bool Emulate(const Instruction& i) {
  constexpr int kConfig = 0x49, kMove = 0x4b, kDot = 0x5c;
  if (i.opcode == kConfig && i.prefix == 0 && i.mod != 3) {
    TileConfig config;
    std::memcpy(&config, Address(i.base + i.index), sizeof config);
    if (config.palette != 1) return false;
    tiles.emplace(config);
  } else if (i.opcode == kConfig && i.prefix == 0) {
    tiles.reset();
  } else if (!tiles) {
    return false;  // tiles used without a configuration
  } else if (i.opcode == kConfig && i.prefix == 3) {
    tiles->ZeroTile(i.reg);
  } else if (i.opcode == kMove && i.prefix == 2) {
    tiles->StoreTile(i.reg, Address(i.base), i.index);
  } else if (i.opcode == kMove && i.prefix != 0) {
    tiles->LoadTile(i.reg, Address(i.base), i.index);
  } else if (i.opcode == kDot && i.prefix == 2) {
    tiles->DotTiles(i.reg, i.rm, i.vvvv);
  } else {
    return false;
  }
  return true;
}

void OnIllegalInstruction(int signal, siginfo_t* /*info*/, void* context) {
  auto& machine = *static_cast<ucontext_t*>(context);
  const std::optional<Instruction> instruction = Decode(machine);
  if (!instruction || !Emulate(*instruction)) {
    ::sigaction(signal, &before, nullptr);  // it happens again, for good
    return;
  }
  machine.uc_mcontext.gregs[REG_RIP] += instruction->length;
  emulated.fetch_add(1, std::memory_order_relaxed);
}

bool HasTiles() { return HostFeatures().amx_bf16; }

}  // namespace

TileTrap::TileTrap() {
  if (HasTiles()) return;
  struct sigaction action = {};
  action.sa_sigaction = &OnIllegalInstruction;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGILL, &action, &before);
}

TileTrap::~TileTrap() {
  if (!HasTiles()) ::sigaction(SIGILL, &before, nullptr);
}

long TileTrap::count() { return emulated.load(); }

}  // namespace sotto::cpu::x86
