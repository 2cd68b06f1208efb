# SPDX-License-Identifier: MIT
"""What the tests of the command line are given: SOTTO SOURCE_DIR."""
import os
import pathlib
import sys

SOTTO = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(sys.argv[2]).resolve()
JFK = SOURCE / "data/jfk.flac"
MODELS = pathlib.Path(os.environ.get(
    "SOTTO_MODELS", pathlib.Path.home() / ".cache/sotto/models"))
TINY = MODELS / "tiny.en"
