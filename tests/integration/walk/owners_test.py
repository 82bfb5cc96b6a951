"""Agents that are root, users who aren't: each job runs as who submitted it, in every way of starting something, and scripts of the site guard the nodes."""
import base64
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import BINARIES, Result, free_port, until  # noqa: E402
from daemons import DaemonsOfItsOwn  # noqa: E402
from terminal_window import Window  # noqa: E402

NOBODY, DAEMON = 65534, 1
SERVICE = 64321  # runs the scheduler where root doesn't; nobody else's number


def as_user(uid):
    """For subprocess: in no group but his number."""
    return {"user": uid, "group": uid, "extra_groups": []}


def known(uid):
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None


@unittest.skipUnless(os.geteuid() == 0, "only an agent that is root can run jobs as other users")
@unittest.skipUnless(known(NOBODY) and known(DAEMON), "this machine has no users 65534 and 1")
class Owners(DaemonsOfItsOwn):
    NODES = ("node01", "node02")

    def setUp(self):
        super().setUp()
        self.port = free_port()

    def start(self, agent_section="", service=False):
        """With `service` the scheduler is no root: a user of its own, with a folder and a secret of its own."""
        scheduler = self.folder / "service" if service else self.folder
        if service:
            scheduler.mkdir(mode=0o755)
            shutil.copy2(self.folder / "secret", scheduler / "secret")
            for path in (scheduler, scheduler / "secret"):
                os.chown(path, SERVICE, SERVICE)
        self.socket = scheduler / "scheduler.sock"
        (self.folder / "cluster.toml").write_text(
            f'name = "owners"\n[[node]]\nname = "node[01-02]"\ngpus = 4\ngpu_type = "H100"\nvirtual = true\naddress = "127.0.0.1"\n'
            f'[scheduler]\nhttp = ""\nagents = "127.0.0.1:{self.port}"\nstate_directory = "{scheduler}/state"\nsocket = "{self.socket}"\n'
            f'secret_file = "{scheduler}/secret"\n[agent]\nsecret_file = "{self.folder}/secret"\nminimum_uid = 1\n{agent_section}')
        self.start_daemon("scheduler", "ultra-scheduler", **as_user(SERVICE if service else 0))
        until(lambda: self.ultra(0, "nodes", "--json").code == 0, "the scheduler answers")

    def start_agents(self, nodes=NODES, uid=0):
        for node in nodes:
            self.start_daemon(node, "ultra-agent", "--node", node, **as_user(uid))
        until(lambda: not {n["node"]["config"]["name"] for n in self.nodes() if n["node"]["state"] == "down"} & set(nodes), "the nodes are there")

    def nodes(self):
        return self.ultra(0, "nodes", "--json").json()["nodes"]

    def home(self, uid):
        path = self.folder / f"home{uid}"
        if not path.exists():
            path.mkdir(mode=0o700)
            os.chown(path, uid, pwd.getpwuid(uid).pw_gid)
        return path

    def ultra(self, uid, *arguments):
        home = self.home(uid)
        environment = {"PATH": f"{BINARIES}:/usr/bin:/bin", "HOME": str(home), "ULTRA_SOCKET": str(self.socket), "LANG": "C.UTF-8"}
        done = subprocess.run([str(BINARIES / "ultra"), *map(str, arguments)], env=environment, cwd=home, user=uid, group=pwd.getpwuid(uid).pw_gid,
                              extra_groups=[], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
        return Result(done.returncode, done.stdout, done.stderr)

    def finished(self, uid, *arguments):
        """Submits and waits; the exit code of `ultra wait`, the job's number and its output."""
        result = self.ultra(uid, "submit", "--json", *arguments)
        self.assertEqual(result.code, 0, result)
        job = result.json()["job"]
        code = self.ultra(uid, "wait", job, "--timeout", "120s").code
        return code, job, self.ultra(uid, "logs", job).out

    def test_each_job_runs_as_who_submitted_it(self):
        self.start()
        self.start_agents()
        for uid in (NOBODY, DAEMON):
            code, _, out = self.finished(uid, "--gpus", "8", "--mpi", "none", "--", "sh", "-c", "id -u; id -g")
            self.assertEqual(code, 0)
            self.assertEqual([line.split()[-1] for line in out.splitlines()].count(str(uid)), 16 if uid == pwd.getpwuid(uid).pw_gid else 8, out)
        # A script, a gang that it starts by `ultra run`, its scratch folder and a named output file.
        script = self.home(NOBODY) / "job.sh"
        script.write_text("#!/bin/sh\n#ULTRA --gpus 2\n#ULTRA --output result-%j.txt\necho script $(id -u)\ntouch $ULTRA_SCRATCH/x && echo scratch\n"
                          f"{BINARIES}/ultra run -- sh -c 'echo gang $(id -u)'\n")
        script.chmod(0o755)
        os.chown(script, NOBODY, NOBODY)
        code, job, out = self.finished(NOBODY, script)
        self.assertEqual(code, 0, out)
        result = self.home(NOBODY) / f"result-{job}.txt"
        self.assertEqual(result.stat().st_uid, NOBODY)
        text = result.read_text()
        self.assertIn("script 65534\nscratch\n", text)
        self.assertEqual(text.count("gang 65534"), 2, text)
        # Root's own jobs are refused, with what to do about it.
        code, job, _ = self.finished(0, "--gpus", "1", "--", "id")
        self.assertNotEqual(code, 0)
        self.assertIn("runs no jobs of root: submit it as another user", self.ultra(0, "show", job).out)
        # What holds jobs together is told.
        kinds = {node["facts"]["containment"] for node in self.nodes()}
        self.assertLessEqual(kinds, {"cgroup_v2", "cgroup_v1", "process_groups"})
        self.assertIn(kinds.pop(), self.ultra(0, "nodes", "--wide").out)

    def window(self, uid, *arguments):
        home = self.home(uid)
        environment = {"PATH": f"{BINARIES}:/usr/bin:/bin", "HOME": str(home), "ULTRA_SOCKET": str(self.socket)}
        window = Window(types.SimpleNamespace(folder=home, environment=environment), *arguments, uid=uid)
        self.addCleanup(window.give_up)
        return window

    def test_every_way_in_is_the_submitting_user_inside_his_jobs_groups(self):
        self.start()
        self.start_agents()
        group = pwd.getpwuid(NOBODY).pw_gid
        contained = self.nodes()[0]["facts"]["containment"] != "process_groups"
        # Who one is, and in which control groups of agents (JOB.ATTEMPT/GANG): said on a line of its own, by whoever runs it.
        look = self.home(NOBODY) / "look"
        look.write_text("#!/bin/sh\necho \"<$1 $(id -u) $(id -ru) $(id -g) $(id -G | tr ' ' ,) "
                        "$(grep -oE '/[0-9]+\\.[0-9]+/[0-9]+$' /proc/self/cgroup | sort -u | tr '\\n' ' ')>\"\n")
        look.chmod(0o755)
        os.chown(look, NOBODY, group)

        def expect_him(text, way, job, count=1):
            said = re.findall(rf"<{way} (\d+) (\d+) (\d+) ([\d,]+) ([^>]*)>", text)
            self.assertEqual(len(said), count, (way, text))
            for *ids, groups, control in said:
                self.assertEqual(ids, [str(NOBODY), str(NOBODY), str(group)], way)
                self.assertEqual(set(groups.split(",")), {str(one) for one in os.getgrouplist(pwd.getpwuid(NOBODY).pw_name, group)}, way)
                if contained:
                    self.assertRegex(control.strip(), rf"^/{job}\.1/\d+$", way)

        # A script over both nodes: itself, `ultra run`, the remote shell of its mpirun, mpirun.
        script = self.home(NOBODY) / "ways.sh"
        script.write_text(f"#!/bin/bash\n#ULTRA --nodes 2\n#ULTRA --gpus-per-node 1\n{look} script\n{BINARIES}/ultra run -- {look} run\n"
                          f"for node in node01 node02; do {BINARIES}/ultra-rsh $node {look} rsh; done\n"
                          f"mpirun --oversubscribe {look} mpirun || echo no mpirun\nuntil test -e done; do sleep 0.05; done\n")
        script.chmod(0o755)
        os.chown(script, NOBODY, group)
        job = self.ultra(NOBODY, "submit", "--json", script).json()["job"]
        until(lambda: self.ultra(NOBODY, "logs", job).out.count("<mpirun") == 2, "the script has looked everywhere")
        out = self.ultra(NOBODY, "logs", job).out
        for way, count in (("script", 1), ("run", 2), ("rsh", 2), ("mpirun", 2)):
            expect_him(out, way, job, count)
        # Beside it, from outside.
        beside = self.ultra(NOBODY, "exec", job, "--", look, "exec")
        self.assertEqual(beside.code, 0, beside)
        expect_him(beside.out, "exec", job)
        (self.home(NOBODY) / "done").touch()
        self.assertEqual(self.ultra(NOBODY, "wait", job, "--timeout", "120s").code, 0)

        # At a terminal, and at the same one again.
        window = self.window(NOBODY, "shell", "--gpus", "1", "--", "/bin/bash", "--norc", "-i")
        shell = int(window.expect(r"Job (\d+) runs on ")[1])
        window.type(f"{look} shell\n")
        expect_him(window.expect(r"<shell \d[^>]*>")[0], "shell", shell)
        back = self.window(NOBODY, "attach", shell)
        back.type(f"{look} attach\n")
        expect_him(back.expect(r"<attach \d[^>]*>")[0], "attach", shell)
        # It is his alone, whoever asks: typing into it is done in his name.
        touched = self.home(NOBODY) / "typed-by-another"
        keys = base64.b64encode(f"touch {touched}\n".encode()).decode()
        for uid in (DAEMON, 0):
            asked = ["/usr/bin/curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", self.socket, "-H", "Content-Type: application/json",
                     "-d", json.dumps({"data_base64": keys}), f"http://localhost/v1/jobs/{shell}/gangs/1/input"]
            refused = subprocess.run(asked, user=uid, group=pwd.getpwuid(uid).pw_gid, extra_groups=[], capture_output=True, text=True, timeout=60)
            self.assertEqual(refused.stdout, "403", refused)
        self.assertEqual(self.ultra(DAEMON, "attach", shell).code, 4)
        back.type("echo still $((40 + 2))\n")
        back.expect("still 42")
        self.assertFalse(touched.exists())
        self.assertEqual(self.ultra(NOBODY, "cancel", shell).code, 0)
        self.ultra(NOBODY, "wait", shell, "--timeout", "120s")

    def test_users_of_a_scheduler_that_is_not_root(self):
        """As installed: the scheduler is a user of its own, the agents are root. Whose job it is comes from the kernel, not from who forwards it."""
        self.start(service=True)
        refused = self.ultra(NOBODY, "submit", "--gpus", "1", "--", "id")
        self.assertEqual(refused.code, 4, refused)
        self.assertIn("no agent has joined yet", refused.err)
        # An agent that isn't root is told of, by name, until it is one or its node is drained.
        self.start_agents(["node01"])
        other = self.folder / "other"
        other.mkdir(mode=0o700)
        shutil.copy2(self.folder / "secret", other / "secret")
        for path in (other, other / "secret"):
            os.chown(path, DAEMON, DAEMON)
        text = (self.folder / "cluster.toml").read_text()
        (self.folder / "cluster.toml").write_text(text.replace("[agent]\n", f'[agent]\nstate_directory = "{other}/state"\n').replace(f"{self.folder}/secret", f"{other}/secret"))
        self.start_agents(["node02"], uid=DAEMON)
        (self.folder / "cluster.toml").write_text(text)
        refused = self.ultra(NOBODY, "submit", "--gpus", "1", "--", "id")
        self.assertEqual(refused.code, 4, refused)
        self.assertIn("the agent of node02 is not root and can't start jobs of other users than its own", refused.err)
        self.assertIn("ultra drain node02", refused.err)
        wide = self.ultra(0, "nodes", "--wide").out.splitlines()
        self.assertEqual([line.split("\t")[wide[0].split("\t").index("JOBS RUN AS")] for line in wide[1:]], ["owner", "agent"])
        self.daemons["node02"].terminate()
        self.daemons["node02"].wait()
        self.start_agents(["node02"])
        until(lambda: all(n["node"].get("launches_as_owner") for n in self.nodes()), "both agents are root")
        for uid in (NOBODY, DAEMON):
            home = self.home(uid)
            code, job, out = self.finished(uid, "--gpus", "8", "--mpi", "none", "--", "sh", "-c", "echo $(id -u) $PWD $HOME; touch by-$ULTRA_NODE")
            self.assertEqual(code, 0, out)
            self.assertEqual([line.split("] ")[-1] for line in out.splitlines()].count(f"{uid} {home} {home}"), 8, out)
            self.assertEqual({(path.name, path.stat().st_uid) for path in home.glob("by-*")}, {("by-node01", uid), ("by-node02", uid)})
        # Others may neither end nor read it; its owner may.
        job = self.ultra(NOBODY, "submit", "--json", "--gpus", "1", "--", "sh", "-c", "echo private; exec sleep 1000").json()["job"]
        until(lambda: "private" in self.ultra(NOBODY, "logs", job).out, "the job runs")
        for verb in ("cancel", "logs"):
            self.assertEqual(self.ultra(DAEMON, verb, job).code, 4)
        self.assertEqual(self.ultra(NOBODY, "cancel", job).code, 0)
        # A restarted scheduler knows it from its journal, before any agent has come back.
        for name in ("node01", "node02", "scheduler"):
            self.daemons[name].terminate()
            self.daemons[name].wait()
        self.start_daemon("scheduler", "ultra-scheduler", **as_user(SERVICE))
        until(lambda: self.ultra(0, "nodes", "--json").code == 0, "the scheduler answers")
        waiting = self.ultra(NOBODY, "submit", "--json", "--gpus", "1", "--", "id", "-u")
        self.assertEqual(waiting.code, 0, waiting)
        self.start_agents()
        self.assertEqual(self.ultra(NOBODY, "wait", waiting.json()["job"], "--timeout", "120s").code, 0)

    def test_jobs_have_a_tmp_of_their_own(self):
        self.start("private_tmp = true\n")
        self.start_daemon("node01", "ultra-agent", "--node", "node01")
        self.assertEqual(self.daemons["node01"].wait(timeout=60), 2)
        self.assertIn(f"could not see {self.folder}/agents/node01; have it elsewhere, or leave private_tmp out", (self.folder / "node01.log").read_text())
        self.daemons["scheduler"].terminate()
        self.daemons["scheduler"].wait()
        hidden = self.folder
        self.addCleanup(shutil.rmtree, hidden, ignore_errors=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="um-", dir="/var/tmp"))  # end_all removes this one
        self.folder.chmod(0o755)
        shutil.copy2(hidden / "secret", self.folder / "secret")
        self.start("private_tmp = true\n")
        self.start_agents()
        mark = self.folder.name
        # A script on one node, what it starts by `ultra run` and by an mpirun's remote shell, and `ultra exec` from outside: one /tmp.
        script = self.home(NOBODY) / "job.sh"
        script.write_text(f"#!/bin/sh\n#ULTRA --nodes 1\n#ULTRA --gpus-per-node 2\ncd /tmp\ntouch /tmp/{mark}.script /dev/shm/{mark}.script\n"
                          f"{BINARIES}/ultra run -- sh -c 'touch /dev/shm/{mark}.run$RANK; ls /tmp | grep {mark}'\nls /tmp /dev/shm | grep {mark}\n"
                          f"until test -e /tmp/{mark}.exec; do sleep 0.05; done\n")
        script.chmod(0o755)
        os.chown(script, NOBODY, NOBODY)
        job = self.ultra(NOBODY, "submit", "--json", script).json()["job"]
        until(lambda: f"{mark}.run1" in self.ultra(NOBODY, "logs", job).out, "the script has looked")
        lines = [line.split("] ")[-1] for line in self.ultra(NOBODY, "logs", job).out.splitlines()]
        self.assertEqual(sorted(line for line in lines if line.startswith(mark)),
                         sorted([f"{mark}.script"] * 4 + [f"{mark}.run0", f"{mark}.run1"]), lines)
        self.assertEqual([*pathlib.Path("/tmp").glob(f"{mark}.*"), *pathlib.Path("/dev/shm").glob(f"{mark}.*")], [])
        beside = self.ultra(NOBODY, "exec", job, "--", "sh", "-c", f"ls /dev/shm | grep {mark}; touch /tmp/{mark}.exec")
        self.assertEqual(beside.code, 0, beside)
        self.assertIn(f"{mark}.run1", beside.out)
        self.assertEqual(self.ultra(NOBODY, "wait", job, "--timeout", "120s").code, 0)
        # Between nodes over MPI, and gone with the job.
        code, _, out = self.finished(NOBODY, "--gpus", "8", "--mpi", "pmix", "--", "sh", "-c", f"touch /dev/shm/{mark}.$RANK; ls /tmp /dev/shm | grep -c {mark}.script; exit 0")
        self.assertEqual(code, 0, out)
        self.assertEqual([line.split("] ")[-1] for line in out.splitlines()].count("0"), 8, out)
        until(lambda: not any(self.folder.glob("agents/*/scratch/*")), "what the jobs kept is gone")
        self.assertEqual([path for path in pathlib.Path("/dev/shm").glob("ultramarine-*-private-*") if any(path.rglob(f"{mark}*"))], [])

    def test_a_failing_prolog_drains_its_node_and_the_job_runs_elsewhere(self):
        prolog = self.folder / "prolog"
        prolog.write_text("#!/bin/sh\nif [ $ULTRA_NODE = node01 ]; then echo the disk is gone; exit 1; fi\nid -u > " + str(self.folder / "prolog-ran") + "\n")
        prolog.chmod(0o755)
        self.start(f'prolog = "{prolog}"\n')
        self.start_agents()
        job = self.ultra(NOBODY, "submit", "--json", "--gpus", "1", "--", "sh", "-c", "echo on $ULTRA_NODE").json()["job"]
        self.assertEqual(self.ultra(NOBODY, "wait", job, "--timeout", "120s").code, 0)
        self.assertIn("on node02", self.ultra(NOBODY, "logs", job).out)
        self.assertEqual((self.folder / "prolog-ran").read_text(), "0\n")
        first = next(node for node in self.nodes() if node["node"]["config"]["name"] == "node01")
        self.assertEqual(first["node"]["drain"]["reason"], f"prolog {prolog} exited with code 1: the disk is gone")
        self.assertEqual(first["node"]["drain"]["actor"]["name"], "node01")

    def test_a_failing_health_check_drains_its_node(self):
        health = self.folder / "health"
        health.write_text("#!/bin/sh\necho checking\ntest -e " + str(self.folder / "well") + " || test $ULTRA_NODE = node02 || { echo the fabric is down >&2; exit 7; }\n")
        health.chmod(0o755)
        (self.folder / "well").touch()
        self.start(f'health_check = "{health}"\nhealth_interval = "100ms"\n')
        self.start_agents()
        self.assertFalse(any(node["node"].get("drain") for node in self.nodes()))
        (self.folder / "well").unlink()
        until(lambda: any(node["node"].get("drain") for node in self.nodes()), "the drain")
        drained = {node["node"]["config"]["name"]: node["node"]["drain"] for node in self.nodes() if node["node"].get("drain")}
        self.assertEqual(list(drained), ["node01"])
        self.assertEqual(drained["node01"]["reason"], "health check exited with code 7: the fabric is down")


if __name__ == "__main__":
    unittest.main(verbosity=2)
