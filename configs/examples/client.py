#!/usr/bin/env python3
"""Runs a command as a job, follows its output, ends with its exit code: the HTTP API from plain Python.

    client.py GPUS COMMAND [ARGUMENT ...]       for example: client.py 2 sh -c 'echo rank $RANK of $WORLD_SIZE'

ULTRA_SOCKET names the scheduler's socket [~/.ultramarine/scheduler.sock]. Every route and field: GET /v1/openapi.json.
"""
import base64
import http.client
import json
import os
import socket
import sys


class Scheduler(http.client.HTTPConnection):
    """HTTP over a Unix socket: the kernel tells the scheduler who asks, so there is no password."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def ask(self, method, target, body=None):
        self.request(method, target, None if body is None else json.dumps(body))
        reply = self.getresponse()
        if reply.status != 200:
            error = json.load(reply)
            sys.exit(f"error: {error['field']}: {error['message']}; {error['remedy']}")
        return reply


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    scheduler = Scheduler(os.environ.get("ULTRA_SOCKET", os.path.expanduser("~/.ultramarine/scheduler.sock")))
    spec = {"command": sys.argv[2:], "working_directory": os.getcwd(), "resources": {"gpus": int(sys.argv[1])}}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ULTRA_")}
    job = json.load(scheduler.ask("POST", "/v1/jobs", {"spec": spec, "environment": environment}))["job"]
    print(f"job {job}", file=sys.stderr)

    for line in scheduler.ask("GET", f"/v1/jobs/{job}/logs?follow=1"):  # one JSON object a line, as it comes
        piece = json.loads(line)
        out = sys.stderr if piece["stream"] == "err" or piece["error"] else sys.stdout
        out.buffer.write(base64.b64decode(piece["data_base64"]) or (piece["error"] + "\n").encode())
        out.flush()

    code = None
    while code is None:  # each wait ends with the job, or after a minute
        code = json.load(scheduler.ask("GET", f"/v1/jobs/{job}/wait"))["exit_code"]
    sys.exit(code)


if __name__ == "__main__":
    main()
