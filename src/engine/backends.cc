// SPDX-License-Identifier: MIT
#include "engine/backends.h"

#include "base/error.h"
#include "cpu/cpu_backend.h"

namespace sotto {

std::unique_ptr<Backend> MakeBackend(const Profile& profile,
                                     ThreadPool& pool) {
  if (profile.device == "cpu")
    return MakeCpuBackend({.features = HostFeatures(),
                           .pool = &pool,
                           .allow_ref = profile.allow_ref});
  Fail(ErrorCode::kUnsupported, "device '{}' is not in this build, want cpu",
       profile.device);
}

}  // namespace sotto
