#!/usr/bin/env python3
"""Prints C++ that defines every function which a header of CUDA or NCCL declares, weakly: it says its name and aborts.

    unknown_calls.py HEADER RESULT_TYPE > unknown_calls.cpp

Linked into a fake, these lose against the functions that the fake really has; what is left can't succeed by accident, nor reach
the real library that is loaded beside a preloaded fake.
"""
import re
import sys

header, result_type = sys.argv[1:]
with open(header, encoding="utf-8", errors="replace") as file:
    text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
names = sorted(set(re.findall(r"\b" + result_type + r"\s+(?:CUDARTAPI\s+)?(p?(?:cuda|nccl)[A-Za-z0-9_]+)\s*\(", text)))
if len(names) < 30:
    sys.exit(f"unknown_calls.py: only {len(names)} functions in {header}; has its form changed?")
print("// Written by tests/support/gpu/unknown_calls.py from " + header.rsplit("/", 1)[-1] + ".")
print("namespace ultramarine::fake { [[noreturn]] void violation(const char* format, ...); }")
for name in names:
    print(f'extern "C" __attribute__((weak, visibility("default"))) void {name}() {{')
    print(f'  ultramarine::fake::violation("%s is called, which the fake doesn\'t have", "{name}");')
    print("}")
