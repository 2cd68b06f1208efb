// SPDX-License-Identifier: MIT
// The list of backends in this build; the only place that names them.
#pragma once

#include <memory>

#include "base/thread_pool.h"
#include "compile/profile.h"
#include "runtime/backend.h"

namespace sotto {

// The backend that a profile's device names. Throws kUnsupported naming the
// ones there are.
std::unique_ptr<Backend> MakeBackend(const Profile& profile, ThreadPool& pool);

}  // namespace sotto
