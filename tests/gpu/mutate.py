#!/usr/bin/env python3
"""Copies a source file without the N-th line that contains a text: a planted mistake that tests must find.

    mutate.py FILE TEXT N OUTPUT
"""
import pathlib
import sys

source, text, number, output = sys.argv[1:]
lines = pathlib.Path(source).read_text(encoding="utf-8").splitlines(keepends=True)
found = [i for i, line in enumerate(lines) if text in line.split("//")[0]]
if len(found) < int(number):
    sys.exit(f"mutate.py: {source} has only {len(found)} lines with {text}")
at = found[int(number) - 1]
lines[at] = "\n"  # keeps the line numbers
path = pathlib.Path(output)
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text("".join(lines), encoding="utf-8")
