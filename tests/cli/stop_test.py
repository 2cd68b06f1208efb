#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ctrl-C and its kin on real processes: what is kept, what is told, and how
the process ends.

    stop_test.py SOTTO SOURCE_DIR

Needs the real tiny.en.
"""
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from here import JFK, SOTTO, TINY

FORMATS = ("json", "srt", "tsv", "txt", "vtt")
LIMIT_S = 300


def jfk_many_times(path, times):
    """The clip's FLAC frames over and over, length and checksum not told."""
    data = JFK.read_bytes()
    at, last = 4, False
    while not last:
        last = data[at] >> 7 == 1
        size = int.from_bytes(data[at + 1:at + 4], "big")
        if data[at] & 127 == 0:
            info = data[at + 4:at + 4 + size]
        at += 4 + size
    samples = int.from_bytes(info[10:18], "big") >> 36 << 36
    info = info[:10] + samples.to_bytes(8, "big") + bytes(16)
    path.write_bytes(b"fLaC\x80" + len(info).to_bytes(3, "big") + info +
                     data[at:] * times)


def start(*args, **kw):
    kw = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
          "bufsize": 0, **kw}
    return subprocess.Popen([SOTTO, *map(str, args)], start_new_session=True,
                            env={**os.environ, "HF_HUB_OFFLINE": "1"}, **kw)


class Terminal:
    """A terminal for a child's stderr, and what stands on it."""

    def __init__(self):
        try:
            self.end, self.child_end = pty.openpty()
        except OSError as error:  # a container without /dev/pts
            raise unittest.SkipTest(f"no terminals here: {error}") from error
        self.text = ""

    def read_until(self, pattern):
        until = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.text) and time.monotonic() < until:
            if not self.more(1):
                break
        assert re.search(pattern, self.text), (pattern, self.text)

    def more(self, wait_s):
        if not select.select([self.end], [], [], wait_s)[0]:
            return True
        try:
            self.text += os.read(self.end, 65536).decode()
        except OSError:  # all who wrote to it have ended
            return False
        return True

    def close(self):
        os.close(self.child_end)
        while self.more(LIMIT_S):
            pass
        os.close(self.end)

    def lines(self):
        lines, column = [""], 0
        for part in re.findall(r"\x1b\[K|.", self.text, re.DOTALL):
            if part == "\r":
                column = 0
            elif part == "\n":
                lines.append("")
                column = 0
            elif part == "\x1b[K":
                lines[-1] = lines[-1][:column]
            else:
                lines[-1] = (lines[-1][:column].ljust(column) + part +
                             lines[-1][column + 1:])
                column += 1
        return [line.rstrip() for line in lines]


