# SPDX-License-Identifier: MIT
"""Whisper for ExecuTorch: export, and the operators it needs.

Modules are imported one by one, so that `pte` (reading and checking program
files) needs neither torch nor executorch:

* `ops`       the operators `alias` and `update_cross_attn_cache` for torch
* `planning`  the memory planning pass that makes them free of copies
* `model`     Whisper as modules that can be lowered
* `metadata`  the constants that a runner reads from the file
* `pte`       reads and checks program files
* `share`     stores a weight once that program and delegate both hold
* `export`    the command line
"""
