#!/usr/bin/python3
"""ultra-perf as a job of a real cluster: four ranks that meet through PMIx, and four that meet by the rendezvous alone."""

import json
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from home import BIN, Home  # noqa: E402

PERF = os.path.join(BIN, "ultra-perf")
FAKE_PLUGIN = os.environ.get("ULTRAMARINE_FAKE_PLUGIN")
WORDS = ("--operation", "all", "-e", "64K", "-f", "16", "-n", "2", "-w", "1")


class PerfJob(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Home()
        cls.addClassCleanup(cls.cluster.close)
        up = cls.cluster.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0")
        assert up.code == 0, up

    def follow(self, *words, environment=None):
        return self.cluster.ultra("submit", "--gpus", "4", "--follow", "--rank", "0", "--", PERF, *words, environment=environment)

    def check(self, ran, backend):
        self.assertEqual(ran.code, 0, ran)
        runs = json.loads(ran.out)["runs"]  # only rank 0 speaks
        self.assertEqual([(one["backend"], one["ranks"], one["wrong"]) for one in runs], [(backend, 4, 0)] * 4)

    def test_over_mpi(self):
        self.check(self.follow("--backend", "mpi", "--json", *WORDS), "mpi")

    @unittest.skipUnless(FAKE_PLUGIN, "no plug-in on a fake GPU in this build")
    def test_over_nccl(self):
        fake = {"ULTRAMARINE_CUDA_PLUGIN": FAKE_PLUGIN, "FAKE_CUDA_DEVICES": "8"}
        self.check(self.follow("--backend", "nccl", "--json", *WORDS, environment=fake), "nccl")

    @unittest.skipUnless(FAKE_PLUGIN, "no plug-in on a fake GPU in this build")
    def test_a_hang_leaves_a_flight_record_where_the_job_works(self):
        fake = {"ULTRAMARINE_CUDA_PLUGIN": FAKE_PLUGIN, "FAKE_CUDA_DEVICES": "8", "FAKE_NCCL_FAULT": "rank=2;op=3;kind=hang"}
        ran = self.follow("--backend", "nccl", "--deadline", "2", *WORDS, environment=fake)
        self.assertNotEqual(ran.code, 0, ran)
        self.assertIn("(collective 3): not complete after 2000 ms; flight record: " + self.cluster.work + "/flight-job-", ran.out + ran.err)
        path = (ran.out + ran.err).split("; flight record: ")[1].split()[0]
        with open(path, encoding="utf-8") as file:
            self.assertEqual(json.loads(file.readline())["failed_sequence"], 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
