"""A TCP proxy between agents and their scheduler that delays, doubles and swaps whole messages, by a seed, and says old ones again on a new line.

It knows where a WebSocket's messages begin and end and nothing of what they say. What proves the cluster's secret comes first on each connection and
passes unharmed; so does whatever is no text (pings, the closing).
"""
import heapq
import random
import socket
import threading
import time

FIRST_UNHARMED = 3  # in each direction: proofs and greetings


class ChaosProxy:
    def __init__(self, port, endpoint, seed, double=0.1, late=0.2, late_s=0.3):
        host, number = endpoint.rsplit(":", 1)
        self.target, self.seed = (host, int(number)), seed
        self.double, self.late, self.late_s = double, late, late_s
        self.counts = {"messages": 0, "doubled": 0, "late": 0, "replayed": 0}
        self.recorded, self.replay = ([], []), ([], [])  # by direction: from agents, to agents
        self.lock = threading.Lock()
        self.sockets, self.threads, self.connections = [], [], 0
        self.door = socket.create_server(("127.0.0.1", port))
        self.begin(self.accept)

    def begin(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)

    def accept(self):
        while True:
            try:
                client, _ = self.door.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            self.connections += 1
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets.append(one)
            for direction, (source, sink) in enumerate(((client, server), (server, client))):
                queue, ready = [], threading.Condition()
                self.begin(self.read, source, direction, queue, ready, random.Random(f"{self.seed} {self.connections} {direction}"))
                self.begin(self.write, sink, queue, ready)

    def read(self, source, direction, queue, ready, chance):
        """Whole pieces into the queue, each with the time when it is to go on."""
        stream, order, last = source.makefile("rb"), 0, 0.0

        def put(piece, at):
            nonlocal order
            order += 1
            with ready:
                heapq.heappush(queue, (at, order, piece))
                ready.notify()

        try:
            header = b""
            while not header.endswith(b"\r\n\r\n"):
                byte = stream.read(1)
                if not byte:
                    raise EOFError
                header += byte
            put(header, 0.0)
            seen = 0
            while True:
                frame, is_text = read_frame(stream)
                seen += 1
                now = time.monotonic()
                if seen <= FIRST_UNHARMED or not is_text:
                    last = max(last, now)
                    put(frame, last)
                    if seen == FIRST_UNHARMED:
                        for old in self.replay[direction]:
                            put(old, now)
                        with self.lock:
                            self.counts["replayed"] += len(self.replay[direction])
                    continue
                self.recorded[direction].append(frame)
                late = chance.random() < self.late
                doubled = chance.random() < self.double
                at = now + (chance.uniform(0, self.late_s) if late else 0)
                put(frame, at)
                if doubled:
                    put(frame, at + chance.uniform(0, self.late_s))
                with self.lock:
                    self.counts["messages"] += 1
                    self.counts["late"] += late
                    self.counts["doubled"] += doubled
        except (OSError, EOFError, ValueError):
            put(None, float("inf"))

    def write(self, sink, queue, ready):
        try:
            while True:
                with ready:
                    while not queue or (queue[0][2] is not None and queue[0][0] > time.monotonic()):
                        ready.wait(queue[0][0] - time.monotonic() if queue else None)
                    _, _, piece = heapq.heappop(queue)
                if piece is None:
                    break
                sink.sendall(piece)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def cut_and_replay(self):
        """Ends all lines. On each new one all that was ever said in its direction is said again first, so this is for one agent only."""
        self.replay = tuple(list(frames) for frames in self.recorded)
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # that one has ended

    def close(self):
        self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5)
        for one in self.sockets:
            one.close()


def read_exactly(stream, count):
    data = stream.read(count)
    if data is None or len(data) < count:
        raise EOFError
    return data


def read_frame(stream):
    """One frame as it is on the wire, and whether it is a whole text or binary message."""
    head = read_exactly(stream, 2)
    length, extra = head[1] & 0x7F, b""
    if length >= 126:
        extra = read_exactly(stream, 2 if length == 126 else 8)
        length = int.from_bytes(extra, "big")
    mask = read_exactly(stream, 4) if head[1] & 0x80 else b""
    return head + extra + mask + read_exactly(stream, length), bool(head[0] & 0x80) and head[0] & 0x0F in (1, 2)
