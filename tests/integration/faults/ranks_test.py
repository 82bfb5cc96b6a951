#!/usr/bin/env python3
"""Ranks that crash, eat memory, refuse to end, leave processes behind, can't be killed or fail again and again: real processes, real faults."""
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import is_alive, processes_that_mention, until  # noqa: E402
from node_namespaces import REAL, SLOW, Faults, needs_root, slow  # noqa: E402

PYTHON = "/usr/bin/python3"
FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")


class Ranks(Faults):
    def test_a_crashed_rank_is_named_and_the_others_stop(self):
        fleet = self.fleet(nodes=4, gpus=2)
        times = []
        for episode in range(100 if SLOW else 5):
            job = fleet.submit("--nodes", 4, "--gpus-per-node", 2, "--", "sh", "-c", 'for i in 1 2 3; do echo "step $i of rank $RANK"; done; exec sleep 1000')
            self.await_running(fleet, job)
            ranks = until(lambda: (found := fleet.ranks(job)) and len(found) == 8 and found, "8 ranks")
            until(lambda: fleet.logs(job).count("step 3") == 8, "all have printed")
            victim = episode % 8
            begin = time.monotonic()
            os.kill(ranks[victim], signal.SIGSEGV)
            until(lambda: not any(is_alive(pid) for pid in ranks.values()), "all ranks have ended")
            times.append(time.monotonic() - begin)
            fleet.wait(job)
            failure = self.failure(fleet, job)
            node = fleet.show(job)["details"]["attempts"][0]["allocation"][victim // 2]["node"]
            self.assertEqual((failure["rank"], failure["node"], failure["signal"]), (victim, node, signal.SIGSEGV), failure)
            self.assertIn(f"step 3 of rank {victim}", failure["last_lines"])
            self.assertEqual(fleet.show(job)["details"]["attempts"][0]["outcome"], "failed")
        self.measured("A1", f"crash to peers stopped, the slowest of {len(times)}", max(times), at_most=1)

    def test_lack_of_memory_is_the_reason_and_is_told_with_limit_and_peak(self):
        fleet = self.fleet(nodes=1, gpus=2, node='memory = "8GiB"')
        if "memory" not in next(iter(fleet.nodes().values()))["facts"]["limits"]:
            self.skipTest("the memory of jobs can't be limited here")
        job = fleet.submit("--gpus", 2, "--mem-per-gpu", "64MiB", "--", PYTHON, "-c",
                           "import os, time\nif os.environ['RANK'] == '1':\n  kept = []\n  while True: kept.append(b'x' * (1 << 20))\ntime.sleep(1000)")
        fleet.wait(job)
        attempt = fleet.show(job)["details"]["attempts"][0]
        self.assertEqual((attempt["outcome"], attempt["failure"]["rank"]), ("out_of_memory", 1), attempt)
        self.assertIn("the job may use 128 MiB there and its peak was", attempt["failure"]["detail"])
        self.assertEqual(len(fleet.show(job)["details"]["attempts"]), 1, "not tried again")

    def test_who_ignores_sigterm_is_killed_after_the_grace(self):
        fleet = self.fleet(nodes=2, gpus=2)
        grace = 1
        job = fleet.submit("--gpus", 4, "--grace", f"{grace}s", "--", PYTHON, "-c",
                           "import signal, time\nfor number in (1, 2, 3, 6, 15): signal.signal(number, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True: time.sleep(1000)")
        until(lambda: fleet.logs(job).count("deaf") == 4, "all are deaf")
        begin = time.monotonic()
        self.assertEqual(fleet.ultra("cancel", job).code, 0)
        until(lambda: fleet.devices_in_use() == 0, "the devices are free")
        taken = time.monotonic() - begin
        self.assertGreaterEqual(taken, grace)
        self.measured("A5", f"cancelled to devices free, with a grace of {grace} s", taken, at_most=grace + 2)
        self.assertFalse(fleet.ranks(job))

    def test_a_job_can_be_cancelled_at_every_moment_of_its_launch(self):
        fleet = self.fleet(nodes=2, gpus=2)
        moments = {
            "at once": lambda job: True,
            "a supervisor is there": lambda job: fleet.shims() or fleet.state(job) == "running",
            "starting": lambda job: fleet.state(job) in ("starting", "running"),
            "a rank is there": lambda job: fleet.ranks(job),
            "running": lambda job: fleet.state(job) == "running",
        }
        times = []
        for _ in range(20 if SLOW else 3):
            for name, condition in moments.items():
                job = fleet.submit("--nodes", 2, "--gpus-per-node", 2, "--grace", "1s", "--", "sleep", "1000")
                until(lambda: condition(job), name)
                begin = time.monotonic()
                self.assertEqual(fleet.ultra("cancel", job).code, 0, name)
                until(lambda: fleet.state(job) == "cancelled" and fleet.devices_in_use() == 0, f"cancelled ({name})")
                times.append(time.monotonic() - begin)
                self.assertFalse(fleet.ranks(job), name)
                attempts = fleet.show(job)["details"].get("attempts", [])
                self.assertIn([attempt.get("outcome") for attempt in attempts], ([], ["cancelled"]), name)
        until(lambda: not fleet.shims(), "no supervisor is left")
        self.measured("A8", f"cancelled to devices free, the slowest of {len(times)}", max(times), at_most=2)

    def test_daemons_that_leave_their_session_die_with_the_job(self):
        fleet = self.fleet(nodes=1, gpus=1)
        marker = f"marker-of-{fleet.folder.name}"
        script = fleet.folder / "leave.py"
        script.write_text("import os, sys, time\nfor way in range(6):\n  if os.fork() == 0:\n    if way % 2: os.setsid()\n    if os.fork() == 0:\n      if way % 3: os.setsid()\n"
                          "      os.environ.clear()\n      os.execv('/bin/sh', ['sh', '-c', 'trap \"\" HUP TERM; while :; do sleep 1000; done', sys.argv[1]])\n    os._exit(0)\n"
                          "print('left', flush=True)\nif sys.argv[2] == 'stay': time.sleep(1000)\n")
        times = []
        for episode in range(100 if SLOW else 6):
            job = fleet.submit("--gpus", 1, "--grace", "100ms", "--", PYTHON, script, marker, "stay" if episode % 2 else "go")
            if episode % 2:
                until(lambda: "left" in fleet.logs(job) and len(processes_that_mention(marker)) >= 6, "daemons are there")
                begin = time.monotonic()
                self.assertEqual(fleet.ultra("cancel", job).code, 0)
                fleet.wait(job)
                times.append(time.monotonic() - begin)
            else:
                self.assertEqual(fleet.wait(job), 0)
            self.assertEqual(processes_that_mention(marker), [], "survivors")
        self.measured("A9", f"0 survivors of {6 * (episode + 1)} daemons; cancelled to all gone, the slowest", max(times))

    @needs_root
    @unittest.skipUnless(FREEZER.is_dir(), "only the freezer of control groups version 1 makes a process that SIGKILL doesn't end")
    def test_the_devices_of_what_cannot_be_killed_are_not_given_away(self):
        fleet = self.fleet(nodes=2, gpus=1)
        job = fleet.submit("--gpus", 1, "--nodelist", "node01", "--grace", "100ms", "--", "sleep", "1000")
        self.await_running(fleet, job)
        rank = until(lambda: fleet.ranks(job), "the rank")[0]
        ice = FREEZER / f"ice-{os.getpid()}"
        ice.mkdir()
        try:
            (ice / "cgroup.procs").write_text(str(rank))
            (ice / "freezer.state").write_text("FROZEN")
            begin = time.monotonic()
            self.assertEqual(fleet.ultra("cancel", job).code, 0)
            drain = until(lambda: fleet.nodes()["node01"]["node"].get("drain"), "the node is drained")
            self.measured("A10", "cancelled to node drained (unkillable = 1 s)", time.monotonic() - begin)
            self.assertIn("can't be killed", drain["reason"])
            self.assertEqual(fleet.state(job), "stopping")
            self.assertEqual(fleet.nodes()["node01"]["allocated"], 1)
            next_job = fleet.submit("--gpus", 1, "--nodelist", "node01", "--", "true")
            elsewhere = fleet.submit("--gpus", 1, "--", "true")
            self.assertEqual(fleet.wait(elsewhere), 0)
            self.assertEqual(fleet.state(next_job), "queued")
            (ice / "freezer.state").write_text("THAWED")
            until(lambda: fleet.state(job) == "cancelled" and fleet.devices_in_use() == 0, "the job ends once its process can die")
            self.assertEqual(fleet.state(next_job), "queued", "the node stays drained")
            self.assertEqual(fleet.ultra("resume", "node01").code, 0)
            self.assertEqual(fleet.wait(next_job), 0)
        finally:
            (ice / "freezer.state").write_text("THAWED")
            until(lambda: not (ice / "cgroup.procs").read_text(), "the ice is empty")
            ice.rmdir()

    def crash_loop(self, fault, timeouts, shortest):
        fleet = self.fleet(nodes=2, gpus=1, timeouts=timeouts)
        begin = time.monotonic()
        job = fleet.submit("--gpus", 1, "--max-restarts", 10, "--", "false")
        until(lambda: fleet.state(job) == "held", "the job is held")
        self.measured(fault, "submitted to held", time.monotonic() - begin)
        details = fleet.show(job)["details"]
        self.assertEqual(details["hold"]["kind"], "no_progress")
        attempts = details["attempts"]
        self.assertEqual([attempt["outcome"] for attempt in attempts], ["failed"] * 3)
        gaps = [(later["decided_ms"] - earlier["ended_ms"]) / 1000 for earlier, later in zip(attempts, attempts[1:])]
        self.assertGreaterEqual(gaps[0], shortest)
        self.assertGreaterEqual(gaps[1], 2 * shortest)

    def test_a_job_that_fails_at_once_is_tried_three_times(self):
        self.crash_loop("A12", None, 0.5)

    @slow
    def test_a_job_that_fails_at_once_is_tried_three_times_at_real_values(self):
        self.crash_loop("A12 (real values)", REAL, 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
