#!/usr/bin/env python3
"""Unmodified programs run with the same `ultra submit`: C MPI, Debian's hpcc, mpi4py, a torch DDP script on gloo."""
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"


class Programs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=2)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)  # also when the rest of the set-up fails

    def run_job(self, *arguments, cwd=None):
        job = self.cluster.submit("--time", "10m", *arguments, cwd=cwd)
        code = self.cluster.wait(job, timeout="300s")
        self.assertEqual(code, 0, f"job {job}:\n{self.cluster.ultra('show', job)}\n{self.cluster.ultra('logs', job)}")
        return job

    def test_c_mpi_over_two_nodes(self):
        # A C program that knows only mpi.h reduces exactly over 2 nodes x 4 ranks.
        program = self.cluster.folder / "mpi_sum"
        subprocess.run(["mpicc", "-O1", "-o", program, PROGRAMS / "mpi_sum.c"], check=True)
        job = self.run_job("--nodes", 2, "--gpus-per-node", 4, "--", str(program))
        self.assertIn("sum over 8 ranks is exact", self.cluster.logs(job, "--rank", 0))
        allocation = self.cluster.show(job)["details"]["attempts"][0]["allocation"]
        self.assertEqual([len(node["devices"]) for node in allocation], [4, 4])

    def test_hpcc_passes_its_own_check(self):
        # The HPC Challenge suite of Debian: HPL's residual check and its Success flag.
        if not shutil.which("hpcc"):
            self.fail("hpcc is missing: scripts/setup test installs it")
        work = self.cluster.folder / "hpcc"
        work.mkdir()
        shutil.copy(PROGRAMS / "hpccinf.txt", work / "hpccinf.txt")
        self.run_job("--nodes", 2, "--gpus-per-node", 2, "--workdir", str(work), "--", "hpcc")
        report = (work / "hpccoutf.txt").read_text()
        self.assertIn("Success=1", report)
        self.assertIn("PASSED", report)
        self.assertNotIn("FAILED", report)

    def test_mpi4py(self):
        job = self.run_job("--nodes", 2, "--gpus-per-node", 2, "--", "/usr/bin/python3", str(PROGRAMS / "mpi4py_sum.py"))
        self.assertIn("sum over 4 ranks is 10", self.cluster.logs(job, "--rank", 0))

    def test_torch_ddp_on_gloo(self):
        # The script reads what torchrun would set and has no word of ours in it.
        self.assertNotIn("ultra", (PROGRAMS / "torch_ddp.py").read_text().lower())
        job = self.run_job("--nodes", 2, "--gpus-per-node", 1, "--", "/usr/bin/python3", str(PROGRAMS / "torch_ddp.py"))
        self.assertIn("all 2 ranks hold equal parameters", self.cluster.logs(job, "--rank", 0))

    def test_every_rank_has_the_same_collectives(self):
        # The trainer's ranks report equal counts and bytes, greater than zero.
        data = self.cluster.folder / "text"
        data.write_bytes(b"In the beginning was the word. " * 4000)
        job = self.run_job("--nodes", 2, "--gpus-per-node", 2, "--", "ultra-train", "--data", str(data), "--steps", 5, "--layers", 1, "--width", 16,
                           "--heads", 2, "--context", 16, "--global-batch", 8)
        ranks = self.cluster.show(job)["details"]["attempts"][0]["gangs"][0]["ranks"]
        self.assertEqual([rank["rank"] for rank in ranks], [0, 1, 2, 3])
        self.assertEqual(len({(rank["collective_count"], rank["collective_bytes"]) for rank in ranks}), 1, ranks)
        self.assertGreater(ranks[0]["collective_count"], 0)
        self.assertGreater(ranks[0]["collective_bytes"], 0)

    def test_killing_any_one_rank_fails_the_job_with_that_rank_named(self):
        for victim in range(4):
            with self.subTest(rank=victim):
                job = self.cluster.submit("--nodes", 2, "--gpus-per-node", 2, "--time", "5m", "--", "sh", "-c", "echo here is rank $RANK; while :; do sleep 1; done")
                until(lambda: self.cluster.state(job) == "running", "the job runs")
                until(lambda: f"here is rank {victim}" in self.cluster.logs(job, "--rank", victim), "the rank has spoken")
                shown = self.cluster.show(job)
                nodes = [node["node"] for node in shown["details"]["attempts"][0]["allocation"]]
                pids = [pid for node in nodes for pid in shown["pids"][node]]
                subprocess.run(["kill", "-9", str(pids[victim])], check=True)
                self.assertEqual(self.cluster.wait(job), 137)
                attempt = self.cluster.show(job)["details"]["attempts"][0]
                self.assertEqual((attempt["outcome"], attempt["failure"]["rank"], attempt["failure"]["signal"]), ("failed", victim, 9))
                self.assertIn(f"here is rank {victim}", "\n".join(attempt["failure"]["last_lines"]))
                self.assertEqual(len(attempt["gangs"][0]["ranks"]), 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
