#!/usr/bin/python3
"""`ultra priority` and `ultra shares` over a real scheduler: the numbers that are shown are those that jobs are served by."""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import Home, until  # noqa: E402

POLICY = """
name = "short-first"
order = "multifactor"
weights = { size = 1000, fair_share = 100 }
size_favours = "short"
priority_interval = "1s"
"""


class OnOneCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        policy = os.path.join(cls.home.work, "short-first.toml")
        with open(policy, "w", encoding="ascii") as file:
            file.write(POLICY)
        ran = cls.home.ultra("cluster", "up", "--nodes", "1", "--http", "127.0.0.1:0", "--policy", policy)
        assert ran.code == 0, ran
        cls.runs = cls.home.submit("--gpus", "8", "--time", "10h", "--", "sleep", "100000")
        cls.home.until_state(cls.runs, "running")
        cls.waiting = {length: cls.home.submit("--gpus", "8", "--time", length, "--", "true") for length in ("3h", "1h", "2h")}

    def test_the_shown_priorities_are_the_order_of_the_queue(self):
        shown = self.home.json("priority")
        self.assertEqual(shown["order"], "multifactor")
        self.assertEqual([int(job["name"]) for job in shown["jobs"]], [self.waiting[length] for length in ("1h", "2h", "3h")])
        by_value = sorted(shown["jobs"], key=lambda job: (-job["details"]["priority"], job["details"]["waits_since_ms"], job["details"]["job"]))
        self.assertEqual([job["name"] for job in by_value], [job["name"] for job in shown["jobs"]])
        planned = [view for view in self.home.json("queue")["jobs"] if view["details"]["state"] == "queued"]
        self.assertEqual([view["details"]["job"] for view in planned], [int(job["name"]) for job in shown["jobs"]])
        for job in shown["jobs"]:
            self.assertEqual(job["details"]["priority"], sum(job["details"]["weighted"].values()) - job["details"]["nice"])
            for name, factor in job["details"]["factors"].items():
                self.assertEqual(job["details"]["weighted"][name], factor * shown["weights"][name] // 1_000_000_000, name)

    def test_each_waiting_job_is_shown_with_the_same_numbers(self):
        for job in self.waiting.values():
            def at_one_tick():
                listed, text, shown = self.home.json("priority"), self.home.ultra("show", str(job)).out, self.home.json("show", str(job))
                return listed["tick_ms"] == shown["priority"]["tick_ms"] and (listed, text, shown)

            listed, text, shown = until(at_one_tick, "all are of one tick")
            line = next(one for one in listed["jobs"] if one["name"] == str(job))
            self.assertEqual(shown["priority"]["details"], line["details"])
            self.assertEqual(shown["priority"]["weights"], listed["weights"])
            self.assertEqual(shown["priority"]["max_age_ms"], listed["max_age_ms"])
            self.assertEqual(shown["planned"]["position"], line["position"])
            self.assertIn(f"place\t{line['position']} in the queue\n", text)
            rows = dict(row.split("\t", 1) for row in text[text.index("\nPriority\n"):].splitlines()[2:] if "\t" in row)
            self.assertEqual(rows["sum"], str(line["details"]["priority"]))
            self.assertEqual(rows["max age"], "it has not waited for 7d so far")
            self.assertEqual(rows["nice"], "\t\t0")
            for word, name in (("age", "age"), ("fair-share", "fair_share"), ("size", "size"), ("qos", "qos"), ("partition", "partition"), ("account", "account")):
                value, weight, product = rows[word].split("\t")
                self.assertEqual((int(weight), int(product)), (listed["weights"][name], line["details"]["weighted"][name]), word)
                self.assertAlmostEqual(float(value), line["details"]["factors"][name] / 1e9, delta=1.1e-6)
        self.assertIsNone(self.home.json("show", str(self.runs))["priority"])

    def test_the_table_has_the_columns_of_sprio(self):
        table = [line.split("\t") for line in self.home.ultra("priority").out.splitlines()]
        self.assertEqual(table[0], "JOBID PARTITION PRIORITY SITE AGE ASSOC FAIRSHARE JOBSIZE PARTITION QOS NICE TRES".split())
        self.assertEqual(len(table), 4)
        one = self.home.ultra("priority", "-j", str(self.waiting["2h"])).out.splitlines()
        self.assertEqual(len(one), 2)
        self.assertTrue(one[1].startswith(f"{self.waiting['2h']}\tmain\t"), one)
        self.assertEqual(self.home.ultra("priority", "-u", "nobody-here").out.count("\n"), 1)
        wrong = self.home.ultra("priority", "-A", "no-such-account")
        self.assertEqual((wrong.code, wrong.err), (3, "error: there is no account no-such-account; 'ultra shares' lists them\n"))

    def test_usage_is_charged_tick_by_tick(self):
        user = until(lambda: [one for one in self.home.json("shares")["shares"] if one["user"] and one["raw_usage_gpu_ms"] > 0],
                     "the running job is charged at the next tick")[0]
        self.assertEqual((user["account"], user["fair_share"], user["effective_usage"]), ("default", 1_000_000_000, 1_000_000_000))
        self.assertGreater(user["running_gpu_ms"], 0)
        table = [line.split("\t") for line in self.home.ultra("shares").out.splitlines()]
        self.assertEqual(table[0], "Account User RawShares NormShares RawUsage NormUsage EffectvUsage FairShare LevelFS GrpTRESMins TRESRunMins".split())
        self.assertEqual([row[0] for row in table[1:]], ["root", "default", "default"])
        self.assertEqual(self.home.ultra("shares", "-A", "default").out.count("\n"), 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