@unittest.skipUnless((TINY / "model.bin").exists(), "no tiny.en")
class Stopping(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tmp = pathlib.Path(self.folder.name)
        self.long = self.tmp / "long.flac"
        jfk_many_times(self.long, 28)  # seconds of work: enough to be stopped in
        self.out = self.tmp / "out"

    def tearDown(self):
        self.folder.cleanup()

    def stop_at_text(self, child, how, times=1):
        """Signals it at its first line of text. Returns stdout and stderr."""
        first = child.stdout.readline()
        self.assertIn(b"-->", first, child.stderr)
        child.send_signal(how)
        if times == 2:
            self.assertIn(b"stopping", child.stderr.readline())
            child.send_signal(how)
        stdout, stderr = child.communicate(timeout=LIMIT_S)
        return (first + stdout).decode(), stderr.decode()

    def test_the_first_keeps_what_was_heard(self):
        whole = start("--model", TINY, self.long).communicate(timeout=LIMIT_S)[0]
        for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            out = self.tmp / how.name
            child = start("--model", TINY, "-f", "all", "-o", out, self.long)
            text, error = self.stop_at_text(child, how)
            self.assertEqual(child.returncode, -how, error)
            self.assertTrue(whole.decode().startswith(text), text)
            notice, told = error.splitlines()
            self.assertIn("stopping after this window", notice)
            found = re.search(r"long\.flac: stopped at (\S+) of 05:08\.\d+, "
                              r"written until there; --offset (\S+) ", told)
            self.assertTrue(found, error)
            at = float(found[2])
            self.assertEqual(found[1], f"{int(at) // 60:02}:{at % 60:06.3f}")
            self.assertTrue(0 < at < 308, error)
            # Every format is whole, and holds what was printed.
            self.assertEqual(sorted(p.name for p in out.iterdir()),
                             [f"long.{e}" for e in FORMATS])
            said = [line.split("]", 1)[1].strip() for line in text.splitlines()]
            self.assertEqual((out / "long.txt").read_text().splitlines(), said)
            segments = json.loads((out / "long.json").read_text())["segments"]
            self.assertEqual([s["text"].strip() for s in segments], said)
            self.assertLessEqual(segments[-1]["end"], at)
            self.assertEqual((out / "long.srt").read_text().count("-->"), len(said))

    def test_the_second_ends_it_at_once(self):
        child = start("--model", TINY, "-f", "all", "-o", self.out, self.long)
        self.stop_at_text(child, signal.SIGINT, times=2)
        self.assertLess(child.returncode, 0)
        self.assertEqual([p for p in self.out.rglob("*") if p.is_file() and
                          p.suffix[1:] not in FORMATS], [])

    def test_files_before_are_whole_and_files_after_are_named(self):
        child = start("--model", TINY, "-f", "txt", "-o", self.out, JFK, self.long,
                      JFK, self.tmp / "none.wav", stderr=subprocess.STDOUT)
        text = b""
        while text.count(b"-->") < 8:  # the clip itself has fewer
            text += child.stdout.readline()
        child.send_signal(signal.SIGINT)
        text += child.communicate(timeout=LIMIT_S)[0]
        self.assertEqual(child.returncode, -signal.SIGINT)
        self.assertIn("country", (self.out / "jfk.txt").read_text())
        self.assertTrue((self.out / "long.txt").read_text())
        self.assertIn(b"not begun: 2 files", text)
        self.assertNotIn(b"none.wav", text)

    def test_a_shell_tells_130_and_its_loops_stop(self):
        for how, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            line = f'"{SOTTO}" --model "{TINY}" "{self.long}"; echo status $?'
            shell = subprocess.Popen(["sh", "-c", line], stdout=subprocess.PIPE,
                                     bufsize=0, stderr=subprocess.DEVNULL)
            self.assertIn(b"-->", shell.stdout.readline())
            children = pathlib.Path(
                f"/proc/{shell.pid}/task/{shell.pid}/children").read_text()
            os.kill(int(children), how)
            self.assertIn(f"status {status}".encode(),
                          shell.communicate(timeout=LIMIT_S)[0])
        loop = f'for i in 1 2; do "{SOTTO}" --model "{TINY}" "{self.long}"; done'
        shell = subprocess.Popen(["bash", "-c", loop + "; echo went on"],
                                 stdout=subprocess.PIPE, start_new_session=True,
                                 bufsize=0, stderr=subprocess.DEVNULL)
        self.assertIn(b"-->", shell.stdout.readline())
        os.killpg(shell.pid, signal.SIGINT)  # as a terminal does
        self.assertNotIn(b"went on", shell.communicate(timeout=LIMIT_S)[0])
        self.assertEqual(shell.returncode, -signal.SIGINT)

    def test_what_nohup_ignores_stays_ignored(self):
        line = f'nohup "{SOTTO}" --model "{TINY}" --duration 60 "{self.long}"'
        child = subprocess.Popen(["sh", "-c", "exec " + line],
                                 bufsize=0, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        self.assertIn(b"-->", child.stdout.readline())
        child.send_signal(signal.SIGHUP)
        _, error = child.communicate(timeout=LIMIT_S)
        self.assertEqual(child.returncode, 0, error)
        self.assertNotIn(b"stop", error)

    def test_no_bar_stays_on_the_terminal(self):
        terminal = Terminal()
        child = start("--model", TINY, "-f", "txt", "-o", self.out, self.long,
                      stdout=subprocess.DEVNULL, stderr=terminal.child_end)
        terminal.read_until("realtime")
        child.send_signal(signal.SIGINT)
        child.wait(LIMIT_S)
        terminal.close()
        lines = terminal.lines()
        self.assertEqual(len(lines), 3, lines)
        self.assertTrue(lines[0].startswith("stopping after"), lines)
        self.assertIn("stopped at", lines[1])
        self.assertEqual(lines[2], "")

    def test_calibration_leaves_the_old_scales(self):
        scales = self.tmp / "scales"
        scales.write_text("as it was")
        terminal = Terminal()
        child = start("npu", "calibrate", "--model", TINY, "--out", scales,
                      "--windows", "14", self.long, self.long, self.long,
                      stderr=terminal.child_end)
        terminal.read_until("1 / 14")
        child.send_signal(signal.SIGINT)
        stdout = child.communicate(timeout=LIMIT_S)[0]
        terminal.close()
        self.assertEqual(child.returncode, -signal.SIGINT)
        self.assertEqual(stdout, b"")
        self.assertEqual(scales.read_text(), "as it was")
        self.assertRegex(terminal.lines()[-2],
                         r"^sotto: stopped after \d+ of 14 windows, no scales")

    def test_simulation_stops(self):
        terminal = Terminal()
        picture = self.tmp / "run.svg"
        child = start("npu", "simulate", "encoder-bf16", "--svg", picture,
                      stderr=terminal.child_end)
        terminal.read_until(r"encoder.*\[")
        child.send_signal(signal.SIGINT)
        stdout = child.communicate(timeout=LIMIT_S)[0]
        terminal.close()
        self.assertEqual((child.returncode, stdout), (-signal.SIGINT, b""))
        self.assertFalse(picture.exists())
        lines = terminal.lines()
        self.assertEqual([line.split(" after")[0] for line in lines],
                         ["stopping", "sotto: simulation stopped", ""], lines)

    def test_evaluation_counts_the_lines_that_were_done(self):
        manifest = self.tmp / "m.tsv"
        manifest.write_text(f"{JFK}\tand so\n" + f"{self.long}\tno\n" * 3)
        child = start("eval", "--model", TINY, "--manifest", manifest, "--json")
        time.sleep(2)
        child.send_signal(signal.SIGTERM)
        stdout, stderr = child.communicate(timeout=LIMIT_S)
        self.assertEqual(child.returncode, -signal.SIGTERM)
        if b"of 4 lines" not in stderr:
            return  # it was not that far yet
        lines = int(re.search(rb"stopped after (\d) of 4 lines", stderr)[1])
        report = json.loads(stdout)
        self.assertEqual(len(report["files"]), lines)
        self.assertLess(lines, 4)

    def test_conversion_leaves_nothing_behind(self):
        out = self.tmp / "made"
        child = start("convert", TINY, out, "--to", "gguf", "--dtype", "f32")
        while not out.exists() and child.poll() is None:
            time.sleep(0.001)
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate(timeout=LIMIT_S)
        if child.returncode == 0:
            return  # it was faster
        self.assertEqual(child.returncode, -signal.SIGINT, stderr)
        self.assertIn(b"made: stopped, nothing is written", stderr)
        self.assertEqual(stdout, b"")
        self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
