#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds files and functions to the house's sizes.

    check_sizes.py [ROOT]

Files: 400 lines wanted, 800 at most. Functions: 60 wanted, 100 at most. Also
refuses banned words in the library and paths of one machine. Prints the
breaches and exits 1; what is over the wish but under the limit is counted.
"""
import pathlib
import re
import sys

FILE_WANT, FILE_MOST = 400, 800
FUNCTION_WANT, FUNCTION_MOST = 60, 100
FOLDERS = ("src", "apps", "include", "tests", "fuzz", "bench", "extension")

# word -> files that may have it
BANNED = {
    r"\bnew\s+[A-Za-z_:<]": (),
    r"\bmalloc\s*\(": (),
    r"\b(?:std::)?(?:printf|puts)\s*\(": (),
    r"\b_tile_\w+": ("src/cpu/x86/tile.h",),
    r"\b(?:std::)?(?:abort|exit)\s*\(": (),
}


def strip(text):
    """Comments and literals out, line structure kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\''
    keep = lambda m: re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(pattern, keep, text, flags=re.S)


def functions(text):
    """(first line, lines) of each function body: a brace block that follows a
    parameter list and stands in a namespace, class or at file level."""
    stack = []  # (is scope, line, is function)
    line, statement = 1, ""
    for char in text:
        if char == "\n":
            line += 1
        if char == "{":
            head = statement.strip()
            scope = re.search(r"\b(namespace|class|struct|enum|union|extern)\b[^()]*$", head)
            inside = any(kind == "function" for kind, _ in stack)
            kind = "scope" if scope and not inside else (
                "function" if ")" in head and not inside
                and not head.endswith("=")  # a table's values
                else "block")
            stack.append((kind, line))
            statement = ""
        elif char == "}":
            if stack:
                kind, first = stack.pop()
                if kind == "function":
                    yield first, line - first + 1
            statement = ""
        elif char == ";":
            statement = ""
        else:
            statement += char


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    breaches, wishes = [], 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".h", ".cc", ".def"):
                continue
            name = str(path.relative_to(root))
            text = path.read_text()
            lines = text.count("\n")
            if lines > FILE_MOST:
                breaches.append(f"{name}: {lines} lines, want {FILE_MOST} at most")
            wishes += lines > FILE_WANT
            bare = strip(text)
            for first, length in functions(bare):
                if length > FUNCTION_MOST:
                    breaches.append(f"{name}:{first}: function of {length} lines, "
                                    f"want {FUNCTION_MOST} at most")
                wishes += length > FUNCTION_WANT
            if "SPDX-License-Identifier: MIT" not in text[:200]:
                breaches.append(f"{name}: no SPDX line")
            if folder == "src" and "_test" not in path.stem:
                for pattern, allowed in BANNED.items():
                    for match in re.finditer(pattern, bare):
                        at = bare.count("\n", 0, match.start()) + 1
                        if name not in allowed:
                            breaches.append(f"{name}:{at}: '{match.group(0).strip()}' "
                                            "is banned in the library")
    print("\n".join(breaches) or
          f"sizes: kept ({wishes} files or functions over the wish)")
    sys.exit(bool(breaches))


if __name__ == "__main__":
    main()
