# SPDX-License-Identifier: MIT
# One row per fuzz target: fuzz_<name>.cc with seeds in corpus/<name>/.
set(SOTTO_FUZZ_TARGETS
  audio
  bpe
  ct2
  decode
  ggml
  gguf
  graph_text
  hub_json
  kernels
  npu_scales
  openai_pt
  ops_program
  plan
  profile
  safetensors
  tiktoken
  tokenizer_json
  txn
  xclbin
)
