// SPDX-License-Identifier: MIT
#include "npu/design/design.h"

#include "base/error.h"

namespace sotto::npu {

Fifo& Design::Connect(std::string fifo, FifoEnd producer,
                      std::vector<FifoEnd> consumers, int64_t element_bytes) {
  Fifo& added = fifos.emplace_back();
  added.name = std::move(fifo);
  added.producer = std::move(producer);
  added.consumers = std::move(consumers);
  added.element_bytes = element_bytes;
  return added;
}

Step& Design::Transfer(const std::string& fifo, const std::string& host_buffer,
                       int64_t bytes, int64_t offset) {
  for (const Fifo& f : fifos) {
    if (f.name != fifo) continue;
    Step& step = sequence.emplace_back();
    step.fifo = fifo;
    step.buffer = host_buffer;
    step.offset = offset;
    step.words = bytes / 4;
    if (KindOf(f.producer.tile) == TileKind::kShim) return step;
    for (size_t i = 0; i < f.consumers.size(); ++i) {
      if (KindOf(f.consumers[i].tile) == TileKind::kShim) {
        step.end = static_cast<int>(i);
      }
    }
    step.token = true;
    return step;
  }
  Fail(ErrorCode::kBadInput, "design {}: no fifo named {}", name, fifo);
}

}  // namespace sotto::npu
