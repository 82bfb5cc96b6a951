#!/usr/bin/env python3
"""A scheduler that is away kills nothing: programs that speak as the README says go on over their checkpoints, for longer than a hang or a part that is
cut off is given; what they saved meanwhile is known afterwards. Real daemons, time-outs a tenth of the real ones."""
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import until  # noqa: E402
from node_namespaces import SCHEDULER, Faults  # noqa: E402
from readme import progress_class  # noqa: E402

AWAY_S = 5.0  # hang.after is 1.5 s here, self_stop 1 s
PROGRAM = '''
import pathlib, sys, time
shared, progress, step = pathlib.Path(sys.argv[1]), Progress(), 0
def reached():
    try:
        return int(shared.read_text() or 0)
    except FileNotFoundError:
        return 0
while True:
    step += 1
    while progress.rank > 0 and reached() < step:  # as in a collective
        time.sleep(0.005)
    progress.step(step)
    if progress.rank == 0:
        shared.with_suffix(".new").write_text(str(step))
        shared.with_suffix(".new").rename(shared)
        if step % 20 == 0:
            progress.saved(step, f"/data/{step}")
    time.sleep(0.02)
'''


class Away(Faults):
    def stays_away(self, nodes, leave, come_back):
        fleet = self.fleet(nodes=nodes, gpus=1, top='hang.after = "1500ms"')
        program, shared = fleet.folder / "train.py", fleet.folder / "reached"
        program.write_text(progress_class() + PROGRAM)
        job = fleet.submit("--nodes", nodes, "--gpus-per-node", 1, "--mpi", "none", "--", "/usr/bin/python3", str(program), str(shared))
        until(lambda: (fleet.show(job)["details"].get("checkpoint") or {}).get("step", 0) >= 40, f"job {job} saves checkpoints")
        leave(fleet)
        began, before = time.monotonic(), int(shared.read_text())
        until(lambda: time.monotonic() - began > AWAY_S and int(shared.read_text()) >= before + 60, "the ranks go on over several checkpoints")
        come_back(fleet)
        back = int(shared.read_text())
        until(lambda: (fleet.show(job)["details"].get("checkpoint") or {}).get("step", 0) >= back + 40, f"job {job} goes on, and is heard")
        details = fleet.show(job)["details"]
        self.assertEqual((details["state"], len(details["attempts"])), ("running", 1), details["attempts"])
        history = fleet.ultra("show", job, "--json").out
        self.assertNotIn("stalled", history)

    def test_a_job_that_asked_for_it_stops_where_it_is_cut_off_and_runs_again(self):
        fleet = self.fleet(nodes=1, gpus=1)
        job = fleet.submit("--on-cut-off", "stop-after=10s", "--", "sleep", "600")
        rank = until(lambda: fleet.ranks(job).get(0), f"job {job} runs")
        self.assertIn("stops after 10s", fleet.ultra("show", job).out)
        fleet.kill_daemon(SCHEDULER)
        began = time.monotonic()
        until(lambda: not os.path.exists(f"/proc/{rank}"), "its rank is stopped on its node")
        self.assertGreater(time.monotonic() - began, 9)
        fleet.start(SCHEDULER)
        until(lambda: len(fleet.show(job)["details"]["attempts"]) == 2, f"job {job} runs again")
        first = fleet.show(job)["details"]["attempts"][0]
        self.assertEqual(first["outcome"], "node_lost")
        self.assertIn("has lost the scheduler for 10 s", first["failure"]["detail"])

    def stopped(self, fleet):
        os.kill(fleet.pid(SCHEDULER), signal.SIGSTOP)

    def goes_on(self, fleet):
        os.kill(fleet.pid(SCHEDULER), signal.SIGCONT)

    def test_a_stopped_scheduler_and_a_job_on_one_node(self):
        self.stays_away(1, self.stopped, self.goes_on)

    def test_a_dead_scheduler_and_a_job_over_two_nodes(self):
        self.stays_away(2, lambda fleet: fleet.kill_daemon(SCHEDULER), lambda fleet: fleet.start(SCHEDULER))


if __name__ == "__main__":
    unittest.main(verbosity=2)
