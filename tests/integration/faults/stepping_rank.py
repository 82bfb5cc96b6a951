#!/usr/bin/env python3
"""A rank that works in step with all others, over the network, as training does: no step ends before every rank has said so to rank 0.

  stepping_rank.py FOLDER   appends to FOLDER/ATTEMPT.RANK the clock's time in ns and its step, every few milliseconds; it reports its steps

It prints a line for each step. When a peer is silent it waits for ever, and when one closes its connection it ends at once with exit code 7.
"""
import json
import os
import pathlib
import select
import socket
import sys
import time

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
there = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
diary = open(pathlib.Path(sys.argv[1]) / f"{os.environ['ULTRA_ATTEMPT']}.{rank}", "w", buffering=1)
progress = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
step = 0


def alive():
    diary.write(f"{time.time_ns()} {step}\n")


def hear(peer):
    """One byte of a peer; meanwhile the diary goes on."""
    while not select.select([peer], [], [], 0.005)[0]:
        alive()
    if not peer.recv(1):
        os._exit(7)


def connected():
    while True:
        try:
            return [socket.create_connection(there, timeout=1)]
        except OSError:
            time.sleep(0.02)
            alive()


alive()
if rank == 0:
    listener = socket.create_server(there, backlog=world)
    peers = [listener.accept()[0] for _ in range(world - 1)]
else:
    peers = connected()
while True:
    step += 1
    if rank == 0:
        for peer in peers:
            hear(peer)
        for peer in peers:
            peer.sendall(b".")
    else:
        peers[0].sendall(b".")
        hear(peers[0])
    alive()
    print(f"step {step} of rank {rank}", flush=True)
    progress.sendto(json.dumps({"type": "step", "rank": rank, "step": step, "loss": 1.0}).encode(), os.environ["ULTRA_PROGRESS"])
    time.sleep(0.02)
