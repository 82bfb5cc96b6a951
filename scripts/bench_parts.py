"""What the benchmarks share: the table, the clock of the disk, a client of the scheduler's socket.

Standard library only, like the benchmarks themselves.
"""
import json
import os
import pathlib
import socket
import statistics
import tempfile
import time


class Report:
    """The figures so far; every one is printed as soon as it is known with --json, else as a line of the table."""

    def __init__(self, as_json):
        self.as_json, self.missed, self.count = as_json, 0, 0

    def heading(self, text):
        if not self.as_json:
            print(text, flush=True)

    def add(self, what, value, unit, target=None, at_least=False, more=""):
        """`target` absent: a fact of this machine, or a figure without a target."""
        ratio = None if target is None or value == 0 else (value / target if not at_least else target / value)
        met = None if ratio is None else ratio <= 1
        self.count += 1
        self.missed += met is False
        if self.as_json:
            print(json.dumps({"what": what, "value": value, "unit": unit, "target": target, "target_is": "least" if at_least else "most",
                              "share_of_target": ratio, "met": met, "more": more}), flush=True)
            return
        goal = "" if target is None else f"{'>=' if at_least else '<='} {number_text(target)} {unit}"
        share = "" if ratio is None else f"{ratio:.2f}"
        print(f"{what:<58} {number_text(value) + ' ' + unit:>14}  {goal:>14}  {share:>6}  {'' if met is None else 'ok' if met else 'MISSED':<6}  {more}",
              flush=True)


def number_text(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def milliseconds(seconds):
    return [1000 * one for one in seconds]


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def load():
    return os.getloadavg()[0]


def commit_ms(folder, times=200):
    """The median time of one fdatasync after 4 KiB were appended there."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        taken = []
        for _ in range(times):
            os.write(file.fileno(), b"x" * 4096)
            since = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - since)
    return 1000 * statistics.median(taken)


def request(method, target, body=b"", header=""):
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{header}\r\n".encode() + body


class Connection:
    """One keep-alive connection; an answer is read whole before the next request."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.received = bytearray()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, receive=1 << 20):
        """(status, body) once the whole answer is here, else None: takes what one receive brings."""
        piece = self.socket.recv(receive)
        if not piece:
            raise SystemExit("the scheduler closed the connection")
        self.received += piece
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.received[:end]).decode().lower()
        length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
        if len(self.received) < end + 4 + length:
            return None
        body = bytes(self.received[end + 4:end + 4 + length])
        del self.received[:end + 4 + length]
        return int(head.split(" ", 2)[1]), body

    def ask(self, data):
        self.send(data)
        while True:
            answer = self.answer()
            if answer is not None:
                break
        if answer[0] != 200:
            raise SystemExit(f"{data[:60]!r} was answered {answer[0]}: {answer[1][:300].decode()}")
        return answer[1]


def cpu_ms(pid):
    """CPU time of all threads of a process so far; in ticks of 10 ms, so only for sums."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
