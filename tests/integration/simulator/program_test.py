#!/usr/bin/python3
"""ultra-simulate as people run it: table, files, charts, notes, errors with a place and a remedy, exit codes."""

import csv
import json
import os
import pathlib
import pty
import subprocess
import tempfile
import unittest

SIMULATE = os.path.join(os.environ["ULTRAMARINE_BIN"], "ultra-simulate")
SOURCE = pathlib.Path(__file__).resolve().parents[3]
CLUSTER = SOURCE / "configs/clusters/compare-pack.toml"
TRACE = pathlib.Path(__file__).parent / "traces/convoy.csv"


def run(*words, **environment):
    return subprocess.run([SIMULATE, *map(str, words)], capture_output=True, text=True, timeout=100, env={**os.environ, **environment})


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def file(self, name, text):
        path = self.path / name
        path.write_text(text)
        return path

    def test_policies_stand_side_by_side(self):
        ran = run("--trace", TRACE, "--cluster", CLUSTER, "--policy", "fifo", "--policy", "default", "--estimate", "limit")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        lines = ran.stdout.splitlines()
        self.assertEqual(lines[0], "trace convoy: 11 jobs; cluster compare-pack: 64 GPUs; estimate: limit")
        self.assertEqual(lines[2].split(), ["fifo", "default"])
        for words in ("wait", "turnaround", "bounded slowdown", "makespan", "utilization", "preemptions", "mean wait by GPUs", "slowdown by GPUs"):
            self.assertTrue(any(line.startswith(words) for line in lines), words)

    def test_files_and_charts(self):
        out = self.path / "made" / "for it"
        ran = run("--trace", TRACE, "--cluster", CLUSTER, "--policy", "fifo,default", "--out", out, "--plots")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(sorted(path.name for path in out.iterdir()),
                         ["charts.gnuplot", "default.csv", "fifo.csv", "slowdown.png", "slowdown.svg", "summary.json", "utilization.png", "utilization.svg",
                          "waits.png", "waits.svg"])
        for path in out.glob("*.png"):
            self.assertEqual(path.read_bytes()[:8], b"\x89PNG\r\n\x1a\n", path)
        for path in out.glob("*.svg"):
            text = path.read_text()
            self.assertIn("</svg>", text)
            self.assertIn("fifo", text)
        with open(out / "fifo.csv") as file:
            self.assertEqual(file.readline(), "id,submit_s,first_start_s,end_s,gpus,nodes,attempts\n")
            file.seek(0)
            rows = list(csv.DictReader(file))
        self.assertEqual(rows[0], {"id": "wide-1", "submit_s": "0", "first_start_s": "0", "end_s": "600", "gpus": "48", "nodes": "6", "attempts": "1"})
        summary = json.loads((out / "summary.json").read_text())
        self.assertEqual([(one["policy"], one["jobs"]) for one in summary["policies"]], [("fifo", 11), ("default", 11)])
        ran = run("--trace", TRACE, "--cluster", CLUSTER, "--policy", "fifo,default", "--json")
        self.assertEqual(json.loads(ran.stdout), summary)

    def test_what_files_are_called_is_no_command_of_gnuplot(self):
        touched = self.path / "touched"
        policy = self.path / f"''; system 'touch {touched.name}' #\"`.toml"
        policy.write_text((SOURCE / "configs/policies/fifo.toml").read_text())
        trace = self.path / f"''; system 'touch {touched.name}' #.csv"
        trace.write_text(TRACE.read_text())
        out = self.path / "out"
        ran = run("--trace", trace, "--cluster", CLUSTER, "--policy", policy, "--out", out, "--plots")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual([path for folder in (self.path, out) for path in folder.iterdir() if path.name == touched.name], [])
        self.assertIn("touch touched’ #", (out / "waits.svg").read_text())

    def test_without_gnuplot_the_package_is_named(self):
        ran = run("--trace", TRACE, "--cluster", CLUSTER, "--out", self.path, "--plots", PATH="/nowhere")
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertIn("install the package gnuplot-nox", ran.stderr)
        self.assertEqual(list(self.path.iterdir()), [])
        ran = run("--trace", TRACE, "--cluster", CLUSTER, "--plots")
        self.assertEqual(ran.returncode, 2)
        self.assertIn("add --out DIR", ran.stderr)

    def test_bad_rows_are_refused_or_counted(self):
        trace = self.file("bad.csv", "id,submit_s,runtime_s,gpus\na,0,10,1\nb,0,ten,1\nc,0,10\n")
        ran = run("--trace", trace, "--cluster", CLUSTER)
        self.assertEqual((ran.returncode, ran.stdout), (2, ""))
        self.assertIn(f'{trace}:3:5: runtime_s: "ten" is not a whole number', ran.stderr)
        ran = run("--trace", trace, "--cluster", CLUSTER, "--skip-bad-rows", "--json")
        self.assertEqual(ran.returncode, 0)
        self.assertIn("note: 2 rows were left out; the first: ", ran.stderr)
        answer = json.loads(ran.stdout)
        self.assertEqual((answer["rows"], answer["bad_rows"]), (1, 2))

    def test_jobs_that_never_fit_are_named_and_counted_apart(self):
        trace = self.file("big.csv", "id,submit_s,runtime_s,gpus\nhuge,0,10,65\na,0,10,1\n")
        ran = run("--trace", trace, "--cluster", CLUSTER, "--json")
        self.assertEqual(ran.returncode, 0)
        self.assertIn("note: 1 job is not taken by this cluster and left out: huge (", ran.stderr)
        answer = json.loads(ran.stdout)
        self.assertEqual([one["id"] for one in answer["refused"]], ["huge"])
        self.assertEqual((answer["policies"][0]["jobs"], answer["policies"][0]["refused"]), (1, 1))

    def test_standard_workload_format(self):
        row = "1 5 -1 100 8 -1 -1 -1 -1 -1 1 -1 -1 -1 -1 -1 -1 -1\n"
        for path, words in ((self.file("a.swf", "; a comment\n" + row), ()), (self.file("b.txt", row), ("--format", "swf"))):
            ran = run("--trace", path, "--cluster", CLUSTER, "--json", *words)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertEqual(json.loads(ran.stdout)["policies"][0]["makespan_s"], 100)

    def test_accounts_and_fairness(self):
        trace = self.file("accounts.csv", "id,submit_s,runtime_s,gpus,account\na,0,100,64,x\nb,0,100,64,y\n")
        ran = run("--trace", trace, "--cluster", CLUSTER, "--policy", "fifo")
        self.assertEqual(ran.returncode, 0)
        self.assertIn("note: the cluster has no account x, y: added, with one share each", ran.stderr)
        self.assertIn("fairness of accounts", ran.stdout)
        self.assertNotIn("fairness", run("--trace", TRACE, "--cluster", CLUSTER, "--policy", "fifo").stdout)

    def test_slips_by_cause_and_no_harm(self):
        words = ("--trace", TRACE, "--cluster", CLUSTER, "--policy", "sjf", "--policy", "fifo", "--estimate", "limit")
        shown = run(*words, "--slips")
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        self.assertRegex(shown.stdout, r"\nplanned starts moved later +\w+ \w+ +\d+")
        self.assertRegex(shown.stdout, r"\nharm +0 +0\n")
        plain = run(*words).stdout
        self.assertNotIn("harm", plain)
        self.assertTrue(shown.stdout.splitlines()[4].split() == plain.splitlines()[4].split(), "counting changes nothing")
        for words_more, counted in ((("--slips",), True), ((), False)):
            for policy in json.loads(run(*words, "--json", *words_more).stdout)["policies"]:
                self.assertEqual(policy["harm"], {"slips": 0, "later_s": 0} if counted else None)
                self.assertEqual(sorted(policy["slips"]), ["arrival_above", "boost", "configuration", "early_end", "late_end", "node_loss", "order_change",
                                                           "reservation"] if counted else [])
                moved = any(cause["slips"] > 0 and cause["later_s"] > 0 for cause in policy["slips"].values())
                self.assertTrue(moved == counted or policy["policy"] == "fifo")
        told = run("--help").stdout
        self.assertIn("harm", told)
        self.assertIn("many times as long", told)

    def test_only_the_first_jobs(self):
        ran = run("--trace", TRACE, "--cluster", CLUSTER, "--jobs", 3, "--json")
        self.assertEqual(json.loads(ran.stdout)["rows"], 3)

    def test_mistakes_are_answered_with_the_remedy(self):
        no_limits = self.file("no-limits.csv", "id,submit_s,runtime_s,gpus\na,0,10,1\n")
        empty = self.file("empty.csv", "id,submit_s,runtime_s,gpus\n")
        taken = self.file("taken", "")
        for words, code, said in (
                (("--trace", TRACE), 2, "--cluster is required"),
                (("--trace", self.path / "gone.csv", "--cluster", CLUSTER), 2, "gone.csv: trace: can't read it"),
                (("--trace", TRACE, "--cluster", self.path / "gone.toml"), 2, "gone.toml"),
                (("--trace", TRACE, "--cluster", CLUSTER, "--policy", "fifi"), 2, 'did you mean "fifo"?'),
                (("--trace", TRACE, "--cluster", CLUSTER, "--estimate", "guess"), 2, "--estimate"),
                (("--trace", TRACE, "--cluster", CLUSTER, "--jobs", "0"), 2, "--jobs"),
                (("--trace", TRACE, "--cluster", CLUSTER, "--wrong"), 2, "see ultra-simulate --help"),
                (("--trace", no_limits, "--cluster", CLUSTER, "--estimate", "limit"), 2, "use --estimate true"),
                (("--trace", empty, "--cluster", CLUSTER), 2, "it has no jobs"),
                (("--trace", TRACE, "--cluster", CLUSTER, "--out", taken / "x"), 1, "can't make the folder")):
            with self.subTest(words=words):
                ran = run(*words)
                self.assertEqual((ran.returncode, ran.stdout), (code, ""), ran.stderr)
                self.assertIn(said, ran.stderr)
                self.assertEqual(ran.stderr.count("\n"), 1, ran.stderr)
                self.assertTrue(ran.stderr.startswith("ultra-simulate: "))

    def test_a_terminal_sees_a_bar(self):
        ours, theirs = pty.openpty()
        ran = subprocess.run([SIMULATE, "--trace", TRACE, "--cluster", CLUSTER, "--policy", "fifo"], stdout=subprocess.DEVNULL, stderr=theirs, timeout=100)
        os.close(theirs)
        seen = os.read(ours, 65536).decode()
        os.close(ours)
        self.assertEqual(ran.returncode, 0)
        self.assertIn("fifo [" + "#" * 40 + "] 100 %", seen)
        self.assertTrue(seen.endswith("\r\033[K"), "and it is gone at the end")

    def test_help_and_version(self):
        ran = run("--help")
        self.assertEqual(ran.returncode, 0)
        for option in ("--trace", "--format", "--cluster", "--policy", "--estimate", "--out", "--plots", "--json", "--skip-bad-rows", "--jobs"):
            self.assertIn(option, ran.stdout)
        self.assertRegex(run("--version").stdout, r"^ultra-simulate \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    unittest.main()
