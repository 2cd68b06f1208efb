#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the built files link and export, and which ExecuTorch is taken.

    library_test.py SOURCE BUILD
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = map(pathlib.Path, sys.argv[1:3])
LIBRARY = BUILD / "libsotto_executorch.so"
KERNELS = re.compile(r"sotto_executorch_|sotto::pte::|executorch::(runtime|extension)::")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(path):
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", path)))


class Links(unittest.TestCase):
    def test_library_links_the_runtime_and_nothing_else(self):
        system = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6",
                  "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
        self.assertEqual(needed(LIBRARY) - system, {"libexecutorch.so"})

    def test_library_exports_its_functions_only(self):
        names = {line.split()[-1] for line in
                 output("nm", "-D", "--defined-only", LIBRARY).splitlines()}
        header = (SOURCE / "extension/executorch/sotto_executorch.h").read_text()
        declared = set(re.findall(r"\b(sotto_executorch_\w+)\(", header))
        self.assertEqual(names, declared)

    def test_row16_the_core_knows_nothing_of_the_kernels(self):
        core = [path for path in (BUILD / "sotto", BUILD / "libsotto.so",
                                  BUILD / "src/libsotto_lib.a") if path.exists()]
        self.assertTrue(core, f"nothing built in {BUILD}")
        for path in core:
            symbols = output("nm", "-C", path).splitlines()
            self.assertEqual([s for s in symbols if KERNELS.search(s)], [], path)
            if path.suffix != ".a":
                self.assertNotIn("libexecutorch.so", needed(path))
        symbols = output("nm", "-C", LIBRARY)
        self.assertTrue(KERNELS.search(symbols))  # the search can find them


class Finding(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = pathlib.Path(folder.name) / "executorch"
        (self.tree / "lib/cmake/executorch").mkdir(parents=True)

    def make(self, version, shared=True):
        package = self.tree / "lib/cmake/executorch"
        (package / "executorch-config.cmake").write_text("")
        (package / "executorch-config-version.cmake").write_text(
            f'set(PACKAGE_VERSION "{version.split("+")[0]}")\n'
            f'set(EXECUTORCH_BUILD_VERSION "{version}")\n')
        if shared:
            (self.tree / "lib/libexecutorch.so").write_text("")

    def find(self, where):
        script = self.tree.parent / "find.cmake"
        script.write_text(
            "cmake_minimum_required(VERSION 3.25)\n"
            f"include({SOURCE}/cmake/executorch.cmake)\n"
            "sotto_find_executorch()\n"
            'message(STATUS "dir <${SOTTO_EXECUTORCH_DIR}> is ${SOTTO_EXECUTORCH_VERSION}")\n')
        run = subprocess.run(["cmake", f"-DSOTTO_EXECUTORCH={where}", "-P", script],
                             capture_output=True, text=True)
        return run.returncode, run.stdout, " ".join(run.stderr.split())

    def test_takes_a_tested_release(self):
        self.make("1.5.1+cpu")
        code, out, _ = self.find(self.tree)
        self.assertEqual(code, 0)
        self.assertIn(f"dir <{self.tree.resolve()}> is 1.5.1+cpu", out)

    def test_refuses_an_untested_release(self):
        self.make("1.6.0")
        code, _, error = self.find(self.tree)
        self.assertNotEqual(code, 0)
        self.assertIn("is ExecuTorch 1.6.0, tested are 1.5.1", error)

    def test_refuses_a_tree_with_a_static_runtime(self):
        self.make("1.5.1", shared=False)
        code, _, error = self.find(self.tree)
        self.assertNotEqual(code, 0)
        self.assertIn("has no shared runtime", error)

    def test_refuses_a_folder_that_is_none(self):
        code, _, error = self.find(self.tree)
        self.assertNotEqual(code, 0)
        self.assertIn("holds no executorch-config.cmake", error)

    def test_off_leaves_it_out_in_one_line(self):
        code, out, _ = self.find("OFF")
        self.assertEqual(code, 0)
        self.assertEqual(out.splitlines()[0],
                         "-- extension/executorch: left out, as asked")
        self.assertIn("dir <>", out)


class RunTime(unittest.TestCase):
    """A runtime of another release beside its own version file."""

    def test_other_release_is_refused_when_loading(self):
        with tempfile.TemporaryDirectory() as folder:
            lib = pathlib.Path(folder) / "lib"
            (lib / "cmake/executorch").mkdir(parents=True)
            runtime = re.search(r"runpath: \[([^\]:]*)", output(
                "readelf", "-d", LIBRARY)).group(1)
            (lib / "libexecutorch.so").write_bytes(
                pathlib.Path(runtime, "libexecutorch.so").read_bytes())
            (lib / "cmake/executorch/executorch-config-version.cmake").write_text(
                'set(EXECUTORCH_BUILD_VERSION "1.6.0+cpu")\n')
            code = (
                "import ctypes, sys\n"
                "ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)\n"
                "library = ctypes.CDLL(sys.argv[2])\n"
                "library.sotto_executorch_status.restype = ctypes.c_char_p\n"
                "print(library.sotto_executorch_status().decode())\n")
            status = output(sys.executable, "-c", code, lib / "libexecutorch.so",
                            LIBRARY)
        self.assertRegex(status, r"^built with ExecuTorch 1\.5\.1\S*, the runtime "
                         r"in \S+ is 1\.6\.0\+cpu, nothing registered$")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
