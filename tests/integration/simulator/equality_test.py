#!/usr/bin/python3
"""ultra-simulate against the rules of a comparison run, to the second: every policy on hand-made and random traces as `reference.py` has it, and,
where ULTRAMARINE_TRACES names a folder with real traces and expected results, every number of those."""

import csv
import gzip
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import reference  # noqa: E402

SIMULATE = os.path.join(os.environ["ULTRAMARINE_BIN"], "ultra-simulate")
SOURCE = pathlib.Path(__file__).resolve().parents[3]
OWN_TRACES = sorted((pathlib.Path(__file__).parent / "traces").glob("*.csv"))
EXPECTED = os.environ.get("ULTRAMARINE_TRACES", "")
SEED = int(os.environ.get("ULTRAMARINE_SEED", "1"))
RANDOM_TRACES = 400 if os.environ.get("ULTRAMARINE_SLOW") else 25
NODES, PER_NODE = 8, 8
POLICIES = {"true": ["fifo", "fifo-skip", "easy", "easy-sjf", "sjf", "sjf-skip", "srtf", "srsf", "las"], "limit": ["fifo", "easy", "easy-sjf"]}


def simulate(trace, place, estimate, policies, out):
    """The JSON object, with each policy's summary under its name and the rows of its CSV beside that."""
    ran = subprocess.run([SIMULATE, "--trace", trace, "--cluster", SOURCE / f"configs/clusters/compare-{place}.toml", "--estimate", estimate, "--policy",
                          ",".join(policies), "--out", out, "--json"], capture_output=True, text=True, timeout=3000)
    if ran.returncode != 0:
        raise AssertionError(f"{trace} {place} {estimate}: exit code {ran.returncode}: {ran.stderr}")
    summaries = {one["policy"]: one for one in json.loads(ran.stdout)["policies"]}
    return {policy: (summaries[policy], read_csv(pathlib.Path(out) / f"{policy}.csv")) for policy in policies}


def read_csv(path):
    with (gzip.open(path, "rt") if path.suffix == ".gz" else open(path)) as file:
        return list(csv.DictReader(file))


def columns_of(summary, rows, trace_rows):
    """What ultra-simulate says, in the columns of a table of results; what its summary lacks is counted from its CSV."""
    runtime = {row["id"]: int(row["runtime_s"]) for row in trace_rows}
    measured = reference.measures([(int(row["submit_s"]), runtime[row["id"]], int(row["gpus"]), int(row["first_start_s"]), int(row["end_s"])) for row in rows],
                                  NODES * PER_NODE)
    said = {"jobs": summary["jobs"], "first_wait_mean": summary["first_wait_s_mean"], "makespan": summary["makespan_s"], "util": summary["utilization"],
            "util_arrival": summary["utilization_while_jobs_arrive"], "preempts": summary["preemptions"],
            "wait_mean_le8": measured["wait_mean_le8"], "wait_mean_gt8": measured["wait_mean_gt8"]}
    for short, name in (("wait", "wait_s"), ("jct", "turnaround_s"), ("bsld", "bounded_slowdown")):
        for part in ("mean", "p50", "p95", "p99"):
            said[f"{short}_{part}"] = summary[name][part]
    return said


