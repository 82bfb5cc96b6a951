#!/usr/bin/python3
"""ultra-perf on every backend, as people run it: nothing wrong, and a bus bandwidth that is the other one times its factor."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

BIN = os.environ["ULTRAMARINE_BIN"]
PERF = os.path.join(BIN, "ultra-perf")
FAKE_PLUGIN = os.environ.get("ULTRAMARINE_FAKE_PLUGIN")
FACTORS = {
    "all_reduce": lambda n: 2 * (n - 1) / n,
    "reduce_scatter": lambda n: (n - 1) / n,
    "all_gather": lambda n: (n - 1) / n,
    "broadcast": lambda n: 1,
}
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name not in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "ULTRAMARINE_CUDA_PLUGIN")}
# Containers often run as root, and have fewer cores than the tests have ranks.
ENVIRONMENT.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def run(*words, **environment):
    return subprocess.run(words, capture_output=True, text=True, timeout=110, env={**ENVIRONMENT, **environment})


class Perf(unittest.TestCase):
    def check(self, ran, backend, ranks, type_name="float"):
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        runs = json.loads(ran.stdout)["runs"]
        self.assertEqual([one["operation"] for one in runs], list(FACTORS))
        for one in runs:
            self.assertEqual((one["backend"], one["ranks"], one["type"], one["wrong"]), (backend, ranks, type_name, 0))
            factor = FACTORS[one["operation"]](ranks)
            sizes = [row["size"] for row in one["rows"]]
            self.assertEqual(sizes, sorted(set(sizes)))
            self.assertLessEqual(sizes[-1], 1 << 20)
            self.assertGreater(sizes[-1], (1 << 20) - 64)
            sum_of_busbw = 0
            for row in one["rows"]:
                for form in (row["out_of_place"], row["in_place"]):
                    self.assertEqual(form["wrong"], 0)
                    self.assertGreater(form["time_us"], 0)
                    self.assertAlmostEqual(form["algbw"], row["size"] / form["time_us"] / 1e3, delta=1e-6 * form["algbw"])
                    self.assertAlmostEqual(form["busbw"], form["algbw"] * factor, delta=1e-6 * form["algbw"])
                    sum_of_busbw += form["busbw"]
            average = sum_of_busbw / 2 / len(one["rows"])
            self.assertAlmostEqual(one["average_busbw"], average, delta=1e-6 * average + 1e-12)

    ALL = ("--operation", "all", "-b", "4", "-e", "1M", "-f", "8", "-n", "3", "-w", "1", "--json")

    def test_in_process(self):
        for ranks in (1, 2, 3):
            self.check(run(PERF, "--backend", "in_process", "--ranks", str(ranks), *self.ALL), "in_process", ranks)
        self.check(run(PERF, "--ranks", "2", "--backend", "in_process", "-d", "bf16", "-o", "max", *self.ALL),
                   "in_process", 2, "bfloat16")

    def test_mpi(self):
        for ranks in (2, 3, 4):
            self.check(run("mpirun", "-n", str(ranks), "--oversubscribe", PERF, "--backend", "mpi", *self.ALL), "mpi", ranks)
        self.check(run("mpirun", "-n", "2", "--oversubscribe", PERF, "--backend", "mpi", "--type", "bf16", *self.ALL),
                   "mpi", 2, "bfloat16")

    @unittest.skipUnless(FAKE_PLUGIN, "no plug-in on a fake GPU in this build")
    def test_nccl_on_a_fake_gpu(self):
        fake = {"ULTRAMARINE_CUDA_PLUGIN": FAKE_PLUGIN, "FAKE_CUDA_DEVICES": "4"}
        for ranks in (1, 2, 4):
            self.check(run(PERF, "--backend", "nccl", "--ranks", str(ranks), *self.ALL, **fake), "nccl", ranks)
        self.check(run(PERF, "--ranks", "2", "--type", "bf16", *self.ALL, **fake), "nccl", 2, "bfloat16")  # auto: there are GPUs
        ran = run(PERF, "--backend", "nccl", "--ranks", "5", **fake)
        self.assertEqual((ran.returncode, ran.stderr),
                         (1, "ultra-perf: nccl: 5 ranks need a GPU each, and this process sees 4\n"))

    @unittest.skipUnless(FAKE_PLUGIN, "no plug-in on a fake GPU in this build")
    def test_faults_of_nccl_are_seen(self):
        fake = {"ULTRAMARINE_CUDA_PLUGIN": FAKE_PLUGIN, "FAKE_CUDA_DEVICES": "2"}
        words = (PERF, "--backend", "nccl", "--ranks", "2", "-b", "4K", "-e", "4K", "-n", "1", "-w", "0", "--deadline", "1")
        # The fourth collective of the run is the first that is checked: after a barrier, the measured one and its time.
        ran = run(*words, "--json", FAKE_NCCL_FAULT="rank=1;op=4;kind=corrupt", **fake)
        self.assertEqual(ran.returncode, 1, ran)
        row = json.loads(ran.stdout)["runs"][0]["rows"][0]
        self.assertEqual((row["out_of_place"]["wrong"], row["in_place"]["wrong"]), (1, 0))
        with tempfile.TemporaryDirectory() as folder:
            ran = run(*words, FAKE_NCCL_FAULT="rank=1;op=2;kind=hang", ULTRA_FLIGHT_RECORD=folder, **fake)
            self.assertEqual(ran.returncode, 1, ran)
            self.assertIn("all_reduce sum of 1024 float32 (collective 2): not complete after 1000 ms; flight record: " + folder,
                          ran.stderr)
            with open(os.path.join(folder, "flight-rank-0.jsonl"), encoding="utf-8") as file:
                head, *entries = [json.loads(line) for line in file]
        self.assertEqual((head["failed_sequence"], head["rank"], head["world_size"]), (2, 0, 2))
        self.assertEqual([(one["collective"], one["state"]) for one in entries],
                         [("barrier", "complete"), ("all_reduce", "failed")])

    def test_the_table_is_for_people_and_the_check_can_be_left_out(self):
        ran = run(PERF, "--backend", "in_process", "--minbytes", "1K", "--maxbytes", "4K", "--stepfactor", "2", "--check", "0")
        self.assertEqual(ran.returncode, 0, ran)
        rows = [line.split() for line in ran.stdout.splitlines() if not line.startswith("#")]
        self.assertEqual([row[:5] for row in rows], [[size, count, "float", "sum", "-1"] for size, count in
                                                     (("1024", "256"), ("2048", "512"), ("4096", "1024"))])
        self.assertEqual({len(row) for row in rows}, {13})
        self.assertEqual({row[8] for row in rows} | {row[12] for row in rows}, {"N/A"})
        self.assertIn("# Avg bus bandwidth    : ", ran.stdout)

    def test_mistakes_are_one_line(self):
        for words, text in ((("-b", "9X"), "--minbytes: \"9X\" isn't a size"), (("-b", "2M", "-e", "1M"), "--minbytes: 2M"),
                            (("--root", "3", "--operation", "broadcast", "-e", "4"), "--root: 3 is no rank of 1"),
                            (("--backend", "smoke"), "this build has in_process, mpi, nccl"),
                            (("--operation", "gossip"), "--operation")):
            ran = run(PERF, *words, **({} if "smoke" in words else {"ULTRAMARINE_CUDA_PLUGIN": "/nowhere"}))
            self.assertEqual((ran.returncode, ran.stdout, ran.stderr.count("\n")), (2, "", 1), ran)
            self.assertIn(text, ran.stderr)

    def test_without_a_plug_in_nccl_says_why(self):
        ran = run(PERF, "--backend", "nccl", ULTRAMARINE_CUDA_PLUGIN="/nowhere/plugin.so")
        self.assertEqual(ran.returncode, 1, ran)
        self.assertEqual(ran.stderr, "ultra-perf: nccl: CUDA: /nowhere/plugin.so can't be loaded: /nowhere/plugin.so: cannot "
                                     "open shared object file: No such file or directory\n")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main(verbosity=2)
