#!/usr/bin/env python3
"""Gangs on some nodes of a job, CPUs of ranks, launchers that bring their own remote shell (mpirun, torch.distributed.run), commands beside ranks."""
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import BINARIES, Cluster, until  # noqa: E402

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
PYTHON = "/usr/bin/python3"
HAS_TORCH = subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode == 0
NODES = 4


class Launching(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=NODES, gpus_per_node=2)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        self.work = self.cluster.folder / self._testMethodName
        self.work.mkdir()

    def run_script(self, text, *arguments, code=0):
        (self.work / "job.sh").write_text(textwrap.dedent(text).lstrip())
        result = self.cluster.ultra("submit", "--parsable", *arguments, "job.sh", cwd=self.work)
        self.assertEqual(result.code, 0, result)
        self.job = int(result.out)
        self.assertEqual(self.cluster.wait(self.job), code, f"{self.cluster.ultra('show', self.job)}\n{self.output()}")
        return self.output()

    def output(self):
        path = self.work / f"slurm-{self.job}.out"
        return path.read_text() if path.exists() else f"(no {path})"

    def nodes(self):
        return [part["node"] for part in self.cluster.show(self.job)["details"]["attempts"][0]["allocation"]]

    def mpi_program(self):
        program = self.work / "mpi_sum"
        subprocess.run(["mpicc", "-O1", "-o", program, PROGRAMS / "mpi_sum.c"], check=True)
        return program

    def test_gangs_on_some_of_the_nodes(self):
        out = self.run_script("""
            #!/bin/bash
            #ULTRA --nodes 4 --gpus-per-node 2
            last=$(ultra run --ranks-per-node 1 --label -- sh -c 'echo $ULTRA_NODE' | sort | tail -1 | cut -d' ' -f2)
            say='echo $0 $RANK of $WORLD_SIZE on $ULTRA_NODE among $SLURM_NNODES'
            ultra run --nodes 1 -- sh -c "$say" one
            ultra run --nodes 3 --ranks-per-node 1 -- sh -c "$say" three
            ultra run --nodelist "$last" --ranks 1 -- sh -c "$say" last
            # Side by side, on different nodes: each waits for the other.
            ultra run --nodes 1 --ranks 1 -- sh -c 'touch first; until [ -e second ]; do sleep 0.05; done' &
            ultra run --nodelist "$last" --ranks 1 -- sh -c 'touch second; until [ -e first ]; do sleep 0.05; done' &
            wait %1 && wait %2 && echo both
            ultra run --nodelist nowhere -- true; echo "refused with $?"
            ultra run --nodes 5 -- true; echo "refused with $?"
            """)
        nodes = self.nodes()
        lines = out.splitlines()
        self.assertEqual(sorted(line for line in lines if line.startswith("one")), [f"one {rank} of 2 on {nodes[0]} among 1" for rank in range(2)])
        self.assertEqual(sorted(line for line in lines if line.startswith("three")), [f"three {rank} of 3 on {nodes[rank]} among 3" for rank in range(3)])
        self.assertIn(f"last 0 of 1 on {nodes[-1]} among 1", lines)
        self.assertIn("both", lines)
        self.assertEqual(lines.count("refused with 2"), 2, out)
        self.assertIn("--nodelist: \"nowhere\" is not a node of this job", out)
        self.assertIn("--nodes: 5 nodes, where the job has 4", out)

    def test_cpus_of_ranks(self):
        cores = len(os.sched_getaffinity(0))
        out = self.run_script("""
            #!/bin/bash
            #ULTRA --nodes 1 --gpus-per-node 2 --cpus-per-rank 1
            say='import os; print(os.environ["WHAT"], os.environ["RANK"], os.environ["OMP_NUM_THREADS"], sorted(os.sched_getaffinity(0)))'
            WHAT=auto ultra run -- python3 -c "$say"
            WHAT=none ultra run --bind none -- python3 -c "$say"
            WHAT=three ultra run --cpus-per-rank 3000 -- python3 -c "$say"
            WHAT=mine OMP_NUM_THREADS=5 ultra run -- python3 -c "$say"
            """)
        rows = {}
        for line in out.splitlines():
            what, rank, threads, cpus = line.split(" ", 3)
            rows[what, int(rank)] = (threads, json.loads(cpus))
        everywhere = sorted(os.sched_getaffinity(0))
        self.assertEqual([rows["none", rank] for rank in range(2)], [("1", everywhere)] * 2)
        self.assertEqual([rows["three", rank] for rank in range(2)], [("3000", everywhere)] * 2, "too few CPUs: nobody is bound")
        self.assertEqual([rows["mine", rank][0] for rank in range(2)], ["5", "5"])
        bound = [rows["auto", rank][1] for rank in range(2)]
        if cores < 2:
            self.assertEqual(bound, [everywhere] * 2)
        else:
            self.assertFalse(set(bound[0]) & set(bound[1]), "each has cores of its own")
            self.assertEqual(sorted(bound[0] + bound[1]), everywhere)

    def test_plain_ranks_may_stay_unbound(self):
        job = self.cluster.submit("--nodes", 1, "--gpus-per-node", 2, "--bind", "none", "--", PYTHON, "-c", "import os; print(sorted(os.sched_getaffinity(0)))")
        self.assertEqual(self.cluster.wait(job), 0)
        self.assertEqual(self.cluster.logs(job, "--rank", 1), f"{sorted(os.sched_getaffinity(0))}\n")

    def test_remote_shell(self):
        out = self.run_script("""
            #!/bin/bash
            #ULTRA --nodes 2 --gpus-per-node 1
            other=$(ultra run --label -- sh -c 'echo $ULTRA_NODE' | sort | tail -1 | cut -d' ' -f2)
            export GREETING="two words"
            cd /tmp
            echo lost | ultra-rsh -x -o BatchMode=yes -l somebody "$other" 'echo "$GREETING" on $ULTRA_NODE in $(pwd); echo to err >&2;' cat
            echo "ended with $?"
            ultra-rsh "$other" exit 7 2>err.txt; echo "ended with $?, said $(wc -c < err.txt)"
            ultra-rsh elsewhere true; echo "ended with $?"
            ultra-rsh; echo "ended with $?"
            """.replace("err.txt", str(self.work / "err.txt")))
        nodes = self.nodes()
        lines = out.splitlines()
        self.assertIn(f"two words on {nodes[1]} in /tmp", lines)
        self.assertIn("to err", lines)
        self.assertNotIn("lost", lines)
        self.assertIn("ended with 0", lines)
        self.assertIn("ended with 7, said 0", lines)
        self.assertEqual(lines.count("ended with 255"), 2, out)
        self.assertIn("\"elsewhere\" is not a node of this job", out)
        outside = subprocess.run([str(BINARIES / "ultra-rsh"), "host", "true"], env=self.cluster.environment, capture_output=True, text=True)
        self.assertEqual(outside.returncode, 255)
        self.assertIn("this is not inside a job", outside.stderr)

    def mpirun_over(self, nodes):
        self.mpi_program()
        out = self.run_script(f"""
            #!/bin/bash
            #ULTRA --nodes {nodes} --gpus-per-node 2
            timeout 120 mpirun sh -c 'echo rank $OMPI_COMM_WORLD_RANK on $ULTRA_NODE' && timeout 120 mpirun ./mpi_sum
            """)
        names = self.nodes()
        self.assertEqual(len(names), nodes)
        lines = out.splitlines()
        self.assertEqual(sorted(line for line in lines if line.startswith("rank")), sorted(f"rank {rank} on {names[rank // 2]}" for rank in range(2 * nodes)))
        self.assertIn(f"sum over {2 * nodes} ranks is exact", out)

    def test_mpirun_on_one_node_needs_no_remote_shell(self):
        self.mpirun_over(1)
        self.assertEqual([gang["gang"] for gang in self.cluster.show(self.job)["details"]["attempts"][0]["gangs"]], [1])

    def test_mpirun_over_two_nodes(self):
        self.mpirun_over(2)

    def test_mpirun_over_four_nodes(self):
        self.mpirun_over(4)

    @unittest.skipUnless(HAS_TORCH, "python3-torch is not installed: scripts/setup test installs it")
    def test_torch_distributed_run_by_ultra_run(self):
        out = self.run_script(f"""
            #!/bin/bash
            #ULTRA --nodes 2 --gpus-per-node 2
            ultra run --ranks-per-node 1 -- sh -c 'exec {PYTHON} -m torch.distributed.run --redirects 1 --tee 1 --nnodes $SLURM_NNODES --nproc_per_node 2 \\
              --rdzv_backend c10d --rdzv_id $SLURM_JOB_ID --rdzv_endpoint $MASTER_ADDR:$MASTER_PORT {PROGRAMS / "torch_ddp.py"}'
            """)
        self.assertIn("all 4 ranks hold equal parameters", out)

    @unittest.skipUnless(HAS_TORCH, "python3-torch is not installed: scripts/setup test installs it")
    def test_torch_distributed_run_in_a_script(self):
        out = self.run_script(f"""
            #!/bin/bash
            #ULTRA --nodes 1 --gpus-per-node 2
            {PYTHON} -m torch.distributed.run --redirects 1 --tee 1 --standalone --nproc_per_node 2 {PROGRAMS / "torch_ddp.py"}
            """)
        self.assertIn("all 2 ranks hold equal parameters", out)

    def test_commands_beside_ranks(self):
        job = self.cluster.submit("--nodes", 2, "--gpus-per-node", 2, "--", "sh", "-c", "echo up; until [ -e /tmp/never-there ]; do sleep 0.2; done",
                                  environment={"MY_OWN": "kept"})
        self.job = job
        until(lambda: self.cluster.logs(job).count("up") == 4, "the ranks run")
        done = self.cluster.ultra("exec", job, "--rank", 3, "--", "sh", "-c", "echo $MY_OWN on $ULTRA_NODE, job $ULTRA_JOB_ID; echo err >&2; exit 9")
        self.assertEqual((done.code, done.out, done.err), (9, f"kept on {self.nodes()[1]}, job {job}\n", "err\n"))
        self.assertEqual(self.cluster.state(job), "running", "its failure is no failure of the job")
        refused = self.cluster.ultra("exec", job, "--rank", 4, "--", "true")
        self.assertEqual(refused.code, 2, refused)
        self.assertIn("--rank: there is no rank 4", refused.err)
        self.assertEqual(self.cluster.ultra("cancel", job).code, 0)
        self.assertEqual(self.cluster.wait(job), 143)
        gone = self.cluster.ultra("exec", job, "--", "true")
        self.assertEqual(gone.code, 6, gone)


if __name__ == "__main__":
    unittest.main(verbosity=2)
