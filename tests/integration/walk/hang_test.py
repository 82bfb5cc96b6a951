#!/usr/bin/env python3
"""Gangs that stop getting on: who is to blame is named in time, the job is stopped or only marked, and healthy ones are left alone. Real ranks on
8 virtual nodes. Limits are a tenth of the real ones; ULTRAMARINE_SLOW=1 takes the real ones, 50 episodes and a long healthy load.
ULTRAMARINE_SEED=n starts from another seed."""
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
PYTHON = "/usr/bin/python3"
SLOW = bool(os.environ.get("ULTRAMARINE_SLOW"))
SEED = int(os.environ.get("ULTRAMARINE_SEED", "1"))
NODES = 8
AFTER_S = 15.0 if SLOW else 1.5
ALLOWED_S = 2.0  # beyond the limit
EPISODES, NAMED_AT_LEAST = (50, 48) if SLOW else (10, 10)
HEALTHY_S = 1200 if SLOW else 20


class Hangs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=NODES, gpus_per_node=2)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)
        cls.stepping = cls.cluster.folder / "stepping"
        subprocess.run(["mpicc", "-O1", "-o", cls.stepping, PROGRAMS / "stepping.c"], check=True)
        cls.file = cls.cluster.home / "cluster.toml"
        cls.text = re.sub(r"\n\[hang\]\n(?:[^\[].*\n|\n)*", "\n", cls.file.read_text())
        cls.configure()

    @classmethod
    def configure(cls, stop=True):
        cls.file.write_text(f'{cls.text}\n[hang]\nafter = "{int(AFTER_S * 1000)}ms"\nsteps = 5\nstop = {"true" if stop else "false"}\n')
        result = cls.cluster.ultra("reload")
        assert result.code == 0, result

    def submit(self, gpus_per_node, *command, options=()):
        return self.cluster.submit("--nodes", NODES, "--gpus-per-node", gpus_per_node, "--time", "1h", "--grace", "2s", *options, "--", *command)

    def steps(self, job):
        """When it has come so far that it is watched."""
        def came():
            shown = self.cluster.show(job)
            self.assertIn(shown["details"]["state"], ("queued", "starting", "running"), shown["details"])
            return (shown.get("progress") or {}).get("step", 0) >= 5 and shown
        return until(came, f"job {job} has made its first steps")

    def step_s(self, job):
        """How long its steps take here and now."""
        def look():
            return self.cluster.show(job)["progress"]["step"], time.monotonic()
        first, began = look()
        last, ended = until(lambda: (now := look())[0] >= first + 10 and now, f"job {job} goes on")
        return (ended - began) / (last - first)

    def pid_of(self, shown, rank):
        pids = [(node["node"], pid) for node in shown["details"]["attempts"][-1]["allocation"] for pid in shown["pids"][node["node"]]]
        return pids[rank]

    def ended(self, job):
        self.cluster.wait(job)
        return self.cluster.show(job)["details"]

    def episode(self, number, dice):
        mpi = number % 2 == 0
        silent = number % 4 == 3  # only rank 0 reports: the others' nodes must be asked
        gpus = dice.choice((1, 2))
        command = [str(self.stepping)] if mpi else [PYTHON, str(PROGRAMS / "stepping.py"), *(["--only-rank-0-says"] if silent else [])]
        job = self.submit(gpus, *command)
        shown = self.steps(job)
        limit_s = max(AFTER_S, 5 * self.step_s(job))
        victim = dice.randrange(NODES * gpus)
        node, pid = self.pid_of(shown, victim)
        what = f"job {job}: rank {victim} of {NODES * gpus} on {node}, {'MPI' if mpi else 'sockets'}{', only rank 0 reports' if silent else ''}"
        stopped = time.time()
        os.kill(pid, signal.SIGSTOP)
        details = self.ended(job)
        self.assertEqual(details["state"], "failed", what)
        attempt = details["attempts"][-1]
        self.assertEqual(attempt["outcome"], "stalled", what)
        failure = attempt["failure"]
        took = failure["at_ms"] / 1000 - stopped
        is_right = (failure["rank"], failure["node"]) == (victim, node)
        print(f"{what}: {took:.2f} s (limit {limit_s:.2f} s), {'right' if is_right else 'WRONG'}: {failure['detail']}", flush=True)
        self.assertGreater(took, AFTER_S - 1, f"{what}: too early")
        self.assertLessEqual(took, limit_s + ALLOWED_S, f"{what}: too late")
        self.assertFalse(os.path.exists(f"/proc/{pid}"), f"{what}: the stopped rank is still there")
        return is_right

    def test_a_stopped_rank_is_named_and_the_job_is_stopped(self):
        right = 0
        for number in range(EPISODES):
            seed = SEED * 1000 + number
            with self.subTest(seed=seed):
                print(f"seed {seed}: ", end="")
                right += self.episode(number, random.Random(seed))
        self.assertGreaterEqual(right, NAMED_AT_LEAST)

    def test_a_rank_that_never_comes_to_the_all_reduce_is_named(self):
        job = self.submit(1, PYTHON, str(PROGRAMS / "stepping.py"), "--hang-rank", "5")
        details = self.ended(job)
        self.assertEqual(details["attempts"][-1]["failure"]["rank"], 5, details["attempts"][-1]["failure"])
        shown, events = self.cluster.ultra("show", job).out, self.cluster.ultra("events", job).out
        for text in (shown, events):
            self.assertRegex(text, r"rank 5 on node\d+ hangs: it sleeps.*no rank has finished a step for \d+\.\d s")
        korean = self.cluster.ultra("show", job, environment={"LC_ALL": "ko_KR.UTF-8"}).out
        self.assertRegex(korean, r"node\d+의 랭크 5가 멈춰 있습니다: .* 동안 스텝을 마친 랭크가 없습니다")

    def test_a_rank_that_ends_early_is_named_when_the_others_only_wait(self):
        job = self.submit(2, PYTHON, str(PROGRAMS / "stepping.py"), "--leaving-rank", "5")
        attempt = self.ended(job)["attempts"][-1]
        self.assertEqual((attempt["outcome"], attempt["failure"]["rank"]), ("stalled", 5), attempt["failure"])
        detail = attempt["failure"]["detail"]
        waited = re.fullmatch(r"rank 5 on node\d+ ended early, with code 0, and those that run only wait: no rank has finished a step for (\d+\.\d) s", detail)
        self.assertTrue(waited, detail)
        self.assertGreaterEqual(float(waited[1]), 4 * AFTER_S - 0.1)
        print(detail, flush=True)

    def test_healthy_uneven_jobs_are_left_alone(self):
        jobs = [self.submit(1, PYTHON, str(PROGRAMS / "stepping.py"), "--seconds", HEALTHY_S, "--seed", SEED * 10 + number, "--longest-pause", AFTER_S / 2,
                            "--phase", 2 * AFTER_S, "--slow-rank", number) for number in range(2)]
        for job in jobs:
            details = self.ended(job) if not SLOW else until(lambda: self.is_over(job), f"job {job} has ended", HEALTHY_S + 300)
            self.assertEqual(details["state"], "completed", f"seed {SEED}: {self.cluster.ultra('events', job).out}")
            types = [event["type"] for event in self.cluster.ultra("events", job, "--json").json()["events"]]
            self.assertNotIn("gang_stalled", types, f"seed {SEED}")

    def is_over(self, job):
        details = self.cluster.show(job)["details"]
        return details["state"] in ("completed", "failed", "cancelled") and details

    def test_a_job_may_have_its_own_limit_or_none(self):
        patient = self.submit(1, PYTHON, str(PROGRAMS / "stepping.py"), options=("--hang-after", "off"))
        judged = self.submit(1, PYTHON, str(PROGRAMS / "stepping.py"))
        shown = {job: self.steps(job) for job in (patient, judged)}
        for job in (patient, judged):
            os.kill(self.pid_of(shown[job], 3)[1], signal.SIGSTOP)
        self.assertEqual(self.ended(judged)["attempts"][-1]["outcome"], "stalled")
        self.assertEqual(self.cluster.state(patient), "running")
        self.assertRegex(self.cluster.ultra("show", patient).out, r"hang after\s+never")
        self.cluster.ultra("cancel", patient)
        self.assertEqual(self.ended(patient)["state"], "cancelled")
        refused = self.cluster.ultra("submit", "--gpus", 1, "--hang-after", "soon", "--", "true")
        self.assertEqual(refused.code, 2)
        self.assertIn("--hang-after", refused.err)

    def test_a_cluster_may_only_want_to_know(self):
        self.configure(stop=False)
        self.addCleanup(self.configure)
        job = self.submit(1, PYTHON, str(PROGRAMS / "stepping.py"))
        _, pid = self.pid_of(self.steps(job), 6)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: "rank 6 on" in self.cluster.ultra("show", job).out, "ultra show names the rank")
        self.assertEqual(self.cluster.state(job), "running")
        os.kill(pid, signal.SIGCONT)
        until(lambda: "its ranks get on again" in self.cluster.ultra("events", job).out, "it goes on")
        self.assertNotIn("hangs", self.cluster.ultra("show", job).out)
        self.cluster.ultra("cancel", job)
        self.assertEqual(self.ended(job)["state"], "cancelled")


if __name__ == "__main__":
    unittest.main(verbosity=2)
