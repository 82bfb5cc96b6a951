#!/usr/bin/env python3
"""ultra shell, attach and exec at a real pseudo-terminal: window size, Ctrl-C, job control, leaving and coming back, exit codes."""
import http.client
import pathlib
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402
from terminal_window import Window  # noqa: E402


class Terminals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=2, gpus_per_node=1)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        self.windows = []

    def tearDown(self):
        """Also after a failure nobody stays: neither a client nor a job."""
        for window in self.windows:
            window.give_up()
        for view in self.cluster.ultra("queue", "--json").json()["jobs"]:
            job = view["details"]["job"]
            self.cluster.ultra("cancel", job)
            self.cluster.wait(job)

    def window(self, *arguments, **size):
        self.windows.append(Window(self.cluster, *arguments, **size))
        return self.windows[-1]

    def shell(self, *arguments, **size):
        window = self.window("shell", *arguments, "--", "/bin/bash", "--norc", "-i", **size)
        window.job = int(window.expect(r"Job (\d+) runs on ")[1])
        window.expect("here> ")
        return window

    def test_a_shell(self):
        window = self.shell("--gpus", 1)
        window.type("stty size; echo tty=$(tty) gpus=$ULTRA_GPUS\n")
        window.expect(r"30 100\r\n")
        window.expect(r"tty=/dev/pts/\d+ gpus=1\r\n")
        # The window's size follows, and programs hear of it.
        window.type("trap 'echo now $(stty size)' WINCH; echo set\n")
        window.expect(r"\r\nset\r\n")
        window.resize(50, 132)
        window.expect("now 50 132")
        # Ctrl-C ends what runs in the shell, and not the shell, the client or the job.
        window.type("sleep 1000; echo after=$?\n")
        until(lambda: (window.read(), "sleep 1000" in window.text)[1], "the echo of what was typed")
        window.type("\x03")
        window.expect(r"\^C")
        # Job control: Ctrl-Z stops, bg and fg go on.
        window.type("echo ready; cat\n")
        window.expect(r"\nready\r\n")
        window.type("marker\n")
        window.expect("marker\r\nmarker\r\n")
        window.type("\x1a")
        window.expect("Stopped")
        window.type("fg\n")
        window.expect("\ncat\r\n")
        window.type("again\n")
        window.expect("again\r\nagain\r\n")
        window.type("\x04")
        window.expect("here> ")
        window.type("exit 3\n")
        self.assertEqual(window.end(), 3)
        self.assertEqual(self.cluster.wait(window.job), 3)

    def test_leaving_and_coming_back(self):
        window = self.shell()
        window.type("x=kept\n")
        window.expect("here> ")
        window.type("\x1d")
        window.expect(f"Left: job {window.job} goes on.")
        self.assertEqual(window.end(), 130)
        self.assertEqual(self.cluster.state(window.job), "running")
        back = self.window("attach", window.job, rows=20, columns=60)
        back.type("echo $x $(stty size)\n")
        back.expect("kept 20 60")
        back.type("exit\n")
        self.assertEqual(back.end(), 0)

    def test_waiting_says_why_and_can_be_given_up(self):
        first = self.shell("--nodes", 2, "--gpus-per-node", 1)
        second = self.window("shell", "--gpus", 1)
        job = int(second.expect(r"Job (\d+) waits")[1])
        second.type("\x03")
        second.expect(f"Cancelled job {job}, which was waiting.")
        self.assertEqual(second.end(), 130)
        until(lambda: self.cluster.state(job) == "cancelled", "it is cancelled")
        first.type("exit\n")
        self.assertEqual(first.end(), 0)

    def test_gangs_from_the_shell(self):
        window = self.shell("--nodes", 2, "--gpus-per-node", 1)
        window.type("ultra run -- sh -c 'echo rank $RANK'; echo done=$?\n")
        window.expect("done=0")
        window.type("ultra run -- sh -c 'echo rank $RANK' | sort | tr '\\n' ' '\n")
        window.expect("rank 0 rank 1 ")
        window.type("exit\n")
        self.assertEqual(window.end(), 0)

    def test_cancel_ends_a_shell_at_once(self):
        window = self.shell()
        begin = time.monotonic()
        self.assertEqual(self.cluster.ultra("cancel", window.job).code, 0)
        window.end()
        self.assertLess(time.monotonic() - begin, 15, "an interactive shell ignores SIGTERM")

    def test_exec_at_a_terminal(self):
        job = self.cluster.submit("--gpus", 1, "--", "sleep", "1000")
        until(lambda: self.cluster.state(job) == "running", "the job runs")
        window = self.window("exec", job, "--", "/bin/bash", "--norc", "-i")
        window.type("echo $ULTRA_JOB_ID $(stty size); exit 5\n")
        window.expect(f"{job} 30 100")
        self.assertEqual(window.end(), 5)
        self.assertEqual(self.cluster.state(job), "running")
        following = self.window("attach", job)
        following.expect(f"Job {job} runs on")
        following.type("\x03")
        following.expect(f"Detached: job {job} goes on.")
        self.assertEqual(following.end(), 130)
        self.cluster.ultra("cancel", job)
        self.cluster.wait(job)

    def test_typing_into_the_terminal_of_another_job_is_refused(self):
        job = self.cluster.submit("--gpus", 1, "--", "sleep", "1000")
        until(lambda: self.cluster.state(job) == "running", "the job runs")
        class Unix(http.client.HTTPConnection):
            def connect(unix):
                unix.sock = socket.socket(socket.AF_UNIX)
                unix.sock.connect(str(self.cluster.home / "scheduler.sock"))

        def post(body):
            connection = Unix("localhost")
            connection.request("POST", f"/v1/jobs/{job}/gangs/1/input", body, {"content-type": "application/json"})
            try:
                return connection.getresponse().status
            finally:
                connection.close()
        self.assertEqual(post('{"data_base64":"bHMK"}'), 409, "it has no terminal")
        self.assertEqual(post('{"data_base64":"?"}'), 400)
        self.cluster.ultra("cancel", job)
        self.cluster.wait(job)


if __name__ == "__main__":
    unittest.main(verbosity=2)
