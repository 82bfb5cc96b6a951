#!/usr/bin/python3
"""What operators and owners do, over real daemons: hold, release, drain, resume, reserve, reorder, reload."""

import datetime
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import unittest
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402
from readme import progress_class  # noqa: E402


class OnOneCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=2, gpus_per_node=4)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        self.addCleanup(self.nothing_runs)

    def nothing_runs(self):
        for job in self.queue():
            self.cluster.ultra("cancel", job["details"]["job"])
        until(lambda: not self.queue(), "nothing waits or runs")
        for name, node in self.nodes().items():
            if node["drain"]:
                self.ok("resume", name)
        for one in self.reservations():
            self.ok("reserve", "--cancel", one)

    def ok(self, *words):
        result = self.cluster.ultra(*words)
        self.assertEqual(result.code, 0, result)
        return result

    def refused(self, code, *words):
        result = self.cluster.ultra(*words)
        self.assertEqual(result.code, code, result)
        self.assertEqual(result.err.count("\n"), 1, result)
        return result.err

    def queue(self):
        return self.ok("queue", "--json").json()["jobs"]

    def nodes(self):
        return {view["node"]["config"]["name"]: view["node"] for view in self.ok("nodes", "--json").json()["nodes"]}

    def node_state(self, name):
        return self.nodes()[name]["state"]

    def reservations(self):
        return [one["name"] for one in self.ok("reservations", "--json").json()["reservations"]]

    def running(self, *words):
        job = self.cluster.submit(*words, "--", "sleep", "600")
        until(lambda: self.cluster.state(job) == "running", f"job {job} runs")
        return job

    def end(self, job):
        self.ok("cancel", job)
        until(lambda: self.cluster.state(job) == "cancelled", f"job {job} has ended")

    # ---- requeue and restarts

    def test_a_requeued_job_stops_and_runs_again_or_was_done_anyway(self):
        ends = {85: "running", 3: "running", 0: "completed"}
        for code, then in ends.items():
            job = self.cluster.submit("--", "sh", "-c", f'trap "exit {code}" TERM; echo attempt; while :; do sleep 0.05; done')
            until(lambda: "attempt" in self.ok("logs", job).out, f"job {job} listens")
            self.assertEqual(self.ok("requeue", job).out, f"Job {job} is being stopped, and queues again.\n")
            until(lambda: self.cluster.state(job) == then and (then != "running" or len(self.cluster.show(job)["details"]["attempts"]) == 2), f"job {job} is {then} again")
            self.assertEqual(self.cluster.show(job)["details"]["attempts"][0]["outcome"], "succeeded" if code == 0 else "preempted")
            if then == "running":
                self.end(job)
        self.assertIn("is waiting already", self.refused(6, "requeue", self.cluster.submit("--hold", "--", "true")))

    def test_a_job_with_a_signal_of_its_own_is_asked_for_its_checkpoint_by_that(self):
        job = self.cluster.submit("--signal", "USR2", "--", "sh", "-c", 'trap "echo asked; exit 85" USR2; trap "" TERM; echo attempt; while :; do sleep 0.05; done')
        until(lambda: "attempt" in self.ok("logs", job).out, f"job {job} listens")
        self.ok("requeue", job)
        until(lambda: len(self.cluster.show(job)["details"]["attempts"]) == 2, f"job {job} runs again")
        first = self.cluster.show(job)["details"]["attempts"][0]
        self.assertEqual((first["outcome"], first["gangs"][0]["ranks"][0]["exit_code"]), ("preempted", 85))
        self.end_deaf(job)

    def end_deaf(self, job):
        """One that ignores SIGTERM."""
        pids = [pid for pids in until(lambda: self.cluster.show(job).get("pids"), f"job {job} runs").values() for pid in pids]
        self.ok("cancel", job)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: self.cluster.state(job) == "cancelled", f"job {job} has ended")

    def readme_program(self, text):
        """A file with the class of the README and this behind it."""
        program = pathlib.Path(tempfile.mkdtemp()) / "train.py"
        self.addCleanup(shutil.rmtree, program.parent)
        program.write_text(progress_class() + text)
        return program

    def test_a_program_that_speaks_as_the_readme_says_keeps_its_checkpoint(self):
        program = self.readme_program('''
import signal, sys, time
progress, step = Progress(), 0
def leave(*_):
    print("saved" if progress.saved(step, "/data/step") else "not saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
while True:
    step += 1
    progress.step(step, loss=1.0 / step)
    time.sleep(0.02)
''')
        job = self.cluster.submit("--", "python3", str(program))
        until(lambda: (self.cluster.show(job).get("progress") or {}).get("step", 0) > 3, f"job {job} says how far it is")
        self.ok("requeue", job)
        until(lambda: len(self.cluster.show(job)["details"]["attempts"]) == 2, f"job {job} runs again")
        details = self.cluster.show(job)["details"]
        self.assertEqual(details["attempts"][0]["outcome"], "preempted", "it exited with 0, but said that there is something to go on with")
        self.assertEqual(details["checkpoint"]["path"], "/data/step")
        self.assertGreater(details["checkpoint"]["step"], 3)
        self.end(job)

    def test_a_checkpoint_said_before_and_again_when_it_is_to_stop_is_something_to_go_on_with(self):
        program = self.readme_program("""
import signal, sys, time
progress = Progress()
def leave(*_):
    progress.saved(100, "/data/step")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("saved" if progress.saved(100, "/data/step") else "not saved", flush=True)
while True:
    time.sleep(0.02)
""")
        for options in ([], ["--signal", "USR1"]):
            job = self.cluster.submit(*options, "--", "sh", "-c", f"trap '' USR1; exec python3 {program}")
            until(lambda: "[0] saved" in self.ok("logs", job).out.splitlines(), f"job {job} has saved")
            self.ok("requeue", job)
            until(lambda: len(self.cluster.show(job)["details"]["attempts"]) == 2, f"job {job} runs again")
            self.assertEqual(self.cluster.show(job)["details"]["attempts"][0]["outcome"], "preempted")
            self.end(job)

    def test_a_job_that_fails_is_tried_again_as_often_as_it_asked(self):
        flag = pathlib.Path(tempfile.mkdtemp()) / "was-here"
        self.addCleanup(shutil.rmtree, flag.parent)
        job = self.cluster.submit("--max-restarts", "1", "--", "sh", "-c", f"test -e {flag} && exit 0; touch {flag}; exit 7")
        until(lambda: self.cluster.state(job) == "queued", "it waits to be tried again")
        self.assertIn("Its last attempt failed: it is tried again", self.ok("show", job).out)
        self.assertEqual(self.cluster.wait(job), 0)
        first, second = self.cluster.show(job)["details"]["attempts"]
        self.assertEqual((first["outcome"], second["outcome"]), ("failed", "succeeded"))
        self.assertNotEqual(first["allocation"][0]["node"], second["allocation"][0]["node"], "it avoids the node that failed")
        self.assertGreaterEqual(second["decided_ms"] - first["ended_ms"], 5000)

    # ---- hold and release

    def test_a_held_job_waits_until_it_is_released(self):
        job = self.cluster.submit("--hold", "--", "echo", "let go")
        self.assertEqual(self.cluster.state(job), "held")
        other = self.cluster.submit("--", "true")
        self.assertEqual(self.cluster.wait(other), 0, "it overtakes the held one")
        self.assertEqual(self.cluster.state(job), "held")
        self.assertIn("\theld\t", self.ok("queue").out)
        self.assertEqual(self.ok("hold", job, "--reason", "data is late").out, f"Job {job} is held.\n")
        self.assertIn("data is late", self.ok("show", job).out)
        self.assertEqual(self.ok("release", job).out, f"Job {job} is in the queue again.\n")
        self.assertEqual(self.cluster.wait(job), 0)
        told = self.ok("events", job).out
        self.assertIn("held it: data is late", told)
        self.assertIn("released it", told)
        self.assertIn(f"job {job} doesn't wait: it is completed", self.refused(6, "hold", job))

    def test_elements_of_an_array(self):
        array = self.cluster.submit("--hold", "--array", "0-3", "--", "true")
        self.ok("release", f"{array}_[1-2]")
        self.assertEqual(self.cluster.wait(f"{array}_1"), 0)
        self.assertEqual(self.cluster.wait(f"{array}_2"), 0)
        self.assertEqual(self.cluster.state(f"{array}_0"), "held")
        self.ok("release", array)
        self.assertEqual(self.cluster.wait(array), 0)

    def test_a_hold_outlives_the_scheduler(self):
        job = self.cluster.submit("--hold", "--", "true")
        self.cluster.kill_scheduler()
        self.assertTrue(self.cluster.start_scheduler())
        self.assertEqual(self.cluster.state(job), "held")
        self.ok("release", job)
        self.assertEqual(self.cluster.wait(job), 0)

    # ---- drain and resume

    def test_a_drained_node_finishes_what_runs_and_takes_nothing_new(self):
        here = self.running("--gpus", 1, "--nodelist", "node01")
        self.assertEqual(self.ok("drain", "node01", "--reason", "new fans").out, "node01 takes no new jobs; those that run on it finish.\n")
        self.assertEqual(self.node_state("node01"), "draining")
        big = self.cluster.submit("--gpus", 8, "--", "true")
        small = self.cluster.submit("--gpus", 4, "--", "true")
        self.assertEqual(self.cluster.wait(small), 0)
        self.assertEqual([part["node"] for part in self.cluster.show(small)["details"]["attempts"][-1]["allocation"]], ["node02"])
        self.assertEqual(self.cluster.state(here), "running")
        self.end(here)
        until(lambda: self.node_state("node01") == "drained", "node01 is drained")
        self.assertEqual(self.cluster.state(big), "queued")
        reasons = self.ok("nodes", "--reasons").out.splitlines()
        self.assertEqual(reasons[0], "REASON\tUSER\tTIMESTAMP\tNODELIST")
        self.assertRegex(reasons[1], r"^new fans\troot\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\tnode01$")
        self.cluster.kill_scheduler()
        self.assertTrue(self.cluster.start_scheduler())
        until(lambda: self.node_state("node01") == "drained", "node01 is still drained")
        self.assertEqual(self.ok("resume", "node01").out, "node01 takes jobs again.\n")
        self.assertEqual(self.cluster.wait(big), 0)
        self.assertIn("node01 is not drained", self.refused(6, "resume", "node01"))

    def test_a_drain_needs_a_reason_and_a_node(self):
        self.assertIn("--reason", self.refused(2, "drain", "node01"))
        self.assertIn("did you mean node02?", self.refused(2, "drain", "nod02", "--reason", "x"))
        self.assertEqual(self.node_state("node02"), "up")

    # ---- reservations

    def test_reservations_come_and_go(self):
        start = datetime.datetime.now() + datetime.timedelta(hours=2)
        words = ["--nodes", "node02", "--start", start.strftime("%Y-%m-%dT%H:%M"), "--duration", "2h", "--reason", "a course"]
        made = self.ok("reserve", "course", "--accounts", "default", *words)
        self.assertIn("Reservation course: node02 for default from " + start.strftime("%Y-%m-%d %H:%M:00"), made.out)
        self.assertIn("course\tplanned\t", self.ok("reservations").out)
        self.assertIn("there is a reservation course already", self.refused(6, "reserve", "course", "--accounts", "default", *words))
        self.assertIn("node02 is kept for reservation course then", self.refused(6, "reserve", "fans", "--maintenance", *words))
        self.assertIn("there is no account nobody", self.refused(2, "reserve", "x", "--accounts", "nobody", *words))
        self.assertEqual(self.ok("reserve", "--cancel", "course").out, "Reservation course is over.\n")
        self.assertEqual(self.reservations(), [])

    def test_a_reservation_ends_by_itself(self):
        self.ok("reserve", "brief", "--maintenance", "--nodes", "node02", "--start", "now", "--duration", "2s", "--reason", "a moment")
        until(lambda: self.reservations() == [], "the end of the reservation")

    def nodes_of(self, job):
        return [part["node"] for part in self.cluster.show(job)["details"]["attempts"][-1]["allocation"]]

    def test_jobs_run_inside_and_outside_of_a_reservation(self):
        self.ok("reserve", "course", "--nodes", "node02", "--accounts", "default", "--start", "now", "--duration", "2h", "--reason", "a course")
        inside = self.cluster.submit("--reservation", "course", "--time", "10m", "--gpus", 1, "--", "true")
        self.assertEqual(self.cluster.wait(inside), 0)
        self.assertEqual(self.nodes_of(inside), ["node02"])
        outside = self.cluster.submit("--gpus", 4, "--time", "10m", "--", "true")
        self.assertEqual(self.cluster.wait(outside), 0)
        self.assertEqual(self.nodes_of(outside), ["node01"])
        both = self.cluster.submit("--gpus", 8, "--time", "10m", "--", "true")
        view = self.cluster.show(both)
        self.assertEqual((view["details"]["state"], view["planned"]["reason"]["code"], view["planned"]["reason"]["reservation"]), ("queued", "reservation", "course"))
        self.assertIn("no reservation \"curse\"", self.refused(2, "submit", "--reservation", "curse", "--", "true"))
        self.assertEqual(self.ok("reserve", "--cancel", "course").code, 0)
        self.assertEqual(self.cluster.wait(both), 0)

    def test_nothing_starts_that_would_run_into_a_maintenance(self):
        self.ok("reserve", "fans", "--maintenance", "--nodes", "node[01-02]", "--start", "now+30m", "--duration", "1h", "--reason", "new fans")
        long = self.cluster.submit("--time", "1h", "--", "true")
        brief = self.cluster.submit("--time", "5m", "--", "true")
        self.assertEqual(self.cluster.wait(brief), 0)
        view = self.cluster.show(long)
        self.assertEqual((view["details"]["state"], view["planned"]["reason"]["code"]), ("queued", "reservation"))
        self.assertGreaterEqual(view["planned"]["start_ms"], self.ok("reservations", "--json").json()["reservations"][0]["end_ms"])

    # ---- reorder

    def test_ones_own_jobs_change_places(self):
        holder = self.running("--gpus", 8)
        first, second, third = (self.cluster.submit("--gpus", 8, "--name", name, "--", "true") for name in ("a", "b", "c"))
        order = lambda: [job["details"]["job"] for job in self.queue() if job["details"]["state"] == "queued"]  # noqa: E731
        self.assertEqual(order(), [first, second, third])
        shown = self.ok("reorder", third, first).out.splitlines()
        self.assertEqual([line.split("\t")[0] for line in shown], ["JOB", str(third), str(first)])
        self.assertEqual(order(), [third, second, first])
        self.assertIn("one job alone", self.refused(2, "reorder", second))
        self.assertIn("doesn't wait", self.refused(6, "reorder", holder, second))
        self.end(holder)
        for job in (first, second, third):
            self.assertEqual(self.cluster.wait(job), 0)
        starts = [self.cluster.show(job)["details"]["attempts"][0]["decided_ms"] for job in (third, second, first)]
        self.assertEqual(starts, sorted(starts), "they ran in the new order")

    # ---- when it may start

    def test_instants_travel_as_utc(self):
        begin = datetime.datetime(2099, 12, 24, 10, 0, tzinfo=datetime.timezone.utc)
        seoul = {"TZ": "Asia/Seoul"}
        job = self.cluster.submit("--hold", "--begin", "2099-12-24T19:00", "--", "true", environment=seoul)
        self.assertEqual(self.cluster.show(job)["details"]["spec"]["begin_ms"], int(begin.timestamp() * 1000))
        self.assertIn("begin\t2099-12-24 19:00:00", self.cluster.ultra("show", job, environment=seoul).out)


