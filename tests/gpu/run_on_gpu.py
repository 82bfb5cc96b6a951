#!/usr/bin/env python3
"""Runs a GoogleTest binary on a real GPU and writes down what came out.

    run_on_gpu.py --report FILE --part NAME [--limit SECONDS] -- BINARY ARGUMENTS...

The results of the part go into FILE (JSON), beside those of other parts and what the first one says about the machine. Exit code
77 when every case was skipped, after the reason was printed (then nothing is written); 1 when it was not done in time, after the
case that was running was printed and noted as failed; else the binary's own.
"""
import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

parser = argparse.ArgumentParser()
parser.add_argument("--report", required=True)
parser.add_argument("--part", required=True)
parser.add_argument("--limit", type=int, default=400)
parser.add_argument("command", nargs=argparse.REMAINDER)
options = parser.parse_args()
command = [word for word in options.command if word != "--"]

cases, reasons, properties, late = {}, [], {}, ""
with tempfile.TemporaryDirectory() as folder:
    file, output = os.path.join(folder, "result.xml"), os.path.join(folder, "output")
    with open(output, "wb") as stream:
        try:
            code = subprocess.run([*command, f"--gtest_output=xml:{file}"], check=False, stdout=stream, stderr=subprocess.STDOUT,
                                  timeout=options.limit).returncode
        except subprocess.TimeoutExpired:
            late, code = f"not done after {options.limit} s", 1
    with open(output, encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    if late:
        running = (re.findall(r"^\[ RUN      \] (\S+)", text, re.MULTILINE) or ["?"])[-1]
        cases[running] = {"result": "failed", "reason": late}
        print(f"{text}\n{options.part}: {running} was {late}")
    elif not os.path.exists(file):
        print(text)
        sys.exit(code or 1)
    else:
        if code != 0:
            print(text)
        result = xml.etree.ElementTree.parse(file).getroot()
        for case in result.iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            if case.get("result") == "skipped":
                reason = case.find("skipped").get("message").strip().splitlines()[-1]
                reasons.append(reason)
                cases[name] = {"result": "skipped", "reason": reason}
            else:
                cases[name] = {"result": "passed" if case.find("failure") is None else "failed", "seconds": float(case.get("time"))}
            properties.update({entry.get("name"): entry.get("value") for entry in case.iter("property")})

if cases and len(reasons) == len(cases):
    print(f"[  SKIPPED ] {options.part}: {reasons[0]}")
    sys.exit(77)

report = {}
if os.path.exists(options.report):
    with open(options.report, encoding="utf-8") as stream:
        report = json.load(stream)
commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], stdout=subprocess.PIPE, text=True, check=False,
                        cwd=os.path.dirname(os.path.abspath(__file__))).stdout.strip()
if report.get("commit") != commit:
    report = {}
report.update({"format": 1, "commit": commit, "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")})
report.setdefault("machine", {}).update({key.removeprefix("machine_"): value for key, value in properties.items() if key.startswith("machine_")})
report.setdefault("parts", {})[options.part] = cases
with open(options.report + ".new", "w", encoding="utf-8") as stream:
    json.dump(report, stream, indent=1, sort_keys=True)
    stream.write("\n")
os.replace(options.report + ".new", options.report)
failed = [name for name, case in cases.items() if case["result"] == "failed"]
print(f"{options.part}: {len(cases)} cases, {len(reasons)} skipped, {len(failed)} failed; written to {options.report}")
sys.exit(code)
