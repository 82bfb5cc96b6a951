"""A cluster's home of its own for a test, the real `ultra` on it, and proof that nothing is left running. Standard library only."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from cluster import Result, processes_that_mention, until  # noqa: E402

BIN = os.environ["ULTRAMARINE_BIN"]
ULTRA = os.path.join(BIN, "ultra")
DEADLINE = 60  # seconds that nothing here should ever need, also on a busy machine


class Home:
    """An $ULTRA_HOME under /tmp; `close` brings its cluster down and removes it."""

    def __init__(self):
        self.parent = tempfile.mkdtemp(prefix="ultra-")
        self.path = os.path.join(self.parent, "h")
        self.work = os.path.join(self.parent, "work")
        os.mkdir(self.work)

    def environment(self, **more):
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "LOGNAME", "LANG") if name in os.environ}
        return {**kept, "ULTRA_HOME": self.path, "TZ": "UTC", **more}

    def ultra(self, *words, environment=None, timeout=DEADLINE, **options):
        options.setdefault("cwd", self.work)
        done = subprocess.run([ULTRA, *words], env=self.environment(**(environment or {})), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, **options)
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *words, **options):
        return subprocess.Popen([ULTRA, *words], env=self.environment(), cwd=self.work, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def json(self, *words):
        ran = self.ultra(*words, "--json")
        assert ran.code == 0, ran
        return json.loads(ran.out)

    def job(self, number):
        return self.json("show", str(number))

    def submit(self, *words):
        ran = self.ultra("submit", "--quiet", *words)
        assert ran.code == 0, ran
        return int(ran.out)

    def until_state(self, number, *states):
        def reached():
            job = self.job(number)
            return job if job["details"]["state"] in states else None

        return until(reached, f"job {number} is {states}")

    def processes(self):
        """Pids of everything that runs and names this home in its arguments or environment, but for this test."""
        return processes_that_mention(self.path)

    def programs_without(self, node):
        """A copy of `ultra` beside programs like the real ones, but the agent of `node` never says a word. Returns the copy's path."""
        folder = os.path.join(self.parent, "bin")
        os.mkdir(folder)
        for name in ("ultra", "ultra-scheduler"):  # copies: ultra looks for its sisters beside its own file
            shutil.copy2(os.path.join(BIN, name), folder)
        agent = os.path.join(folder, "ultra-agent")
        with open(agent, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\ncase "$*" in *{node}*) exec sleep 1000;; esac\nexec {BIN}/ultra-agent "$@"\n')
        os.chmod(agent, 0o755)
        return os.path.join(folder, "ultra")

    def close(self):
        exists = os.path.exists(os.path.join(self.path, "cluster.toml"))
        ran = self.ultra("cluster", "down", "--requeue") if exists else None
        left = self.processes()
        shutil.rmtree(self.parent, ignore_errors=True)
        assert not left, f"left running: {left}"
        assert ran is None or ran.code == 0, ran


class OnTerminal:
    """`ultra` on a pseudo-terminal of its own, as a person sees it."""

    def __init__(self, home, *words, program=ULTRA):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(home.work)
            os.execve(program, [program, *words], home.environment(TERM="xterm", COLUMNS="120"))
        self.seen = ""

    def read_until(self, wanted):
        end = time.monotonic() + DEADLINE
        while wanted is None or wanted not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"never said {wanted!r}: {self.seen!r}")
            try:
                piece = os.read(self.fd, 65536)
            except OSError:  # the other side is closed
                piece = b""
            if not piece:
                if wanted is None:
                    break
                raise AssertionError(f"ended without {wanted!r}: {self.seen!r}")
            self.seen += piece.decode(errors="replace")
        return self.seen

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self):
        self.read_until(None)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
