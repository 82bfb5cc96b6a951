#!/usr/bin/python3
"""The command line over real daemons: up, submit, follow, wait, cancel, down; and every mistake is one line with a remedy."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import unittest
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import BIN, Home, OnTerminal, kill, until  # noqa: E402


class Checks(unittest.TestCase):
    def assert_mistake(self, ran, code, *parts):
        """One line on stderr that holds all parts, nothing on stdout, and the documented exit code."""
        self.assertEqual(ran.code, code, ran)
        self.assertEqual(ran.err.count("\n"), 1, ran)
        self.assertTrue(ran.err.startswith("error: "), ran)
        for part in parts:
            self.assertIn(part, ran.err)

    def home(self):
        home = Home()
        self.addCleanup(home.close)
        return home

    def up(self, home, *words):
        ran = home.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0", *words)
        self.assertEqual(ran.code, 0, ran)
        return ran


class OneCluster(Checks):
    """What works on a running cluster, and that it works again after every mistake."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Home()
        cls.started = cls.cluster.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0")

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def test_up_says_what_runs_and_what_to_type_next(self):
        self.assertEqual(self.started.code, 0, self.started)
        self.assertIn("The cluster is up: 2 nodes, 16 virtual GPUs, policy default.\n", self.started.out)
        self.assertIn("Next: ultra submit", self.started.out)
        self.assertEqual(self.started.err, "")
        status = self.cluster.json("cluster", "status")
        self.assertTrue(status["up"])
        self.assertIn("http://" + status["http"], self.started.out)
        self.assertTrue(status["scheduler"]["running"])
        agents = [(agent["name"], agent["running"]) for agent in status["agents"]]
        self.assertEqual(agents, [("node01", True), ("node02", True)])
        with urllib.request.urlopen(f"http://{status['http']}/metrics", timeout=30) as answer:
            self.assertIn(b"# TYPE", answer.read())
        self.assertEqual(stat.S_IMODE(os.stat(self.cluster.path).st_mode), 0o700)
        secret = os.path.join(self.cluster.path, "secret")
        self.assertEqual(stat.S_IMODE(os.stat(secret).st_mode), 0o600)
        with open(secret, encoding="ascii") as file:
            self.assertRegex(file.read(), r"\A[0-9a-f]{64}\n\Z")

    def test_up_again_changes_nothing(self):
        before = self.cluster.json("cluster", "status")
        ran = self.cluster.ultra("cluster", "up")
        self.assertEqual(ran.code, 0, ran)
        self.assertTrue(ran.out.startswith("Already up: 2 nodes"), ran)
        after = self.cluster.json("cluster", "status")
        self.assertEqual([before["scheduler"], before["agents"]], [after["scheduler"], after["agents"]])
        self.assert_mistake(self.cluster.ultra("cluster", "up", "--nodes", "3"), 6, "--nodes:", "'ultra cluster down' first")

    def test_follow_prints_every_rank_and_ends_with_its_code(self):
        script = "echo rank $RANK of $WORLD_SIZE; echo to-stderr >&2"
        ran = self.cluster.ultra("submit", "--gpus", "3", "--follow", "--", "sh", "-c", script)
        self.assertEqual(ran.code, 0, ran)
        self.assertEqual(sorted(ran.out.splitlines()), ["[0] rank 0 of 3", "[1] rank 1 of 3", "[2] rank 2 of 3"])
        errors = sorted(line for line in ran.err.splitlines() if "to-stderr" in line)
        self.assertEqual(errors, ["[0] to-stderr", "[1] to-stderr", "[2] to-stderr"])
        self.assertEqual(self.cluster.ultra("submit", "--follow", "--", "sh", "-c", "echo last words; exit 9").code, 9)

    def test_the_environment_travels_as_asked(self):
        more = {"TRICKY": "two\nlines \"quoted\" 한글 $HOME", "TOKEN": "hush"}

        def seen(*export):
            program = "import os, json; print(json.dumps({n: os.environ.get(n) for n in ('TRICKY', 'TOKEN', 'PATH')}))"
            ran = self.cluster.ultra("submit", *export, "--follow", "--rank", "0", "--", "/usr/bin/python3", "-c", program, environment=more)
            self.assertEqual(ran.code, 0, ran)
            return json.loads(ran.out)

        path = self.cluster.environment()["PATH"]
        self.assertEqual(seen(), {**more, "PATH": path})
        self.assertEqual(seen("--export", "TOKEN"), {"TRICKY": None, "TOKEN": "hush", "PATH": path})
        self.assertEqual(seen("--export", "NONE"), {"TRICKY": None, "TOKEN": None, "PATH": path})
        newest = self.cluster.json("queue", "--all")["jobs"][0]["details"]["job"]
        self.assertNotIn("hush", self.cluster.ultra("show", str(newest), "--json").out)

    def test_the_job_runs_where_it_was_submitted_or_told(self):
        self.assertEqual(self.cluster.ultra("submit", "--follow", "--rank", "0", "--", "pwd").out, self.cluster.work + "\n")
        os.makedirs(os.path.join(self.cluster.work, "runs"), exist_ok=True)
        ran = self.cluster.ultra("submit", "--workdir", "runs", "--follow", "--rank", "0", "--", "pwd")
        self.assertEqual(ran.out, self.cluster.work + "/runs\n")

    def test_arguments_arrive_as_they_were_typed(self):
        program = "import sys, json; print(json.dumps(sys.argv[1:]))"
        words = ["--gpus", "4", "--", "", "a b", "[x]", "'q'", "--help", "$HOME", "*"]
        ran = self.cluster.ultra("submit", "--follow", "--rank", "0", "/usr/bin/python3", "-c", program, *words)  # without `--` too
        self.assertEqual(json.loads(ran.out), words)

    def test_wait_returns_the_jobs_code(self):
        good = self.cluster.submit("--", "true")
        bad = self.cluster.submit("--", "sh", "-c", "exit 7")
        killed = self.cluster.submit("--", "sh", "-c", "kill -9 $$")
        self.assertEqual(self.cluster.ultra("wait", str(good)).code, 0)
        ran = self.cluster.ultra("wait", str(good), str(bad), str(killed))
        self.assertEqual(ran.code, 7, ran)
        self.assertEqual(ran.out.count("\n"), 3)
        self.assertEqual(self.cluster.ultra("wait", str(killed)).code, 137)
        self.assertEqual(self.cluster.ultra("submit", "--wait", "--", "sh", "-c", "exit 3").code, 3)

    def test_a_failed_job_names_its_rank_and_last_lines(self):
        script = "test $RANK = 0 && sleep 1000; echo broken pipe dream; exit 5"
        ran = self.cluster.ultra("submit", "--gpus", "2", "--wait", "--quiet", "--", "sh", "-c", script)
        self.assertEqual(ran.code, 5, ran)
        self.assertEqual(ran.err.count("\n"), 1, ran)
        self.assertIn("rank 1 on node01", ran.err)
        page = self.cluster.ultra("show", ran.out.strip()).out
        self.assertIn("exit code\t5\n", page)
        self.assertIn("broken pipe dream", page)

    def test_a_time_limit_ends_the_job(self):
        ran = self.cluster.ultra("submit", "--time", "1s", "--grace", "1s", "--wait", "--quiet", "--", "sleep", "1000")
        self.assertEqual(ran.code, 143, ran)
        self.assertIn("reached its time limit of 1s; give more with --time", ran.err)

    def test_cancel_stops_ranks_and_takes_out_of_the_queue(self):
        runs = self.cluster.submit("--gpus", "16", "--name", "big", "--", "sleep", "1000")
        waits = self.cluster.submit("--gpus", "16", "--name", "next", "--", "true")
        job = self.cluster.until_state(runs, "running")
        pids = [pid for of_node in job["pids"].values() for pid in of_node]
        self.assertEqual(len(pids), 16)
        rows = [line.split("\t") for line in self.cluster.ultra("queue").out.splitlines()]
        self.assertEqual(rows[0], ["JOB", "NAME", "USER", "ACCOUNT", "GPUS", "STATE", "TIME", "START", "WHERE/WHY"])
        by_job = {row[0]: row for row in rows[1:]}
        self.assertEqual(by_job[str(runs)][8], "node[01-02]")
        self.assertEqual(by_job[str(waits)][5], "queued")
        self.assertTrue(by_job[str(waits)][7].startswith("in "), by_job)
        self.assertIn(f"job {runs} (big", by_job[str(waits)][8])
        self.assert_mistake(self.cluster.ultra("wait", str(waits), "--timeout", "1s"), 7, f"job {waits} has not ended", "ultra cancel")
        self.assertEqual(self.cluster.ultra("cancel", str(waits)).out, f"Job {waits} is cancelled.\n")
        self.assertEqual(self.cluster.ultra("cancel", str(runs)).code, 0)
        self.assertEqual(self.cluster.ultra("wait", str(runs)).code, 143)
        self.assertEqual([pid for pid in pids if os.path.exists(f"/proc/{pid}")], [])
        self.assertEqual(self.cluster.ultra("cancel", str(runs)).out, f"Job {runs} is cancelled.\n")  # twice is once
        done = self.cluster.submit("--", "true")
        self.cluster.ultra("wait", str(done))
        self.assert_mistake(self.cluster.ultra("cancel", str(done)), 6, f"job {done} has already ended")

    def test_logs_of_one_rank_are_byte_for_byte(self):
        job = self.cluster.submit("--gpus", "2", "--", "sh", "-c", "printf 'rank %s without newline' $RANK")
        self.cluster.ultra("wait", str(job))
        self.assertEqual(self.cluster.ultra("logs", str(job), "--rank", "1").out, "rank 1 without newline")
        lines = sorted(self.cluster.ultra("logs", str(job)).out.splitlines())
        self.assertEqual(lines, ["[0] rank 0 without newline", "[1] rank 1 without newline"])
        pieces = [json.loads(line) for line in self.cluster.ultra("logs", str(job), "--json").out.splitlines()]
        self.assertEqual({piece["rank"] for piece in pieces}, {0, 1})

    def test_control_c_in_follow_leaves_the_job_alone(self):
        program = self.cluster.start("submit", "--follow", "--rank", "0", "--", "sh", "-c", "echo begun; exec sleep 1000")
        self.assertEqual(program.stdout.readline(), "begun\n")
        program.send_signal(signal.SIGINT)
        _, err = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 130)
        self.assertIn("ultra cancel", err)
        job = self.cluster.json("queue")["jobs"][0]["details"]
        self.assertEqual(job["state"], "running")
        self.assertEqual(self.cluster.ultra("cancel", str(job["job"])).code, 0)
        self.assertEqual(self.cluster.ultra("wait", str(job["job"])).code, 143)

    def test_a_terminal_gets_bars_and_colour_and_a_pipe_neither(self):
        screen = OnTerminal(self.cluster, "nodes")
        self.assertEqual(screen.wait(), 0)
        self.assertIn("░░░░░░░░", screen.seen)
        self.assertIn("\033[32mup\033[0m", screen.seen)
        piped = self.cluster.ultra("nodes").out
        self.assertNotIn("\033", piped)
        self.assertEqual(len(piped.splitlines()), 3)

    def test_every_mistake_is_one_line_and_harmless(self):
        somewhere = os.path.join(self.cluster.parent, "nowhere")
        mistakes = [
            (2, ["submit", "--gpu", "1", "--", "true"], ["--gpu: unknown option", "did you mean --gpus?"]),
            (2, ["sumbit", "--", "true"], ["sumbit: unknown verb", "'ultra submit'"]),
            (2, ["submit", "--gpus", "65", "--", "true"], ["--gpus: 65 GPUs asked", "at most 16"]),
            (2, ["submit", "--nodes", "1", "--gpus-per-node", "9", "--", "true"], ["--gpus-per-node: 9 GPUs", "at most 8"]),
            (2, ["submit", "--gpus", "none", "--", "true"], ["--gpus: expected a whole number"]),
            (2, ["submit", "--time", "soon", "--", "true"], ["--time: expected a length of time"]),
            (2, ["submit", "--account", "nobody", "--", "true"], ["--account:"]),
            (2, ["submit", "--partition", "mian", "--", "true"], ["--partition:"]),
            (2, ["submit", "--export", "NOT_SET_HERE", "--", "true"], ["--export: NOT_SET_HERE is not set"]),
            (2, ["submit", "--gpus", "1"], ["command: nothing to run", "a command after --"]),
            (3, ["show", "4711"], ["JOB: there is no job 4711", "ultra queue --all"]),
            (3, ["wait", "4711"], ["there is no job 4711"]),
            (3, ["cancel", "4711"], ["there is no job 4711"]),
            (3, ["logs", "4711"], ["there is no job 4711"]),
            (2, ["show", "one"], ['JOB: "one" is not a job; give a number']),
            (5, ["queue", "--socket", somewhere], ["no scheduler answers at " + somewhere, "ultra cluster up"]),
        ]
        for code, words, parts in mistakes:
            with self.subTest(" ".join(words)):
                self.assert_mistake(self.cluster.ultra(*words), code, *parts)
                self.assertEqual(self.cluster.ultra("queue").code, 0)
        wrong_home = self.cluster.ultra("queue", environment={"ULTRA_HOME": somewhere})
        self.assert_mistake(wrong_home, 5, f"there is no folder {somewhere}", "ultra cluster up")
        self.assertEqual(self.cluster.ultra("submit", "--wait", "--quiet", "--", "true").code, 0)

    def test_launch_mistakes_are_said_by_wait_with_field_and_remedy(self):
        ran = self.cluster.ultra("submit", "--quiet", "--wait", "--workdir", "/no/such/folder", "--", "true")
        self.assertNotIn(ran.code, (0, 1), ran)
        self.assertEqual(ran.err.count("\n"), 1, ran)
        self.assertIn("working directory /no/such/folder does not exist on node01; ", ran.err)
        self.assertIn("give a folder that every node has with --workdir", ran.err)
        ran = self.cluster.ultra("submit", "--quiet", "--wait", "--", "no-such-command-here")
        self.assertIn(ran.code, (125, 127), ran)
        self.assertEqual(ran.err.count("\n"), 1, ran)
        self.assertIn("command not found: no-such-command-here", ran.err)
        self.assertIn("give its full path, or add its folder to PATH", ran.err)
        self.assertEqual(self.cluster.ultra("submit", "--quiet", "--wait", "--", "true").code, 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root can play another user")
    def test_another_user_gets_no_further_than_the_door(self):
        os.chmod(self.cluster.parent, 0o755)
        nobody = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
        reach = subprocess.run([os.path.join(BIN, "ultra"), "version"], capture_output=True, check=False, **nobody)
        if reach.returncode != 0:
            self.skipTest("the programs are not readable for other users here")
        ran = self.cluster.ultra("queue", **nobody)
        self.assert_mistake(ran, 4, "is not yours to use", "--socket or ULTRA_HOME")


class Lifecycle(Checks):
    """Up and down, by people and by accident."""

    def test_down_and_up_keep_the_queue(self):
        home = self.home()
        self.up(home)
        runs = home.submit("--gpus", "16", "--name", "runs", "--grace", "1s", "--", "sleep", "1000")
        waits = home.submit("--gpus", "16", "--name", "waits", "--", "true")
        home.until_state(runs, "running")
        self.assert_mistake(home.ultra("cluster", "down"), 6, "--requeue:", f"job {runs} runs", "ultra wait")
        self.assertEqual(home.job(runs)["details"]["state"], "running")
        down = home.ultra("cluster", "down", "--requeue")
        self.assertEqual(down.code, 0, down)
        self.assertEqual(home.processes(), [])
        self.assert_mistake(home.ultra("queue"), 5, "no scheduler answers")
        self.assertEqual(home.ultra("cluster", "down").code, 0)
        again = home.ultra("cluster", "up")
        self.assertEqual(again.code, 0, again)
        self.assertIn("The cluster is up: 2 nodes", again.out)
        self.assertEqual(len(home.until_state(runs, "running")["details"]["attempts"]), 2)
        self.assertEqual(home.job(waits)["details"]["state"], "queued")
        home.ultra("cancel", str(runs))
        self.assertEqual(home.ultra("wait", str(waits)).code, 0)

    def test_down_asks_on_a_terminal(self):
        home = self.home()
        self.up(home)
        job = home.submit("--grace", "1s", "--", "sleep", "1000")
        home.until_state(job, "running")
        screen = OnTerminal(home, "cluster", "down")
        screen.read_until("[y/N] ")
        screen.type("n\n")
        self.assertEqual(screen.wait(), 6)
        self.assertEqual(home.job(job)["details"]["state"], "running")
        screen = OnTerminal(home, "cluster", "down")
        screen.read_until("[y/N] ")
        screen.type("y\n")
        self.assertEqual(screen.wait(), 0, screen.seen)
        self.assertEqual(home.processes(), [])

    def test_a_dead_scheduler_does_not_cost_the_queue(self):
        home = self.home()
        self.up(home)
        job = home.submit("--grace", "1s", "--", "sleep", "1000")
        home.until_state(job, "running")
        kill(home.json("cluster", "status")["scheduler"]["pid"])
        until(lambda: home.ultra("queue").code == 5, "the scheduler is gone")
        self.assert_mistake(home.ultra("cluster", "down"), 6, "--requeue:", "the scheduler is dead")
        down = home.ultra("cluster", "down", "--requeue")
        self.assertEqual(down.code, 0, down)
        self.assertEqual(home.processes(), [])
        self.assertEqual(home.ultra("cluster", "up").code, 0)
        self.assertEqual(len(home.until_state(job, "running")["details"]["attempts"]), 2)

    def test_up_mends_what_is_missing(self):
        home = self.home()
        self.up(home)
        before = home.json("cluster", "status")
        kill(before["agents"][1]["pid"])
        kill(before["scheduler"]["pid"])
        until(lambda: home.ultra("queue").code == 5, "the scheduler is gone")
        self.assertEqual(home.ultra("cluster", "up").code, 0)
        after = home.json("cluster", "status")
        self.assertEqual(before["agents"][0], after["agents"][0])
        self.assertTrue(after["agents"][1]["running"])
        self.assertNotEqual(before["agents"][1]["pid"], after["agents"][1]["pid"])
        self.assertEqual(home.ultra("submit", "--nodes", "2", "--gpus-per-node", "1", "--wait", "--quiet", "--", "true").code, 0)

    def test_other_options_change_a_cluster_that_is_down(self):
        home = self.home()
        self.up(home)
        self.assertEqual(home.ultra("cluster", "down").code, 0)
        with open(os.path.join(home.path, "cluster.toml"), "a", encoding="utf-8") as file:
            file.write('\n[[account]]\nname = "added"\nmembers = ["*"]\n')
        ran = home.ultra("cluster", "up", "--nodes", "3", "--gpus-per-node", "4")
        self.assertEqual(ran.code, 0, ran)
        self.assertIn("3 nodes, 12 virtual GPUs", ran.out)
        self.assertEqual(home.ultra("submit", "--account", "added", "--gpus", "12", "--wait", "--quiet", "--", "true").code, 0)

    def test_control_c_during_up_leaves_nothing(self):
        for moment in ("Starting the scheduler", " 7/8"):
            with self.subTest(moment):
                home = self.home()
                program = home.programs_without("node08")
                screen = OnTerminal(home, "cluster", "up", "--nodes", "8", "--http", "127.0.0.1:0", program=program)
                screen.read_until(moment)
                screen.type("\x03")
                code = screen.wait()
                self.assertEqual(code, 130, screen.seen)
                self.assertEqual(home.processes(), [])
                self.assertFalse(os.path.exists(home.path))
                self.up(home)

    def test_a_port_in_use_is_said_with_a_way_out(self):
        home = self.home()
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = f"127.0.0.1:{other.getsockname()[1]}"
            self.assert_mistake(home.ultra("cluster", "up", "--http", taken), 1, f"--http: {taken} is in use", "--http 127.0.0.1:0")
            self.assertEqual(home.processes(), [])
            self.up(home)

    def test_a_daemon_that_dies_while_starting_is_quoted_and_all_is_stopped(self):
        home = self.home()
        self.up(home)
        self.assertEqual(home.ultra("cluster", "down").code, 0)
        os.rename(os.path.join(home.path, "scheduler"), os.path.join(home.path, "kept"))
        with open(os.path.join(home.path, "scheduler"), "w", encoding="ascii"):
            pass  # a file where its folder should be
        self.assert_mistake(home.ultra("cluster", "up"), 1, "ultra-scheduler", os.path.join(home.path, "logs", "scheduler.log"))
        self.assertEqual(home.processes(), [])
        os.remove(os.path.join(home.path, "scheduler"))
        os.rename(os.path.join(home.path, "kept"), os.path.join(home.path, "scheduler"))
        self.assertEqual(home.ultra("cluster", "up").code, 0)

    def test_wrong_homes_are_refused(self):
        home = self.home()
        other = os.path.join(home.parent, "documents")
        os.mkdir(other)
        with open(os.path.join(other, "thesis.txt"), "w", encoding="ascii"):
            pass

        def up_in(folder):
            return home.ultra("cluster", "up", environment={"ULTRA_HOME": folder})

        self.assert_mistake(up_in(other), 2, "ULTRA_HOME:", "holds other things", "choose an empty or new folder")
        self.assertEqual(os.listdir(other), ["thesis.txt"])
        file = os.path.join(other, "thesis.txt")
        self.assert_mistake(up_in(file), 2, "is not a folder")
        self.assert_mistake(up_in(home.parent + "/" + "x" * 120), 2, "at most 107", "choose a shorter ULTRA_HOME")
        self.assert_mistake(up_in("/proc/ultra"), 1, "ULTRA_HOME: can't make /proc/ultra")
        nothing = home.ultra("cluster", "down", environment={"ULTRA_HOME": other})
        self.assert_mistake(nothing, 3, "there is no cluster in", "ultra cluster up")
        self.up(home)


if __name__ == "__main__":
    unittest.main(verbosity=2)