class Reload(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(nodes=2, gpus_per_node=2)
        self.cluster.up()
        self.addCleanup(self.cluster.close)
        self.file = self.cluster.home / "cluster.toml"
        self.text = self.file.read_text()

    def reload(self, *words, code=0):
        result = self.cluster.ultra("reload", *words)
        self.assertEqual(result.code, code, result)
        return result

    def nodes(self):
        return {view["node"]["config"]["name"]: view["node"] for view in self.cluster.ultra("nodes", "--json").json()["nodes"]}

    def test_what_changed_is_said_and_taken_over_whole(self):
        self.assertEqual(self.reload().err, "Nothing differs from what the scheduler runs with.\n")
        running = self.cluster.submit("--gpus", 1, "--", "sleep", "600")
        until(lambda: self.cluster.state(running) == "running", "the job runs")
        self.file.write_text(self.text + '\n[[account]]\nname = "lab-x"\nmembers = ["*"]\nlimits = { gpus = 2 }\n\n[[qos]]\nname = "urgent"\npriority = 5\n')
        checked = self.reload("--check")
        self.assertIn("account lab-x: new\n", checked.out)
        self.assertIn("QOS urgent: new\n", checked.out)
        self.assertEqual(self.cluster.ultra("submit", "--account", "lab-x", "--", "true").code, 2, "only checked")
        self.assertEqual(self.reload().out, checked.out)
        self.assertEqual(self.cluster.state(running), "running")
        self.assertEqual(self.cluster.wait(self.cluster.submit("--account", "lab-x", "--qos", "urgent", "--gpus", 1, "--", "true")), 0)
        self.assertEqual(self.reload().out, "")
        # A restart finds the same.
        self.cluster.kill_scheduler()
        self.assertEqual(self.cluster.ultra("cluster", "up").code, 0)
        self.assertEqual(self.reload().out, "")

    def test_what_the_metrics_say_is_taken_over_too(self):
        def users():
            with urllib.request.urlopen(f"http://{self.cluster.http()}/metrics") as answer:
                return [line for line in answer.read().decode().split("\n") if line.startswith("ultramarine_allocated_gpu_seconds_total{") and 'user="' in line]

        self.assertEqual(self.cluster.wait(self.cluster.submit("--gpus", 1, "--", "true")), 0)
        self.assertEqual(users(), [])
        self.file.write_text(self.text.replace("user_label = false", "user_label = true"))
        self.assertEqual(self.reload("--check").out, "metrics: user_label false -> true\n")
        self.assertEqual(users(), [], "only checked")
        self.assertEqual(self.reload().out, "metrics: user_label false -> true\n")
        self.assertNotEqual(users(), [])
        self.assertEqual(self.reload().out, "")

    def test_a_mistake_is_named_by_its_place_and_changes_nothing(self):
        line = self.text.count("\n") + 2
        self.file.write_text(self.text + '\n[[account]]\nnaem = "lab-x"\n')
        refused = self.reload(code=2)
        self.assertIn(f"cluster.toml:{line + 1}:1: ", refused.err)
        self.assertIn("naem", refused.err)
        self.file.write_text(self.text.replace("[scheduler]\n", '[scheduler]\nsocket = "other.sock"\n', 1))
        self.assertIn("[scheduler].socket", self.reload(code=6).err)
        self.file.write_text(self.text)
        self.assertEqual(self.reload().out, "")

    def test_jobs_of_a_partition_that_is_gone_are_held_until_it_is_back(self):
        extra = '\n[[partition]]\nname = "extra"\n'
        self.file.write_text(self.text + extra)
        self.assertIn("partition extra: new", self.reload().out)
        holder = self.cluster.submit("--gpus", 4, "--", "sleep", "600")
        until(lambda: self.cluster.state(holder) == "running", "all GPUs are held")
        job = self.cluster.submit("--partition", "extra", "--", "true")
        self.file.write_text(self.text)
        self.assertIn("partition extra: gone; 1 waiting job is held until it is back\n", self.reload().out)
        self.assertEqual(self.cluster.state(job), "held")
        self.assertIn("partition extra is not in the cluster file any more", self.cluster.ultra("queue").out)
        self.assertEqual(self.cluster.ultra("release", job).code, 6)
        self.file.write_text(self.text + extra)
        self.assertIn("1 held job queues again", self.reload().out)
        self.assertEqual(self.cluster.state(job), "queued")
        self.assertEqual(self.cluster.ultra("cancel", holder).code, 0)
        self.assertEqual(self.cluster.wait(job), 0)

    def test_a_node_that_leaves_finishes_its_job(self):
        job = self.cluster.submit("--nodelist", "node02", "--", "sh", "-c", "while ! test -e end; do sleep 0.1; done")
        until(lambda: self.cluster.state(job) == "running", "the job runs")
        self.file.write_text(self.text.replace("node[01-02]", "node01"))
        self.assertIn(f"node node02: gone; what runs there runs on to its end: {job}\n", self.reload().out)
        self.assertEqual(self.cluster.state(job), "running")
        (self.cluster.folder / "end").touch()
        self.assertEqual(self.cluster.wait(job), 0)
        until(lambda: list(self.nodes()) == ["node01"], "node02 is forgotten")

    def test_a_policy_file(self):
        policy = self.cluster.home / "policy.toml"
        policy.write_text('name = "mine"\nmax_age = "3d"\n')
        self.file.write_text(self.text.replace('policy = "default"', 'policy = "policy.toml"', 1))
        self.assertIn("-> mine", self.reload().out)
        policy.write_text('name = "mine"\nmax_age = "2d"\n')
        self.assertEqual(self.reload().out, "policy: max_age 3d -> 2d\n")
        policy.write_text('name = "mine"\nmax_age = "soon"\n')
        self.assertIn("policy.toml:2:", self.reload(code=2).err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
