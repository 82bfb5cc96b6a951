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
from node_namespaces import REAL, SCHEDULER, SLOW, Faults, also_at_real_values, free_port, needs_namespaces  # noqa: E402


class Network(Faults):
    def running_jobs(self, fleet):
        """One job over all nodes, and one on node02 alone; with the ranks' pids."""
        both = fleet.submit("--nodes", 2, "--gpus-per-node", 1, "--mpi", "none", "--", "sleep", "10000")
        alone = fleet.submit("--gpus", 1, "--nodelist", "node02", "--", "sleep", "10000")
        for job in (both, alone):
            self.await_running(fleet, job)
        return {both: self.await_ranks(fleet, both, 2), alone: self.await_ranks(fleet, alone)}

    def expect_unharmed(self, fleet, jobs):
        for job, ranks in jobs.items():
            until(lambda job=job: fleet.state(job) == "running", f"job {job} is known to run")
            self.assertEqual(fleet.ranks(job), ranks, "the same processes")
            self.assertEqual(len(fleet.show(job)["details"]["attempts"]), 1, "no second attempt")

    def one_way(self, fault, direction):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True)
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
        self.measured(fault, "healed to up", time.monotonic() - begin, at_most=3)
        self.expect_unharmed(fleet, {alone: ranks})

    @also_at_real_values
    @needs_namespaces
    def test_the_way_to_the_scheduler_is_lost(self):
        self.one_way("D1 agent -> scheduler", "out")

    @also_at_real_values
    @needs_namespaces
    def test_the_way_to_the_agent_is_lost(self):
        self.one_way("D1 scheduler -> agent", "in")

    @also_at_real_values
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

    @also_at_real_values
    @needs_namespaces
    def test_an_isolated_scheduler_stops_nobody(self):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True)
        alone = fleet.submit("--gpus", 1, "--nodelist", "node02", "--", "sleep", "10000")
        self.await_running(fleet, alone)
        jobs = {alone: until(lambda: fleet.ranks(alone), "its rank")}
        fleet.cut(SCHEDULER)
        # On a node: before its agent has noticed, and after.
        for what, at_most in (("cut to a submission on a node refused", 10), ("a submission there once the line is known to be lost", 2)):
            begin = time.monotonic()
            refused = fleet.ultra("submit", "--gpus", 1, "--", "true", environment={"ULTRA_SOCKET": str(fleet.folder / "agents/node02/api.sock")})
            self.measured("D3", what, time.monotonic() - begin, at_most=at_most)
            self.assertEqual(refused.code, 5, refused)
            self.assertIn("this node's agent has no connection to the scheduler", refused.err)
            self.assertIn("try again in a few seconds", refused.err)
        until(lambda: fleet.node_states() == ["unreachable"] * 2, "all nodes are unreachable")
        self.assertEqual(fleet.state(alone), "unknown")
        begin = time.monotonic()
        fleet.heal(SCHEDULER)
        until(lambda: fleet.node_states() == ["up"] * 2, "all nodes are back")
        self.measured("D3", "healed to all nodes up", time.monotonic() - begin, at_most=3)
        self.expect_unharmed(fleet, jobs)
        self.assertEqual(len(fleet.ultra("queue", "--json").json()["jobs"]), 1, "none of the refused submissions arrived")

    @also_at_real_values
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
        # A scheduler that is stopped keeps its lines. When it goes on, it has heard nothing for longer than it would wait for a node.
        scheduler = fleet.pid(SCHEDULER)
        os.kill(scheduler, signal.SIGSTOP)
        until(lambda: pathlib.Path(f"/proc/{scheduler}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "stopped")
        begin = time.monotonic()
        silence = 2 * self.limit("unreachable")
        until(lambda: time.monotonic() - begin > silence, "it is silent for longer than anybody may be", 2 * silence)
        for ranks in jobs.values():
            self.assertTrue(all(is_alive(pid) for pid in ranks.values()))
        begin = time.monotonic()
        os.kill(scheduler, signal.SIGCONT)
        until(lambda: fleet.node_states() == ["up"] * 2, "all nodes are up")
        self.expect_unharmed(fleet, jobs)
        self.measured("D4", f"stopped for {silence:g} s and continued to all known to run", time.monotonic() - begin, at_most=10)

    @also_at_real_values
    def test_messages_that_are_late_doubled_or_out_of_order_do_nothing_twice(self):
        is_real = self.timeouts is REAL
        for seed in [1] if is_real else range(1, 30 if SLOW else 4):
            with self.subTest(seed=seed):
                print(f"D6: seed {seed}", file=sys.stderr)
                self.run_through_chaos(seed, 60 if is_real else 0.3)

    def run_through_chaos(self, seed, late_s):
        port = free_port()
        fleet = self.fleet(nodes=3, gpus=2, scheduler_of_agents=f"127.0.0.1:{port}",
                           start_behind=lambda fleet: ChaosProxy(port, fleet.endpoint, seed, late_s=late_s))
        marks = fleet.folder / "marks"
        marks.mkdir()
        begin, patience = time.monotonic(), 60 + 10 * late_s
        # Each rank leaves one mark; a second one of the same attempt leaves its own, with a code that nobody else has.
        jobs = [fleet.submit("--gpus", 1 + number % 4, "--mpi", "none", "--", "sh", "-c",
                             f"mkdir {marks}/$ULTRA_JOB_ID.$ULTRA_ATTEMPT.$RANK || {{ mktemp {marks}/twice-XXXXXX; exit 99; }}; exit {number % 3}")
                for number in range(8)]
        stopped = fleet.submit("--gpus", 6, "--mpi", "none", "--grace", "1s", "--", "sleep", "10000")
        for number, job in enumerate(jobs):
            self.assertEqual(fleet.wait(job, timeout=f"{patience:.0f}s"), number % 3, fleet.ultra("show", job))
            attempts = fleet.show(job)["details"]["attempts"]
            if late_s < self.limit("launch"):
                self.assertEqual(len(attempts), 1)
            # Peers of a rank that failed may be stopped before they have begun.
            expected = {f"{job}.{len(attempts)}.{rank}" for rank in range(1 + number % 4)}
            found = {mark.name for mark in marks.glob(f"{job}.{len(attempts)}.*")}
            self.assertTrue(found == expected if number % 3 == 0 else found and found <= expected, f"{found} of {expected}")
        self.assertEqual(list(marks.glob("twice*")), [], "something ran twice")
        until(lambda: fleet.state(stopped) == "running", "the last one runs", patience)
        self.assertEqual(fleet.ultra("cancel", stopped).code, 0)
        until(lambda: fleet.state(stopped) == "cancelled" and fleet.devices_in_use() == 0, "it ends once", patience)
        self.assertFalse(fleet.ranks(stopped))
        counts = fleet.proxy.counts
        self.measured("D6", f"9 jobs with messages up to {late_s:g} s late", time.monotonic() - begin)
        print(f"D6: {counts}", file=sys.stderr)
        self.assertGreater(counts["doubled"], 0)
        self.assertGreater(counts["late"], 0)

    @also_at_real_values
    def test_what_is_said_again_after_a_reconnect_is_refused(self):
        """Launches of jobs that have ended and of attempts that were given up, stops of attempts before the one that runs, reports of all of them."""
        port = free_port()
        fleet = self.fleet(nodes=1, gpus=3, scheduler_of_agents=f"127.0.0.1:{port}",
                           start_behind=lambda fleet: ChaosProxy(port, fleet.endpoint, 1, double=0, late=0))
        marks = fleet.folder / "marks"
        marks.mkdir()
        mark = f"mktemp -d {marks}/$ULTRA_JOB_ID.$ULTRA_ATTEMPT.XXXXXX; "
        ended = fleet.submit("--gpus", 1, "--", "sh", "-c", mark + "exit 3")
        self.assertEqual(fleet.wait(ended), 3)
        cancelled = fleet.submit("--gpus", 1, "--grace", "1s", "--", "sh", "-c", mark + "exec sleep 10000")
        again = fleet.submit("--gpus", 1, "--grace", "1s", "--", "sh", "-c", mark + "exec sleep 10000")
        for job in (cancelled, again):
            until(lambda job=job: len(list(marks.glob(f"{job}.1.*"))) == 1, "its rank has begun")
            self.await_running(fleet, job)
        self.assertEqual(fleet.ultra("cancel", cancelled).code, 0)
        self.assertEqual(fleet.ultra("requeue", again).code, 0)
        until(lambda: fleet.state(cancelled) == "cancelled", "that one has ended")
        until(lambda: len(list(marks.glob(f"{again}.2.*"))) == 1 and fleet.state(again) == "running", "its second attempt runs")
        ranks, agent, expected = self.await_ranks(fleet, again), fleet.pid("node01"), {path.name for path in marks.iterdir()}
        times = []
        for _ in range(3):
            lines, replayed, begin = fleet.proxy.connections, fleet.proxy.counts["replayed"], time.monotonic()
            fleet.proxy.cut_and_replay()
            until(lambda: fleet.proxy.connections > lines and fleet.proxy.counts["replayed"] > replayed, "the old words are said again")
            # Behind them on the same line: when it is over, they have been heard.
            self.assertEqual(fleet.wait(fleet.submit("--gpus", 1, "--", "true")), 0)
            times.append(time.monotonic() - begin)
            self.assertEqual({path.name for path in marks.iterdir()}, expected, "something ran again")
            self.assertEqual((fleet.ranks(again), fleet.state(again), fleet.pid("node01")), (ranks, "running", agent))
            self.assertEqual([len(fleet.show(job)["details"]["attempts"]) for job in (ended, cancelled, again)], [1, 1, 2])
            self.assertEqual((fleet.state(ended), fleet.state(cancelled), fleet.node_states()), ("failed", "cancelled", ["up"]))
        self.measured("D6", f"line cut, {fleet.proxy.counts['replayed']} old messages said again, to the next job's end, the slowest of 3", max(times))


if __name__ == "__main__":
    unittest.main(verbosity=2)
