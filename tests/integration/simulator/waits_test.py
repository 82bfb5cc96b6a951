#!/usr/bin/python3
"""Wait ledgers of whole traces: of every job the parts sum to the wait, to the millisecond, and what was named as the largest cause is one: the wait is
shorter without it, mostly. On a random trace (printed seed; ULTRAMARINE_SEED, ULTRAMARINE_WAIT_JOBS) and, where ULTRAMARINE_TRACES names a folder with
real traces, on those, with accounts by a seeded rule."""

import collections
import csv
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["ULTRAMARINE_BIN"])
SOURCE = pathlib.Path(__file__).resolve().parents[3]
CLUSTER = SOURCE / "configs/clusters/compare-pack.toml"
FOLDER = os.environ.get("ULTRAMARINE_TRACES", "")
SEED = int(os.environ.get("ULTRAMARINE_SEED", "6"))
RANDOM_JOBS = int(os.environ.get("ULTRAMARINE_WAIT_JOBS", "10000"))
ABLATIONS = 24
ACCOUNTS = ("lab-a", "lab-b", "lab-c", "lab-d")


def in_ms(text):
    whole, _, part = text.partition(".")
    return int(whole) * 1000 + int((part + "000")[:3])


def random_rows(jobs, seed):
    """Sizes, lengths and limits as on a busy cluster of 64 GPUs: about as much is asked for as there is."""
    dice = random.Random(seed)
    rows, now = [], 0
    for number in range(jobs):
        gpus = dice.choice((1, 1, 1, 1, 2, 2, 4, 8, 8, 16, 32, 64))
        runtime = dice.choice((30, 120, 600, 600, 1800, 3600, 7200))
        now += dice.randrange(0, 1 + int(2.06 * gpus * runtime / 64))
        rows.append({"id": f"j{number}", "submit_s": now, "runtime_s": runtime, "gpus": gpus, "limit_s": runtime * dice.choice((1, 2, 4)),
                     "account": dice.choice(ACCOUNTS)})
    return rows


def with_accounts(path, seed):
    """Each job belongs to one of four accounts, at random with weights 4, 3, 2, 1."""
    dice = random.Random(seed)
    with open(path) as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["account"] = dice.choices(ACCOUNTS, (4, 3, 2, 1))[0]
    return rows


def simulated(rows, estimate="limit", waits=True):
    """Of each job by its name: first start in ms, and the parts of its wait."""
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace.csv")
        with open(trace, "w", newline="") as file:
            writer = csv.DictWriter(file, ("id", "submit_s", "runtime_s", "gpus", "limit_s", "account"), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        command = [BIN / "ultra-simulate", "--trace", trace, "--cluster", CLUSTER, "--estimate", estimate, "--out", folder] + (["--waits"] if waits else [])
        ran = subprocess.run(command, capture_output=True, text=True, timeout=3000)
        assert ran.returncode == 0, ran.stderr
        with open(pathlib.Path(folder, "default.csv")) as file:
            starts = {row["id"]: in_ms(row["first_start_s"]) for row in csv.DictReader(file)}
        parts = collections.defaultdict(list)
        if waits:
            with open(pathlib.Path(folder, "default-waits.csv")) as file:
                for row in csv.DictReader(file):
                    parts[row["id"]].append(row)
        return starts, parts


class Waits(unittest.TestCase):
    def check_sums(self, name, rows):
        starts, parts = simulated(rows)
        causes, pairs, waited = collections.Counter(), collections.Counter(), 0
        for row in rows:
            wait = starts[row["id"]] - int(row["submit_s"]) * 1000
            self.assertEqual(sum(in_ms(part["wait_s"]) for part in parts[row["id"]]), wait, f"{name}: job {row['id']}")
            waited += wait
            for part in parts[row["id"]]:
                causes[part["cause"]] += in_ms(part["wait_s"])
                pairs[row["account"], part["of_account"]] += in_ms(part["wait_s"]) * int(row["gpus"])
        # Account against account: each row sums to what its jobs waited.
        for account in ACCOUNTS:
            of_jobs = sum((starts[row["id"]] - int(row["submit_s"]) * 1000) * int(row["gpus"]) for row in rows if row["account"] == account)
            self.assertEqual(sum(time for (mine, _), time in pairs.items() if mine == account), of_jobs, f"{name}: {account}")
        shares = ", ".join(f"{cause} {100 * time / waited:.1f} %" for cause, time in causes.most_common() if time)
        print(f"{name}: {len(rows)} jobs, all sums exact; {waited / 3.6e6:.0f} hours waited: {shares}")
        self.assertLess(causes["scheduler"] + causes["shape"], waited * 0.5, "most of a wait has a better name")
        return starts, parts

    def test_a_random_trace(self):
        print(f"\nseed {SEED}, {RANDOM_JOBS} jobs")
        self.check_sums("random", random_rows(RANDOM_JOBS, SEED))

    @unittest.skipUnless(FOLDER, "ULTRAMARINE_TRACES names no folder with real traces")
    def test_real_traces(self):
        print(f"\naccounts {', '.join(ACCOUNTS)} at random with weights 4, 3, 2, 1, seed {SEED}")
        for path in sorted(pathlib.Path(FOLDER).glob("*.csv")):
            self.check_sums(path.stem, with_accounts(path, SEED))

    def test_without_its_largest_cause_a_job_waits_less(self):
        rows = random_rows(600, SEED)
        starts, parts = simulated(rows, estimate="true")
        dice = random.Random(SEED)
        named = []
        for row in rows:
            largest = max(parts[row["id"]], key=lambda part: in_ms(part["wait_s"]), default=None)
            if largest and largest["job"] and in_ms(largest["wait_s"]) >= 60_000:
                named.append((row["id"], largest["job"]))
        chosen = dice.sample(named, min(ABLATIONS, len(named)))
        not_shorter = 0
        for job, cause in chosen:
            without, _ = simulated([row for row in rows if row["id"] != cause], estimate="true", waits=False)
            not_shorter += without[job] >= starts[job]
        print(f"\nseed {SEED}: of {len(chosen)} jobs {not_shorter} waited no less without what the ledger names as their largest cause "
              f"({100 * not_shorter / len(chosen):.0f} %)")
        self.assertEqual(len(chosen), ABLATIONS)
        self.assertLess(not_shorter, ABLATIONS / 3)


if __name__ == "__main__":
    unittest.main()