class Equality(unittest.TestCase):
    maxDiff = 4000

    def assert_equal_runs(self, trace, place, estimate):
        trace_rows = read_csv(trace)
        with tempfile.TemporaryDirectory() as out:
            answers = simulate(trace, place, estimate, POLICIES[estimate], out)
        for policy, (summary, rows) in answers.items():
            jobs = [reference.Job(row["id"], int(row["submit_s"]), int(row["runtime_s"]), int(row["gpus"]),
                                  int(row["limit_s" if estimate == "limit" else "runtime_s"]), line) for line, row in enumerate(trace_rows)]
            reference.run(jobs, policy, NODES, PER_NODE, place == "pack")
            what = f"{trace} {place} {policy}({estimate})"
            expected = {job.id: (job.first_start, job.end) for job in jobs}
            got = {row["id"]: (int(row["first_start_s"]), int(row["end_s"])) for row in rows}
            self.assertEqual({job: (got.get(job), times) for job, times in expected.items() if got.get(job) != times}, {}, f"{what}: (ours, expected)")
            measured = reference.measures([(job.submit, job.runtime, job.gpus, job.first_start, job.end) for job in jobs], NODES * PER_NODE)
            measured["preempts"] = sum(job.preempts for job in jobs)
            said = columns_of(summary, rows, trace_rows)
            for column, value in measured.items():
                self.assertAlmostEqual(said[column], value, delta=1e-6 * max(1, value), msg=f"{what}: {column}")

    def test_hand_made_traces(self):
        self.assertTrue(OWN_TRACES)
        for trace in OWN_TRACES:
            for place in ("count", "pack"):
                for estimate in POLICIES:
                    with self.subTest(trace=trace.stem, place=place, estimate=estimate):
                        self.assert_equal_runs(trace, place, estimate)

    def test_random_traces(self):
        for seed in range(SEED, SEED + RANDOM_TRACES):
            with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
                file.write(random_trace(random.Random(seed)))
                file.flush()
                for place in ("count", "pack"):
                    for estimate in POLICIES:
                        with self.subTest(replay=f"ULTRAMARINE_SEED={seed}", place=place, estimate=estimate):
                            self.assert_equal_runs(pathlib.Path(file.name), place, estimate)

    @unittest.skipUnless(EXPECTED, "ULTRAMARINE_TRACES names no folder with traces and expected results")
    def test_expected_results_of_real_traces(self):
        folder = pathlib.Path(EXPECTED)
        runs, files = {}, 0
        for row in read_csv(folder / "expected/results.csv"):
            policy, estimate = re.fullmatch(r"([a-z-]+)(?:\((true|limit)\))?", row["policy"]).groups()
            runs.setdefault((row["slice"], row["place"], estimate or "true"), []).append((policy, estimate, row))
        for (name, place, estimate), rows in runs.items():
            trace = folder / f"{name}.csv"
            trace_rows = read_csv(trace)
            with tempfile.TemporaryDirectory() as out:
                answers = simulate(trace, place, estimate, [policy for policy, _, _ in rows], out)
            for policy, named, row in rows:
                summary, jobs = answers[policy]
                with self.subTest(trace=name, place=place, policy=row["policy"]):
                    per_job = folder / f"expected/{name}.{policy}{'-' + named if named else ''}-{place}.csv.gz"
                    if per_job.exists():
                        files += 1
                        expected = [(job["id"], job["first_start_s"], job["end_s"]) for job in read_csv(per_job)]
                        got = [(job["id"], job["first_start_s"], job["end_s"]) for job in jobs]
                        wrong = [pair for pair in zip(got, expected) if pair[0] != pair[1]]
                        self.assertEqual((len(got), wrong[:5]), (len(expected), []), f"{len(wrong)} jobs differ (ours, expected)")
                    said = columns_of(summary, jobs, trace_rows)
                    wrong = {column: (said[column], float(value)) for column, value in row.items()
                             if column in said and abs(said[column] - float(value)) > 1e-3}
                    self.assertEqual(wrong, {}, "(ours, expected)")
        self.assertEqual(files, len(list((folder / "expected").glob("*.csv.gz"))), "every file of expected jobs was compared")


def random_trace(dice):
    """A few dozen jobs that meet one another: round times, many ties, more work than the cluster has room for."""
    lines, now = ["id,submit_s,runtime_s,gpus,limit_s"], 0
    for number in range(dice.randint(5, 60)):
        now += dice.choice([0, 0, 1, 10, 60, 300, 1800])
        runtime = dice.choice([1, 10, 60, 600, dice.randint(1, 4000), dice.randint(1, 20000)])
        limit = min(limit for limit in (60, 600, 1800, 3600, 7200, 14400, 86400) if limit >= runtime)
        lines.append(f"job-{number},{now},{runtime},{dice.choice([1, 1, 1, 2, 3, 4, 5, 7, 8, 8, 9, 12, 16, 20, 32, 48, 63, 64])},{limit}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    unittest.main()
