# SPDX-License-Identifier: MIT
# One row per fuzz target: fuzz_<name>.cc with seeds in corpus/<name>/.
set(SOTTO_FUZZ_TARGETS
  decode
  hub_json
)
