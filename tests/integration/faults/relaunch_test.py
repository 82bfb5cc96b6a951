#!/usr/bin/env python3
"""Nodes that are lost for good or cut off for a while under a job of several: when it runs again elsewhere, and that no two attempts ever overlap."""
import os
import pathlib
import random
import statistics
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import until  # noqa: E402
from node_namespaces import REAL, SLOW, TENTH, Faults, needs_namespaces  # noqa: E402

PROGRAM = str(pathlib.Path(__file__).resolve().parent / "stepping_rank.py")
EPISODES = 300 if SLOW else 6
SEED = int(os.environ.get("ULTRAMARINE_SEED", "20261122"))


@needs_namespaces
class Relaunch(Faults):
    def run_job(self, fleet, rule, nodes=2):
        """A job whose ranks work in step; the folder of their diaries."""
        folder = fleet.folder / f"diaries-{time.time_ns()}"
        folder.mkdir(mode=0o777)
        job = fleet.submit("--nodes", nodes, "--gpus-per-node", 2, "--mpi", "none", "--on-node-loss", rule, "--", "/usr/bin/python3", PROGRAM, str(folder))
        until(lambda: ((fleet.show(job).get("progress") or {}).get("step") or 0) > 5, f"the ranks of job {job} work in step")
        until(lambda: self.promised(fleet, job, rule), "the supervisors have said how long they would live on alone")
        return job, folder

    def promised(self, fleet, job, rule):
        """That a part will end itself is in its supervisor's report, which is on disk."""
        if rule != "strict":
            return True
        reports = [report.read_text() for report in fleet.folder.glob(f"agents/*/jobs/{job}.*/report.json")]
        return reports and all('"self_stop_ms":0' not in text and '"self_stop_ms"' in text for text in reports)

    def nodes_of(self, fleet, job, attempt=-1):
        return [part["node"] for part in fleet.show(job)["details"]["attempts"][attempt]["allocation"]]

    def await_attempt(self, fleet, job, number, folder, ranks=4):
        until(lambda: len(list(folder.glob(f"{number}.*"))) == ranks, f"attempt {number} of job {job} runs")

    def lives(self, folder, attempt):
        """(first, last) instant at which a rank of the attempt was alive, in ns."""
        times = [[int(line) for line in diary.read_text().split("\n")[:-1] if line] for diary in folder.glob(f"{attempt}.*")]
        return min(one[0] for one in times if one), max(one[-1] for one in times if one)

    def loss_of_power(self, rule, timeouts, fault, target="", repeats=1):
        taken = []
        for _ in range(repeats):
            fleet = self.fleet(nodes=3, gpus=2, namespaces=True, timeouts=timeouts)
            job, folder = self.run_job(fleet, rule)
            lost = self.nodes_of(fleet, job)[-1]
            begin = time.monotonic()
            fleet.power_off(lost)
            self.await_attempt(fleet, job, 2, folder)
            taken.append(time.monotonic() - begin)
            details = fleet.show(job)["details"]
            self.assertEqual(details["attempts"][0]["outcome"], "node_lost", details["attempts"][0])
            self.assertEqual(details["attempts"][0]["failure"]["node"], lost)
            self.assertNotIn(lost, self.nodes_of(fleet, job))
            self.assertLess(self.lives(folder, 1)[1], self.lives(folder, 2)[0])
            fleet.ultra("cancel", job)
        self.measured(fault, f"{rule}: power cut to new ranks, median of {repeats}", statistics.median(taken))
        if target:
            print(f"{fault}: the target is {target} on a machine that does nothing else", file=sys.stderr)

    def test_a_node_without_power_is_replaced_at_once_by_the_fast_rule(self):
        self.loss_of_power("fast", None, "C1")

    def test_a_node_without_power_is_replaced_by_the_strict_rule(self):
        self.loss_of_power("strict", None, "C1")

    def test_a_node_without_power_is_replaced_in_time_at_real_values(self):
        self.loss_of_power("fast", REAL, "C1 (real values)", "13 s", repeats=3 if SLOW else 1)
        self.loss_of_power("strict", REAL, "C1 (real values)", "25 s", repeats=3 if SLOW else 1)

    def test_a_job_on_one_lost_node_waits_for_somebody_who_has_looked(self):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True, timeouts=TENTH)
        job = fleet.submit("--gpus", 2, "--", "sleep", "1000")
        until(lambda: fleet.state(job) == "running", f"job {job} runs")
        lost = self.nodes_of(fleet, job)[0]
        refused = fleet.ultra("lost", lost, "--reason", "it is quiet")
        self.assertEqual(refused.code, 6, refused)
        self.assertIn(f"{lost} is not unreachable", refused.err)
        fleet.power_off(lost)
        until(lambda: fleet.state(job) == "unknown", f"job {job} can't be seen")
        begin = time.monotonic()
        said = fleet.ultra("lost", lost, "--reason", "its power supply is burnt")
        self.assertEqual(said.code, 0, said)
        until(lambda: fleet.state(job) == "running" and len(fleet.show(job)["details"]["attempts"]) == 2, f"job {job} runs elsewhere")
        self.measured("C1", "a word of an admin to the ranks of a job on one node elsewhere", time.monotonic() - begin)
        first = fleet.show(job)["details"]["attempts"][0]
        self.assertEqual(first["outcome"], "node_lost")
        self.assertRegex(first["failure"]["detail"], f"^node {lost} is lost, .* says: its power supply is burnt$")
        self.assertNotIn(lost, self.nodes_of(fleet, job))
        self.assertRegex(fleet.ultra("nodes").out, f"{lost}\\t.*lost, says .*: its power supply is burnt")

    def test_attempts_never_overlap_however_a_node_is_cut_off(self):
        """Random cuts: of the whole network or of the way to the scheduler alone, in one direction or both, for a while."""
        dice = random.Random(SEED)
        print(f"seed {SEED}", file=sys.stderr)
        fleet = self.fleet(nodes=3, gpus=2, namespaces=True, timeouts=None)
        again, went_on = [], 0
        for episode in range(EPISODES):
            with self.subTest(episode=episode):
                until(lambda: fleet.node_states() == ["up"] * 3, "all nodes are up")
                job, folder = self.run_job(fleet, "strict")
                victim = dice.choice(self.nodes_of(fleet, job))
                direction, peer, length = dice.choice(["both", "in", "out"]), dice.choice([None, None, "scheduler"]), dice.uniform(0.2, 6)
                begin = time.monotonic()
                fleet.cut(victim, direction, peer)
                until(lambda: time.monotonic() - begin > length or len(list(folder.glob("2.*"))) == 4, "the cut has lasted")
                fleet.heal(victim)
                until(lambda: fleet.node_states() == ["up"] * 3, "all nodes are back")
                try:
                    until(lambda: fleet.state(job) in ("running", "queued"), "the job is in order")
                except AssertionError as error:
                    raise AssertionError(f"{error}: cut {direction} of {peer or 'everybody'} for {length:.1f} s\n{fleet.ultra('show', job).out}\n{fleet.ultra('events', job).out}") from error
                self.await_attempt(fleet, job, attempts := len(fleet.show(job)["details"]["attempts"]), folder)
                for attempt in range(1, attempts):
                    self.assertLess(self.lives(folder, attempt)[1], self.lives(folder, attempt + 1)[0],
                                    f"attempts {attempt} and {attempt + 1} overlap: cut {direction} of {peer or 'everybody'} for {length:.1f} s")
                again.append(attempts - 1)
                went_on += attempts == 1
                fleet.ultra("cancel", job)
                until(lambda: fleet.state(job) == "cancelled", "the job has ended")
        print(f"D2: {EPISODES} episodes, {went_on} went on, {sum(again)} new attempts, 0 overlaps", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
