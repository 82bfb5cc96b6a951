#!/usr/bin/python3
"""Money, `ultra report` and `ultra policy` over real daemons: prices of jobs, reports that add up to what jobs held, policies in sentences."""

import csv
import http.client
import io
import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import Home, until  # noqa: E402

MONEY = """[money]
currency = "KRW"
capital_cost = 2_000_000_000
lifetime_years = 4
monthly_running_cost = 10_000_000
cloud_price_per_gpu_hour = 5_600
"""
GPUS = 16


def rounded(numerator, denominator):
    return (2 * numerator + denominator) // (2 * denominator)


PRICE_MILLI = rounded(2_000_000_000_000 + 10_000_000_000 * 12 * 4, 8766 * 4 * GPUS)  # over 4 years of 8,766 hours and 48 months
KOREAN = {"LANG": "ko_KR.UTF-8", "LC_ALL": "", "LC_MESSAGES": "", "LANGUAGE": ""}


class OnOneCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        ran = cls.home.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0")
        assert ran.code == 0, ran
        cls.before = cls.home.ultra("submit", "--gpus", "1", "--wait", "--", "true")
        cls.report_before = cls.home.ultra("report")
        path = os.path.join(cls.home.path, "cluster.toml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert text.count('[money]\ncurrency = "EUR"\n') == 1, text
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace('[money]\ncurrency = "EUR"\n', MONEY))
        cls.reloaded = cls.home.ultra("reload")
        assert cls.reloaded.code == 0, cls.reloaded

    def ok(self, *words, **options):
        ran = self.home.ultra(*words, **options)
        self.assertEqual(ran.code, 0, ran)
        return ran

    def held_gpu_ms(self, jobs):
        """What jobs that have ended held: from the decision until their GPUs were free."""
        return sum((attempt["ended_ms"] - attempt["decided_ms"]) * sum(len(part["devices"]) for part in attempt["allocation"])
                   for view in jobs for attempt in view["details"]["attempts"])

    def test_without_money_nothing_is_said_of_it(self):
        self.assertEqual(self.before.code, 0, self.before)
        self.assertNotIn("GPU-hours", self.before.out + self.before.err)
        self.assertEqual(self.report_before.code, 0, self.report_before)
        self.assertNotIn("COST", self.report_before.out)
        self.assertRegex(self.report_before.err, r"^In \d{4}-\d\d until now [\d.]+ GPU-hours were used, [\d.]+ of them for nothing\.\n$")

    def test_a_job_has_its_price_at_submit_and_at_the_end(self):
        price = f"{rounded(6 * PRICE_MILLI, 1000):,}"
        submitted = self.ok("submit", "--gpus", "4", "--time", "90m", "--", "true")
        self.assertIn(f"It costs at most {price} KRW, for 6.00 GPU-hours; the cloud would ask 33,600 KRW.\n", submitted.out)
        job = re.search(r"job (\d+)", submitted.out).group(1)
        end = self.ok("wait", job)
        view = self.home.job(job)
        shown = self.home.ultra("show", job).out
        held = self.held_gpu_ms([view])
        cost = rounded(held * PRICE_MILLI, 3_600_000)
        self.assertEqual(end.err, re.search(r"price\t(.*\n)", shown).group(1))
        self.assertRegex(end.err, r"^It held 0\.\d\d GPU-hours, which cost [\d.,]+ KRW; the cloud would ask [\d.,]+ KRW\.\n$")
        self.assertAlmostEqual(float(re.search(r"cost ([\d.,]+) KRW", end.err).group(1).replace(",", "")), cost / 1000, delta=0.006)
        waited = self.ok("submit", "--gpus", "2", "--wait", "--", "true")
        self.assertIn("which cost", waited.err)
        self.assertEqual(self.ok("submit", "--quiet", "--", "true").out.count("\n"), 1)
        array = self.ok("submit", "--array", "0-2", "--gpus", "1", "--time", "1h", "--", "true").out
        self.assertIn(f"It costs at most {rounded(3 * PRICE_MILLI, 1000):,} KRW, for 3.00 GPU-hours", array)

    def test_the_report_adds_up_to_what_jobs_held(self):
        failing = self.home.submit("--gpus", "2", "--", "sh", "-c", "exit 3")
        self.home.ultra("wait", str(failing))
        self.ok("submit", "--quiet", "--wait", "--gpus", "3", "--", "true")
        until(lambda: not self.home.json("queue")["jobs"], "nothing runs")
        jobs = self.home.json("queue", "--all")["jobs"]
        report = self.home.json("report")
        self.assertLessEqual(report["start_ms"], min(view["details"]["submitted_ms"] for view in jobs), "a month has just begun: run this test again")
        total = report["total"]
        self.assertEqual(total["used_gpu_ms"], self.held_gpu_ms(jobs))
        self.assertEqual(total["cost_milli"], rounded(total["used_gpu_ms"] * PRICE_MILLI, 3_600_000))
        self.assertEqual(total["cloud_milli"], rounded(total["used_gpu_ms"] * 5_600_000, 3_600_000))
        self.assertEqual(report["price_per_gpu_hour_milli"], PRICE_MILLI)
        self.assertEqual(total["jobs_tried"], sum(bool(view["details"]["attempts"]) for view in jobs))
        self.assertEqual(total["jobs_failed"], sum(view["details"]["state"] == "failed" for view in jobs))
        self.assertEqual(total["jobs_failed_early"], total["jobs_failed"])
        self.assertEqual(total["jobs_completed"], sum(view["details"]["state"] == "completed" for view in jobs))
        self.assertEqual(total["failed_gpu_ms"], self.held_gpu_ms([view for view in jobs if view["details"]["state"] == "failed"]))
        self.assertGreater(total["idle_gpu_ms"], 0, "it takes a while until ranks run")
        self.assertEqual([row["account"] for row in report["accounts"]], ["default"])
        self.assertEqual(report["accounts"][0]["entitled_share_permille"], 1000)

        rows = list(csv.DictReader(io.StringIO(self.ok("report", "--csv").out)))
        self.assertEqual([row["kind"] for row in rows], ["account", "total"])
        self.assertAlmostEqual(float(rows[0]["used_gpu_hours"]), total["used_gpu_ms"] / 3.6e6, delta=1e-6)
        self.assertEqual(float(rows[1]["cost"]), total["cost_milli"] / 1000)
        self.assertEqual((rows[0]["month"], rows[0]["currency"]), (report["month"], "KRW"))

        text = self.ok("report", "--account", "default", "--month", report["month"])
        self.assertIn("COST (KRW)\tCLOUD (KRW)", text.out)
        self.assertRegex(text.out, r"\ntotal\t[\d.]+\t")
        user = jobs[0]["details"]["owner"]["name"]
        self.assertNotIn(user + "\t", text.out)

    def test_what_is_wrong_is_said(self):
        for words, code, error in ((("--month", "soon"), 2, r'error: --month: "soon" is no month; write it like \d{4}-\d\d\n'),
                                   (("--month", "2026-13"), 2, r'error: --month: "2026-13" is no month; write it like \d{4}-\d\d\n'),
                                   (("--month", "9999-01"), 2, r"error: --month: 9999-01 has not begun; the newest is \d{4}-\d\d\n"),
                                   (("--account", "nobody"), 3, r"error: there is no account nobody; 'ultra report' lists them\n"),
                                   (("--csv", "--json"), 2, r"error: --csv: can't be combined with --json; give one of them\n")):
            with self.subTest(words):
                ran = self.home.ultra("report", *words)
                self.assertEqual(ran.code, code, ran)
                self.assertRegex(ran.err, f"^{error}$")
        address = self.home.json("cluster", "status")["http"]
        for path in ("/v1/report", "/v1/policy", "/v1/jobs/1/price"):
            connection = http.client.HTTPConnection(address, timeout=30)
            connection.request("GET", path)
            self.assertEqual(connection.getresponse().status, 403, path)
            connection.close()

    def test_policies_are_told_in_sentences(self):
        running = self.ok("policy", "show").out
        self.assertTrue(running.startswith('The policy "default", by which the cluster runs now\n\nWho is next?\n  '), running)
        named = self.ok("policy", "show", "default").out
        self.assertEqual(running.split("\n", 1)[1], named.split("\n", 1)[1])
        proposal = os.path.join(self.home.work, "proposal.toml")
        with open(proposal, "w", encoding="ascii") as file:
            file.write('name = "proposal"\norder = "submit_time"\nbackfill = "easy"\nweights = { age = 1 }\n')
        checked = self.ok("policy", "check", proposal)
        self.assertEqual(checked.err, 'warning: weights: it does nothing, because only the order "multifactor" counts points\n')
        changes = self.ok("policy", "diff", proposal).out
        self.assertIn("+ First come, first served: the job that was submitted first is next.\n", changes)
        self.assertIn("  Those behind the first that waits lose their planned starts.\n", changes)
        with open(proposal, "a", encoding="ascii") as file:
            file.write("backfil = 1\n")
        wrong = self.home.ultra("policy", "check", proposal)
        self.assertEqual((wrong.code, wrong.out), (2, ""), wrong)
        self.assertIn(f'{proposal}:5:1: backfil: unknown word "backfil"; did you mean "backfill"?', wrong.err)

    def test_in_korean(self):
        report = self.ok("report", environment=KOREAN)
        self.assertIn("계정\t사용 (GPU시간)\t", report.out)
        self.assertRegex(report.err, "지금까지 [0-9.,]+ GPU시간을 썼고")
        self.assertEqual(self.ok("report", "--csv", environment=KOREAN).out.splitlines()[0], self.ok("report", "--csv").out.splitlines()[0], "names of columns stay")
        self.assertIn("다음은 누구입니까?", self.ok("policy", "show", environment=KOREAN).out)
        self.assertIn("비용은 최대", self.ok("submit", "--hold", "--gpus", "1", "--", "true", environment=KOREAN).out)
        for view in self.home.json("queue")["jobs"]:
            self.home.ultra("cancel", str(view["details"]["job"]))
        self.assertIn("달이 아닙니다", self.home.ultra("report", "--month", "soon", environment=KOREAN).err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
