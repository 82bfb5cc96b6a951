#!/usr/bin/env python3
"""Runs a program that must fail, and says it if it doesn't.

    expect_failure.py TEXT PROGRAM ARGUMENTS...

Exit code 0 if the program fails and its output contains TEXT (a regular expression); 1 otherwise.
"""
import re
import subprocess
import sys

text, *command = sys.argv[1:]
run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=100, check=False)
print(run.stdout[-3000:])
if run.returncode == 0:
    sys.exit("expect_failure.py: the planted mistake was not found")
if not re.search(text, run.stdout):
    sys.exit(f"expect_failure.py: it failed (exit code {run.returncode}), but without \"{text}\"")
print(f"found, as it should be: exit code {run.returncode}")
