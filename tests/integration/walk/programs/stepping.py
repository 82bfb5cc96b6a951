"""Trains like a data-parallel program whose ranks sleep while they wait: a little work, then an all-reduce through rank 0 over sockets; says its steps,
phases and counts of collectives by ULTRA_PROGRESS. What it does beside that, the arguments say; pauses follow from the seed."""
import argparse
import json
import os
import random
import socket
import struct
import time

options = argparse.ArgumentParser()
options.add_argument("--seconds", type=float, default=1e9)
options.add_argument("--only-rank-0-says", action="store_true")
options.add_argument("--hang-rank", type=int, default=-1, help="never comes to the all-reduce of step 20")
options.add_argument("--leaving-rank", type=int, default=-1, help="ends before the all-reduce of step 20; a process that it leaves behind keeps its lines open")
options.add_argument("--seed", type=int, default=0)
options.add_argument("--longest-pause", type=float, default=0, help="of any rank, now and then")
options.add_argument("--phase", type=float, default=0, help="length of a phase that a rank declares now and then")
options.add_argument("--slow-rank", type=int, default=-1)
options = options.parse_args()

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
dice = random.Random(options.seed * 1000 + rank)
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def say(**words):
    if rank == 0 or not options.only_rank_0_says:
        ear.sendto(json.dumps({"rank": rank, **words}).encode(), os.environ["ULTRA_PROGRESS"])


def connect():
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if rank == 0:
        server = socket.create_server(address, backlog=world)
        return [server.accept()[0] for _ in range(world - 1)]
    while True:
        try:
            return [socket.create_connection(address)]
        except ConnectionRefusedError:
            time.sleep(0.02)


def read(peer):
    data = b""
    while len(data) < 8:
        piece = peer.recv(8 - len(data))
        if not piece:
            raise SystemExit(1)  # the other one is gone
        data += piece
    return struct.unpack("d", data)[0]


def all_reduce(peers, value):
    if rank == 0:
        total = value + sum(read(peer) for peer in peers)
        for peer in peers:
            peer.sendall(struct.pack("d", total))
        return total
    peers[0].sendall(struct.pack("d", value))
    return read(peers[0])


peers = connect()
end = time.monotonic() + options.seconds
step, over = 0, 0.0
while not over:
    step += 1
    time.sleep(0.05 * (3 if rank == options.slow_rank else 1))
    if options.longest_pause and dice.random() < 0.02:
        time.sleep(dice.random() * options.longest_pause)
    if options.phase and dice.random() < 0.004:
        say(type="phase", name="evaluating", limit_ms=int(1000 * (options.phase * 3 + 10)))
        time.sleep(options.phase)
    if rank == options.hang_rank and step == 20:
        time.sleep(1e6)
    if rank == options.leaving_rank and step == 20:
        if os.fork():
            os._exit(0)
        time.sleep(1e6)
    # Rank 0 says when it is time to end, so that all do in the same step.
    over = all_reduce(peers, 1.0 if rank == 0 and time.monotonic() > end else 0.0)
    say(type="collective", count=step, bytes=8 * step, sequence=step)
    say(type="step", step=step)
