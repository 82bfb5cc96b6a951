#!/usr/bin/python3
"""The story that the README tells, on 64 virtual GPUs: a job waits, why offers it half of what it wants now, a boost is priced and not granted, the
offer is taken, and what was waited for and held is told the same everywhere."""
import pathlib
import re
import shlex
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402

LABS = """
[[account]]
name = "lab-a"
members = ["*"]

[[account]]
name = "lab-b"
members = ["*"]
"""


class Story(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=8, gpus_per_node=8)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)
        file = cls.cluster.home / "cluster.toml"
        file.write_text(file.read_text() + LABS)
        assert cls.cluster.ultra("reload").code == 0

    def setUp(self):
        self.addCleanup(self.nothing_runs)

    def nothing_runs(self):
        queue = lambda: self.ok("queue", "--json").json()["jobs"]  # noqa: E731
        for job in queue():
            self.cluster.ultra("cancel", job["details"]["job"])
        until(lambda: not queue(), "nothing waits or runs")

    def ok(self, *words, **more):
        result = self.cluster.ultra(*words, **more)
        self.assertEqual(result.code, 0, result)
        return result

    def submit(self, account, gpus, hours, name, *more):
        return self.cluster.submit("--account", account, "--gpus", gpus, "--ranks-per-node", 1, "--time", f"{hours}h", "--name", name, *more, "--", "sleep", "100000")

    def no_enumerators(self, text):
        self.assertIsNone(re.search(r"[a-z]_[a-z]", text), text)

    def used(self, account):
        return next(one["used_gpu_ms"] for one in self.ok("report", "--json").json()["accounts"] if one["account"] == account)

    def waited_for(self, account, other):
        for one in self.ok("wait-report", "--accounts", "--json").json()["accounts"]:
            if one["account"] == account:
                return sum(row["gpu_ms"] for row in one["rows"] if row["for_account"] == other)
        return 0

    def test_the_story(self):
        used, waited = self.used("lab-a"), self.waited_for("lab-a", "lab-b")
        simulation = self.submit("lab-b", 32, 8, "simulation")
        until(lambda: self.cluster.state(simulation) == "running", "the first job runs")
        pretrain = self.cluster.submit("--account", "lab-a", "--gpus", 64, "--min-gpus", 32, "--time", "4h", "--name", "pretrain", "--", "sleep", "100000")
        sweep = self.submit("lab-b", 48, 8, "sweep")

        why = self.ok("why", pretrain)
        self.no_enumerators(why.out)
        self.assertIn(f"Job {simulation} (simulation, lab-b)", why.out)
        self.assertIn("holds 32 GPUs until", why.out)
        self.assertIn("It would start now with 32 GPUs instead of 64 GPUs.", why.out)
        self.assertNotIn("if your program", why.out, "it said that it can")
        ways = self.ok("why", pretrain, "--json").json()["ways"]
        number = next(way["number"] for way in ways if way["change"].get("resources") == {"gpus": 32, "nodes": 0, "gpus_per_node": 0})
        planned = self.cluster.show(pretrain)["planned"]["start_ms"]

        bill = self.ok("boost", sweep, "--reason", "visitors tomorrow")
        self.no_enumerators(bill.out)
        self.assertIn(f"The bill to put job {sweep} (sweep, lab-b)", bill.out)
        self.assertRegex(bill.out, r"This delays 1 other job, by 8h at most: 51[23] GPU-hours in all \(lab-a 51[23] GPU-hours\)\.")
        self.assertIn("Nothing is changed so far.", bill.out)
        token = re.search(r"--confirm (\S+)", bill.out).group(1)
        self.assertEqual(self.cluster.show(pretrain)["planned"]["start_ms"], planned, "nothing has changed")
        self.assertEqual(self.ok("whatif", "boost", sweep, "--json").json()["displaced_gpu_ms"] // 3_600_000, 512)

        self.assertIn("is changed so", self.ok("why", pretrain, "--apply", number).out)
        until(lambda: self.cluster.state(pretrain) == "running", "it runs on half of what it wanted")
        self.assertEqual(self.cluster.show(pretrain)["gpus"], 32)
        late = self.cluster.ultra("boost", sweep, "--reason", "visitors tomorrow", "--confirm", token)
        self.assertEqual(late.code, 0, "by now it delays nobody, which is no worse than what was shown")

        # The ledger, account against account and the report tell the same.
        waits = self.ok("wait-report", pretrain, "--json").json()
        self.assertEqual(sum(part["details"]["time_ms"] for part in waits["parts"]), waits["wait_ms"])
        attempt, job = self.cluster.show(pretrain)["details"]["attempts"][0], self.cluster.show(pretrain)["details"]
        self.assertEqual(waits["wait_ms"], attempt["decided_ms"] - job["submitted_ms"], "to the millisecond")
        for_simulation = [part for part in waits["parts"] if part["details"]["job"] == simulation]
        self.assertGreater(sum(part["details"]["time_ms"] for part in for_simulation), waits["wait_ms"] // 2)
        self.no_enumerators(self.ok("wait-report", pretrain).out)
        self.assertEqual(self.waited_for("lab-a", "lab-b") - waited, sum(32 * part["details"]["time_ms"] for part in for_simulation))
        for job in (simulation, pretrain):
            self.ok("cancel", job)
            until(lambda: self.cluster.state(job) == "cancelled", "it has ended")  # noqa: B023
        held = sum(32 * (one["ended_ms"] - one["decided_ms"]) for one in self.cluster.show(pretrain)["details"]["attempts"])
        self.assertEqual(self.used("lab-a") - used, held)
        self.no_enumerators(self.ok("report").out)

    def test_a_boost_that_is_confirmed_is_seen_by_whom_it_delays(self):
        running = self.submit("lab-b", 64, 2, "all")
        until(lambda: self.cluster.state(running) == "running", "the first job runs")
        first, second = self.submit("lab-a", 64, 1, "first"), self.submit("lab-b", 64, 3, "second")
        bill = self.ok("boost", second, "--reason", "it's urgent")
        command = re.search(r"^  (ultra boost .*)$", bill.out, re.M).group(1)
        self.assertIn("Granted, as bill 1.", self.ok("boost", second, "--reason", "it's urgent", "--confirm", command.split()[-1]).out)
        why = self.ok("why", first).out
        self.assertIn("It was put there by", why)
        self.assertIn("it's urgent", why)
        order = [job["details"]["job"] for job in self.ok("queue", "--json").json()["jobs"] if job["details"]["state"] == "queued"]
        self.assertEqual(order, [second, first])
        self.assertEqual(self.cluster.ultra("boost", second, "--reason", "again", "--confirm", "1.2.3").code, 2)
        self.assertEqual(self.cluster.ultra("boost", second).code, 2)
        self.assertEqual(self.cluster.ultra("boost", running, "--reason", "x").code, 6)
        self.assertEqual(self.cluster.ultra("boost", 999, "--reason", "x").code, 3)

    def test_a_reservation_shows_its_bill_and_its_token_fits_although_it_begins_now(self):
        running = self.submit("lab-b", 64, 2, "all")
        until(lambda: self.cluster.state(running) == "running", "the first job runs")
        waits = self.submit("lab-a", 64, 1, "waits")
        words = ("reserve", "course", "--nodes", "node[01-02]", "--accounts", "lab-b", "--start", "now", "--duration", "9h", "--reason", "it's a course")
        bill = self.ok(*words)
        self.assertIn("This delays 1 other job", bill.out)
        self.assertEqual(self.ok("reservations", "--json").json()["reservations"], [], "nothing is changed so far")
        command = re.search(r"^  (ultra reserve .*)$", bill.out, re.M).group(1)
        self.assertIn("Granted, as bill", self.ok(*shlex.split(command)[1:]).out)
        self.assertEqual([one["name"] for one in self.ok("reservations", "--json").json()["reservations"]], ["course"])
        self.assertIn("course", self.ok("why", waits).out)
        self.ok("reserve", "--cancel", "course")

    def test_more_time_reaches_the_ranks_of_a_running_job(self):
        job = self.cluster.submit("--gpus", 2, "--time", "3s", "--", "sh", "-c", "sleep 4; echo done $RANK")
        until(lambda: self.cluster.state(job) == "running", "it runs")
        granted = self.ok("extend", job, "--by", "1h", "--reason", "one more epoch")
        self.assertIn("Granted, as bill", granted.out)
        self.assertEqual(self.cluster.wait(job), 0, "its first limit has not ended it")
        self.assertIn("done 1", self.cluster.logs(job))

    def test_what_if(self):
        running = self.submit("lab-b", 64, 2, "all")
        until(lambda: self.cluster.state(running) == "running", "the first job runs")
        waits = self.submit("lab-a", 64, 1, "waits")
        for words in (("submit", "--gpus", 64, "--time", "1h", "--", "true"), ("boost", waits), ("cancel", running), ("drain", "node[07-08]"),
                      ("add-nodes", "--count", 8), ("policy", "fifo")):
            with self.subTest(words=words):
                said = self.ok("whatif", *words)
                self.no_enumerators(said.out)
                korean = self.ok("whatif", *words, environment={"LANG": "ko_KR.UTF-8", "LC_ALL": ""})
                self.assertNotRegex(re.sub(r"\(.*?\)", "", korean.out.splitlines()[0]), r"[a-z]{4,} [a-z]{2,} [a-z]{2,}", "a sentence without a Korean twin")
        self.assertEqual(len(self.ok("whatif", "cancel", running, "--json").json()["helped"]), 1)
        self.assertEqual(self.cluster.ultra("whatif", "add-nodes", "--count", "0").code, 2)
        self.assertEqual(self.cluster.ultra("whatif", "policy", "nothing-of-the-kind").code, 2)
        self.assertEqual([job["details"]["job"] for job in self.ok("queue", "--json").json()["jobs"]], [running, waits], "nothing has changed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
