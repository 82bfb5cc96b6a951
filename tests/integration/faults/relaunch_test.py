#!/usr/bin/env python3
"""Nodes that are lost for good or cut off for a while under a job of several: when it runs again elsewhere, and that no two attempts ever overlap."""
import os
import pathlib
import random
import signal
import statistics
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import is_alive, until  # noqa: E402
from node_namespaces import REAL, SCHEDULER, SLOW, Faults, also_at_real_values, needs_namespaces  # noqa: E402

PROGRAM = str(pathlib.Path(__file__).resolve().parent / "stepping_rank.py")
EPISODES = 300 if SLOW else 6
# (direction, of whom, seconds): the longest ones first, so that few episodes see both ends of it; all others are drawn.
LONGEST = [("both", None, 6), ("both", SCHEDULER, 6)]
SEED = int(os.environ.get("ULTRAMARINE_SEED", "20261122"))


@needs_namespaces
class Relaunch(Faults):
    def run_job(self, fleet, rule, *more, nodes=2, gpus=2):
        """A job whose ranks work in step; the folder of their diaries."""
        folder = fleet.folder / f"diaries-{time.time_ns()}"
        folder.mkdir(mode=0o777)
        job = fleet.submit("--nodes", nodes, "--gpus-per-node", gpus, "--mpi", "none", "--on-node-loss", rule, *more,
                           "--", "/usr/bin/python3", PROGRAM, str(folder))
        until(lambda: ((fleet.show(job).get("progress") or {}).get("step") or 0) > 5, f"the ranks of job {job} work in step")
        until(lambda: self.promised(fleet, job, rule), "the supervisors have said how long they would live on alone")
        return job, folder

    def promised(self, fleet, job, rule):
        """That a part will end itself is what its supervisor says to its agent, and in its log."""
        if rule != "strict":
            return True
        logs = [log.read_text() for log in fleet.folder.glob(f"agents/*/jobs/{job}.*/shim.log")]
        return logs and all("cut off from the scheduler" in text for text in logs)

    def nodes_of(self, fleet, job, attempt=-1):
        return [part["node"] for part in fleet.show(job)["details"]["attempts"][attempt]["allocation"]]

    def await_attempt(self, fleet, job, number, folder, ranks=4):
        until(lambda: len(list(folder.glob(f"{number}.*"))) == ranks, f"attempt {number} of job {job} runs")

    def lives(self, folder, attempt):
        """(first, last) instant at which a rank of the attempt was alive, in ns."""
        times = [[int(line.split()[0]) for line in diary.read_text().split("\n")[:-1] if line] for diary in folder.glob(f"{attempt}.*")]
        return min(one[0] for one in times if one), max(one[-1] for one in times if one)

    def step(self, folder, attempt=1):
        """How far the slowest rank of the attempt is."""
        return min(int(diary.read_text().rsplit("\n", 2)[-2].split()[1]) for diary in folder.glob(f"{attempt}.*"))

    def loss_of_power(self, rule, target):
        """`target`: for the median at real values, in seconds."""
        is_real = self.timeouts is REAL
        repeats = 5 if is_real else 1
        taken, stopped = [], []
        for _ in range(repeats):
            fleet = self.fleet(nodes=3, gpus=2, namespaces=True)
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
            # Whoever survived was stopped as soon as the verdict was there.
            verdict = next(event["at_ms"] for event in fleet.ultra("events", job, "--json").json()["events"] if event["type"] == "gang_failed")
            stopped.append(self.lives(folder, 1)[1] / 1e9 - verdict / 1e3)
            if stopped[-1] > 1:
                print(f"{fleet.ultra('show', job).out}\n{fleet.ultra('events', job).out}", file=sys.stderr)
                fleet.print_logs()
            fleet.ultra("cancel", job)
            fleet.close()
        self.measured("C1", f"{rule}: verdict to the survivors' last sign, the slowest of {repeats}", max(stopped), at_most=1)
        self.measured("C1", f"{rule}: power cut to new ranks, median of {repeats}", statistics.median(taken), at_most=target if is_real else None)

    @also_at_real_values
    def test_a_node_without_power_is_replaced_at_once_by_the_fast_rule(self):
        self.loss_of_power("fast", 13)

    @also_at_real_values
    def test_a_node_without_power_is_replaced_by_the_strict_rule(self):
        self.loss_of_power("strict", 25)

    @also_at_real_values
    def test_while_only_the_way_to_the_scheduler_is_gone_everywhere_nobody_is_stopped(self):
        """A switch of the management network that starts again: all nodes at once, for longer than it takes to give one of them up."""
        fleet = self.fleet(nodes=3, gpus=2, namespaces=True)
        jobs = dict(self.run_job(fleet, rule, nodes=3, gpus=1) for rule in ("strict", "fast"))
        ranks = {job: self.await_ranks(fleet, job, 3) for job in jobs}
        begin = time.monotonic()
        for name in fleet.names:
            fleet.cut(name, peer=SCHEDULER)
        until(lambda: fleet.node_states() == ["unreachable"] * 3 and all(fleet.state(job) == "unknown" for job in jobs), "no node can be seen")
        self.measured("D10", "cut everywhere to all unreachable", time.monotonic() - begin)
        away = 1.5 * (self.limit("unreachable") + self.limit("self_stop") + self.limit("self_stop_margin"))
        while time.monotonic() - begin < away:
            for job, folder in jobs.items():
                before = self.step(folder)
                until(lambda folder=folder, before=before: self.step(folder) > before + 5, f"job {job} gets further")
            self.assertEqual(fleet.node_states(), ["unreachable"] * 3)
        reached = {job: self.step(folder) for job, folder in jobs.items()}
        first, *others = fleet.names
        begin = time.monotonic()
        fleet.heal(first)
        until(lambda: fleet.node_state(first) == "up", "the first node is back")
        self.assertEqual([fleet.node_state(name) for name in others], ["unreachable"] * 2)
        for name in others:
            fleet.heal(name)
        until(lambda: fleet.node_states() == ["up"] * 3 and all(fleet.state(job) == "running" for job in jobs), "both sides agree")
        self.measured("D10", f"healed after {away:.1f} s to all nodes up and both jobs known to run", time.monotonic() - begin)
        for job, folder in jobs.items():
            until(lambda job=job: fleet.show(job)["progress"]["step"] > reached[job], f"steps of job {job} are heard of again")
            self.assertEqual(fleet.ranks(job), ranks[job], "the same processes")
            attempts = fleet.show(job)["details"]["attempts"]
            self.assertEqual((len(attempts), attempts[0].get("failure")), (1, None))
            self.assertEqual({diary.name for diary in folder.iterdir()}, {"1.0", "1.1", "1.2"}, "no rank was started again")

    def test_a_job_on_one_lost_node_waits_for_somebody_who_has_looked(self):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True)
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

    def cut_for_a_while(self, fleet, direction, peer, length, victim_index):
        """A job of which a node is cut off for so many seconds (or until it runs elsewhere); how many new attempts it took."""
        what = f"cut {direction} of {peer or 'everybody'} for {length:.1f} s"
        until(lambda: fleet.node_states() == ["up"] * 3, "all nodes are up")
        job, folder = self.run_job(fleet, "strict")
        ranks = self.await_ranks(fleet, job, 4)
        victim = self.nodes_of(fleet, job)[victim_index]
        begin = time.monotonic()
        fleet.cut(victim, direction, peer)
        until(lambda: time.monotonic() - begin > length or len(list(folder.glob("2.*"))) == 4, "the cut has lasted")
        fleet.heal(victim)
        until(lambda: fleet.node_states() == ["up"] * 3, "all nodes are back")
        try:
            until(lambda: fleet.state(job) in ("running", "queued"), "the job is in order")
        except AssertionError as error:
            raise AssertionError(f"{error}: {what}\n{fleet.ultra('show', job).out}\n{fleet.ultra('events', job).out}") from error
        self.await_attempt(fleet, job, attempts := len(fleet.show(job)["details"]["attempts"]), folder)
        for attempt in range(1, attempts):
            self.assertLess(self.lives(folder, attempt)[1], self.lives(folder, attempt + 1)[0],
                            f"attempts {attempt} and {attempt + 1} overlap: {what}")
        if peer == SCHEDULER:
            self.assertEqual(attempts, 1, f"its ranks got further all the time: {what}\n{fleet.ultra('events', job).out}")
            self.assertEqual(fleet.ranks(job), ranks)
        fleet.ultra("cancel", job)
        until(lambda: fleet.state(job) == "cancelled", "the job has ended")
        return attempts - 1

    def test_attempts_never_overlap_however_a_node_is_cut_off(self):
        """Random cuts: of the whole network or of the way to the scheduler alone, in one direction or both, for a while."""
        dice = random.Random(SEED)
        print(f"seed {SEED}", file=sys.stderr)
        fleet = self.fleet(nodes=3, gpus=2, namespaces=True)
        again = []
        for episode in range(EPISODES):
            with self.subTest(episode=episode):
                drawn = dice.choice(["both", "in", "out"]), dice.choice([None, None, SCHEDULER]), dice.uniform(0.2, 6)
                again.append(self.cut_for_a_while(fleet, *(LONGEST[episode] if episode < len(LONGEST) else drawn), dice.randrange(2)))
        print(f"D2: {EPISODES} episodes, {again.count(0)} went on, {sum(again)} new attempts, 0 overlaps", file=sys.stderr)
        self.assertGreater(sum(again), 0, "no cut was long enough to see two attempts")

    @also_at_real_values
    def test_a_stopped_agent_does_nothing_of_an_old_attempt(self):
        """What was said to it lies in its socket until it goes on, when the job has long been running elsewhere."""
        fleet = self.fleet(nodes=3, gpus=2, namespaces=True)
        first, folder = self.run_job(fleet, "strict", "--grace", f"{self.scaled(10):g}s")
        stopped = self.nodes_of(fleet, first)[-1]
        agent = fleet.pid(stopped)
        ranks = self.await_ranks(fleet, first, 4)
        os.kill(agent, signal.SIGSTOP)
        self.assertEqual(fleet.ultra("requeue", first).code, 0)  # that it is to stop waits in the socket of the stopped one
        self.await_attempt(fleet, first, 2, folder)
        self.assertNotIn(stopped, self.nodes_of(fleet, first))
        second = self.await_ranks(fleet, first, 4)
        self.assertFalse(any(is_alive(pid) for pid in ranks.values()))
        begin = time.monotonic()
        os.kill(agent, signal.SIGCONT)
        until(lambda: fleet.node_state(stopped) == "up" and not fleet.shims(stopped), "nothing of the old attempt is left there")
        self.measured("C4", "agent continued to nothing of the old attempt left", time.monotonic() - begin)
        before = self.step(folder, 2)
        until(lambda: self.step(folder, 2) > before + 20, "the second attempt gets further")
        self.assertEqual((fleet.state(first), fleet.ranks(first)), ("running", second), "the same processes")
        self.assertEqual(len(fleet.show(first)["details"]["attempts"]), 2)
        self.assertLess(self.lives(folder, 1)[1], self.lives(folder, 2)[0])

    @also_at_real_values
    def test_a_stopped_agent_starts_nothing_that_was_cancelled_meanwhile(self):
        """The launch lies in its socket until it goes on."""
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True)
        agent = fleet.pid("node02")
        mark = fleet.folder / "mark"
        os.kill(agent, signal.SIGSTOP)
        job = fleet.submit("--nodes", 2, "--gpus-per-node", 1, "--mpi", "none", "--", "touch", mark)
        until(lambda: fleet.state(job) == "starting", "it is told to start")
        until(lambda: fleet.node_state("node02") == "unreachable", "it is silent")
        self.assertEqual(fleet.ultra("cancel", job).code, 0)
        begin = time.monotonic()
        os.kill(agent, signal.SIGCONT)
        until(lambda: fleet.node_state("node02") == "up" and fleet.state(job) == "cancelled" and fleet.devices_in_use() == 0, "both sides agree")
        self.measured("C4", "agent continued to the cancelled launch over", time.monotonic() - begin)
        self.assertFalse(mark.exists())
        self.assertEqual(len(fleet.show(job)["details"]["attempts"]), 1)


if __name__ == "__main__":
    unittest.main()
