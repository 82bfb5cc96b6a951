#!/usr/bin/env python3
"""Lines that are lost in one direction or in both, peers that go silent, messages that come late, twice or in another order."""
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from chaos_proxy import ChaosProxy  # noqa: E402
from cluster import is_alive, until  # noqa: E402
from node_namespaces import REAL, SCHEDULER, SLOW, Faults, free_port, needs_namespaces, slow  # noqa: E402


class Network(Faults):
    def running_jobs(self, fleet):
        """One job over all nodes, and one on node02 alone; with the ranks' pids."""
        both = fleet.submit("--nodes", 2, "--gpus-per-node", 1, "--mpi", "none", "--", "sleep", "10000")
        alone = fleet.submit("--gpus", 1, "--nodelist", "node02", "--", "sleep", "10000")
        for job in (both, alone):
            self.await_running(fleet, job)
        return {job: until(lambda job=job, count=count: (found := fleet.ranks(job)) and len(found) == count and found, "its ranks") for job, count in ((both, 2), (alone, 1))}

    def expect_unharmed(self, fleet, jobs):
        for job, ranks in jobs.items():
            until(lambda job=job: fleet.state(job) == "running", f"job {job} is known to run")
            self.assertEqual(fleet.ranks(job), ranks, "the same processes")
            self.assertEqual(len(fleet.show(job)["details"]["attempts"]), 1, "no second attempt")

    def one_way(self, fault, direction, timeouts):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True, timeouts=timeouts)
        alone = fleet.submit("--gpus", 1, "--nodelist", "node02", "--", "sleep", "10000")
        self.await_running(fleet, alone)
        ranks = until(lambda: fleet.ranks(alone), "its rank")
        begin = time.monotonic()
        fleet.cut("node02", direction, SCHEDULER)
        until(lambda: fleet.node_state("node02") == "unreachable", "unreachable")
        self.measured(fault, "cut to unreachable", time.monotonic() - begin)
        self.assertEqual(fleet.state(alone), "unknown")
        self.assertTrue(is_alive(ranks[0]))
        begin = time.monotonic()
        fleet.heal("node02")
        until(lambda: fleet.node_state("node02") == "up", "the node is back")
        self.measured(fault, "healed to up", time.monotonic() - begin)
        self.expect_unharmed(fleet, {alone: ranks})

    @needs_namespaces
    def test_the_way_to_the_scheduler_is_lost(self):
        self.one_way("D1 agent -> scheduler", "out", None)

    @needs_namespaces
    def test_the_way_to_the_agent_is_lost(self):
        self.one_way("D1 scheduler -> agent", "in", None)

    @slow
    @needs_namespaces
    def test_the_way_to_the_scheduler_is_lost_at_real_values(self):
        self.one_way("D1 agent -> scheduler (real values)", "out", REAL)

    @needs_namespaces
    def test_a_job_on_an_isolated_node_runs_on_and_is_not_started_twice(self):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True)
        job = fleet.submit("--gpus", 1, "--nodelist", "node02", "--", "sh", "-c", "i=0; while :; do i=$((i+1)); echo step $i; sleep 0.05; done")
        self.await_running(fleet, job)
        ranks = until(lambda: fleet.ranks(job), "its rank")
        fleet.cut("node02")
        until(lambda: fleet.node_state("node02") == "unreachable", "unreachable")
        output = fleet.folder / f"agents/node02/jobs/{job}.1.1/rank_0.out"
        steps = output.read_text().count("step")
        until(lambda: output.read_text().count("step") >= steps + 20, "it makes progress while nobody hears of it")
        self.assertEqual(fleet.state(job), "unknown")
        begin = time.monotonic()
        fleet.heal("node02")
        self.expect_unharmed(fleet, {job: ranks})
        self.measured("D2", "healed to known to run", time.monotonic() - begin)

    @needs_namespaces
    def test_an_isolated_scheduler_stops_nobody(self):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True)
        alone = fleet.submit("--gpus", 1, "--nodelist", "node02", "--", "sleep", "10000")
        self.await_running(fleet, alone)
        jobs = {alone: until(lambda: fleet.ranks(alone), "its rank")}
        fleet.cut(SCHEDULER)
        until(lambda: fleet.node_states() == ["unreachable"] * 2, "all nodes are unreachable")
        self.assertEqual(fleet.state(alone), "unknown")
        begin = time.monotonic()
        fleet.heal(SCHEDULER)
        until(lambda: fleet.node_states() == ["up"] * 2, "all nodes are back")
        self.measured("D3", "healed to all nodes up", time.monotonic() - begin)
        self.expect_unharmed(fleet, jobs)

    @needs_namespaces
    def test_a_reset_line_and_a_silent_peer(self):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True)
        jobs = self.running_jobs(fleet)
        log = fleet.folder / "logs/node02.log"
        connected = lambda: log.read_text().count("event=connected")  # noqa: E731
        before, begin = connected(), time.monotonic()
        fleet.reset_connections("node02")
        until(lambda: connected() > before, "connected again")
        self.measured("D4", "reset to connected again", time.monotonic() - begin, at_most=10)
        # Half open: the agent's end is gone, and the scheduler can't hear of it.
        fleet.cut("node02", "out", SCHEDULER)
        fleet.reset_connections("node02")
        before = connected()
        fleet.heal("node02")
        begin = time.monotonic()
        until(lambda: connected() > before, "connected again")
        self.measured("D4", "half open to connected again", time.monotonic() - begin, at_most=10)
        self.expect_unharmed(fleet, jobs)
        # A scheduler that is stopped keeps its lines; when it goes on, all is as before.
        scheduler = fleet.pid(SCHEDULER)
        os.kill(scheduler, signal.SIGSTOP)
        until(lambda: pathlib.Path(f"/proc/{scheduler}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "stopped")
        for ranks in jobs.values():
            self.assertTrue(all(is_alive(pid) for pid in ranks.values()))
        os.kill(scheduler, signal.SIGCONT)
        self.expect_unharmed(fleet, jobs)

    def test_messages_that_are_late_doubled_or_out_of_order_do_nothing_twice(self):
        for seed in range(1, 30 if SLOW else 4):
            with self.subTest(seed=seed):
                print(f"D6: seed {seed}", file=sys.stderr)
                port = free_port()
                fleet = self.fleet(nodes=3, gpus=2, scheduler_of_agents=f"127.0.0.1:{port}", start_behind=lambda fleet: ChaosProxy(port, fleet.endpoint, seed))
                marks = fleet.folder / "marks"
                marks.mkdir()
                # Each rank leaves one mark; a second one of the same attempt is an error that can't be missed.
                jobs = [fleet.submit("--gpus", 1 + number % 4, "--mpi", "none", "--", "sh", "-c",
                                     f"mkdir {marks}/$ULTRA_JOB_ID.$ULTRA_ATTEMPT.$RANK && exit {number % 3}") for number in range(8)]
                stopped = fleet.submit("--gpus", 6, "--mpi", "none", "--grace", "1s", "--", "sleep", "10000")
                for number, job in enumerate(jobs):
                    self.assertEqual(fleet.wait(job), number % 3, fleet.ultra("show", job))
                    self.assertEqual(len(fleet.show(job)["details"]["attempts"]), 1)
                    self.assertLessEqual(len(list(marks.glob(f"{job}.*"))), 1 + number % 4)
                self.await_running(fleet, stopped)
                self.assertEqual(fleet.ultra("cancel", stopped).code, 0)
                until(lambda: fleet.state(stopped) == "cancelled" and fleet.devices_in_use() == 0, "it ends once")
                self.assertFalse(fleet.ranks(stopped))
                counts = fleet.proxy.counts
                print(f"D6: {counts}", file=sys.stderr)
                self.assertGreater(counts["doubled"], 0)
                self.assertGreater(counts["late"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
