#!/usr/bin/env python3
"""Job scripts on a real cluster: their lines, their shell, the gangs that they start, arrays, what must come before, their ends."""
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import BINARIES, Cluster, processes_that_mention, until  # noqa: E402

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
SAY_RANK = "import os; e = os.environ; print('rank', e['RANK'], 'of', e['WORLD_SIZE'], 'local', e['LOCAL_RANK'], 'on', e['ULTRA_NODE'], " \
           "'slurm', e['SLURM_PROCID'], e['SLURM_LOCALID'], e['SLURM_NODEID'], e['SLURM_STEP_ID'])"


class Scripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=2, gpus_per_node=2)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        self.work = self.cluster.folder / self._testMethodName
        self.work.mkdir()

    def script(self, text, name="job.sh"):
        path = self.work / name
        path.write_text(textwrap.dedent(text).lstrip())
        return name

    def submit(self, *arguments, environment=None):
        result = self.cluster.ultra("submit", "--parsable", *arguments, cwd=self.work, environment=environment)
        self.assertEqual(result.code, 0, result)
        self.submitted = result
        return int(result.out)

    def ended(self, job, code=0):
        self.assertEqual(self.cluster.wait(job), code, f"{self.cluster.ultra('show', job)}\n{self.output(job)}")
        return job

    def output(self, job):
        path = self.work / f"slurm-{job}.out"
        return path.read_text() if path.exists() else f"(no {path})"

    def details(self, job):
        return self.cluster.show(job)["details"]

    def test_an_sbatch_script_over_two_nodes(self):
        script = self.script("""
            #!/bin/bash
            #SBATCH --job-name=two --nodes=2 --gres=gpu:2   # all of it
            #SBATCH --time=5 --hint=nomultithread
            #SBATCH --output=out/%x-%j.txt
            echo "the shell runs once, with $1 and $2"
            ultra run -- python3 rank.py
            echo "gang ended with $?"
            """)
        (self.work / "rank.py").write_text(SAY_RANK)
        job = self.ended(self.submit(script, "one", "two words"))
        self.assertIn("without effect: --hint", self.submitted.err)
        lines = (self.work / "out" / f"two-{job}.txt").read_text().splitlines()
        nodes = [part["node"] for part in self.details(job)["attempts"][0]["allocation"]]
        self.assertEqual(len(nodes), 2)
        self.assertEqual(lines[0], "the shell runs once, with one and two words")
        self.assertEqual(sorted(lines[1:-1]), [f"rank {rank} of 4 local {rank % 2} on {nodes[rank // 2]} slurm {rank} {rank % 2} {rank // 2} 0" for rank in range(4)])
        self.assertEqual(lines[-1], "gang ended with 0")
        details = self.details(job)
        self.assertEqual(details["spec"]["recorded"], {"hint": "nomultithread"})
        self.assertEqual([gang["gang"] for gang in details["attempts"][0]["gangs"]], [1, 2])
        # The kept output is the same file.
        self.assertIn("the shell runs once", self.cluster.logs(job))
        self.assertIn("rank 3 of 4", self.cluster.logs(job, "--gang", 2, "--rank", 3))
        self.assertEqual(self.cluster.ultra("show", job, "--script").out, (self.work / script).read_text())

    def test_the_shell_has_slurms_variables_and_not_the_ranks(self):
        script = self.script("""
            #!/bin/bash
            #SBATCH -N 2 --ntasks-per-node=2 -c 3 --gpus-per-node=2 -J vars
            env -0 > environment
            scontrol_free=yes
            """)
        job = self.ended(self.submit(script, environment={"MY_OWN": "kept"}))
        environment = dict(entry.split("=", 1) for entry in (self.work / "environment").read_text().split("\0") if "=" in entry)
        allocation = self.details(job)["attempts"][0]["allocation"]
        first = allocation[0]["node"]
        expected = {"SLURM_JOB_ID": str(job), "SLURM_JOBID": str(job), "SLURM_JOB_NAME": "vars", "SLURM_NNODES": "2", "SLURM_JOB_NUM_NODES": "2",
                    "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2", "SLURM_CPUS_PER_TASK": "3", "SLURM_PROCID": "0", "SLURM_NODEID": "0",
                    "SLURM_LOCALID": "0", "SLURMD_NODENAME": first, "SLURM_SUBMIT_DIR": str(self.work), "SLURM_GPUS_ON_NODE": "2",
                    "SLURM_TASKS_PER_NODE": "2(x2)", "OMPI_MCA_plm": "rsh", "OMPI_MCA_ras": "^slurm", "ULTRA_JOB_ID": str(job), "MY_OWN": "kept"}
        self.assertEqual({name: environment.get(name) for name in expected}, expected)
        self.assertEqual(environment["SLURM_JOB_NODELIST"], environment["SLURM_NODELIST"])
        self.assertTrue(os.path.isdir(environment["SLURM_TMPDIR"]) or self.details(job)["state"] == "completed")
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_ID", "SLURM_ARRAY_TASK_ID"):
            self.assertNotIn(name, environment)

    def test_an_array_runs_at_most_two_at_once(self):
        # Each element waits for its partner, so two do run side by side; the attempts' times say that never three did.
        script = self.script("""
            #!/bin/bash
            #SBATCH --array=0-5%2 --gpus=1 --output=element-%A-%a.txt
            touch here-$SLURM_ARRAY_TASK_ID
            partner=$((SLURM_ARRAY_TASK_ID ^ 1))
            until [ -e here-$partner ]; do sleep 0.02; done
            echo "$SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT"
            """)
        array = self.ended(self.submit(script))
        times = []
        for index in range(6):
            self.assertEqual((self.work / f"element-{array}-{index}.txt").read_text(), f"{array} {index} of 6\n")
            element = self.details(f"{array}_{index}")
            self.assertEqual(element["array"]["index"], index)
            attempt = element["attempts"][0]
            times += [(attempt["decided_ms"], 1), (attempt["ended_ms"], -1)]
        active = most = 0
        for _, change in sorted(times):  # ends sort before starts of the same millisecond
            active += change
            most = max(most, active)
        self.assertEqual(most, 2)
        self.assertIn("completed", self.cluster.ultra("show", array).out)
        self.assertRegex(self.cluster.ultra("queue", "--all").out, rf"(?m)^ *{array}_5\b")

    def test_every_element_starts_its_own_gangs(self):
        # The first element's number is the array's name too.
        script = self.script("""
            #!/bin/bash
            #SBATCH --array=0-1 --gpus=2 --output=element-%a.txt
            ultra run -- sh -c 'echo job $ULTRA_JOB_ID'
            """)
        array = self.ended(self.submit(script))
        for index in range(2):
            self.assertEqual((self.work / f"element-{index}.txt").read_text(), f"job {int(array) + index}\n" * 2)

    def test_elements_can_be_cancelled_and_waited_for(self):
        script = self.script("""
            #!/bin/bash
            #SBATCH --array=1-4 --gpus=1
            [ $SLURM_ARRAY_TASK_ID = 2 ] && exit 9
            [ $SLURM_ARRAY_TASK_ID = 1 ] && exit 0
            exec sleep 1000
            """)
        array = self.submit(script)
        self.ended(f"{array}_1")
        self.ended(f"{array}_2", code=9)
        until(lambda: self.details(f"{array}_3")["state"] == "running", "element 3 runs")
        result = self.cluster.ultra("cancel", f"{array}_[3-4]")
        self.assertEqual(result.code, 0, result)
        self.ended(f"{array}_3", code=143)
        self.assertEqual(self.cluster.wait(array), 143)
        overview = self.cluster.ultra("show", array)
        self.assertRegex(overview.out, rf"Array {array} ")
        self.assertRegex(overview.out, r"cancelled\t3-4 \(2\)")

    def test_a_chain_of_jobs(self):
        bad = self.submit("--gpus", 1, "--wrap", "exit 3")
        after_bad = self.submit("--gpus", 1, "--after", f"{bad}:notok", "--wrap", "echo cleaned up")
        script = self.script(f"""
            #!/bin/bash
            #SBATCH -G 1 --dependency=afterok:{after_bad}
            echo the end of the chain
            """)
        last = self.submit(script)
        never = self.submit("--gpus", 1, "--after", f"{bad}:ok", "--wrap", "echo wrong")
        self.ended(bad, code=3)
        self.ended(after_bad)
        self.ended(last)
        self.assertEqual(self.output(last), "the end of the chain\n")
        begin = {job: self.details(job)["attempts"][0]["decided_ms"] for job in (after_bad, last)}
        self.assertGreaterEqual(begin[after_bad], self.details(bad)["ended_ms"])
        self.assertGreaterEqual(begin[last], self.details(after_bad)["ended_ms"])
        view = self.cluster.show(never)
        self.assertEqual((view["details"]["state"], view["planned"]["reason"]["code"]), ("queued", "dependency_never"))
        self.assertEqual(self.cluster.ultra("cancel", never).code, 0)
        result = self.cluster.ultra("submit", "--after", 99999, "--", "true")
        self.assertEqual(result.code, 2, result)
        self.assertIn("--after: ", result.err)

    def test_output_files_by_pattern(self):
        job = self.ended(self.submit("--gpus", 1, "--name", "files", "--output", "a/b/%x.%j.%u.%N.%%.out", "--error", "%j.err", "--wrap", "echo out; echo err >&2"))
        node = self.details(job)["attempts"][0]["allocation"][0]["node"]
        user = self.details(job)["owner"]["name"]
        self.assertEqual((self.work / "a" / "b" / f"files.{job}.{user}.{node}.%.out").read_text(), "out\n")
        self.assertEqual((self.work / f"{job}.err").read_text(), "err\n")
        both = self.ended(self.submit("--gpus", 1, "--wrap", "echo out; echo err >&2"))
        self.assertEqual(self.output(both), "out\nerr\n")
        (self.work / "log.txt").write_text("before\n")
        self.ended(self.submit("--gpus", 1, "--output", "log.txt", "--open-mode", "append", "--wrap", "echo after"))
        self.assertEqual((self.work / "log.txt").read_text(), "before\nafter\n")
        ranks = self.ended(self.submit("--gpus", 2, "--output", "rank-%t.txt", "--", "sh", "-c", "echo $RANK"))
        self.assertTrue(ranks)
        self.assertEqual([(self.work / f"rank-{rank}.txt").read_text() for rank in range(2)], ["0\n", "1\n"])

    def test_cancelling_a_script_stops_its_gangs(self):
        marker = f"marker-{os.getpid()}-{self._testMethodName}"
        script = self.script(f"""
            #!/bin/bash
            #SBATCH -N 2 --gres=gpu:1
            ultra run -- sh -c 'echo {marker}; exec sleep 1000' &
            ultra run --ranks 1 -- sh -c 'echo {marker}; exec sleep 1000' &
            wait
            """)
        job = self.submit(script)
        until(lambda: self.output(job).count(marker) == 3, "three ranks have spoken")
        self.assertEqual(self.cluster.ultra("cancel", job).code, 0)
        self.assertEqual(self.cluster.wait(job), 143)
        details = self.details(job)
        self.assertEqual(details["state"], "cancelled")
        self.assertEqual([bool(gang["finished_ms"]) for gang in details["attempts"][0]["gangs"]], [True] * 3)
        until(lambda: not processes_that_mention(marker), "no process of the gangs is left")

    def test_codes_of_scripts_and_gangs(self):
        self.ended(self.submit("--gpus", 1, "--wrap", "exit 7"), code=7)
        script = self.script("""
            #!/bin/bash
            #SBATCH -G 2
            ultra run -- sh -c 'test $RANK = 0 || exit 5; exec sleep 1000'
            echo "first $?"
            ultra run --ranks 1 -- no-such-program
            echo "second $?"
            ultra run -- true
            echo "third $?"
            """)
        job = self.ended(self.submit(script))
        said = [line for line in self.output(job).splitlines() if re.match("first|second|third", line)]
        self.assertEqual(said, ["first 5", "second 127", "third 0"])
        self.assertIn(f"error: gang 2 of job {job}: rank 1 on", self.output(job))

    def test_gangs_side_by_side_and_a_signal_to_one(self):
        script = self.script("""
            #!/bin/bash
            #SBATCH -G 2
            ultra run --ranks 1 -- sh -c 'touch left; until [ -e right ]; do sleep 0.02; done; echo left saw right' &
            first=$!
            ultra run --ranks 1 -- sh -c 'touch right; until [ -e left ]; do sleep 0.02; done; echo right saw left' &
            wait $first; wait $!
            ultra run -- sh -c 'touch sleeping-$RANK; exec sleep 1000' &
            until [ -e sleeping-0 ] && [ -e sleeping-1 ]; do sleep 0.02; done
            kill -TERM $!
            wait $!
            echo "stopped with $?"
            """)
        job = self.ended(self.submit(script))
        self.assertIn("left saw right\n", self.output(job))
        self.assertIn("right saw left\n", self.output(job))
        self.assertIn("stopped with 143\n", self.output(job))

    def test_lines_of_ranks_keep_their_stream_and_may_be_labelled(self):
        script = self.script("""
            #!/bin/bash
            #SBATCH -G 2 --output=out.txt --error=err.txt
            ultra run --label -- sh -c 'echo to out; echo to err >&2'
            """)
        self.ended(self.submit(script))
        self.assertEqual(sorted((self.work / "out.txt").read_text().splitlines()), ["[0] to out", "[1] to out"])
        self.assertEqual(sorted((self.work / "err.txt").read_text().splitlines()), ["[0] to err", "[1] to err"])

    def test_mpirun_in_a_script_on_one_node(self):
        # A program that brings its own launcher: Open MPI must not take the SLURM_ variables for Slurm.
        program = self.work / "mpi_sum"
        subprocess.run(["mpicc", "-O1", "-o", program, PROGRAMS / "mpi_sum.c"], check=True)
        script = self.script("""
            #!/bin/bash
            #SBATCH -N 1 --gres=gpu:2 --ntasks-per-node=2
            mpirun --oversubscribe -n 2 ./mpi_sum
            """)
        job = self.ended(self.submit(script))
        self.assertIn("sum over 2 ranks is exact", self.output(job))

    def test_mpi_through_ultra_run_over_two_nodes(self):
        program = self.work / "mpi_sum"
        subprocess.run(["mpicc", "-O1", "-o", program, PROGRAMS / "mpi_sum.c"], check=True)
        script = self.script("""
            #!/bin/bash
            #ULTRA --nodes 2 --gpus-per-node 2
            ultra run -- ./mpi_sum
            """)
        job = self.ended(self.submit(script))
        self.assertIn("sum over 4 ranks is exact", self.output(job))

    def test_torch_on_gloo_through_ultra_run_over_two_nodes(self):
        script = self.script(f"""
            #!/bin/bash
            #SBATCH --nodes=2 --gpus-per-node=1
            ultra run -- /usr/bin/python3 {PROGRAMS / "torch_ddp.py"}
            """)
        job = self.ended(self.submit(script))
        self.assertIn("all 2 ranks hold equal parameters", self.output(job))

    def test_names_of_another_site(self):
        script = self.script("""
            #!/bin/bash
            #SBATCH --partition=GPU --gres=gpu:a100:1 --time=0
            true
            """)
        job = self.ended(self.submit(script))
        spec = self.details(job)["spec"]
        self.assertEqual((spec["partition"], spec["gpu_type"], spec["time_limit_ms"]), ("main", "H100", 7 * 86_400_000))
        self.assertEqual(len(re.findall("^warning: ", self.submitted.err, re.M)), 2, self.submitted.err)
        for name in ("GPU", "a100"):
            self.assertIn(name, self.submitted.err)
        result = self.cluster.ultra("submit", "--strict-names", script, cwd=self.work)
        self.assertEqual((result.code, result.err.startswith("error: job.sh:2: --partition: ")), (2, True), result)

    def test_the_warning_signal_reaches_the_script(self):
        script = self.script("""
            #!/bin/bash
            #ULTRA --gpus 1 --time 20s --signal B:USR1@19
            trap 'echo warned; exit 4' USR1
            while :; do sleep 0.05; done
            """)
        job = self.ended(self.submit(script), code=4)
        self.assertEqual(self.output(job), "warned\n")

    def test_parts_of_the_output(self):
        script = self.script("""
            #!/bin/bash
            #SBATCH -G 2
            ultra run -- sh -c 'echo rank $RANK loss 3; echo rank $RANK other'
            """)
        job = self.ended(self.submit(script))
        self.assertEqual(sorted(self.cluster.logs(job, "--gang", 2, "--grep", "loss [0-9]$", "--rank", "0-1").splitlines()),
                         ["[0] rank 0 loss 3", "[1] rank 1 loss 3"])
        self.assertEqual(self.cluster.logs(job, "--gang", 2, "--rank", 1), "rank 1 loss 3\nrank 1 other\n")
        self.assertIn("rank 0 other", self.cluster.logs(job, "--since", "10m"))
        self.assertEqual(self.cluster.logs(job, "--since", "2099-01-01"), "")

    def test_a_script_from_stdin_and_one_in_python(self):
        done = subprocess.run([str(BINARIES / "ultra"), "submit", "--parsable", "-", "argument"], input="#!/bin/sh\n#SBATCH -G 1\necho from stdin with $1\n", text=True,
                              capture_output=True, cwd=self.work, env=self.cluster.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        job = self.ended(int(done.stdout))
        self.assertEqual(self.output(job), "from stdin with argument\n")
        job = self.ended(self.submit(self.script("#!/usr/bin/python3\n#ULTRA --gpus 1\nimport os\nprint('python', os.environ['SLURM_JOB_ID'])\n", "job.py")))
        self.assertEqual(self.output(job), f"python {job}\n")

    def test_a_scheduler_that_restarts_leaves_run_and_script_alone(self):
        script = self.script("""
            #!/bin/bash
            #SBATCH -G 2
            ultra run -- sh -c 'echo up; until [ -e go ]; do sleep 0.05; done; echo went on'
            echo "ended with $?"
            """)
        job = self.submit(script)
        until(lambda: self.output(job).count("up") == 2, "the ranks run")
        self.cluster.kill_scheduler()
        self.assertTrue(self.cluster.start_scheduler())
        (self.work / "go").touch()
        self.ended(job)
        self.assertEqual(self.output(job).splitlines().count("went on"), 2)
        self.assertEqual(self.output(job).splitlines().count("up"), 2)
        self.assertIn("ended with 0\n", self.output(job))

    def test_mistakes_name_the_line(self):
        script = self.script("#!/bin/bash\n#SBATCH -G 1\n#SBATCH --time=1 hour\n")
        result = self.cluster.ultra("submit", script, cwd=self.work)
        self.assertEqual((result.code, result.err.startswith("error: job.sh:3: #SBATCH: \"hour\" is not an option; ")), (2, True), result)
        script = self.script("#!/bin/bash\n\n#SBATCH --gpus=500\n")
        result = self.cluster.ultra("submit", script, cwd=self.work)
        self.assertEqual((result.code, result.err.startswith("error: job.sh:3: --gpus: 500 GPUs asked, ")), (2, True), result)
        result = self.cluster.ultra("run", "--", "true", cwd=self.work)
        self.assertEqual(result.code, 2)
        self.assertIn("this is not inside a job", result.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
