"""A program on a pseudo-terminal with a screen that a test can read: pyte interprets what is written, as a terminal would.

`Screen(words, environment)` starts the program; `until(condition)` reads until the screen is as wanted; `modes` says what the program did to
the terminal and has to undo (alternate screen, hidden cursor, keypad, line settings).
"""
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

import pyte

PATIENCE_S = float(os.environ.get("ULTRAMARINE_PATIENCE_S", "60"))


class Screen:
    def __init__(self, words, environment, cwd=None, rows=24, columns=100):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.status = None
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.line_settings = termios.tcgetattr(child)
        told, tells = os.pipe()
        self.leader = os.fork()
        if self.leader == 0:
            os.close(parent)
            self.lead(words, environment, cwd, child, tells)
        os.close(tells)
        self.pid = int(os.read(told, 32))
        os.close(told)
        self.fd = parent
        self.child = child  # kept open: the settings of the line are asked for after the program's end

    @staticmethod
    def lead(words, environment, cwd, terminal, tells):
        """As a shell does: a session of its own, the program in its foreground, so that Ctrl-Z can stop it. Ends as the program ends."""
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(terminal, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            for fd in (0, 1, 2):
                os.dup2(terminal, fd)
            if cwd:
                os.chdir(cwd)
            os.execvpe(words[0], words, environment)
        os.write(tells, str(pid).encode())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status < 0:
            signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
            os.kill(os.getpid(), -status)
        os._exit(status)

    # What is seen

    def lines(self):
        """The rows as text; the second column of a wide character is empty. (pyte's own `display` fails where half of one has been overwritten.)"""
        return ["".join(self.screen.buffer[row][column].data for column in range(self.screen.columns)) for row in range(self.screen.lines)]

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines())

    def row_of(self, wanted):
        """The number of the first row that has this text, or None."""
        return next((i for i, line in enumerate(self.lines()) if wanted in line), None)

    def colours(self):
        return {cell.fg for row in self.screen.buffer.values() for cell in row.values() if cell.data.strip()} - {"default"}

    def reversed_rows(self):
        return [i for i in range(self.screen.lines) if any(self.screen.buffer[i][c].reverse for c in range(self.screen.columns))]

    def restored(self):
        """What is still amiss with the terminal; empty when it is as it was before."""
        amiss = []
        for on, off, what in ((b"\x1b[?1049h", b"\x1b[?1049l", "alternate screen"), (b"\x1b[?25l", b"\x1b[?25h", "hidden cursor"),
                              (b"\x1b[?1h", b"\x1b[?1l", "application keys"), (b"\x1b[?7l", b"\x1b[?7h", "lines that don't wrap")):
            if self.written.rfind(on) > self.written.rfind(off):
                amiss.append(what)
        if termios.tcgetattr(self.child)[:4] != self.line_settings[:4]:
            amiss.append("line settings")
        return amiss

    # What happens

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], max(0.0, seconds))
        if not ready:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:
            return False
        self.written += piece
        self.stream.feed(piece)
        return bool(piece)

    def until(self, condition, what):
        """Reads until the condition holds, and still holds when nothing more comes: a frame arrives in pieces."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            if condition():
                while self.read(0.02):
                    pass
                if condition():
                    return self
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for: {what}\n{self.text()}")
            if self.ended():
                while self.read(0.05):
                    pass
                if condition():
                    return self
                raise AssertionError(f"ended ({self.status}) before: {what}\n{self.text()}")
            self.read(0.05)

    def shows(self, *wanted):
        return self.until(lambda: all(one in self.text() for one in wanted), f"the screen shows {wanted}")

    def hides(self, *unwanted):
        return self.until(lambda: not any(one in self.text() for one in unwanted), f"the screen no longer shows {unwanted}")

    def type(self, text):
        os.write(self.fd, text.encode())
        return self

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        return self

    def send(self, number):
        os.kill(self.pid, number)
        return self

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.leader, os.WNOHANG)
            if pid:
                self.status = status
        return self.status is not None

    def stopped(self):
        """Waits until the program is stopped (as by Ctrl-Z)."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.read(0.05)
            with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "T":
                    while self.read(0.05):
                        pass
                    return self
        raise AssertionError("was not stopped\n" + self.text())

    def end(self):
        """Reads until the program has ended; its exit code, or minus the signal that ended it."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.ended():
            if time.monotonic() > deadline:
                raise AssertionError("did not end\n" + self.text())
            self.read(0.05)
        while self.read(0.05):
            pass
        return os.waitstatus_to_exitcode(self.status)

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.leader, 0)
        os.close(self.fd)
        os.close(self.child)
