#!/usr/bin/env python3
"""A file system whose files answer nobody: mounts it, says so, says when it was asked for one, and lets that question wait for ever. Ends by SIGKILL.

  hanging_folder.py FOLDER

`Hanging` has it in the folder `hangs` of a fleet, on one of its nodes.
"""
import os
import pathlib
import signal
import subprocess
import sys
import threading

PYTHON = "/usr/bin/python3"
NO_FUSE = "there is no /dev/fuse or no python3-fusepy: scripts/setup test-all installs it"
HAS_FUSE = os.path.exists("/dev/fuse") and subprocess.run([PYTHON, "-c", "import fusepy"], capture_output=True).returncode == 0


class Hanging:
    def __init__(self, test, node):
        self.node, self.mounter = node, None
        test.addCleanup(self.end)

    def mount(self, fleet, name):
        """For Fleet's `before_start`."""
        folder = fleet.folder / "hangs"
        folder.mkdir(exist_ok=True)
        if name == self.node:
            command = [*fleet.machines[name].enter, "setpriv", "--pdeathsig", "KILL", PYTHON, __file__, str(folder)]
            self.mounter = subprocess.Popen(command, stdout=subprocess.PIPE)
            self.expect("mounted")

    def expect(self, word):
        assert self.mounter.stdout.readline() == f"{word}\n".encode(), f"not {word}"

    def expect_question(self):
        self.expect("asked")

    def end(self):
        """Whoever waits for an answer is told that there is nobody any more."""
        if self.mounter and self.mounter.poll() is None:
            for pid in pathlib.Path(f"/proc/{self.mounter.pid}/task/{self.mounter.pid}/children").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            self.mounter.wait()
            self.mounter.stdout.close()


def serve(folder):
    from fusepy import FUSE, Operations

    class Silent(Operations):
        def init(self, path):
            print("mounted", flush=True)

        def getattr(self, path, handle=None):
            print("asked", flush=True)
            threading.Event().wait()

        access = readdir = opendir = open = getattr

    FUSE(Silent(), folder, foreground=True, nothreads=False)


if __name__ == "__main__":
    serve(sys.argv[1])
