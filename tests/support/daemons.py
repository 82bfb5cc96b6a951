"""Daemons that a test starts one by one, from a cluster file of its own: as other users, with another library, or ended in the middle of something."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from cluster import BINARIES, has_failed, processes_that_mention, until


class DaemonsOfItsOwn(unittest.TestCase):
    """`folder` holds everything (0755: other users pass through it), the cluster's `secret` among it; `daemons` are the processes by name."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="um-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.daemons = {}
        self.addCleanup(self.end_all)
        (self.folder / "secret").write_text("0123456789abcdef" * 4 + "\n")
        (self.folder / "secret").chmod(0o600)

    def end_all(self):
        for process in self.daemons.values():
            process.terminate()
        for process in self.daemons.values():
            process.wait()
        if has_failed(self):
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:]), file=sys.stderr)
        for pid in processes_that_mention(str(self.folder)):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not processes_that_mention(str(self.folder)), "nothing is left")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_daemon(self, name, program, *arguments, **options):
        """`options`: as of subprocess.Popen."""
        with open(self.folder / f"{name}.log", "ab") as log:
            self.daemons[name] = subprocess.Popen([str(BINARIES / program), "--config", str(self.folder / "cluster.toml"), *arguments],
                                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

    def end_daemon(self, name, how):
        process = self.daemons.pop(name)
        process.send_signal(how)
        process.wait()
