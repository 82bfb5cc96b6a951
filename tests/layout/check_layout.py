#!/usr/bin/env python3
"""Checks that the tree is as the README says: rooms, arrows between them, a README in each, no words that promise later work.

The arrows below are the design: room A may include from room B only where the table says so. `--self-test` proves that the
check can fail: it plants one violation of each kind in a copy and expects it to be named.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# room -> (rooms of ours it may include, patterns of outside headers that only it may include)
MODEL = "scheduler/model"
PROTOCOL = "scheduler/protocol"
NET = "scheduler/net"
ARROWS = {
    MODEL: set(),
    "scheduler/core": {MODEL},
    PROTOCOL: {MODEL},
    NET: set(),
    "scheduler/batch": {MODEL, PROTOCOL},
    "scheduler/store": {MODEL, PROTOCOL},
    "scheduler/metrics": {MODEL, "scheduler/core"},
    "scheduler/api": {MODEL, PROTOCOL, "scheduler/core", NET},
    "scheduler/simulator": {MODEL, "scheduler/core", PROTOCOL},
    "scheduler/cli": {MODEL, PROTOCOL, NET, "scheduler/batch"},
    "scheduler/notifier": {MODEL, "scheduler/core", PROTOCOL, "scheduler/api", NET},
    "scheduler/server": {MODEL, "scheduler/core", PROTOCOL, "scheduler/store", "scheduler/api", "scheduler/metrics", "scheduler/notifier", NET},
    "worker/core": {MODEL, PROTOCOL},
    "worker/devices": {MODEL},
    "worker/launcher": {MODEL, PROTOCOL, NET},
    "worker/metrics": {MODEL, "worker/devices"},
    "worker/agent": {MODEL, PROTOCOL, NET, "worker/core", "worker/launcher", "worker/devices", "worker/metrics"},
    "worker/trainer": {"collectives", PROTOCOL},
    "collectives": set(),
}
# An outside header -> the only rooms that may include it.
OUTSIDE = {
    r"boost/(asio|beast)": {NET},
    r"openssl/": {NET},
    r"sqlite3\.h": {"scheduler/store"},
    r"curl/": {"scheduler/notifier"},
    r"date/": {"scheduler/api", "scheduler/cli"},
    r"prometheus/": {"scheduler/metrics", "worker/metrics"},
    r"toml\+\+/": {PROTOCOL},
    r"mpi\.h": {"collectives"},
    r"nccl\.h": {"collectives"},
    r"pmix": {"worker/launcher"},
    r"hwloc": {"worker/launcher"},
    r"cblas": {"worker/trainer"},
    r"CLI/": {"scheduler/cli", "scheduler/server", "scheduler/simulator", "worker/agent", "worker/trainer", "collectives"},
    r"boost/json": {PROTOCOL},
    r"(n?curses|term|uni(type|gbrk|str|width|ctype))\.h": {"scheduler/cli"},
}
# A room that may use another one by these headers alone: a simulation has no ordering or placement of its own.
FRONT_DOORS = {("scheduler/simulator", "scheduler/core"): {"scheduler/core/scheduler.h", "scheduler/core/slips.h", "scheduler/core/wait_ledger.h"}}
# What core must not do: it is a function of its arguments.
CORE_FORBIDDEN = re.compile(
    r"#include <(thread|mutex|chrono|random|iostream|fstream|filesystem|unordered_map|unordered_set|cstdio|ctime)>"
    r"|\b(std::unordered_|std::rand|std::chrono|std::thread|printf|getenv|float|double)\b")
CORE_FORBIDDEN_EXCEPTIONS = {"ensure.cpp", "liveness.h", "liveness.cpp"}  # liveness only carries a loss; ensure prints before it ends the process
# The only code that changes who it is: small enough to be reviewed whole, and nowhere else.
PRIVILEGED = pathlib.PurePosixPath("worker/launcher/privileged")
PRIVILEGED_LINES_MAX = 600
BECOMES_ANOTHER = re.compile(
    r"\b(?:SYS_|__NR_)?(set(?:e|re|res|fs)?[ug]id|setgroups|initgroups|capset|cap_set_proc)(?:32)?\b\s*[(,)]")
PROMISES = re.compile(r"\b(TODO|FIXME|XXX|HACK|not implemented|for now)\b")
TOP = {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", "scheduler", "worker", "collectives", "configs", "tests", "scripts"}


def room_of(path):
    parts = path.parts
    return parts[0] if parts[0] == "collectives" else "/".join(parts[:2])


def check(root):
    problems = []
    listed = subprocess.run(["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True)
    if listed.returncode == 0:
        files = [pathlib.Path(line) for line in listed.stdout.splitlines()]
    else:
        files = [p.relative_to(root) for p in pathlib.Path(root).rglob("*") if p.is_file()]
    files = [f for f in files if (pathlib.Path(root) / f).is_file()]
    for name in sorted({f.parts[0] for f in files}):
        if name not in TOP and not name.startswith("."):
            problems.append(f"{name}: the top level holds only {', '.join(sorted(TOP))} and dot-files")
    sources = [f for f in files if f.suffix in (".h", ".cpp", ".cu") and f.parts[0] in ("scheduler", "worker", "collectives")]
    privileged = [f for f in sources if PRIVILEGED in f.parents]
    lines = sum(len((pathlib.Path(root) / f).read_text(errors="replace").splitlines()) for f in privileged)
    if lines > PRIVILEGED_LINES_MAX:
        problems.append(f"{PRIVILEGED}: has {lines} lines; at most {PRIVILEGED_LINES_MAX} may act as root for users")
    for file in sources:
        room = room_of(file)
        if room not in ARROWS:
            problems.append(f"{file}: {room} is no room of the design")
            continue
        text = (pathlib.Path(root) / file).read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if file not in privileged and (another := BECOMES_ANOTHER.search(line.split("//")[0])):
                problems.append(f"{file}:{number}: {another.group(1)} belongs to {PRIVILEGED} only")
            if PROMISES.search(line):
                problems.append(f"{file}:{number}: promises later work: {line.strip()}")
            if room == "scheduler/core" and file.name not in CORE_FORBIDDEN_EXCEPTIONS and CORE_FORBIDDEN.search(line.split("//")[0]):
                problems.append(f"{file}:{number}: core is pure, deterministic and silent: {line.strip()}")
            include = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if not include:
                continue
            target = include.group(1)
            if target.split("/")[0] in ("scheduler", "worker", "collectives"):
                other = room_of(pathlib.Path(target))
                if other != room and other not in ARROWS[room]:
                    problems.append(f"{file}:{number}: {room} -> {other} is not an arrow of the design")
                if target not in FRONT_DOORS.get((room, other), {target}):
                    problems.append(f"{file}:{number}: {room} may use of {other} only {', '.join(sorted(FRONT_DOORS[room, other]))}")
            for pattern, rooms in OUTSIDE.items():
                if re.match(pattern, target) and room not in rooms:
                    problems.append(f"{file}:{number}: <{target}> belongs to {', '.join(sorted(rooms))} only")
    for room in sorted({room_of(f) for f in sources} | {"configs", "tests", "scripts"}):
        if pathlib.Path(room) / "README.md" not in files:
            problems.append(f"{room}: has no README.md")
    return problems


def self_test(root):
    plants = {
        "an arrow against the design": ("scheduler/core/planted.cpp", '#include "scheduler/net/http.h"\n'),
        "an outside header in the wrong room": ("scheduler/model/planted.h", "#include <boost/asio.hpp>\n"),
        "a simulator that plans for itself": ("scheduler/simulator/planted.cpp", '#include "scheduler/core/planner.h"\n'),
        "a clock in the core": ("scheduler/core/planted2.cpp", "#include <chrono>\n"),
        "a promise": ("worker/agent/planted.cpp", "// TO" "DO: later\n"),
        "a way to be another": ("worker/agent/planted.cpp", "void f() { if (::setresuid(1, 1, 1) != 0) g(); }\n"),
        "the same as a system call": ("scheduler/server/planted.cpp", "void f() { ::syscall(SYS_setgroups, 0, nullptr); }\n"),
        "too much that is root": (f"{PRIVILEGED}/planted.cpp", "\n" * PRIVILEGED_LINES_MAX),
        "a stray top-level folder": ("docs/page.md", "text\n"),
        "an unknown room": ("scheduler/attic/planted.cpp", "\n"),
    }
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tree"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".git", "build", ".cache", "node_modules"))
        before = set(check(str(copy)))
        for what, (name, text) in plants.items():
            path = copy / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if not set(check(str(copy))) - before:
                failures.append(f"self-test: {what} ({name}) was not found")
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    return failures


if __name__ == "__main__":
    tree = str(pathlib.Path(__file__).resolve().parents[2])
    found = self_test(tree) if "--self-test" in sys.argv else check(tree)
    for problem in found:
        print(problem)
    print(f"{len(found)} problems")
    sys.exit(1 if found else 0)
