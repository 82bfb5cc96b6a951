#!/usr/bin/env python3
"""kill -9 of the scheduler at 20 seeded moments loses nothing and disturbs nobody.

At each moment the scheduler dies either at a named point of its own code (between reply and decision, between decision and
launch, ...) or by SIGKILL after a seeded number of acknowledged submissions. Then: every acknowledged job is known, the ranks'
pids are those from before, nothing started twice, exit codes are kept.

Replay one run with ULTRAMARINE_SEED=<the printed seed>.
"""
import collections
import os
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402

POINTS = ["before_commit", "after_commit_before_reply", "after_reply_before_round", "after_round_commit_before_dispatch", "after_apply"]


class KillScheduler(unittest.TestCase):
    def test_twenty_seeded_moments(self):
        seed = int(os.environ.get("ULTRAMARINE_SEED", "20261122"))
        print(f"seed {seed}", file=sys.stderr)
        rng = random.Random(seed)
        with Cluster(nodes=2) as cluster:
            ledger = cluster.folder / "ledger"
            ledger.touch()
            long_job = cluster.submit("--gpus", 4, "--name", "long", "--time", "1h", "--", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done")
            until(lambda: cluster.state(long_job) == "running", "the long job runs")
            pids_before = cluster.show(long_job)["pids"]
            self.assertEqual(sum(len(pids) for pids in pids_before.values()), 4)

            acknowledged = {}  # job -> exit code that it must end with
            for moment in range(20):
                cluster.kill_scheduler()
                point = rng.choice(POINTS + ["sigkill", "sigkill"])
                count = rng.randint(1, 6)
                alive = cluster.start_scheduler(None if point == "sigkill" else f"{point}:{count}")
                for _ in range(rng.randint(1, 4)):
                    if not alive:
                        break
                    code = rng.randint(0, 3)
                    result = cluster.ultra("submit", "--json", "--gpus", rng.randint(1, 4), "--time", "5m", "--", "sh", "-c",
                                           f'test "$RANK" = 0 || exit 0; echo "$ULTRA_JOB_ID" >> {ledger}; exit {code}', timeout=60)
                    if result.code == 0:
                        acknowledged[result.json()["job"]] = code
                    alive = cluster.scheduler.poll() is None
                cluster.kill_scheduler()
                with self.subTest(moment=moment, point=point, count=count):
                    self.assertTrue(cluster.start_scheduler(), "the scheduler starts again")
                    known = {job["details"]["job"] for job in cluster.ultra("queue", "--all", "--json").json()["jobs"]}
                    self.assertLessEqual(set(acknowledged), known, "every acknowledged job is known")
                    until(lambda: cluster.state(long_job) == "running", "the long job is known to run")
                    until(lambda: cluster.show(long_job)["pids"] == pids_before, "the long job has the pids from before")

            for job, code in acknowledged.items():
                ended = cluster.wait(job)
                self.assertEqual(ended, code, f"job {job} keeps its exit code: {cluster.ultra('show', job).out}")
            runs = collections.Counter(int(line) for line in ledger.read_text().split())
            self.assertEqual([job for job in runs if runs[job] > 1], [], "nothing started twice")
            self.assertEqual(sorted(set(acknowledged) - set(runs)), [], "everything acknowledged ran")
            self.assertGreater(len(acknowledged), 10)
            self.assertEqual(cluster.show(long_job)["pids"], pids_before)
            attempts = cluster.show(long_job)["details"]["attempts"]
            self.assertEqual(len(attempts), 1)
            self.assertEqual(cluster.ultra("cancel", long_job).code, 0)
            cluster.wait(long_job)


if __name__ == "__main__":
    unittest.main(verbosity=2)
