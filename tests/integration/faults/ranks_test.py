#!/usr/bin/env python3
"""Ranks that crash, eat memory, refuse to end, leave processes behind, can't be killed or fail again and again: real processes, real faults."""
import os
import pathlib
import re
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import is_alive, processes_that_mention, until  # noqa: E402
from hanging_folder import HAS_FUSE, NO_FUSE, Hanging  # noqa: E402
from node_namespaces import REAL, SLOW, Faults, also_at_real_values, needs_namespaces, needs_root  # noqa: E402

PYTHON = "/usr/bin/python3"
STEPPING = pathlib.Path(__file__).resolve().parent / "stepping_rank.py"
FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")


class Ranks(Faults):
    def rounds(self, slow, counted):
        """How often a test repeats its fault: at the default time-outs a few times will do."""
        return slow if SLOW and self.timeouts is not REAL else counted

    @also_at_real_values
    def test_a_crashed_rank_is_named_and_the_others_stop(self):
        """The others lose their connections and fail as well, on other nodes and at once: consequences, of which none is to be named."""
        fleet = self.fleet(nodes=4, gpus=2)
        times = []
        for episode in range(self.rounds(100, 4)):
            folder = fleet.folder / f"diaries{episode}"
            folder.mkdir()
            job = fleet.submit("--nodes", 4, "--gpus-per-node", 2, "--mpi", "none", "--", PYTHON, STEPPING, folder)
            ranks = self.await_ranks(fleet, job, 8)
            until(lambda: ((fleet.show(job).get("progress") or {}).get("step") or 0) > 60, "all have printed")
            victim = (3 * episode + 1) % 8
            begin = time.monotonic()
            os.kill(ranks[victim], signal.SIGSEGV)
            until(lambda: not any(is_alive(pid) for pid in ranks.values()), "all ranks have ended")
            times.append(time.monotonic() - begin)
            fleet.wait(job)
            failure = self.failure(fleet, job)
            node = fleet.show(job)["details"]["attempts"][0]["allocation"][victim // 2]["node"]
            self.assertEqual((failure["rank"], failure["node"], failure["signal"]), (victim, node, signal.SIGSEGV), failure)
            steps = [int(line.split()[1]) for line in failure["last_lines"]]
            self.assertEqual(failure["last_lines"], [f"step {step} of rank {victim}" for step in steps])
            self.assertEqual(steps, list(range(steps[-1] - 49, steps[-1] + 1)), "the last 50 lines")
            self.assertEqual(fleet.show(job)["details"]["attempts"][0]["outcome"], "failed")
        self.measured("A1", f"crash to peers stopped, the slowest of {len(times)}", max(times), at_most=1)

    @also_at_real_values
    def test_lack_of_memory_is_the_reason_and_is_told_with_limit_and_peak(self):
        fleet = self.fleet(nodes=1, gpus=2, node='memory = "8GiB"')
        if "memory" not in next(iter(fleet.nodes().values()))["facts"]["limits"]:
            self.skipTest("the memory of jobs can't be limited here")
        program = "import os, time\nif os.environ['RANK'] == '1':\n  kept = []\n  while True: kept.append(b'x' * (1 << 20))\ntime.sleep(1000)"
        for asked, attempts in (((), 1), (("--max-restarts", 1), 2)):
            begin = time.monotonic()
            job = fleet.submit("--gpus", 2, "--mem-per-gpu", "64MiB", *asked, "--", PYTHON, "-c", program)
            self.assertNotEqual(fleet.wait(job), 0)
            self.measured("A2", f"submitted to told that memory ran out, {attempts} attempt(s)", time.monotonic() - begin)
            details = fleet.show(job)["details"]
            self.assertEqual(len(details["attempts"]), attempts, "tried again only when asked to")
            for attempt in details["attempts"]:
                failure = attempt["failure"]
                self.assertEqual((attempt["outcome"], failure["rank"], failure["node"], failure["signal"]),
                                 ("out_of_memory", 1, "node01", signal.SIGKILL), attempt)
                told = re.search(r"^rank 1 .*was killed for lack of memory: the job may use 128 MiB there and its peak was (\d+) MiB; "
                                 r"ask for more with --mem-per-gpu$", failure["detail"])
                self.assertTrue(told, failure["detail"])
                self.assertTrue(120 <= int(told[1]) <= 128, failure["detail"])

    @also_at_real_values
    def test_who_ignores_sigterm_is_killed_after_the_grace(self):
        fleet = self.fleet(nodes=2, gpus=2)
        grace = self.scaled(30)
        job = fleet.submit("--gpus", 4, "--grace", f"{grace:g}s", "--", PYTHON, "-c",
                           "import signal, time\nfor number in (1, 2, 3, 6, 15): signal.signal(number, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True: time.sleep(1000)")
        until(lambda: fleet.logs(job).count("deaf") == 4, "all are deaf")
        begin = time.monotonic()
        self.assertEqual(fleet.ultra("cancel", job).code, 0)
        until(lambda: fleet.devices_in_use() == 0, "the devices are free")
        taken = time.monotonic() - begin
        self.assertGreaterEqual(taken, grace)
        self.measured("A5", f"cancelled to devices free, with a grace of {grace:g} s", taken, at_most=grace + 2)
        self.assertFalse(fleet.ranks(job))

    @also_at_real_values
    def test_a_job_can_be_cancelled_at_every_moment_of_its_launch(self):
        fleet = self.fleet(nodes=2, gpus=2)
        folders = lambda job, name="": list(fleet.folder.glob(f"agents/*/jobs/{job}.1.1{name}"))  # noqa: E731
        moments = {
            "at once": lambda job: True,
            "its folder is there": lambda job: folders(job),
            "a supervisor is there": lambda job: fleet.shims() or fleet.state(job) == "running",
            "a supervisor listens": lambda job: folders(job, "/shim.sock"),
            "a rank is there": lambda job: fleet.ranks(job),
            "running": lambda job: fleet.state(job) == "running",
        }
        times = []
        for _ in range(self.rounds(20, 3)):
            for name, condition in moments.items():
                job = fleet.submit("--nodes", 2, "--gpus-per-node", 2, "--grace", f"{self.scaled(30):g}s", "--", "sleep", "1000")
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

    @also_at_real_values
    def test_daemons_that_leave_their_session_die_with_the_job(self):
        fleet = self.fleet(nodes=1, gpus=1)
        marker = f"marker-of-{fleet.folder.name}"
        script = fleet.folder / "leave.py"
        script.write_text("import os, sys, time\nfor way in range(6):\n  if os.fork() == 0:\n    if way % 2: os.setsid()\n    if os.fork() == 0:\n      if way % 3: os.setsid()\n"
                          "      os.environ.clear()\n      os.execv('/bin/sh', ['sh', '-c', 'trap \"\" HUP TERM; while :; do sleep 1000; done', sys.argv[1]])\n    os._exit(0)\n"
                          "print('left', flush=True)\nif sys.argv[2] == 'stay': time.sleep(1000)\n")
        times = []
        grace = 30 if self.timeouts is REAL else 0.1
        for episode in range(self.rounds(100, 2 if self.timeouts is REAL else 6)):
            job = fleet.submit("--gpus", 1, "--grace", f"{1000 * grace:.0f}ms", "--", PYTHON, script, marker, "stay" if episode % 2 else "go")
            if episode % 2:
                until(lambda: "left" in fleet.logs(job) and len(processes_that_mention(marker)) >= 6, "daemons are there")
                begin = time.monotonic()
                self.assertEqual(fleet.ultra("cancel", job).code, 0)
                fleet.wait(job)
                times.append(time.monotonic() - begin)
            else:
                self.assertEqual(fleet.wait(job), 0)
            self.assertEqual(processes_that_mention(marker), [], "survivors")
        self.measured("A9", f"0 survivors of {6 * (episode + 1)} daemons; "
                            f"cancelled to all gone with a grace of {grace:g} s, the slowest", max(times), at_most=grace + 2)

    def expect_quarantine(self, fleet, job, rank, release):
        """Of a job on node01 whose rank nothing ends before `release` was called."""
        begin = time.monotonic()
        self.assertEqual(fleet.ultra("cancel", job).code, 0)
        drain = until(lambda: fleet.nodes()["node01"]["node"].get("drain"), "the node is drained")
        limit = self.limit("unkillable")
        self.measured("A10", f"cancelled to node drained (unkillable = {limit:g} s)", time.monotonic() - begin, at_most=limit + 5)
        self.assertIn("can't be killed", drain["reason"])
        self.assertTrue(is_alive(rank))
        self.assertEqual(fleet.state(job), "stopping")
        self.assertEqual(fleet.nodes()["node01"]["allocated"], 1)
        next_job = fleet.submit("--gpus", 1, "--nodelist", "node01", "--", "true")
        elsewhere = fleet.submit("--gpus", 1, "--", "true")
        self.assertEqual(fleet.wait(elsewhere), 0)
        self.assertEqual(fleet.state(next_job), "queued")
        begin = time.monotonic()
        release()
        until(lambda: fleet.state(job) == "cancelled" and fleet.devices_in_use() == 0, "the job ends once its process can die")
        self.measured("A10", "released to devices free", time.monotonic() - begin)
        self.assertFalse(is_alive(rank))
        self.assertEqual(fleet.state(next_job), "queued", "the node stays drained")
        self.assertEqual(fleet.ultra("resume", "node01").code, 0)
        self.assertEqual(fleet.wait(next_job), 0)

    @also_at_real_values
    @needs_root
    @unittest.skipUnless(FREEZER.is_dir(), "only the freezer of control groups version 1 makes a process that SIGKILL doesn't end")
    def test_the_devices_of_what_is_frozen_are_not_given_away(self):
        fleet = self.fleet(nodes=2, gpus=1)
        job = fleet.submit("--gpus", 1, "--nodelist", "node01", "--grace", "100ms", "--", "sleep", "1000")
        self.await_running(fleet, job)
        rank = self.await_ranks(fleet, job)[0]
        ice = FREEZER / f"ice-{os.getpid()}"
        ice.mkdir()
        try:
            (ice / "cgroup.procs").write_text(str(rank))
            (ice / "freezer.state").write_text("FROZEN")
            self.expect_quarantine(fleet, job, rank, lambda: (ice / "freezer.state").write_text("THAWED"))
        finally:
            (ice / "freezer.state").write_text("THAWED")
            until(lambda: not (ice / "cgroup.procs").read_text(), "the ice is empty")
            ice.rmdir()

    @also_at_real_values
    @needs_namespaces
    @unittest.skipUnless(HAS_FUSE, NO_FUSE)
    def test_the_devices_of_what_a_file_system_keeps_waiting_are_not_given_away(self):
        hanging = Hanging(self, "node01")
        fleet = self.fleet(nodes=2, gpus=1, namespaces=True, before_start=hanging.mount)
        job = fleet.submit("--gpus", 1, "--nodelist", "node01", "--grace", "100ms", "--", PYTHON, "-c",
                           f"import os; os.stat('{fleet.folder}/hangs/anything')")
        self.await_running(fleet, job)
        rank = self.await_ranks(fleet, job)[0]
        hanging.expect_question()
        self.expect_quarantine(fleet, job, rank, hanging.end)

    @also_at_real_values
    def test_a_job_that_fails_at_once_is_tried_three_times(self):
        fleet = self.fleet(nodes=2, gpus=1)
        begin = time.monotonic()
        job = fleet.submit("--gpus", 1, "--max-restarts", 10, "--", "false")
        until(lambda: fleet.state(job) == "held", "the job is held")
        self.measured("A12", "submitted to held", time.monotonic() - begin)
        details = fleet.show(job)["details"]
        self.assertEqual(details["hold"]["kind"], "no_progress")
        attempts = details["attempts"]
        self.assertEqual([attempt["outcome"] for attempt in attempts], ["failed"] * 3)
        gaps = [(later["decided_ms"] - earlier["ended_ms"]) / 1000 for earlier, later in zip(attempts, attempts[1:])]
        self.assertGreaterEqual(gaps[0], self.limit("restart_delay"))
        self.assertGreaterEqual(gaps[1], 2 * self.limit("restart_delay"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
