#!/usr/bin/env python3
"""Programs that know nothing of us, over eight nodes with networks and host names of their own, and users who must not reach each other."""
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import BINARIES, until  # noqa: E402
from terminal_window import Window  # noqa: E402
from node_namespaces import REAL, Faults, Fleet, needs_namespaces  # noqa: E402

PROGRAMS = pathlib.Path(__file__).resolve().parents[1] / "walk" / "programs"
PYTHON = "/usr/bin/python3"
HAS_TORCH = subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode == 0
HAS_MPI4PY = subprocess.run([PYTHON, "-c", "import mpi4py"], capture_output=True).returncode == 0
MELT = pathlib.Path("/usr/share/lammps/examples/melt/in.melt")
DAEMON, NOBODY = 1, 65534


@needs_namespaces
class EightNodes(Faults):
    @classmethod
    def setUpClass(cls):
        cls.shared = Fleet(nodes=8, gpus=8, namespaces=True, timeouts=REAL)
        cls.shared.up()
        cls.addClassCleanup(cls.shared.close)

    def setUp(self):
        self.work = self.shared.folder / self._testMethodName
        self.work.mkdir()

    def run_job(self, *arguments):
        begin = time.monotonic()
        job = self.shared.submit(*arguments, cwd=self.work)
        self.assertEqual(self.shared.wait(job, timeout="240s"), 0, f"{self.shared.ultra('show', job)}\n{self.shared.ultra('logs', job)}")
        self.measured(self._testMethodName, f"job {job}", time.monotonic() - begin)
        return job

    def test_mpi_over_64_ranks(self):
        program = self.work / "mpi_sum"
        subprocess.run(["mpicc", "-O1", "-o", program, PROGRAMS / "mpi_sum.c"], check=True)
        job = self.run_job("--nodes", 8, "--gpus-per-node", 8, "--", program)
        self.assertIn("sum over 64 ranks is exact", self.shared.logs(job, "--rank", 0))

    @unittest.skipUnless(HAS_MPI4PY, "python3-mpi4py is not installed: scripts/setup test installs it")
    def test_mpi4py(self):
        job = self.run_job("--nodes", 8, "--gpus-per-node", 1, "--", PYTHON, PROGRAMS / "mpi4py_sum.py")
        self.assertIn("sum over 8 ranks is 36", self.shared.logs(job, "--rank", 0))

    def test_mpirun_in_a_script(self):
        subprocess.run(["mpicc", "-O1", "-o", self.work / "mpi_sum", PROGRAMS / "mpi_sum.c"], check=True)
        (self.work / "job.sh").write_text("#!/bin/bash\n#ULTRA --nodes 4 --gpus-per-node 2\nhostname\ntimeout 120 mpirun ./mpi_sum\n"
                                          "timeout 120 mpirun sh -c 'echo a rank on $(hostname)'\n")
        job = self.run_job("job.sh")
        out = (self.work / f"slurm-{job}.out").read_text()
        self.assertIn("sum over 8 ranks is exact", out)
        nodes = [part["node"] for part in self.shared.show(job)["details"]["attempts"][0]["allocation"]]
        self.assertEqual(len(nodes), 4)
        self.assertTrue(out.startswith(nodes[0]))
        self.assertEqual(sorted(re.findall(r"a rank on (\S+)", out)), sorted(2 * nodes), "two ranks on each of its nodes")

    @unittest.skipUnless(HAS_TORCH, "python3-torch is not installed: scripts/setup test installs it")
    def test_torch_over_16_ranks(self):
        job = self.run_job("--nodes", 8, "--gpus-per-node", 2, "--", PYTHON, PROGRAMS / "torch_ddp.py")
        self.assertIn("all 16 ranks hold equal parameters", self.shared.logs(job, "--rank", 0))

    @unittest.skipUnless(HAS_TORCH, "python3-torch is not installed: scripts/setup test installs it")
    def test_torch_distributed_run_in_a_script(self):
        (self.work / "job.sh").write_text(
            "#!/bin/bash\n#ULTRA --nodes 4 --gpus-per-node 2\n"
            f"ultra run --ranks-per-node 1 -- sh -c 'exec {PYTHON} -m torch.distributed.run --redirects 1 --tee 1 --nnodes $SLURM_NNODES --nproc_per_node 2 "
            f"--rdzv_backend c10d --rdzv_id $SLURM_JOB_ID --rdzv_endpoint $MASTER_ADDR:$MASTER_PORT {PROGRAMS / 'torch_ddp.py'}'\n")
        job = self.run_job("job.sh")
        self.assertIn("all 8 ranks hold equal parameters", (self.work / f"slurm-{job}.out").read_text())

    def test_a_shell_at_a_terminal(self):
        window = Window(self.shared, "shell", "--gpus", "1", rows=41, columns=132)
        self.addCleanup(window.give_up)
        window.expect(r"[#$>] ")
        window.type("stty size; echo on $(hostname) $((40 + 2))\n")
        window.expect(r"41 132")
        window.expect(r"on node0\d 42")
        window.type("exit 3\n")
        self.assertEqual(window.end(), 3)

    def test_an_array(self):
        array = self.shared.submit("--array", "0-7", "--gpus", 4, "--mpi", "none", "--", "sh", "-c",
                                   "echo element $ULTRA_ARRAY_INDEX rank $RANK on $(hostname)", cwd=self.work)
        last = self.run_job("--after", array, "--gpus", 1, "--", "sh", "-c", "echo after all")
        self.assertIn("after all", self.shared.logs(last))
        for index in range(8):
            element = f"{array}_{index}"
            self.assertEqual(self.shared.wait(element), 0)
            (part,) = self.shared.show(element)["details"]["attempts"][0]["allocation"]
            self.assertEqual(sorted(self.shared.logs(element).splitlines()),
                             [f"[{rank}] element {index} rank {rank} on {part['node']}" for rank in range(4)])

    def test_a_chain_of_three(self):
        """Each says when it began and when it ended; the first two take a moment."""
        says = "import socket, time; print(time.time_ns(), flush=True); time.sleep(0.5); print(time.time_ns()); print(socket.gethostname())"
        chain = []
        for _ in range(3):
            after = ("--after", chain[-1]) if chain else ()
            chain.append(self.shared.submit(*after, "--gpus", 8, "--ranks-per-node", 1, "--", PYTHON, "-c", says, cwd=self.work))
        self.assertEqual([self.shared.wait(job) for job in chain], [0, 0, 0])
        times = []
        for job in chain:
            *spoken, host = re.sub(r"(?m)^\[0\] ", "", self.shared.logs(job)).split()
            times += [int(word) for word in spoken]
            self.assertEqual(host, self.shared.show(job)["details"]["attempts"][0]["allocation"][0]["node"])
        self.assertEqual(len(times), 6)
        self.assertEqual(times, sorted(times), "one began before the one that it comes after had ended")

    @unittest.skipUnless(shutil.which("hpcc"), "hpcc is not installed: scripts/setup test installs it")
    def test_hpcc_passes_its_own_check(self):
        shutil.copy(PROGRAMS / "hpccinf.txt", self.work / "hpccinf.txt")
        self.run_job("--nodes", 4, "--gpus-per-node", 1, "--", "hpcc")
        report = (self.work / "hpccoutf.txt").read_text()
        self.assertIn("Success=1", report)
        self.assertIn("PASSED", report)
        self.assertNotIn("FAILED", report)

    @unittest.skipUnless(shutil.which("lmp") and MELT.exists(), "lammps is not installed: scripts/setup test-all installs it")
    def test_lammps_computes_the_same_energies_as_one_rank(self):
        energies = {}
        for nodes in (1, 4):
            folder = self.work / f"over{nodes}"
            folder.mkdir()
            self.run_job("--nodes", nodes, "--gpus-per-node", 1, "--workdir", folder, "--", "lmp", "-in", MELT)
            table = (folder / "log.lammps").read_text().split("Step", 1)[1].split("Loop time", 1)[0]
            energies[nodes] = [[float(word) for word in line.split()] for line in table.splitlines() if re.match(r"\s+\d+\s", line)]
        self.assertGreaterEqual(len(energies[1]), 2)
        self.assertEqual(len(energies[1]), len(energies[4]))
        # Which atom a rank adds first differs, so sums are rounded differently: much less than this, in so few steps.
        for alone, together in zip(energies[1], energies[4]):
            self.assertEqual(alone[0], together[0])
            for column, what in ((1, "Temp"), (2, "E_pair"), (4, "TotEng")):
                self.assertLessEqual(abs(alone[column] - together[column]), 1e-4 * abs(alone[column]), f"{what} of step {alone[0]:.0f}")

    def as_user(self, uid, *words):
        """`ultra` of a user at the scheduler's socket, with a folder of his own for HOME."""
        home = self.work / f"home{uid}"
        if not home.exists():
            home.mkdir(mode=0o755)
            os.chown(home, uid, pwd.getpwuid(uid).pw_gid)
        environment = {"PATH": f"{BINARIES}:/usr/bin:/bin", "HOME": str(home), "LC_ALL": "C.UTF-8",
                       "ULTRA_SOCKET": self.shared.environment["ULTRA_SOCKET"]}
        return home, subprocess.run([str(BINARIES / "ultra"), *map(str, words)], env=environment, cwd=home, user=uid, group=pwd.getpwuid(uid).pw_gid,
                                    extra_groups=[], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)

    def test_another_users_job_reaches_nothing_of_the_first(self):
        self.work.chmod(0o755)
        _, submitted = self.as_user(DAEMON, "submit", "--quiet", "--gpus", 1, "--nodelist", "node01", "--", "sh", "-c",
                                    "umask 077; echo his > his; echo to nobody else; exec sleep 10000")
        self.assertEqual(submitted.returncode, 0, submitted)
        secret = int(submitted.stdout)
        self.await_running(self.shared, secret)
        rank = self.await_ranks(self.shared, secret)[0]
        until(lambda: "to nobody else" in self.shared.logs(secret), "it has written")
        status = pathlib.Path(f"/proc/{rank}/status").read_text()
        self.assertEqual(status.split("Uid:")[1].split()[0], str(DAEMON))
        inside = status.split("NSpid:")[1].split("\n")[0].split()[-1]
        folder = self.shared.folder / f"agents/node01/jobs/{secret}.1.1"
        attacks = [f"os.kill({inside}, signal.SIGTERM)", f"open('/proc/{inside}/mem', 'rb')", f"open('/proc/{inside}/environ').read()",
                   f"os.listdir('{folder}')",
                   f"open('{folder}/rank_0.out').read()",
                   f"open('{self.work}/home{DAEMON}/his').read()",
                   f"traced({inside})", "os.mknod('nvidia0', 0o600 | stat.S_IFCHR, os.makedev(195, 0))",
                   f"asked('exec', '{secret}', '--rank', '0', '--', 'id')", f"asked('attach', '{secret}')",
                   f"asked('cancel', '{secret}')", f"asked('logs', '{secret}')"]
        program = ("import ctypes, os, signal, stat, subprocess\nlibc = ctypes.CDLL(None, use_errno=True)\n"
                   "def traced(pid):\n  if libc.ptrace(16, pid, None, None) != 0: raise OSError(ctypes.get_errno(), 'PTRACE_ATTACH')\n"
                   "def asked(*words):\n  code = subprocess.run(['ultra', *words], stdin=subprocess.DEVNULL, "
                   "capture_output=True, timeout=30).returncode\n"
                   "  if code in (3, 4): raise OSError(code, 'exit code')\n"
                   "def tried(what):\n  try: what(); print('GOT IN')\n  except OSError as why: print('refused', why.errno)\n"
                   + "".join(f"tried(lambda: {attack})\n" for attack in attacks) + "print('uid', os.getuid())\n")
        home, done = self.as_user(NOBODY, "submit", "--wait", "--quiet", "--gpus", 1, "--nodelist", "node01", "--output", "out",
                                  "--", PYTHON, "-c", program)
        out = (home / "out").read_text() if (home / "out").exists() else done.stderr
        self.assertEqual(done.returncode, 0, out)
        *answers, uid = out.splitlines()
        self.assertEqual({attack: answer.split()[0] for attack, answer in zip(attacks, answers)}, {attack: "refused" for attack in attacks}, out)
        self.assertEqual((len(answers), uid), (len(attacks), f"uid {NOBODY}"))
        for words in (("exec", secret, "--rank", 0, "--", "id"), ("attach", secret), ("cancel", secret)):
            _, refused = self.as_user(NOBODY, *words)
            self.assertEqual(refused.returncode, 4, refused)
        self.assertEqual(self.shared.state(secret), "running")
        self.assertEqual(self.await_ranks(self.shared, secret), {0: rank})
        self.assertEqual(self.shared.ultra("cancel", secret).code, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
