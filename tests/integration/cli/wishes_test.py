#!/usr/bin/python3
"""Jobs that ask for kinds of nodes, CPUs, memory and whole nodes, on a real cluster of nodes of three kinds: they run only where they may."""
import pathlib
import random
import re
import sys
import textwrap
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, free_port, until  # noqa: E402

CONFIG = pathlib.Path(__file__).resolve().parents[3] / "configs" / "clusters" / "example-mixed.toml"


class Wishes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.cluster.home.mkdir(mode=0o700)
        text = CONFIG.read_text()
        text = re.sub(r'http = "[^"]*"', 'http = ""', text)
        text = re.sub(r'agents = "[^"]*"', f'agents = "127.0.0.1:{free_port()}"', text)
        (cls.cluster.home / "cluster.toml").write_text(text)
        cls.cluster.up_arguments = ["cluster", "up"]
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)

    def submit(self, *arguments, time="5m"):
        return self.cluster.submit("--time", time, *arguments)

    def ended(self, job):
        self.assertEqual(self.cluster.wait(job), 0, self.cluster.ultra("show", job))
        return self.places(job)

    def places(self, job):
        """node -> number of GPUs of the job's newest attempt."""
        return {part["node"]: len(part["devices"]) for part in self.cluster.show(job)["details"]["attempts"][-1]["allocation"]}

    def running(self, job):
        until(lambda: self.cluster.state(job) == "running", f"job {job} runs")

    def cancel(self, *jobs):
        for job in jobs:
            self.cluster.ultra("cancel", job)
        for job in jobs:
            self.cluster.wait(job)

    def assert_refused(self, arguments, *parts, code=2):
        ran = self.cluster.ultra("submit", *arguments, "--", "true")
        self.assertEqual(ran.code, code, ran)
        self.assertEqual(ran.err.count("\n"), 1, ran)
        for part in parts:
            self.assertIn(part, ran.err)

    def test_kinds_of_nodes(self):
        self.assertEqual(self.ended(self.submit("--gpu-type", "A100", "--gpus", "8", "--", "true")), {"a100-01": 4, "a100-02": 4})
        self.assertEqual(self.ended(self.submit("--gpu-type", "tesla_l4", "--", "true")), {"l4-01": 1})
        self.assertEqual(set(self.ended(self.submit("-C", "ib", "--nodes", "2", "--gpus-per-node", "1", "--", "true"))), {"h100-01", "h100-02"})
        self.assertEqual(self.ended(self.submit("-w", "a100-[01-02],l4-01", "-x", "a100-01,l4-01", "--gpus", "2", "--", "true")), {"a100-02": 2})
        self.assert_refused(["--gpu-type", "B200"], "no GPUs of type \"B200\"")
        self.assert_refused(["--nodelist", "a100-[01-03]"], "no node \"a100-03\"; did you mean a100-0")
        self.assert_refused(["--gpu-type", "A100", "--gpus", "9"], "9 GPUs asked, partition main has 8 that it may use (GPUs of type A100); ask for at most 8")
        self.assert_refused(["--partition", "large", "--nodelist", "l4-01"], "l4-01 is not in partition large")
        self.assert_refused(["--gpu-type", "L4", "--cpus-per-gpu", "17"], "17 CPUs for each of 1 GPU asked", "ask for at most 16 CPUs per GPU")
        self.assert_refused(["--mem-per-gpu", "4T"], "4 TiB of memory for each of 1 GPU asked", "ask for at most 2 TiB of memory per GPU")

    def test_cpus_are_kept(self):
        holder = self.submit("--gpu-type", "L4", "--gpus", "2", "--cpus-per-gpu", "6", "--", "sleep", "600")
        self.running(holder)
        waiting = self.submit("--gpu-type", "L4", "--gpus", "2", "--cpus-per-gpu", "6", "--", "true")
        view = self.cluster.show(waiting)
        self.assertEqual(view["details"]["state"], "queued", "two GPUs are free, but only four CPUs")
        self.assertEqual(view["planned"]["reason"]["code"], "resources")
        self.assertEqual(view["planned"]["reason"]["waits_for"], [holder])
        self.assertEqual(self.ended(self.submit("--gpu-type", "L4", "--gpus", "1", "--cpus-per-gpu", "4", "--", "true", time="1m")), {"l4-01": 1})
        self.assertEqual(self.cluster.state(waiting), "queued")
        self.cancel(holder)
        self.assertEqual(self.ended(waiting), {"l4-01": 2})

    def test_whole_nodes(self):
        small = self.submit("--gpu-type", "A100", "--gpus", "1", "--", "sleep", "600")
        self.running(small)
        whole = self.submit("--gpu-type", "A100", "--exclusive", "--", "sh", "-c", "echo $RANK of $WORLD_SIZE; exec sleep 600")
        self.running(whole)
        place = self.places(whole)
        self.assertEqual(list(place.values()), [4], "a node of its own, with all its GPUs")
        self.assertNotIn(next(iter(place)), self.places(small))
        self.assertEqual(self.cluster.show(whole)["gpus"], 4)
        until(lambda: len(self.cluster.logs(whole).splitlines()) == 4, "one rank for each of its GPUs has printed")
        behind = self.submit("--gpu-type", "A100", "--exclusive", "--", "true")
        self.assertEqual(self.cluster.state(behind), "queued", "no node is free as a whole")
        self.cancel(small)
        self.ended(behind)
        self.cancel(whole)

    def test_a_script_of_sbatch_is_told_what_it_has(self):
        script = self.cluster.folder / "job.sh"
        script.write_text(textwrap.dedent("""\
            #!/bin/bash
            #SBATCH --gres=gpu:a100-sxm4:2 --cpus-per-task=8 --mem=64G --time=5 --constraint="nvlink&volta" --output=kept-%j.txt
            echo $SLURM_JOB_NODELIST $SLURM_CPUS_PER_TASK $SLURM_CPUS_ON_NODE $SLURM_MEM_PER_NODE
            """))
        ran = self.cluster.ultra("submit", "--parsable", "job.sh")
        self.assertEqual(ran.code, 0, ran)
        self.assertIn("feature \"volta\" is not known here: it is left out", ran.err)
        job = int(ran.out)
        place = self.ended(job)
        self.assertEqual(list(place.values()), [2])
        self.assertEqual((self.cluster.folder / f"kept-{job}.txt").read_text().split(), [next(iter(place)), "8", "8", "65536"])
        spec = self.cluster.show(job)["details"]["spec"]
        self.assertEqual((spec["cpus_per_gpu"], spec["memory_per_gpu_bytes"], spec["features"]), (4, 32 << 30, ["nvlink"]))

    def test_many_jobs_run_only_where_they_may(self):
        kinds = {"H100": {"h100-01", "h100-02"}, "A100": {"a100-01", "a100-02"}, "L4": {"l4-01"}}
        everywhere = set().union(*kinds.values())
        dice = random.Random(7)
        allowed = {}
        for _ in range(20):
            wish, nodes = [], set(everywhere)
            if dice.random() < 0.5:
                kind = dice.choice(sorted(kinds))
                wish += ["--gpu-type", kind]
                nodes &= kinds[kind]
            if dice.random() < 0.3:
                wish += ["-C", "nvlink"]
                nodes -= {"l4-01"}
            if dice.random() < 0.3:
                excluded = dice.choice(sorted(everywhere))
                wish += ["-x", excluded]
                nodes -= {excluded}
            if dice.random() < 0.5:
                wish += ["--cpus-per-gpu", str(dice.randint(1, 4))]
            if dice.random() < 0.2:
                wish += ["--exclusive"]
            if nodes:
                allowed[self.submit("--gpus", str(dice.randint(1, 3)), *wish, "--", "true")] = nodes
        self.assertGreater(len(allowed), 12)
        for job, nodes in allowed.items():
            self.assertLessEqual(set(self.ended(job)), nodes, f"job {job}")

    def test_what_nodes_have(self):
        ran = self.cluster.ultra("nodes", "--wide")
        self.assertEqual(ran.code, 0, ran)
        self.assertIn("CPUS\tMEMORY\tFEATURES\tLEAF\tCONTAINMENT\tJOBS RUN AS", ran.out)
        self.assertIn("A100\t32\t256.0 GiB\tnvlink\tleaf2", ran.out)
        self.assertIn("L4\t16\t128.0 GiB\t-\t-", ran.out)


if __name__ == "__main__":
    unittest.main(verbosity=1)
