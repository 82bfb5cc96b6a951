#!/usr/bin/env python3
"""What nvcc makes of every kernel (registers, shared memory, spills) against the committed budget.

    kernel_budget.py --nvcc NVCC --source DIR [--update]

The table is tests/gpu/kernel_budget.txt; --update writes it anew. A kernel may need fewer registers than its budget, never more,
and may never spill. Another release of nvcc than the table's may count registers otherwise: then only spills are an error. Exit
code 1 on an error, or if the table and the sources list different kernels.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("--nvcc", required=True)
parser.add_argument("--source", required=True)
parser.add_argument("--update", action="store_true")
options = parser.parse_args()
table = os.path.join(options.source, "tests/gpu/kernel_budget.txt")

with tempfile.TemporaryDirectory() as folder:
    run = subprocess.run(
        [options.nvcc, "-std=c++20", "-arch=sm_90", "-O3", "-cubin", "-Xptxas=-v", "-I", options.source, "-x", "cu",
         os.path.join(options.source, "tests/gpu/all_kernels.cpp"), "-o", os.path.join(folder, "kernels.cubin")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
if run.returncode != 0:
    sys.exit(run.stdout)
release = re.search(r"release ([\d.]+)", subprocess.run([options.nvcc, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout)[1]
needs, name, spilled = {}, None, 0
for line in run.stdout.splitlines():
    if entry := re.search(r"Compiling entry function '_Z\w*?\d+(\w+?_kernel)E?\w*' for", line):
        name, spilled = re.sub(r"^.*?\d+(?=[a-z_]+_kernel$)", "", entry[1]), 0
    elif spill := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
        spilled = int(spill[1]) + int(spill[2])
    elif used := re.search(r"Used (\d+) registers", line):
        shared = re.search(r"(\d+) bytes smem", line)
        needs[name] = (int(used[1]), int(shared[1]) if shared else 0, spilled)
if len(needs) < 10:
    sys.exit("kernel_budget.py: can't read the compiler's words:\n" + run.stdout)

if options.update:
    with open(table, "w", encoding="utf-8") as file:
        file.write("# kernel, registers at most, bytes of static shared memory; for sm_90. Written by kernel_budget.py --update.\n"
                   f"nvcc {release}\n")
        for kernel, (registers, shared, _) in sorted(needs.items()):
            file.write(f"{kernel:32} {registers:4} {shared:6}\n")
with open(table, encoding="utf-8") as file:
    rows = [line.split() for line in file if not line.startswith("#")]
budget = {words[0]: (int(words[1]), int(words[2])) for words in rows if words[0] != "nvcc"}
same_release = ["nvcc", release] in rows
problems = [f"{kernel}: not in {table}" for kernel in needs.keys() - budget.keys()]
problems += [f"{kernel}: in {table}, but not in the sources" for kernel in budget.keys() - needs.keys()]
for kernel, (registers, shared, spilled) in sorted(needs.items()):
    print(f"{kernel:32} {registers:4} registers {shared:6} bytes shared {spilled:4} bytes spilled")
    if spilled:
        problems.append(f"{kernel}: spills {spilled} bytes")
    if same_release and kernel in budget and (registers > budget[kernel][0] or shared > budget[kernel][1]):
        problems.append(f"{kernel}: {registers} registers and {shared} bytes, its budget is {budget[kernel]}")
print("\n".join(problems) or f"{len(needs)} kernels within their budgets")
sys.exit(1 if problems else 0)
