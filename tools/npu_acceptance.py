#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests of the NPU's acceptance rows and writes the page of them.

    npu_acceptance.py BUILD [--page FILE] [--json FILE] [--logs FILE ...]

A test shows a row where its name begins with the row's id: K6K7ColumnsAndHeads
shows K6 and K7. Test programs, and commands named `program.K1`, are those that
ctest knows. A test says its figures on standard output, each in a line

    row K5: worst cosine 0.99998 (measured)
    row N1: 1.64 ms, want 2.0 to 2.3 (modelled), missed

Further such lines may come from --logs: runs too long for a test. A figure
without one of the tags measured, modelled, projected is an error; so are a row
that failed and a row without a test. The rows are in npu_acceptance_rows.tsv.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROWS = pathlib.Path(__file__).with_name("npu_acceptance_rows.tsv")
LATER = ("E5", "E7")
TAGS = ("measured", "modelled", "projected")
IDS = re.compile(r"((?:[KREN]\d{1,2})+)(?![a-z0-9])")
LADDER = re.compile(r"((?:L\d)+)(?![a-z0-9])")
RUNGS = ("passthrough", "add", "matmul", "LayerNorm", "softmax", "GELU",
         "attention", "layer", "encoder")
FIGURE = re.compile(r"row ([KREN]\d{1,2}): (.+) \((%s)\)(, missed)?" %
                    "|".join(TAGS))
KINDS = ("passed", "missed", "failed", "skipped", "no test", "later")
TIME_LIMIT_S = 7200  # with SOTTO_TEST_FULL


class Untagged(Exception):
    pass


def read_rows():
    """[(id, class, what, why it is missed)] in the list's order; the last is
    empty for rows that are met."""
    rows = []
    for line in ROWS.read_text().splitlines():
        if not line.startswith("#"):
            rows.append(tuple((line.split("\t") + [""])[:4]))
    return rows


def ids_of(test):
    """Rows that a test shows, by the name behind its suite."""
    match = IDS.match(test)
    return re.findall(r"[KREN]\d+", match.group(1)) if match else []


def rungs_of(test):
    """Rungs of the ladder that a test is, 1 to 9, likewise."""
    match = LADDER.match(test)
    return [int(n) for n in re.findall(r"\d", match.group(1))] if match else []


def figures_in(text, known):
    """[(id, figure)] of the lines of a program's output."""
    found = []
    for line in text.splitlines():
        line = line.strip()
        if not re.match(r"row [A-Z]\d+:", line):
            continue
        match = FIGURE.fullmatch(line)
        if not match:
            raise Untagged(f"no tag, want one of {', '.join(TAGS)}: {line}")
        if match.group(1) not in known:
            raise Untagged(f"no such row: {line}")
        figure = {"text": match.group(2), "tag": match.group(3),
                  "missed": bool(match.group(4))}
        if (match.group(1), figure) not in found:
            found.append((match.group(1), figure))
    return found


def listed(text):
    """Full names out of --gtest_list_tests."""
    suite, names = "", []
    for line in text.splitlines():
        name = line.split("#")[0].rstrip()
        if not name:
            continue
        if name[0] != " ":
            suite = name
        elif "DISABLED_" not in name:
            names.append(suite + name.strip())
    return names


def test_of(full):
    """'Precision/EncoderDesign.R8Base/Int8' -> 'R8Base/Int8'."""
    return full.split(".", 1)[1] if "." in full else full


def results_in(text):
    """{full name: (status, reason)} out of gtest's own report."""
    results, running, reason = {}, None, []
    for line in text.splitlines():
        match = re.match(r"\[ *(RUN|OK|FAILED|SKIPPED) *\] ([^ ,]+)", line)
        if not match:
            if running:
                reason.append(line)
            continue
        kind, name = match.groups()
        if kind == "RUN":
            running, reason = name, []
        elif name == running:
            said = ""
            for i, other in enumerate(reason):
                if other.endswith("Skipped") and i + 1 < len(reason):
                    said = reason[i + 1].strip()
            results[name] = (kind, said)
            running = None
    return results


