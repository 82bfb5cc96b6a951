"""Real GPUs as far as they can be had without one: real daemons over a library of NVIDIA's that reads a text file, and a FIFO for the kernel's log.

Each test changes the file as a driver would change: a GPU that is lost, memory that stays in use, another order after a restart, no driver at all.
"""
import os
import pathlib
import subprocess
import sys
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import BINARIES, Result, free_port, processes_that_mention, until  # noqa: E402
from daemons import DaemonsOfItsOwn  # noqa: E402

LIBRARY = pathlib.Path(os.environ.get("FAKE_NVML", BINARIES.parent / "tests/fake_nvml/libnvidia-ml.so.1"))
FALLEN = "NVRM: Xid (PCI:0000:1a:00): 79, pid=1234, name=python3, GPU has fallen off the bus."
WAITS = ("sh", "-c", "echo sees $CUDA_VISIBLE_DEVICES; until [ -e $ULTRA_TEST_END ]; do sleep 0.05; done")
MACHINE = {"devices": 2, "0.uuid": "GPU-a", "1.uuid": "GPU-b", "0.pci": "00000000:3B:00.0", "1.pci": "00000000:1A:00.0", "driver": "570.1"}


@unittest.skipUnless(LIBRARY.exists(), f"{LIBRARY} is not built")
class Gpus(DaemonsOfItsOwn):
    def setUp(self):
        super().setUp()
        os.mkfifo(self.folder / "kmsg")
        self.end = self.folder / "end"
        self.port, self.metrics = free_port(), free_port()
        self.machine()

    def end_all(self):
        self.end.touch()
        super().end_all()

    def machine(self, *lines, **changed):
        """What the library says from now on; keys with a dot are given as gpu1_used for 1.used."""
        values = dict(MACHINE)
        for key, value in changed.items():
            values[key[3:].replace("_", ".") if key.startswith("gpu") else key] = value
        (self.folder / "next").write_text("".join(f"{key} {value}\n" for key, value in values.items()) + "".join(line + "\n" for line in lines))
        (self.folder / "next").rename(self.folder / "nvml")

    def daemon(self, name, program, *arguments):
        self.start_daemon(name, program, *arguments, env={**os.environ, "ULTRAMARINE_FAKE_NVML": str(self.folder / "nvml")})

    def start(self, agent_section="", library=LIBRARY, gpus=2):
        (self.folder / "cluster.toml").write_text(
            f'name = "gpus"\n[[node]]\nname = "node01"\ngpus = {gpus}\ngpu_type = "H100"\naddress = "127.0.0.1"\n'
            f'[scheduler]\nhttp = ""\nagents = "127.0.0.1:{self.port}"\n'
            f'[agent]\nroot_jobs = true\nmetrics = "127.0.0.1:{self.metrics}"\nnvml_library = "{library}"\nkernel_log = "{self.folder}/kmsg"\n{agent_section}')
        self.daemon("scheduler", "ultra-scheduler")
        self.daemon("agent", "ultra-agent", "--node", "node01")
        until(lambda: self.node()["node"]["state"] != "down", "the node is there")

    def restart_agent(self):
        self.daemons["agent"].kill()
        self.daemons["agent"].wait()
        self.daemon("agent", "ultra-agent", "--node", "node01")

    def ultra(self, *arguments):
        environment = {"PATH": f"{BINARIES}:/usr/bin:/bin", "HOME": str(self.folder), "ULTRA_SOCKET": str(self.folder / "scheduler.sock"),
                       "ULTRA_TEST_END": str(self.end), "LANG": "C.UTF-8"}
        done = subprocess.run([str(BINARIES / "ultra"), *map(str, arguments)], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=240)
        return Result(done.returncode, done.stdout, done.stderr)

    def node(self):
        result = self.ultra("nodes", "--json")
        return result.json()["nodes"][0] if result.code == 0 else {"node": {"state": "down"}}

    def drain(self):
        drain = self.node()["node"].get("drain")
        return drain["reason"] if drain else ""

    def submit(self, *command, gpus=1):
        result = self.ultra("submit", "--json", "--gpus", gpus, "--mpi", "none", "--max-restarts", 0, "--", *command)
        self.assertEqual(result.code, 0, result)
        return result.json()["job"]

    def job(self, job):
        return self.ultra("show", job, "--json").json()["details"]

    def running(self, job, word):
        return until(lambda: word in self.ultra("logs", job).out and self.ultra("logs", job).out, f"job {job} says {word}")

    def test_a_lost_gpu_fails_its_job_and_drains_the_node(self):
        self.start()
        until(lambda: self.node().get("devices"), "the node has told of its GPUs")
        jobs = [self.submit(*WAITS) for _ in range(2)]
        seen = [self.running(job, "GPU-") for job in jobs]
        self.assertIn("sees GPU-a", seen[0])
        self.assertIn("sees GPU-b", seen[1])
        since = time.monotonic()
        self.machine("1.xid 79", gpu1_lost=1)
        (self.folder / "kmsg").write_text(f"3,100,200,-;{FALLEN}\n")
        reason = until(self.drain, "the node is drained")
        drained_after = time.monotonic() - since
        attempt = until(lambda: (a := self.job(jobs[1])["attempts"][0]).get("outcome") and a, "the attempt has ended")
        ended_after = time.monotonic() - since
        print(f"GPU lost: node drained after {drained_after:.2f} s, job ended after {ended_after:.2f} s", file=sys.stderr)
        self.assertLess(drained_after, 2)
        for text in (reason, attempt["failure"]["detail"]):
            self.assertIn("device 1 (GPU-b) reported Xid 79 (the GPU has fallen off the bus)", text)
            self.assertIn(FALLEN, text)
        self.assertIn("ultra resume node01", reason)
        self.assertEqual(attempt["outcome"], "device_lost")
        self.assertTrue(attempt["failure"]["node_at_fault"])
        # Who has the other GPU goes on; nobody starts.
        self.assertEqual(self.job(jobs[0])["state"], "running")
        self.assertEqual((self.folder / "agent.log").read_text().count("event=node_trouble"), 1)
        self.end.touch()
        until(lambda: self.job(jobs[0])["state"] == "completed", "the other job completes")

    def test_a_gpu_that_is_lost_in_silence_is_missed(self):
        self.start()
        job = self.submit(*WAITS, gpus=2)
        self.running(job, "GPU-")
        since = time.monotonic()
        self.machine(gpu0_lost=1)
        reason = until(self.drain, "the node is drained")
        print(f"GPU lost without an Xid: node drained after {time.monotonic() - since:.2f} s", file=sys.stderr)
        self.assertLess(time.monotonic() - since, 2)
        self.assertIn("device 0 (GPU-a) is lost: the driver can't reach it any more", reason)
        until(lambda: self.job(job)["attempts"][0].get("outcome") == "device_lost", "the job has failed")
        # Nobody gets it as long as it is lost, even if somebody resumes the node too early.
        self.assertEqual(self.ultra("resume", "node01").code, 0)
        waiting = self.submit("true", gpus=2)
        self.assertIn("is out of order until it is reset", until(self.drain, "the node is drained again"))
        self.assertNotEqual(self.job(waiting)["state"], "completed")

    def test_what_the_kernel_says_of_programs_is_said_in_their_failure_only(self):
        self.start()
        job = self.submit("sh", "-c", "echo up; until [ -e $ULTRA_TEST_END ]; do sleep 0.05; done; exit 3")
        self.running(job, "up")
        (self.folder / "kmsg").write_text("3,100,200,-;NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name=python3, MMU Fault\n")
        until(lambda: "Xid 31" in (self.folder / "agent.log").read_text(), "the agent has heard")
        self.end.touch()
        until(lambda: self.job(job)["state"] == "failed", "the job has failed")
        attempt = self.job(job)["attempts"][0]
        self.assertEqual(attempt["outcome"], "failed")
        self.assertIn("exited with code 3; before that, device 0 (GPU-a) reported Xid 31 (page fault in GPU memory)", attempt["failure"]["detail"])
        self.assertEqual(self.drain(), "")
        # What computes on, but had better not get new work.
        (self.folder / "kmsg").write_text("3,101,200,-;NVRM: Xid (PCI:0000:3b:00): 119, pid=7, name=python3, Timeout\n")
        self.assertIn("Xid 119", until(self.drain, "the node is drained"))

    def test_a_gpu_is_handed_out_only_when_the_driver_has_let_go_of_it(self):
        self.start()
        first = self.submit("sh", "-c", "echo up; until [ -e $ULTRA_TEST_END ]; do sleep 0.05; done", gpus=2)
        self.running(first, "up")
        second = self.submit("true", gpus=2)
        holder = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.machine(f"1.pid {holder.pid}")
        self.end.touch()
        # Others on this machine may have a job of that number, too.
        ours = lambda: set(processes_that_mention("ULTRA_JOB_ID=" + str(first))) & set(processes_that_mention(str(self.folder)))  # noqa: E731
        until(lambda: not ours() - {holder.pid}, "the ranks are gone")
        # Several looks of the agent later: still not handed out.
        since = time.monotonic()
        while time.monotonic() < since + 1:
            self.assertEqual((self.job(first)["state"], self.job(second)["state"]), ("running", "queued"))
        self.machine(gpu1_used=2 << 30)
        holder.kill()
        since = time.monotonic()
        while time.monotonic() < since + 0.6:
            self.assertEqual((self.job(first)["state"], self.job(second)["state"]), ("running", "queued"))
        self.machine(gpu1_used=500 << 20)
        since = time.monotonic()
        until(lambda: self.job(second)["state"] == "completed", "the second job has run")
        print(f"driver let go: the next job had run {time.monotonic() - since:.2f} s later", file=sys.stderr)
        self.assertEqual(self.job(first)["state"], "completed")
        self.assertEqual(self.drain(), "")

    def test_a_driver_that_never_lets_go_drains_the_node(self):
        self.start('device_release = "1s"\n')
        job = self.submit("true")
        self.machine(f"0.pid {os.getpid()}")
        until(lambda: self.job(job)["state"] == "completed", "the job's end is said in the end")
        reason = until(self.drain, "the node is drained")
        self.assertIn(f"GPUs of job {job} are quarantined", reason)
        self.assertIn(f"process {os.getpid()} on device 0 (GPU-a)", reason)

    def test_a_device_is_who_its_uuid_says(self):
        self.start()
        job = self.submit(*WAITS)
        self.assertIn("sees GPU-a", self.running(job, "GPU-"))
        self.end.touch()
        until(lambda: self.job(job)["state"] == "completed", "the job completes")
        self.end.unlink()
        self.machine(order="1,0")
        self.restart_agent()
        jobs = [self.submit(*WAITS) for _ in range(2)]
        for job, uuid in zip(jobs, ("GPU-a", "GPU-b")):
            self.assertIn(f"sees {uuid}", self.running(job, "GPU-"))
        # Both are restarted: the agent finds its gangs and their devices again.
        self.machine("0.xid 48", order="0,1")
        self.restart_agent()
        until(lambda: self.node().get("devices"), "the agent is back")
        (self.folder / "kmsg").write_text("NVRM: Xid (PCI:0000:3b:00): 48, pid=7, name=python3, DBE\n")
        until(lambda: self.job(jobs[0])["attempts"][0].get("outcome") == "device_lost", "the job on GPU-a has failed")
        self.assertEqual(self.job(jobs[1])["state"], "running")
        self.assertIn("device 0 (GPU-a) reported Xid 48", self.drain())
        # An exchanged GPU takes the place of the one that is gone, and somebody has to look at it.
        self.end.touch()
        until(lambda: self.job(jobs[1])["state"] == "completed", "the other job completes")
        self.daemons["agent"].kill()
        self.daemons["agent"].wait()
        self.assertEqual(self.ultra("resume", "node01").code, 0)
        self.machine(gpu0_uuid="GPU-new")
        self.daemon("agent", "ultra-agent", "--node", "node01")
        self.assertIn("device 0 of node node01 was GPU-a, which the driver doesn't list any more; GPU-new has taken its place",
                      until(self.drain, "the exchange is said"))
        self.assertEqual(self.ultra("resume", "node01").code, 0)
        self.assertIn("sees GPU-new,GPU-b", self.running(self.submit(*WAITS, gpus=2), "GPU-"))

    def test_a_node_without_its_driver_says_so_and_runs_nothing(self):
        self.start(library=self.folder / "libnvidia-ml.so.1")
        reason = until(self.drain, "the node is drained")
        self.assertIn("the GPUs of node node01 can't be listed", reason)
        self.assertIn("install NVIDIA's driver there, or name its library in [agent] nvml_library, or write virtual = true", reason)
        self.assertEqual(self.node()["source"], "nvml")
        job = self.submit("true")
        self.assertEqual(self.ultra("resume", "node01").code, 0)
        reason = until(self.drain, "the node is drained again")
        self.assertIn("isn't there: the driver doesn't list it", reason)
        self.assertNotIn(self.job(job)["state"], ("running", "completed"))

    def test_another_number_of_gpus_is_said(self):
        self.start(gpus=3)
        self.assertIn("the driver lists 2 GPUs on node node01, the cluster file says gpus = 3", until(self.drain, "the node is drained"))

    def test_samples_reach_people_and_prometheus(self):
        self.machine(gpu0_util=50, gpu0_used=8 << 30, gpu0_power=300000, gpu0_temp=61, gpu0_pending=1, gpu0_sm=1755, gpu1_power="none", gpu1_util="none")
        self.start("dcgm_names = true")
        devices = until(lambda: self.node().get("devices"), "the node has told of its GPUs")
        self.assertEqual([device["uuid"] for device in devices], ["GPU-a", "GPU-b"])
        self.assertEqual((devices[0]["utilization_permille"], devices[0]["memory_used_bytes"], devices[0]["power_milliwatts"], devices[0]["temperature_celsius"]),
                         (500, 8 << 30, 300000, 61))
        self.assertIsNone(devices[1].get("power_milliwatts"))
        self.assertIsNone(devices[1].get("utilization_permille"))
        self.assertEqual(self.node()["facts"]["driver"], "NVIDIA 570.1")
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics") as reply:
            text = reply.read().decode()
        for line in ('ultramarine_gpu_power_watts{node="node01",gpu="0"} 300', 'ultramarine_gpu_temperature_celsius{node="node01",gpu="0"} 61',
                     'ultramarine_gpu_memory_used_bytes{node="node01",gpu="0"} 8589934592', 'ultramarine_agent_source{node="node01",source="nvml"} 1'):
            self.assertIn(line + "\n", text)
        self.assertIn('ultramarine_gpu_row_remap_pending{node="node01",gpu="0"} 1\n', text)
        self.assertRegex(text, r'(?m)^DCGM_FI_DEV_SM_CLOCK\{gpu="0",UUID="GPU-a",.*Hostname="node01"\} 1755$')
        self.assertNotIn('ultramarine_gpu_power_watts{node="node01",gpu="1"}', text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
