"""A person's window: one `ultra ...` at a pseudo-terminal of its own."""
import fcntl
import os
import pty
import pwd
import re
import select
import signal
import struct
import termios
import time

from cluster import BINARIES, PATIENCE_S


class Window:
    """One `ultra ...` at a terminal of its own, as a person has it; `uid`: who that is, where it isn't ourselves."""

    def __init__(self, cluster, *arguments, rows=30, columns=100, uid=None):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            if uid is not None:
                os.fchown(0, uid, -1)
                os.setgroups([])
                os.setresgid(*[pwd.getpwuid(uid).pw_gid] * 3)
                os.setresuid(uid, uid, uid)
            os.chdir(cluster.folder)
            os.execve(BINARIES / "ultra", ["ultra", *map(str, arguments)], {**cluster.environment, "TERM": "dumb", "SHELL": "/bin/bash", "PS1": "here> ", "LANG": "C"})

    def type(self, text):
        os.write(self.fd, text.encode())

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """What is there now. False at the end."""
        if not select.select([self.fd], [], [], 0.05)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += piece.decode(errors="replace")
        return bool(piece)

    def expect(self, pattern):
        deadline = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self.text)):
            if not self.read() or time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} in:\n{self.text}")
        self.text = self.text[found.end():]
        return found

    def end(self):
        """The exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self.read():
            if time.monotonic() > deadline:
                raise AssertionError(f"it doesn't end:\n{self.text}")
        os.close(self.fd)
        pid, self.pid = self.pid, None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def give_up(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)
