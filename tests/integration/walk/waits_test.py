#!/usr/bin/env python3
"""What jobs waited for, over a real cluster: every ledger sums to the wait to the millisecond, also when the scheduler is killed in the middle of it; who was
overtaken sees the proof that it wasn't delayed; accounts' rows sum to what their jobs waited."""
import csv
import io
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402

UNTIL_TOLD = "trap 'exit 0' TERM; until test -e {}; do sleep 0.1; done"


def wait_of(view):
    """From submission to the decision, and from each return to the next; of a job that waits for nothing any more."""
    job = view["details"]
    wait, since = 0, job["submitted_ms"]
    for attempt in job["attempts"]:
        wait += attempt["decided_ms"] - since
        since = attempt["ended_ms"]
    return wait


class Waits(unittest.TestCase):
    def report(self, cluster, job):
        result = cluster.ultra("wait-report", job, "--json")
        self.assertEqual(result.code, 0, result)
        report = result.json()
        self.assertEqual(sum(part["details"]["time_ms"] for part in report["parts"]), report["wait_ms"], report)
        for part in report["parts"]:
            self.assertIsNone(re.search(r"[a-z]_[a-z]", part["text"]), part)
        return report

    def causes(self, report):
        return {(part["details"]["cause"], part["details"]["job"]) for part in report["parts"]}

    def test_ledgers_sum_also_when_the_scheduler_is_killed(self):
        with Cluster(nodes=1, gpus_per_node=4) as cluster:
            first_may_end, brief_may_end = cluster.folder / "first", cluster.folder / "brief"
            first = cluster.submit("--gpus", 3, "--name", "first", "--time", "10m", "--", "sh", "-c", UNTIL_TOLD.format(first_may_end))
            until(lambda: cluster.state(first) == "running", "the first job runs")
            wide = cluster.submit("--gpus", 4, "--name", "wide", "--time", "5m", "--", "true")
            brief = cluster.submit("--gpus", 1, "--name", "brief", "--time", "2m", "--", "sh", "-c", UNTIL_TOLD.format(brief_may_end))
            held = cluster.submit("--gpus", 1, "--name", "held", "--time", "1m", "--hold", "--", "true")
            until(lambda: cluster.state(brief) == "running", "the brief job passes the wide one")

            passed = self.report(cluster, brief)
            self.assertEqual(passed["certificate"]["overtaken"], 1)
            self.assertEqual(passed["certificate"]["later_ms"], 0)
            self.assertEqual(passed["certificate"]["digest_before"], passed["certificate"]["digest_after"])
            self.assertRegex(passed["overtaking"][0], "^Started ahead of 1 job without delaying them: it fits in a hole until at .*; their planned starts stayed")
            overtaken = self.report(cluster, wide)
            self.assertRegex(overtaken["overtaking"][0], r"^1 job started ahead of it; the last was job \d+ \(brief, default, 1 GPU\), in a hole until at ")
            self.assertIn("Started ahead of 1 job", cluster.ultra("show", brief).out)
            self.assertIn("its planned start stayed", cluster.ultra("show", wide).out)

            # Killed twice, with nothing recorded of the waits that go on, and with a little time without any scheduler.
            for _ in range(2):
                cluster.kill_scheduler()
                self.assertTrue(cluster.start_scheduler())
                until(lambda: cluster.state(first) == "running", "the first job is known to run")
                self.assertIn(("running_job", first), self.causes(self.report(cluster, wide)))
                self.assertEqual(self.causes(self.report(cluster, held)), {("hold", 0)})
            first_may_end.touch()
            self.assertEqual(cluster.wait(first), 0)
            until(lambda: self.causes(self.report(cluster, wide)) >= {("running_job", first)}, "the first job is in the ledger")
            brief_may_end.touch()
            self.assertEqual(cluster.wait(wide), 0)
            self.assertEqual(cluster.ultra("release", held).code, 0)
            self.assertEqual(cluster.wait(held), 0)
            cluster.kill_scheduler()
            self.assertTrue(cluster.start_scheduler())

            gpu_ms = 0
            for job, gpus in ((first, 3), (wide, 4), (brief, 1), (held, 1)):
                report = self.report(cluster, job)
                self.assertEqual(report["wait_ms"], wait_of(cluster.show(job)), report)
                gpu_ms += gpus * report["wait_ms"]
            self.assertIn(("hold", 0), self.causes(self.report(cluster, held)))

            accounts = cluster.ultra("wait-report", "--accounts", "--csv")
            self.assertEqual(accounts.code, 0, accounts)
            rows = list(csv.DictReader(io.StringIO(accounts.out)))
            self.assertEqual(sum(int(row["gpu_ms"]) for row in rows), gpu_ms, rows)
            self.assertIn("default waited ", cluster.ultra("wait-report", "--accounts").out)
            self.assertEqual(cluster.ultra("wait-report", "--accounts", "--month", "2001-01", "--csv").out.count("\n"), 1)

            for words, code, said in ((["--accounts", "--month", "2026-13"], 2, "--month"), ([], 2, "JOB"), (["--accounts", "--account", "nobody"], 3, "no account nobody"),
                                      ([12345], 3, "12345"), ([wide, "--month", "2026-01"], 2, "--accounts")):
                result = cluster.ultra("wait-report", *words)
                self.assertEqual(result.code, code, result)
                self.assertIn(said, result.err)

    def test_a_clean_stop_keeps_what_was_waited_for(self):
        with Cluster(nodes=1, gpus_per_node=2) as cluster:
            may_end = cluster.folder / "end"
            first = cluster.submit("--gpus", 2, "--time", "10m", "--", "sh", "-c", UNTIL_TOLD.format(may_end))
            until(lambda: cluster.state(first) == "running", "the first job runs")
            second = cluster.submit("--gpus", 2, "--time", "5m", "--", "true")
            until(lambda: self.report(cluster, second)["wait_ms"] > 1000, "it has waited for a while")
            before = self.report(cluster, second)
            cluster.stop_scheduler()
            self.assertTrue(cluster.start_scheduler())
            until(lambda: cluster.state(first) == "running", "the first job is known to run")
            after = self.report(cluster, second)
            part = [one["details"]["time_ms"] for one in after["parts"] if one["details"]["cause"] == "running_job"]
            self.assertGreaterEqual(sum(part), before["wait_ms"] - 1000, (before, after))
            may_end.touch()
            self.assertEqual(cluster.wait(second), 0)
            self.assertEqual(self.report(cluster, second)["wait_ms"], wait_of(cluster.show(second)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
