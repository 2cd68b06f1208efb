#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""N9: the page's tool refuses figures without a tag, and the page that stands
in docs/ has every row and a tag on every figure.

    acceptance_test.py [Figures] [Tests] [Rendering] [Page] SOURCE_DIR
"""
import pathlib
import re
import sys
import unittest

SOURCE = pathlib.Path(sys.argv.pop() if len(sys.argv) > 1 else ".").resolve()
sys.path.insert(0, str(SOURCE / "tools"))
import npu_acceptance as tool  # noqa: E402

KNOWN = [row[0] for row in tool.read_rows()]


class Figures(unittest.TestCase):
    def test_tagged(self):
        text = ("[ RUN      ] A.K5Real\nrow K5: cosine 0.9999 (measured)\n"
                "row N1: 1.64 ms, want 2.0 (modelled), missed\nother\n")
        self.assertEqual(
            [(i, f["text"], f["tag"], f["missed"])
             for i, f in tool.figures_in(text, KNOWN)],
            [("K5", "cosine 0.9999", "measured", False),
             ("N1", "1.64 ms, want 2.0", "modelled", True)])

    def test_untagged_is_refused(self):
        for line in ("row N9: 220 x", "row N9: 220 x (proven)",
                     "row N9: (measured)", "row K99: 3 ms (measured)",
                     "row N9: 3 ms (measured) missed"):
            with self.assertRaises(tool.Untagged, msg=line):
                tool.figures_in(line, KNOWN)


class Tests(unittest.TestCase):
    def test_names(self):
        self.assertEqual(tool.ids_of("K6K7ColumnsAndHeads"), ["K6", "K7"])
        self.assertEqual(tool.ids_of("R8R9R10N7Base/Int8"),
                         ["R8", "R9", "R10", "N7"])
        self.assertEqual(tool.ids_of("Row10Encoder"), [])
        self.assertEqual(tool.ids_of("RunsTwice"), [])

    def test_results(self):
        text = ("[ RUN      ] A.K1\n[       OK ] A.K1 (3 ms)\n"
                "[ RUN      ] A.K2\nx.cc:3: Failure\n"
                "[  FAILED  ] A.K2 (3 ms)\n"
                "[ RUN      ] Hardware.K3\nx.cc:9: Skipped\nno device\n\n"
                "[  SKIPPED ] Hardware.K3 (0 ms)\n[ RUN      ] A.K4\n"
                "[  FAILED  ] 1 test, listed below:\n")
        self.assertEqual(tool.results_in(text), {
            "A.K1": ("OK", ""), "A.K2": ("FAILED", ""),
            "Hardware.K3": ("SKIPPED", "no device")})

    def test_listing(self):
        text = "A.\n  K1\n  DISABLED_K2\nP/B.\n  K3/Int8  # GetParam() = 1\n"
        self.assertEqual(tool.listed(text), ["A.K1", "P/B.K3/Int8"])

    def test_judgement(self):
        ok = {"name": "A.K1", "status": "OK", "reason": ""}
        bad = {"name": "A.K1", "status": "FAILED", "reason": ""}
        skipped = {"name": "Hardware.K1", "status": "SKIPPED",
                   "reason": "no device"}
        low = {"text": "1", "tag": "modelled", "missed": True}
        row = ("K1", "S+H", "")
        judged = lambda tests, figures=(): tool.judge(tests, figures, row)
        self.assertEqual(judged([ok]), ("passed", ""))
        self.assertEqual(judged([ok, skipped]),
                         ("passed", "skipped: no device"))
        self.assertEqual(judged([ok, bad], [low])[0], "failed")
        self.assertEqual(judged([ok], [low])[0], "missed")
        self.assertEqual(judged([skipped])[0], "skipped: no device")
        self.assertEqual(judged([])[0], "no test")
        self.assertEqual(tool.judge([], [], ("E5", "U", ""))[0], "later")


class Rendering(unittest.TestCase):
    def test_missed_rows_are_not_hidden(self):
        figure = {"text": "12 ms | 9", "tag": "modelled", "missed": True}
        other = {"text": "3 ms", "tag": "measured", "missed": False}
        row = {"id": "N1", "class": "C,H", "what": "a time", "why": "a reason",
               "result": "missed", "device": "skipped: no device",
               "figures": [figure, other],
               "tests": [{"name": "A.N1", "status": "OK", "reason": ""}]}
        rung = {"rung": "add", "tests": ["A.L2"], "passed": False}
        text = tool.page({"machine": "m", "rows": [row], "ladder": [rung]})
        line = next(l for l in text.splitlines() if l.startswith("| N1 |"))
        self.assertEqual(line, "| N1 | C,H | a time | **missed**; on a device "
                         "skipped: no device | 12 ms \\| 9 — **missed**<br>"
                         "3 ms | modelled<br>measured | `A.N1` |")
        self.assertIn("- **N1**: a reason", text)
        self.assertIn("| add | **failed** | `A.L2` |", text)


class Page(unittest.TestCase):
    def test_every_row_and_every_tag(self):
        lines = (SOURCE / "docs/npu-acceptance.md").read_text().splitlines()
        cells = [re.split(r"(?<!\\) \| ", line[2:-2])
                 for line in lines if re.match(r"\| [KREN]\d+ \|", line)]
        self.assertEqual([c[0] for c in cells], KNOWN)
        self.assertEqual(len(KNOWN), 52)
        for row in cells:
            figures = [f for f in row[4].split("<br>") if f]
            tags = [t for t in row[5].split("<br>") if t]
            self.assertLessEqual(set(tags), set(tool.TAGS), row[0])
            self.assertTrue(len(tags) in (len(figures), 1) or not figures,
                            row[0])
            self.assertEqual(bool(tags), bool(figures), row[0])
            for result in ("failed", "no test", "did not end"):
                self.assertNotIn(result, row[3], row[0])


if __name__ == "__main__":
    unittest.main()
