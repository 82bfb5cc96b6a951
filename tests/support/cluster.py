"""A real local cluster for tests: real daemons on 127.0.0.1, a state folder of its own, nothing left behind.

Used by the integration tests that are written in Python (standard library only). `Cluster` starts `ultra cluster up` with free
ports under a short temporary folder; `ultra(...)` runs one command and returns its exit code, stdout and stderr.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BINARIES = pathlib.Path(os.environ.get("ULTRAMARINE_BIN", "build/release/bin")).resolve()
PATIENCE_S = float(os.environ.get("ULTRAMARINE_PATIENCE_S", "60"))


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def until(condition, what, patience_s=None):
    """The first true value of a question to the outside world, asked again and again: there is no event to wait for."""
    deadline = time.monotonic() + (patience_s or PATIENCE_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience_s or PATIENCE_S:.0f} s in vain for: {what}")
        os.sched_yield()


def processes_that_mention(text):
    """Pids of living processes whose command line or environment names `text` (our own excluded)."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if text.encode() in words and state != "Z":
            found.append(int(entry.name))
    return found


def program_of(pid):
    """The name of the program that a process runs; "" when it has ended meanwhile."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def free_port():
    """Of 127.0.0.1; nobody keeps it until somebody listens there."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Cluster:
    def __init__(self, nodes=2, gpus_per_node=None, environment=None, folder_in="/tmp"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="um-", dir=folder_in))
        self.home = self.folder / "home"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("ULTRA_", "OMPI_", "PMIX_"))}
        self.environment.update({"ULTRA_HOME": str(self.home), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                                 "PATH": f"{BINARIES}:{self.environment['PATH']}"})
        self.environment.update(environment or {})
        self.up_arguments = ["cluster", "up", "--nodes", str(nodes), "--http", "127.0.0.1:0"]
        if gpus_per_node:
            self.up_arguments += ["--gpus-per-node", str(gpus_per_node)]
        self.scheduler = None

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.print_logs()
        self.close(check=kind is None)

    def up(self):
        result = self.ultra(*self.up_arguments)
        if result.code != 0:
            self.print_logs()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise AssertionError(f"cluster up: {result}")
        return result

    def print_logs(self):
        for log in sorted(self.home.glob("logs/*.log")):
            lines = log.read_text(errors="replace").splitlines()[-25:]
            print(f"--- {log.name}\n" + "\n".join(lines), file=sys.stderr)

    def close(self, check=True):
        if self.scheduler is not None and self.scheduler.poll() is None:
            self.scheduler.terminate()
            self.scheduler.wait()
        result = self.ultra("cluster", "down", "--requeue")
        left = []
        if check:
            try:
                until(lambda: not processes_that_mention(str(self.home)), "no process of the cluster after down", 20)
            except AssertionError:
                left = processes_that_mention(str(self.home))
        for pid in processes_that_mention(str(self.home)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)
        if check:
            assert result.code == 0, f"cluster down: {result}"
            assert not left, f"processes left behind: {left}"

    def ultra(self, *arguments, cwd=None, environment=None, timeout=None):
        done = subprocess.run([str(BINARIES / "ultra"), *map(str, arguments)], env={**self.environment, **(environment or {})}, cwd=cwd or self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout or 4 * PATIENCE_S)
        return Result(done.returncode, done.stdout, done.stderr)

    def submit(self, *arguments, cwd=None, environment=None):
        """Submits and returns the job's id."""
        result = self.ultra("submit", "--json", *arguments, cwd=cwd, environment=environment)
        assert result.code == 0, result
        return result.json()["job"]

    def show(self, job):
        result = self.ultra("show", job, "--json")
        assert result.code == 0, result
        return result.json()

    def state(self, job):
        return self.show(job)["details"]["state"]

    def wait(self, job, timeout="120s"):
        return self.ultra("wait", job, "--timeout", timeout).code

    def logs(self, job, *arguments):
        result = self.ultra("logs", job, *arguments)
        assert result.code == 0, result
        return result.out

    def http(self):
        """The address of the API without identity, as host:port."""
        return self.ultra("cluster", "status", "--json").json()["http"]

    def scheduler_pid(self):
        """The pid of this cluster's scheduler daemon."""
        if self.scheduler is not None and self.scheduler.poll() is None:
            return self.scheduler.pid
        for pid in processes_that_mention(str(self.home)):
            if program_of(pid).startswith("ultra-scheduler"):
                return pid
        return None

    def stop_scheduler(self):
        """As an init system stops it: jobs run on."""
        self.kill_scheduler(signal.SIGTERM)

    def kill_scheduler(self, how=signal.SIGKILL):
        pid = self.scheduler_pid()
        if pid is None:
            return
        os.kill(pid, how)
        if self.scheduler is not None:
            self.scheduler.wait()
        until(lambda: not os.path.exists(f"/proc/{pid}/exe") or not is_alive(pid), "the killed scheduler is gone")

    def start_scheduler(self, crash_point=None):
        """Starts the daemon directly (as an init system would), optionally with a crash point, and waits until it is ready or dead."""
        environment = dict(self.environment)
        if crash_point:
            environment["ULTRAMARINE_CRASH_POINT"] = crash_point
        with open(self.home / "logs" / "scheduler.log", "ab") as log:
            self.scheduler = subprocess.Popen([str(BINARIES / "ultra-scheduler"), "--config", str(self.home / "cluster.toml")], env=environment,
                                              stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(lambda: self.scheduler.poll() is not None or self.ultra("queue", "--json").code == 0, "the scheduler answers")
        return self.scheduler.poll() is None


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def has_failed(case):
    """Whether a unittest.TestCase has failed so far: for its cleanups, which show logs then."""
    result = case._outcome.result
    return any(case in (test, getattr(test, "test_case", None)) for test, _ in result.failures + result.errors)