def run(command, folder, environment):
    try:
        done = subprocess.run(command, cwd=folder, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace",
                              timeout=TIME_LIMIT_S)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return 1, ""


def run_program(entry, folder):
    """[(full name, ids, status, reason)] and the output of one ctest entry."""
    name, command = entry["name"], entry["command"]
    shown = [name.rsplit(".", 1)[-1]] if "." in name else []
    if shown and IDS.fullmatch(shown[0]):
        code, text = run(command, folder, os.environ)
        return [(name, ids_of(shown[0]), "OK" if code == 0 else "FAILED",
                 "")], text
    if not pathlib.Path(command[0]).name.endswith("_test"):
        return [], ""
    if not pathlib.Path(command[0]).exists():
        print(f"not built: {name}", file=sys.stderr)
        return [], ""
    _, listing = run([command[0], "--gtest_list_tests"], folder, os.environ)
    wanted = [n for n in listed(listing)
              if ids_of(test_of(n)) or rungs_of(test_of(n))]
    if not wanted:
        return [], ""
    print(f"{name}: {len(wanted)} tests", file=sys.stderr, flush=True)
    _, text = run([command[0], "--gtest_color=no",
                   "--gtest_filter=" + ":".join(wanted)], folder, os.environ)
    results = results_in(text)
    tests = []
    for full in wanted:
        status, reason = results.get(full, ("FAILED", "did not end"))
        tests.append((full, ids_of(test_of(full)), status, reason))
    return tests, text


def on_hardware(name):
    """A test that wants an NPU, or its tools."""
    return "Hardware" in name.split(".")[0]


def judge(tests, figures, row):
    """(result, result on a device) of one row."""
    device = [t for t in tests if on_hardware(t["name"])]
    host = [t for t in tests if t not in device]
    on_device = ""
    if "H" in row[1]:
        ran = [t for t in device if t["status"] != "SKIPPED"]
        if any(t["status"] == "FAILED" for t in ran):
            on_device = "failed"
        elif ran:
            on_device = "passed"
        elif device:
            on_device = "skipped: " + device[0]["reason"]
    if any(t["status"] == "FAILED" for t in tests):
        return "failed", on_device
    if any(f["missed"] for f in figures):
        return "missed", on_device
    if any(t["status"] == "OK" for t in host):
        return "passed", on_device
    if host:
        return "skipped: " + host[0]["reason"], on_device
    if device or figures:
        return on_device or "passed", on_device
    return ("later" if row[0] in LATER else "no test"), on_device


def collect(build, logs):
    known = [row[0] for row in read_rows()]
    shown = subprocess.run(
        ["ctest", "--test-dir", str(build), "--show-only=json-v1"],
        stdout=subprocess.PIPE, check=True, text=True)
    all_tests, texts = [], []
    for entry in json.loads(shown.stdout)["tests"]:
        if "command" not in entry:
            continue
        tests, text = run_program(entry, build)
        all_tests += tests
        texts.append(text)
    texts += [pathlib.Path(log).read_text(errors="replace") for log in logs]
    figures = figures_in("\n".join(texts), known)
    rows = []
    for row in read_rows():
        tests = [{"name": n, "status": s, "reason": r}
                 for n, ids, s, r in all_tests if row[0] in ids]
        mine = [f for i, f in figures if i == row[0]]
        result, on_device = judge(tests, mine, row)
        rows.append({"id": row[0], "class": row[1], "what": row[2],
                     "why": row[3],
                     "result": result, "device": on_device, "figures": mine,
                     "tests": tests})
    ladder = []
    for i, rung in enumerate(RUNGS, 1):
        tests = [(n, s) for n, _, s, _ in all_tests if i in rungs_of(test_of(n))]
        ladder.append({"rung": rung, "tests": [n for n, _ in tests],
                       "passed": bool(tests) and
                       all(s == "OK" for _, s in tests)})
    return {"machine": machine(), "rows": rows, "ladder": ladder}


