#!/usr/bin/env python3
"""Nodes that lose their power, agents and supervisors that are killed or stopped, full and hanging disks, greedy neighbours."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import is_alive, processes_that_mention, until  # noqa: E402
from hanging_folder import HAS_FUSE, NO_FUSE, Hanging  # noqa: E402
from node_namespaces import REAL, SCHEDULER, SLOW, Faults, also_at_real_values, needs_namespaces, needs_root, resident_bytes  # noqa: E402

PYTHON = "/usr/bin/python3"
MEMORY = pathlib.Path("/sys/fs/cgroup/memory")
EATS = "kept = []\nwhile True: kept.append(bytearray(b'x' * (4 << 20)))"


def may_spare():
    return subprocess.run(["sh", "-c", "echo -900 > /proc/self/oom_score_adj"], capture_output=True).returncode == 0


def is_removed(group):
    """A control group, and what daemons left empty in it."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    except OSError:
        return False  # somebody who died there is still being cleared away
    return True


class Nodes(Faults):
    @also_at_real_values
    @needs_namespaces
    def test_a_node_loses_its_power(self):
        fault = "C1"
        fleet = self.fleet(nodes=3, gpus=2, namespaces=True)
        job = fleet.submit("--nodes", 3, "--gpus-per-node", 2, "--mpi", "none", "--grace", "1s", "--", "sh", "-c", "echo attempt $ULTRA_ATTEMPT on $(hostname); exec sleep 1000")
        self.await_running(fleet, job)
        until(lambda: fleet.logs(job).count("attempt 1 on") == 6, "all ranks have printed")
        self.assertIn("attempt 1 on node03", fleet.logs(job))  # each node has its own name
        first = set(fleet.ranks(job).values())
        self.assertEqual(len(first), 6)
        begin = time.monotonic()
        fleet.power_off("node03")
        until(lambda: fleet.node_state("node03") == "suspect", "suspect")
        self.measured(fault, "power cut to suspect", time.monotonic() - begin)
        until(lambda: fleet.node_state("node03") == "unreachable", "unreachable")
        self.measured(fault, "power cut to unreachable", time.monotonic() - begin)
        self.assertNotIn(fleet.state(job), ("running", "starting"), "nobody knows that all of it runs")
        begin = time.monotonic()
        fleet.power_on("node03")
        until(lambda: fleet.node_state("node03") == "up" and fleet.state(job) == "running" and len(fleet.show(job)["details"]["attempts"]) > 1, "the job runs again")
        self.measured(fault, "power on to running again", time.monotonic() - begin)
        attempts = fleet.show(job)["details"]["attempts"]
        self.assertEqual(attempts[0]["outcome"], "node_lost", attempts[0])
        self.assertEqual(attempts[0]["failure"]["node"], "node03")
        self.assertFalse(any(is_alive(pid) for pid in first), "ranks of the first attempt live beside the second")
        self.assertEqual(len(until(lambda: (found := fleet.ranks(job)) and len(found) == 6 and found, "6 ranks")), 6)

    @also_at_real_values
    def test_an_agent_is_killed_again_and_again(self):
        fleet = self.fleet(nodes=1, gpus=4)
        stays = fleet.submit("--gpus", 1, "--", "sleep", "10000")
        self.await_running(fleet, stays)
        rank = fleet.ranks(stays)[0]
        times = []
        rounds = 10 if not SLOW else 20 if self.timeouts is REAL else 1000
        for episode in range(rounds):
            code = episode % 200
            gate = fleet.folder / f"gate{episode}"
            os.mkfifo(gate)
            job = fleet.submit("--gpus", 1, "--", "sh", "-c", f"read word < {gate}; exit {code}")
            ends = until(lambda: fleet.ranks(job), "the rank")[0]
            self.await_running(fleet, job)
            fleet.kill_daemon("node01")
            gate.write_text("go\n")
            until(lambda: not is_alive(ends), "the rank ends without an agent")
            begin = time.monotonic()
            fleet.start("node01")
            self.assertEqual(fleet.wait(job), code)
            times.append(time.monotonic() - begin)
            self.assertEqual((self.failure(fleet, job) or {"exit_code": 0})["exit_code"], code)
        self.assertEqual((fleet.state(stays), fleet.ranks(stays)), ("running", {0: rank}), "the same rank")
        self.assertEqual(len(fleet.show(stays)["details"]["attempts"]), 1)
        self.measured("C2", f"agent started to lost exit code told, the slowest of {rounds}", max(times), at_most=2)

    @also_at_real_values
    def test_a_stopped_agent_does_nothing_stale(self):
        fleet = self.fleet(nodes=2, gpus=2)
        both = fleet.submit("--nodes", 1, "--gpus-per-node", 1, "--nodelist", "node01", "--", "sleep", "10000")
        unwanted = fleet.submit("--nodes", 1, "--gpus-per-node", 1, "--nodelist", "node01", "--grace", "100ms", "--", "sleep", "10000")
        for job in (both, unwanted):
            self.await_running(fleet, job)
        ranks = until(lambda: (found := fleet.ranks(both)) and found, "the rank")
        begin = time.monotonic()
        os.kill(fleet.pid("node01"), signal.SIGSTOP)
        until(lambda: fleet.node_state("node01") == "unreachable", "unreachable")
        self.measured("C4", f"agent stopped to unreachable (unreachable = {self.limit('unreachable'):g} s)", time.monotonic() - begin)
        self.assertEqual(fleet.state(both), "unknown")
        self.assertEqual(fleet.ultra("cancel", unwanted).code, 0)
        elsewhere = fleet.submit("--gpus", 1, "--", "true")
        self.assertEqual(fleet.wait(elsewhere), 0, "others go on")
        begin = time.monotonic()
        os.kill(fleet.pid("node01"), signal.SIGCONT)
        until(lambda: fleet.state(both) == "running" and fleet.state(unwanted) == "cancelled", "both sides agree")
        self.measured("C4", "agent continued to both sides agree", time.monotonic() - begin)
        self.assertEqual(fleet.ranks(both), ranks)
        self.assertEqual(len(fleet.show(both)["details"]["attempts"]), 1)

    @also_at_real_values
    def test_a_killed_supervisor_leaves_no_orphans(self):
        """Nor those of its ranks' children that have left their session and forgot their environment."""
        fleet = self.fleet(nodes=2, gpus=2)
        mark = f"mark-of-{fleet.folder.name}"
        job = fleet.submit("--gpus", 4, "--grace", "1s", "--", "sh", "-c",
                           f"setsid env -i sh -c 'while :; do sleep 1000; done' {mark}-$ULTRA_ATTEMPT & exec sleep 10000")
        orphans = lambda attempt: processes_that_mention(f"{mark}-{attempt}")  # noqa: E731
        until(lambda: len(orphans(1)) == 4, "each rank has a child that left it")
        self.await_running(fleet, job)
        ranks = self.await_ranks(fleet, job, 4)
        begin = time.monotonic()
        os.kill(fleet.shims("node02")[0], signal.SIGKILL)
        until(lambda: not orphans(1) and not any(is_alive(pid) for pid in ranks.values()), "nobody is left")
        self.measured("C5", "supervisor killed to no rank and no orphan left", time.monotonic() - begin)
        until(lambda: fleet.show(job)["details"]["attempts"][0].get("outcome"), "the attempt has ended")
        attempt = fleet.show(job)["details"]["attempts"][0]
        self.assertEqual((attempt["outcome"], attempt["failure"]["node"]), ("supervisor_lost", "node02"))
        until(lambda: len(orphans(2)) == 4 and fleet.state(job) == "running", "it runs again")
        self.assertEqual(fleet.ultra("cancel", job).code, 0)
        until(lambda: fleet.state(job) == "cancelled" and not orphans(2), "all are gone")

    def first_on_node01(self, fleet, *arguments):
        """A job that is started on node01, which refuses it, because node02 is busy; that is over as soon as it was refused. The job's id."""
        free = fleet.folder / "node02-is-free"
        busy = fleet.submit("--nodelist", "node02", "--gpus", 2, "--", "sh", "-c", f"until [ -e {free} ]; do sleep 0.02; done")
        self.await_running(fleet, busy)
        job = fleet.submit("--gpus", 1, *arguments)
        until(lambda: any(attempt.get("outcome") for attempt in fleet.show(job)["details"].get("attempts", [])), "it was refused")
        free.touch()
        self.assertEqual(fleet.wait(job), 0, fleet.ultra("show", job))
        attempts = fleet.show(job)["details"]["attempts"]
        nodes = [attempt["allocation"][0]["node"] for attempt in attempts]
        self.assertEqual(nodes, ["node01"] * (len(attempts) - 1) + ["node02"])
        self.assertLessEqual(nodes.count("node01"), 3)
        self.assertEqual({attempt["outcome"] for attempt in attempts[:-1]}, {"start_failed"})
        print(f"C6: {nodes.count('node01')} attempts on the full node", file=sys.stderr)
        self.measured("C6", "refused to started elsewhere", (attempts[-1]["decided_ms"] - attempts[0]["ended_ms"]) / 1000, at_most=5)
        return job

    @also_at_real_values
    @needs_namespaces
    def test_a_node_whose_state_disk_is_full_refuses_launches_and_keeps_its_ends(self):
        def small_disk(fleet, name):
            state = fleet.folder / "agents" / name
            state.mkdir(parents=True, exist_ok=True)
            if name == "node01":
                fleet.machines[name].run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", state)

        fleet = self.fleet(nodes=2, gpus=2, namespaces=True, before_start=small_disk)
        agent = fleet.pid("node01")
        running = fleet.submit("--nodelist", "node01", "--gpus", 1, "--", "sh", "-c", f"until [ -e {fleet.folder}/go ]; do sleep 0.02; done; exit 5")
        self.await_running(fleet, running)
        state = fleet.folder / "agents/node01"
        fleet.machines["node01"].run("sh", "-c", f"dd if=/dev/zero of={state}/filler bs=64k 2>/dev/null; true")
        refused_once = self.first_on_node01(fleet, "--", "true")
        self.assertIn("is full", self.failure(fleet, refused_once, 0)["detail"])
        (fleet.folder / "go").touch()
        self.assertEqual(fleet.wait(running), 5, "its end was kept")
        refused = fleet.submit("--gpus", 2, "--nodelist", "node01", "--hold", "--", "true")
        begin = time.monotonic()
        self.assertEqual(fleet.ultra("release", refused).code, 0)
        until(lambda: fleet.state(refused) == "held" or fleet.nodes()["node01"]["node"].get("drain"), "it has been tried often enough")
        self.measured("C6", "release to no more tries there", time.monotonic() - begin)
        self.assertLessEqual(len(fleet.show(refused)["details"]["attempts"]), 3)
        drain = until(lambda: fleet.nodes()["node01"]["node"].get("drain"), "the node is drained")
        self.assertIn("is full", drain["reason"])
        fleet.machines["node01"].run("rm", f"{state}/filler")
        self.assertEqual(fleet.ultra("resume", "node01").code, 0)
        if fleet.state(refused) == "held":
            self.assertEqual(fleet.ultra("release", refused).code, 0)
        self.assertEqual(fleet.wait(refused), 0, "there is room again")
        self.assertTrue(is_alive(agent))
        self.assertEqual(fleet.pid("node01"), agent)

    @also_at_real_values
    @needs_namespaces
    def test_a_node_whose_work_folder_is_full_refuses_launches(self):
        def work(fleet, name):
            folder = fleet.folder / "work"
            folder.mkdir(exist_ok=True)
            if name != SCHEDULER:
                fleet.machines[name].run("mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", folder)
            if name == "node01":
                fleet.machines[name].run("sh", "-c", f"dd if=/dev/zero of={folder}/filler bs=4k 2>/dev/null; true")

        fleet = self.fleet(nodes=2, gpus=2, namespaces=True, before_start=work)
        job = self.first_on_node01(fleet, "--workdir", fleet.folder / "work", "--output", fleet.folder / "work/out",
                                   "--", "sh", "-c", "echo there is room && pwd")
        self.assertIn("full", self.failure(fleet, job, 0)["detail"])
        self.assertIn("there is room", fleet.machines["node02"].run("cat", fleet.folder / "work/out"))

    @also_at_real_values
    @needs_namespaces
    def test_output_that_fills_the_disk_is_cut_and_its_job_unharmed(self):
        def small_disk(fleet, name):
            state = fleet.folder / "agents" / name
            state.mkdir(parents=True, exist_ok=True)
            fleet.machines[name].run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", state)

        fleet = self.fleet(nodes=1, gpus=2, namespaces=True, before_start=small_disk)
        # Four times what there is room for, at a pace that a disk of this size can be watched at.
        job = fleet.submit("--gpus", 1, "--", PYTHON, "-c", "import sys, time\nprint('first line')\nfor number in range(960):\n  print('x' * (100 << 10), number, flush=True)\n  time.sleep(0.01)\nprint('last line', flush=True)")
        begin = time.monotonic()
        self.assertEqual(fleet.wait(job), 0, fleet.ultra("show", job))
        text = fleet.logs(job)
        self.assertTrue(text.startswith("[0] first line\n"), text[:100])
        self.assertTrue(text.endswith("last line\n"), text[-100:])
        self.assertIn(" bytes left out ...]", text)
        self.assertLess(len(text), 24 << 20)
        self.measured("C6", "96 MiB printed onto a disk of 24 MiB", time.monotonic() - begin)

    @needs_namespaces
    @unittest.skipUnless(HAS_FUSE, NO_FUSE)
    def test_a_hanging_work_folder_does_not_stop_the_agent(self):
        fleet = self.fleet(nodes=2, gpus=2, namespaces=True, timeouts=REAL, before_start=Hanging(self, "node01").mount)
        neighbour = fleet.submit("--gpus", 1, "--nodelist", "node01", "--", "sleep", "10000")
        self.await_running(fleet, neighbour)
        job = fleet.submit("--gpus", 1, "--nodelist", "node01", "--workdir", fleet.folder / "hangs", "--", "pwd")
        until(lambda: (fleet.folder / "agents/node01/jobs").is_dir() and len(fleet.shims("node01")) == 2, "its supervisor is there")
        worst, end = 0, time.monotonic() + 6
        while time.monotonic() < end:
            worst = max(worst, fleet.nodes()["node01"]["heartbeat_age_ms"] / 1000)
        self.measured("C7", "longest silence of the agent", worst, at_most=2)
        self.assertNotEqual(fleet.state(job), "running")
        self.assertEqual(fleet.state(neighbour), "running")

    @also_at_real_values
    @needs_root
    def test_a_hanging_prolog_is_ended_and_its_node_drained(self):
        folder = pathlib.Path("/tmp") / f"um-prolog-{os.getpid()}"
        folder.write_text("#!/bin/sh\n[ $ULTRA_NODE = node02 ] || exec sleep 1000\n")
        folder.chmod(0o755)
        self.addCleanup(folder.unlink)
        limit = 50 if self.timeouts is REAL else 0.5
        # A launch has time for the site's scripts, unless the file says otherwise.
        timeouts = {name: value for name, value in self.timeouts.items() if name != "launch"}
        deadline = "" if self.timeouts is REAL else 'script_deadline = "500ms"\n'
        fleet = self.fleet(nodes=2, gpus=1, agent=f'prolog = "{folder}"\n{deadline}', timeouts=timeouts)
        begin = time.monotonic()
        job = fleet.submit("--gpus", 1, "--", "sh", "-c", "echo on $ULTRA_NODE")
        self.assertEqual(fleet.wait(job), 0)
        self.measured("C8", f"submitted to ended on the other node (script_deadline = {limit:g} s)", time.monotonic() - begin, at_most=limit + 5)
        self.assertIn("on node02", fleet.logs(job))
        self.assertIn("prolog", fleet.nodes()["node01"]["node"]["drain"]["reason"])

    @unittest.skipUnless(may_spare(), "only root with CAP_SYS_RESOURCE can keep a process from the kernel's choice")
    def test_the_kernel_spares_agents_and_supervisors_when_memory_runs_out(self):
        fleet = self.fleet(nodes=1, gpus=1)
        job = fleet.submit("--gpus", 1, "--", "sleep", "10000")
        self.await_running(fleet, job)
        score = lambda pid: int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())  # noqa: E731
        self.assertLessEqual(score(fleet.pid("node01")), -900)
        self.assertLessEqual(score(fleet.shims()[0]), -900)
        self.assertGreaterEqual(score(until(lambda: fleet.ranks(job), "the rank")[0]), 0)

    @also_at_real_values
    @needs_root
    @unittest.skipUnless(MEMORY.is_dir(), "only where control groups of version 1 limit memory")
    def test_where_memory_runs_out_the_greedy_rank_dies_and_nobody_else(self):
        """A machine with little memory: a group round its agent, and so round all that is below it. No job has a limit of its own."""
        group = MEMORY / f"um-node-{os.getpid()}"
        group.mkdir()
        self.addCleanup(until, lambda: is_removed(group), "the kernel lets go of the group")
        (group / "memory.limit_in_bytes").write_text("300M")
        (group / "memory.swappiness").write_text("0")
        fleet = self.fleet(nodes=1, gpus=2, around=["sh", "-c", f'echo 0 > {group}/cgroup.procs && exec "$@"', "sh"])
        stays = fleet.submit("--gpus", 1, "--", "sleep", "10000")
        ranks = self.await_ranks(fleet, stays)
        agent, (shim,), times = fleet.pid("node01"), fleet.shims(), []
        self.assertIn(group.name, pathlib.Path(f"/proc/{ranks[0]}/cgroup").read_text())
        rounds = 100 if SLOW and self.timeouts is not REAL else 3
        for _ in range(rounds):
            begin = time.monotonic()
            greedy = fleet.submit("--gpus", 1, "--", PYTHON, "-c", EATS)
            self.assertNotEqual(fleet.wait(greedy), 0)
            times.append(time.monotonic() - begin)
            attempt = fleet.show(greedy)["details"]["attempts"][0]
            failure = attempt["failure"]
            self.assertEqual((attempt["outcome"], failure["rank"], failure["signal"]), ("out_of_memory", 0, signal.SIGKILL), attempt)
            self.assertTrue(is_alive(agent) and is_alive(shim), "the kernel chose wrongly")
        self.assertEqual((fleet.pid("node01"), fleet.shims(), fleet.ranks(stays), fleet.state(stays)), (agent, [shim], ranks, "running"))
        self.measured("C9", f"submitted to told that memory ran out, the slowest of {rounds}", max(times))

    def steps_of_a_neighbour(self, fleet):
        """The median of its steps, in ms: each starts a program and computes for a moment."""
        job = fleet.submit("--gpus", 1, "--cpus-per-gpu", 1, "--", PYTHON, "-c",
                           "import statistics, subprocess, time\ntimes = []\nfor step in range(40):\n  begin = time.monotonic()\n"
                           "  subprocess.run(['/bin/true'], check=True)\n"
                           "  sum(range(400000))\n  times.append(time.monotonic() - begin)\nprint(1000 * statistics.median(times))")
        self.assertEqual(fleet.wait(job), 0, fleet.ultra("show", job))
        return float(fleet.logs(job).split()[-1])

    @also_at_real_values
    def test_a_fork_bomb_and_lost_descriptors_stay_in_their_job(self):
        fleet = self.fleet(nodes=1, gpus=3, agent="processes_max = 200")
        if "pids" not in next(iter(fleet.nodes().values()))["facts"]["limits"]:
            self.skipTest("the processes of jobs can't be limited here")
        alone = self.steps_of_a_neighbour(fleet)
        greedy = fleet.submit("--gpus", 1, "--", PYTHON, "-c", "import os\nkept = []\ntry:\n  while True: kept.append(os.open('/dev/null', os.O_RDONLY))\nexcept OSError as why: print(why, flush=True)\nimport time; time.sleep(10000)")
        until(lambda: "Too many open files" in fleet.logs(greedy), "its descriptors are used up")
        bomb = fleet.submit("--gpus", 1, "--cpus-per-gpu", 1, "--grace", "100ms", "--", "sh", "-c",
                            "(while :; do (while :; do (sleep 1000 &) ; done &) ; done) 2>/dev/null & exec sleep 10000")
        self.await_running(fleet, bomb)
        beside = self.steps_of_a_neighbour(fleet)
        print(f"C12: a neighbour's step: {alone:.1f} ms alone, {beside:.1f} ms beside the bomb", file=sys.stderr)
        self.assertLess(beside, 5 * alone + 20, "the bomb was not kept from its neighbour")
        begin = time.monotonic()
        for job in (bomb, greedy):
            self.assertIn(fleet.ultra("cancel", job).code, (0, 6))  # a shell that can't fork may have ended by itself
        until(lambda: fleet.devices_in_use() == 0, "both are gone")
        self.measured("C12", "fork bomb cancelled to gone", time.monotonic() - begin)
        self.assertEqual(fleet.node_states(), ["up"])

    @also_at_real_values
    @needs_root
    def test_what_a_job_leaves_in_tmp_and_shm_goes_with_it(self):
        fleet = self.fleet(nodes=1, gpus=1, agent="private_tmp = true", folder_in="/var/tmp")
        name = f"leak-{fleet.folder.name}"
        used = lambda: shutil.disk_usage("/dev/shm").used  # noqa: E731
        find = ["find", "/tmp", "/dev/shm", str(fleet.folder), "-name", name]
        left = lambda: subprocess.run(find, capture_output=True, text=True).stdout.split()  # noqa: E731
        job = fleet.submit("--gpus", 1, "--grace", "1s", "--", "sh", "-c",
                           f"for place in /tmp /dev/shm; do dd if=/dev/zero of=$place/{name} bs=1M count=8 2>/dev/null; done; "
                           f"ls -l /tmp/{name} /dev/shm/{name}; echo leaked; exec sleep 10000")
        until(lambda: "leaked" in fleet.logs(job), "it has leaked")
        self.assertEqual(fleet.logs(job).count("8388608"), 2, fleet.logs(job))
        self.assertFalse(os.path.exists(f"/tmp/{name}") or os.path.exists(f"/dev/shm/{name}"), "others see nothing of it")
        self.assertEqual(len(left()), 2, "it is somewhere")
        before, begin = used(), time.monotonic()
        self.assertEqual(fleet.ultra("cancel", job).code, 0)
        until(lambda: not left(), "nothing of it is left")
        self.measured("C12", "cancelled to 16 MiB in /tmp and /dev/shm removed", time.monotonic() - begin)
        self.assertLess(used(), before)

    def seconds_of(self, fleet, *command):
        job = fleet.submit("--gpus", 1, "--log-limit", "4MiB", "--", *command)
        self.assertEqual(fleet.wait(job), 0)
        attempt = fleet.show(job)["details"]["attempts"][0]
        return (attempt["ended_ms"] - attempt["started_ms"]) / 1000

    @also_at_real_values
    def test_runaway_output_is_cut_and_costs_the_agent_nothing(self):
        fleet = self.fleet(nodes=1, gpus=1)
        cap = 4 << 20
        into_nothing = self.seconds_of(fleet, "sh", "-c", "yes | head -c 2000000000 > /dev/null")
        job = fleet.submit("--gpus", 1, "--log-limit", "4MiB", "--", "sh", "-c", "echo the beginning; yes | head -c 2000000000; echo the end")
        self.await_running(fleet, job)
        agent, memory, disk = fleet.pid("node01"), 0, 0
        on_disk = lambda: sum(entry.stat().st_blocks * 512 for entry in (fleet.folder / f"agents/node01/jobs/{job}.1.1").glob("rank_*"))  # noqa: E731
        while fleet.state(job) == "running":
            memory, disk = max(memory, resident_bytes(agent)), max(disk, on_disk())
        self.assertEqual(fleet.wait(job), 0)
        attempt = fleet.show(job)["details"]["attempts"][0]
        taken = (attempt["ended_ms"] - attempt["started_ms"]) / 1000
        self.measured("C13", "2 GB printed", taken)
        print(f"C13: {into_nothing:.3f} s into /dev/null; resident memory of the agent at most {memory >> 20} MiB, "
              f"its files at most {disk / (1 << 20):.1f} MiB while it ran (limit 4 MiB)", file=sys.stderr)
        self.assertLessEqual(memory, 64 << 20)
        self.assertLessEqual(on_disk(), cap * 1.01 + 8192)
        text = fleet.logs(job)
        self.assertTrue(text.startswith("[0] the beginning\n") or text.startswith("the beginning\n"), text[:50])
        self.assertTrue(text.endswith("the end\n"))
        self.assertIn(" bytes left out ...]", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
