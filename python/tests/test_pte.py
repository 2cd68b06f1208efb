# SPDX-License-Identifier: MIT
"""The reader of program files; needs neither torch nor executorch.

    python3 python/tests/test_pte.py
"""
import contextlib
import io
import pathlib
import random
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

from sotto.executorch import pte, share  # noqa: E402
from sotto.executorch.export import main  # noqa: E402

SAMPLES = sorted((ROOT / "extension/executorch").rglob("testdata/*.pte"))


class Samples(unittest.TestCase):
    def test_undeclared_mutation_is_refused(self):
        self.assertGreater(len(SAMPLES), 5)
        for path in SAMPLES:
            program = pte.read_program(path)
            self.assertTrue(program.methods)
            if path.stem == "undeclared":
                with self.assertRaisesRegex(pte.ProgramError, "constant data"):
                    pte.check_program(program)
                with contextlib.redirect_stderr(io.StringIO()) as error:
                    self.assertEqual(main(["--check", str(path)]), 1)
                self.assertRegex(error.getvalue(), r"^error: .*\n\Z")
            else:
                pte.check_program(program)

    def test_what_is_read(self):
        path = next(p for p in SAMPLES if p.stem == "layers3")
        method = pte.read_program(path).methods["forward"]
        self.assertEqual(len(method.inputs), 2)
        self.assertEqual([c.name for c in method.calls].count(pte.UPDATE), 3)
        self.assertIsNone(method.constants)
        sizes = [method.values[i].sizes for i in method.inputs]
        self.assertEqual(sizes, [[1, 2, 4, 3], [1]])

    def test_sharing_leaves_small_programs_alone(self):
        for path in SAMPLES:
            with tempfile.TemporaryDirectory() as folder:
                copy = pathlib.Path(folder) / path.name
                copy.write_bytes(path.read_bytes())
                self.assertEqual(share.share_constants(copy), 0)
                self.assertEqual(copy.read_bytes(), path.read_bytes())


class Hostile(unittest.TestCase):
    def read(self, data):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "x.pte"
            path.write_bytes(data)
            try:
                pte.check_program(pte.read_program(path))
            except pte.ProgramError as error:
                self.assertTrue(str(error).startswith(str(path)))
                self.assertNotIn("\n", str(error))

    def test_every_length(self):
        data = next(p for p in SAMPLES if p.stem == "layers1").read_bytes()
        for length in range(0, len(data), 13):
            self.read(data[:length])

    def test_flipped_bytes(self):
        choose = random.Random(5)
        for path in SAMPLES:
            data = path.read_bytes()
            for _ in range(150):
                spoilt = bytearray(data)
                for _ in range(choose.randint(1, 4)):
                    spoilt[choose.randrange(len(data))] = choose.choice(
                        (0, 1, 127, 128, 255, choose.randrange(256))
                    )
                self.read(bytes(spoilt))


if __name__ == "__main__":
    unittest.main()