def machine():
    names = re.findall(r"model name\s*: (.+)",
                       pathlib.Path("/proc/cpuinfo").read_text())
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[2]
    other = (f"; other work ran meanwhile (load {load:.1f}), a quiet machine's "
             "times are in [performance.md](performance.md)"
             if load > 1.5 * cores else "")
    return f"{cores} cores of {(names or ['?'])[0]}{other}"


def cell(text):
    return text.replace("|", "\\|")


def names_cell(tests):
    names = [f"`{t['name']}`" for t in tests]
    more = f" and {len(names) - 2} more" if len(names) > 3 else ""
    return "<br>".join(names[:2] if more else names) + more


def page(found):
    rows = found["rows"]
    counts = {}
    for row in rows:
        kind = row["result"].split(":")[0]
        counts[kind] = counts.get(kind, 0) + 1
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS
                        if kind in counts)
    lines = [
        "# Acceptance of the NPU", "",
        "Made by `make npu-acceptance`; not written by hand. Measured here: on "
        f"{found['machine']}.", "",
        f"{len(rows)} rows: {summary}.", "",
        "Class: S functional simulator, C timing model, U host test, H a real "
        "NPU. A row with several figures has a tag for each: *measured* on "
        "this machine, which has no NPU; *modelled* by the simulator's timing; "
        "*projected*: arithmetic on the two. **missed**: tested, and less than "
        "the row asks for.", "",
        "| id | class | what | result | figure | tag | test |",
        "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        result = row["result"]
        if result in ("missed", "failed", "no test"):
            result = f"**{result}**"
        if row["device"] and row["device"] != row["result"]:
            result += f"; on a device {row['device']}"
        figures = [cell(f["text"]) + (" — **missed**" if f["missed"] else "")
                   for f in row["figures"]]
        tags = [f["tag"] for f in row["figures"]]
        if len(set(tags)) == 1:
            tags = tags[:1]
        lines.append("| " + " | ".join(
            [row["id"], row["class"], cell(row["what"]), cell(result),
             "<br>".join(figures), "<br>".join(tags),
             names_cell(row["tests"])]) + " |")
    missed = [row for row in rows if row["result"] == "missed"]
    if missed:
        lines += ["", "## Missed, and why", ""]
        lines += [f"- **{row['id']}**: {row['why'] or 'not explained yet'}"
                  for row in missed]
    lines += ["", "## Speed", "",
              "What row N9 lays side by side.", "",
              "| what | tag |", "| --- | --- |"]
    for row in rows:
        if row["id"] == "N9":
            lines += [f"| {cell(f['text'])} | {f['tag']} |"
                      for f in row["figures"]]
    lines += ["", "Row N6: what the host's launches add, by their number and "
              "published cost (modelled; `sotto npu launch`).", "",
              "![encoder time by launches](npu-launch.svg)"]
    lines += ["", "## The simulator's ladder", "",
              "Each rung runs on the simulated array and is compared with its "
              "kernels called directly. Where several fail, the first is the "
              "one to look at.", "",
              "| rung | result | test |", "| --- | --- | --- |"]
    for rung in found["ladder"]:
        result = ("passed" if rung["passed"] else
                  "**failed**" if rung["tests"] else "**no test**")
        names = "<br>".join(f"`{n}`" for n in rung["tests"])
        lines.append(f"| {rung['rung']} | {result} | {names} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--logs", nargs="*", default=[])
    args = parser.parse_args()
    try:
        found = collect(args.build, args.logs)
    except Untagged as error:
        sys.exit(f"npu_acceptance: {error}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    if args.page:
        args.page.write_text(page(found))
    bad = 0
    for row in found["rows"]:
        if row["result"] in ("failed", "no test"):
            bad += 1
            print(f"{row['id']}: {row['result']}: " + ", ".join(
                t["name"] for t in row["tests"] if t["status"] == "FAILED"))
    for rung in found["ladder"]:
        if not rung["passed"]:
            bad += 1
            print(f"ladder, {rung['rung']}: not passed")
    print(f"{len(found['rows']) - bad} of {len(found['rows'])} rows neither "
          "failed nor without a test")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
