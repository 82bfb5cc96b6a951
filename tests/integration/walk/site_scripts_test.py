"""Prolog and epilog on a real cluster: what an agent that is killed, or away at a job's end, still owes its node."""
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import BINARIES, Result, free_port, until  # noqa: E402
from daemons import DaemonsOfItsOwn  # noqa: E402


class SiteScripts(DaemonsOfItsOwn):
    def setUp(self):
        super().setUp()
        self.socket = self.folder / "scheduler.sock"
        prolog = self.program("prolog", 'echo "prolog $ULTRA_NODE $ULTRA_JOB_ID $ULTRA_USER $ULTRA_DEVICES" >> {0}/story')
        epilog = self.program("epilog", 'echo "epilog $ULTRA_NODE $ULTRA_JOB_ID $ULTRA_USER $ULTRA_DEVICES" >> {0}/story\n'
                                        'while test -e {0}/hold; do sleep 0.02; done\necho "cleaned $ULTRA_NODE $ULTRA_JOB_ID" >> {0}/story')
        (self.folder / "cluster.toml").write_text(
            f'name = "scripts"\n[[node]]\nname = "node[01-02]"\ngpus = 2\ngpu_type = "H100"\nvirtual = true\naddress = "127.0.0.1"\n'
            f'[scheduler]\nhttp = ""\nagents = "127.0.0.1:{free_port()}"\nstate_directory = "{self.folder}/state"\nsocket = "{self.socket}"\n'
            f'secret_file = "{self.folder}/secret"\n[agent]\nsecret_file = "{self.folder}/secret"\nroot_jobs = true\n'
            f'prolog = "{prolog}"\nepilog = "{epilog}"\n')
        self.start_daemon("scheduler", "ultra-scheduler")
        until(lambda: self.ultra("nodes", "--json").code == 0, "the scheduler answers")
        for node in ("node01", "node02"):
            self.start_agent(node)
        until(lambda: all(node["node"]["state"] == "up" for node in self.ultra("nodes", "--json").json()["nodes"]), "the nodes are there")

    def program(self, name, text):
        path = self.folder / name
        path.write_text("#!/bin/sh\n" + text.format(self.folder) + "\n")
        path.chmod(0o755)
        return path

    def start_agent(self, node):
        self.start_daemon(node, "ultra-agent", "--node", node)

    def ultra(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ULTRA_")}
        environment.update({"ULTRA_SOCKET": str(self.socket), "PATH": f"{BINARIES}:{environment['PATH']}"})
        done = subprocess.run([str(BINARIES / "ultra"), *map(str, arguments)], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        return Result(done.returncode, done.stdout, done.stderr)

    def submit(self, *arguments):
        result = self.ultra("submit", "--json", *arguments)
        self.assertEqual(result.code, 0, result)
        return result.json()["job"]

    def state(self, job):
        return self.ultra("show", job, "--json").json()["details"]["state"]

    def story(self, node):
        path = self.folder / "story"
        return [line for line in path.read_text().splitlines() if line.split()[1] == node] if path.exists() else []

    def test_an_epilog_that_the_agents_death_cut_short_runs_again_before_the_next_job(self):
        (self.folder / "hold").touch()
        first = self.submit("--gpus", "4", "--", "true")
        until(lambda: any(line.startswith(f"epilog node01 {first}") for line in self.story("node01")), "the epilog runs")
        self.end_daemon("node01", signal.SIGKILL)
        second = self.submit("--gpus", "4", "--", "sh", "-c", f"test $RANK != 0 || echo job $ULTRA_NODE {first} >> {self.folder}/story")
        self.start_agent("node01")
        until(lambda: sum(line.startswith("epilog") for line in self.story("node01")) == 2, "the epilog runs again")
        self.assertIn(self.state(second), ("queued", "starting"))
        (self.folder / "hold").unlink()
        self.assertEqual(self.ultra("wait", second, "--timeout", "60s").code, 0)
        story = [" ".join(line.split()[:3]) for line in self.story("node01")]
        self.assertEqual(story[:6], [f"prolog node01 {first}", f"epilog node01 {first}", f"epilog node01 {first}", f"cleaned node01 {first}",
                                     f"prolog node01 {second}", f"job node01 {first}"])
        prolog, *epilogs = [line.split(None, 1)[1] for line in self.story("node01")[:3]]
        self.assertEqual(epilogs, [prolog, prolog], "both know the same, also after the restart")
        self.assertTrue(prolog.endswith(" 0,1"), prolog)

    def test_a_node_that_was_away_at_a_jobs_end_runs_its_epilog_when_it_is_back(self):
        script = self.program("job.sh", "ultra run -- true\necho > {0}/ran\nwhile ! test -e {0}/end; do sleep 0.02; done")
        job = self.submit("--nodes", "2", "--gpus-per-node", "2", str(script))
        until(lambda: (self.folder / "ran").exists(), "the gang over both nodes has ended")
        folders = self.folder / "agents" / "node02" / "jobs"
        until(lambda: not (folders / f"{job}.1.2" / "shim.pid").exists(), "the second node has forgotten the gang")
        self.end_daemon("node02", signal.SIGTERM)
        (self.folder / "end").touch()
        self.assertEqual(self.ultra("wait", job, "--timeout", "60s").code, 0)
        until(lambda: f"cleaned node01 {job}" in self.story("node01"), "the epilog of the first node")
        self.assertEqual(len(self.story("node02")), 1, "its prolog alone")
        self.start_agent("node02")
        until(lambda: f"cleaned node02 {job}" in self.story("node02"), "the epilog of the second node")
        until(lambda: not list(folders.glob("*.begun")), "nothing is owed any more")


if __name__ == "__main__":
    unittest.main()
