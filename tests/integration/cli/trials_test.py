#!/usr/bin/python3
"""Trials on a real cluster: while a large job holds nearly everything, one with a typo fails in seconds, and one that is fine runs its first minute
on two GPUs, waits again without having lost its place, and later runs whole."""

import os
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import ULTRA, Home, until  # noqa: E402

POLICY = """
name = "with-trials"
trial = { minutes = 1, gpus_per_job = 2, share = 0.25 }
"""

FINE = """#!/bin/sh
#ULTRA --gpus 16 --time 1h --grace 10s --signal B:USR1@55
trap 'echo warned >> warned' USR1
trap 'echo told >> told; exit 0' TERM
env > script.$ULTRA_ATTEMPT
@ULTRA@ run -- sh -c 'echo $WORLD_SIZE $ULTRA_TRIAL > rank.$ULTRA_ATTEMPT.$RANK'
[ -n "$ULTRA_TRIAL" ] || exit 0
while :; do sleep 0.2; done
"""


class OnAFullCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        policy = os.path.join(cls.home.work, "trials.toml")
        with open(policy, "w", encoding="ascii") as file:
            file.write(POLICY)
        ran = cls.home.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0", "--policy", policy)
        assert ran.code == 0, ran
        cls.large = None

    def setUp(self):
        if self.large is None or self.home.job(self.large)["details"]["state"] != "running":
            type(self).large = self.home.submit("--gpus", "14", "--time", "10h", "--", "sleep", "100000")
            self.home.until_state(self.large, "running")

    def read(self, name):
        with open(os.path.join(self.home.work, name), encoding="utf-8") as file:
            return file.read()

    def events(self, job):
        return [event["sentence"] for event in self.home.json("events", str(job))["events"]]

    def test_a_typo_fails_in_seconds(self):
        began = time.monotonic()
        ran = self.home.ultra("submit", "--gpus", "16", "--time", "2h", "--max-restarts", "0", "--wait", "--", "python3", "-c", "import torhc")
        self.assertLess(time.monotonic() - began, 40)
        self.assertEqual(ran.code, 1, ran)
        self.assertRegex(ran.err, r"job \d+ failed in its trial after .*: rank \d on node\d+")
        number = int(ran.err.split("job ")[1].split()[0])
        view = self.home.job(number)
        self.assertEqual(len(view["details"]["attempts"]), 1)
        self.assertEqual(view["details"]["attempts"][0]["trial_ms"], 60000)
        self.assertEqual(sum(len(part["devices"]) for part in view["details"]["attempts"][0]["allocation"]), 2)
        self.assertTrue(any(text.startswith("it has failed in its trial, after ") for text in self.events(number)), self.events(number))

    def test_who_wants_none_waits(self):
        for words in (("--no-trial",), ("--ranks", "16"), ("--exclusive",)):
            number = self.home.submit("--gpus", "16", "--time", "2h", *words, "--", "true")
            self.assertEqual(self.home.ultra("submit", "--gpus", "1", "--time", "1m", "--wait", "--", "true").code, 0, "rounds have passed")
            view = self.home.job(number)
            self.assertEqual((view["details"]["state"], view["details"]["attempts"]), ("queued", []), words)
            self.assertEqual(self.home.ultra("cancel", str(number)).code, 0)

    def test_what_is_fine_is_tried_and_runs_whole_later(self):
        script = os.path.join(self.home.work, "fine.sh")
        with open(script, "w", encoding="ascii") as file:
            file.write(FINE.replace("@ULTRA@", ULTRA))
        fine = self.home.submit(script)
        behind = self.home.submit("--gpus", "16", "--time", "1h", "--no-trial", "--", "true")
        view = self.home.until_state(fine, "running")
        self.assertEqual(view["gpus"], 2)
        self.assertRegex(view["why"], r"^Runs its trial of 1m on 2 GPUs of node\d+, and then waits for 16 GPUs\. Expected to start at ")
        self.assertRegex(self.home.ultra("show", str(fine)).out, r"Attempt 1 \(a trial: its first 1m at once, on few GPUs\)")
        korean = self.home.ultra("show", str(fine), environment={"LANG": "ko_KR.UTF-8"}).out
        self.assertIn("시험 실행 중이며", korean)
        planned = view["planned"]["start_ms"]
        self.assertGreater(self.home.job(behind)["planned"]["start_ms"], planned)

        view = until(lambda: (lambda job: job if job["details"]["state"] == "queued" else None)(self.home.job(fine)), "the trial is over", 120)
        self.assertEqual(view["planned"]["start_ms"], planned)
        self.assertTrue(view["why"].startswith("It ran its trial without failing. Waits for 16 GPUs"), view["why"])
        self.assertIn("its trial is over: it ran for 1m without failing, and waits for its turn; 2 GPUs are free again", self.events(fine))
        self.assertEqual(self.read("told"), "told\n")
        self.assertFalse(os.path.exists(os.path.join(self.home.work, "warned")), "the end of a trial is no time limit")
        self.assertEqual(sorted(name for name in os.listdir(self.home.work) if name.startswith("rank.1.")), ["rank.1.0", "rank.1.1"])
        self.assertEqual(self.read("rank.1.1"), "2 1\n")
        environment = dict(line.split("=", 1) for line in self.read("script.1").splitlines() if "=" in line)
        told = {name: environment.get(name) for name in ("ULTRA_TRIAL", "ULTRA_GPUS", "ULTRA_NUM_NODES", "SLURM_GPUS", "SLURM_JOB_NUM_NODES")}
        self.assertEqual(told, {"ULTRA_TRIAL": "1", "ULTRA_GPUS": "2", "ULTRA_NUM_NODES": "1", "SLURM_GPUS": "2", "SLURM_JOB_NUM_NODES": "1"})

        self.assertEqual(self.home.ultra("cancel", str(self.large)).code, 0)
        view = self.home.until_state(fine, "completed")
        attempts = view["details"]["attempts"]
        self.assertEqual([attempt.get("trial_ms") for attempt in attempts], [60000, None])
        self.assertEqual(sum(len(part["devices"]) for part in attempts[1]["allocation"]), 16)
        self.assertEqual(self.read("rank.2.15"), "16\n")
        self.assertNotIn("ULTRA_TRIAL", self.read("script.2"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
