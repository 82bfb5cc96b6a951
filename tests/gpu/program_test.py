"""ultra-train on GPUs that are fake: which device it takes and why, one rank and several, and what people read when a GPU fails.

Run by ctest with ULTRA_TRAIN, FAKE_PLUGIN and, where nvcc built it, REAL_PLUGIN and FAKE_GPU (libgpufake.so).
"""
import os
import re
import socket
import subprocess
import tempfile
import unittest

TRAIN = os.environ["ULTRA_TRAIN"]
FAKE = os.environ["FAKE_PLUGIN"]
REAL = os.environ.get("REAL_PLUGIN", "")
PRELOAD = os.environ.get("FAKE_GPU", "")
LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "CUDA_VISIBLE_DEVICES", "ULTRA_PROGRESS")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def losses(out):
    return [float(value) for value in re.findall(r"step +\d+/\d+  loss ([\d.]+)", out)]


def final_hash(out):
    return re.search(r"parameters ([0-9a-f]{16})$", out, re.MULTILINE)[1]


class OnFakeGpus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ultramarine_gpu_")
        cls.text = os.path.join(cls.folder.name, "text.txt")
        with open(cls.text, "w", encoding="ascii") as file:
            for i in range(2000):
                file.write(f"line {i * i % 97} of the deep blue sea\n")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def command(self, steps, *more):
        return [TRAIN, "--data", self.text, "--layers", "1", "--heads", "2", "--width", "8", "--context", "6", "--global-batch", "6",
                "--warmup", "2", "--log-every", "1", "--evaluation-batches", "1", "--steps", str(steps), *more]

    def environment(self, **settings):
        kept = {name: value for name, value in os.environ.items()
                if name not in LAUNCHER and not name.startswith(("FAKE_", "OMPI_", "PMIX_"))}
        return {**kept, "ULTRAMARINE_CUDA_PLUGIN": FAKE, "TMPDIR": self.folder.name, **settings}

    def run_train(self, steps, *more, **settings):
        return subprocess.run(self.command(steps, *more), env=self.environment(**settings), capture_output=True, text=True, timeout=100,
                              check=False, cwd=self.folder.name)

    def start_ranks(self, ranks, steps, *more, **settings):
        place = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "FAKE_CUDA_DEVICES": str(ranks)}
        return [subprocess.Popen(self.command(steps, *more), cwd=self.folder.name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=self.environment(**place, RANK=str(rank), LOCAL_RANK=str(rank), **settings)) for rank in range(ranks)]

    def assert_one_line(self, text, *parts):
        self.assertEqual(text.count("\n"), 1, text)
        for part in parts:
            self.assertIn(part, text)

    # ---- which device, and why ----

    def test_auto_takes_a_gpu_and_says_so(self):
        run = self.run_train(2)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("device cuda 0: fake GPU (host memory) (this process sees 1 of them)\n", run.stdout)
        self.assertIn("1 ranks (in_process)", run.stdout)

    def test_cpu_is_taken_when_asked_for(self):
        run = self.run_train(2, "--device", "cpu")
        self.assertIn("device cpu (--device cpu)\n", run.stdout)

    def test_driver_errors_are_told_in_cudas_own_words(self):
        for code, text in ((34, "CUDA driver is a stub library"), (35, "CUDA driver version is insufficient for CUDA runtime version"),
                           (100, "no CUDA-capable device is detected")):
            faults = ",".join(f"cudaGetDeviceCount:{call}:{code}" for call in range(1, 5))
            refused = self.run_train(2, "--device", "cuda", FAKE_CUDA_FAULT=faults)
            self.assertEqual(refused.returncode, 2)
            self.assertEqual(refused.stdout, "")
            self.assert_one_line(refused.stderr, f"ultra-train: --device: cuda can't be used: CUDA: no usable GPU: {text} ({code})")
            taken = self.run_train(1, FAKE_CUDA_FAULT=faults)
            self.assertEqual(taken.returncode, 0, taken.stderr)
            self.assertIn(f"device cpu (CUDA: no usable GPU: {text} ({code}))\n", taken.stdout)

    def test_without_the_plug_in_everything_runs_on_the_cpu(self):
        missing = os.path.join(self.folder.name, "libultramarine_cuda.so")
        refused = self.run_train(2, "--device", "cuda", ULTRAMARINE_CUDA_PLUGIN=missing)
        self.assertEqual(refused.returncode, 2)
        self.assert_one_line(refused.stderr, f"--device: cuda can't be used: CUDA: {missing} can't be loaded", "No such file")
        taken = self.run_train(1, ULTRAMARINE_CUDA_PLUGIN=missing)
        self.assertEqual(taken.returncode, 0)
        self.assertIn(f"device cpu (CUDA: {missing} can't be loaded", taken.stdout)

    def test_an_empty_list_of_visible_devices_means_the_cpu(self):
        taken = self.run_train(1, CUDA_VISIBLE_DEVICES="")
        self.assertIn("device cpu (CUDA: CUDA_VISIBLE_DEVICES is empty: no GPU for this process)\n", taken.stdout)
        refused = self.run_train(1, "--device", "cuda", CUDA_VISIBLE_DEVICES="")
        self.assertEqual(refused.returncode, 2)
        self.assert_one_line(refused.stderr, "CUDA_VISIBLE_DEVICES is empty")

    def test_words_that_contradict_each_other_are_refused(self):
        for more, text in ((("--device", "gpu"), '--device: "gpu" is none of auto, cpu, cuda'),
                           (("--backend", "nccl", "--device", "cpu"), "--backend: nccl reduces what GPUs hold")):
            run = self.run_train(1, *more)
            self.assertEqual(run.returncode, 2)
            self.assert_one_line(run.stderr, text)

    # ---- several ranks ----

    def test_two_processes_over_nccl_follow_one_rank(self):
        one = self.run_train(5, "--device", "cpu")
        ranks = self.start_ranks(2, 5)
        (out, errors), (_, other_errors) = (rank.communicate(timeout=100) for rank in ranks)
        self.assertEqual([rank.returncode for rank in ranks], [0, 0], errors + other_errors)
        self.assertIn("device cuda 0: fake GPU", out)
        self.assertIn("2 ranks (nccl)", out)
        for a, b in zip(losses(out), losses(one.stdout), strict=True):
            self.assertAlmostEqual(a, b, delta=1.01e-4)

    def test_threads_take_nccl_if_each_has_a_gpu_and_host_memory_otherwise(self):
        on_two = self.run_train(3, "--ranks", "2", FAKE_CUDA_DEVICES="2")
        self.assertIn("2 ranks (nccl)", on_two.stdout)
        on_one = self.run_train(3, "--ranks", "2")
        self.assertIn("2 ranks (in_process)", on_one.stdout)
        self.assertEqual(final_hash(on_one.stdout), final_hash(on_two.stdout), "both add in the order of the ranks")

    def test_reduce_check_reduces_on_the_devices(self):
        run = subprocess.run([TRAIN, "reduce-check", "--count", "100003", "--ranks", "3", "--backend", "nccl"], capture_output=True, text=True,
                             env=self.environment(FAKE_CUDA_DEVICES="3"), timeout=100, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("all_reduce over 3 ranks: sum exact (100,003 float32 elements", run.stdout)

    def test_a_checkpoint_goes_on_on_another_kind_of_device(self):
        unbroken = self.run_train(6, "--device", "cpu")
        directory = os.path.join(self.folder.name, "checkpoints")
        first = self.run_train(6, "--checkpoint-directory", directory, "--checkpoint-every", "3")
        self.assertEqual(first.returncode, 0, first.stderr)
        os.remove(os.path.join(directory, "step_00000006.checkpoint"))
        second = self.run_train(6, "--checkpoint-directory", directory, "--resume", "--device", "cpu")
        self.assertIn("resuming from step 3", second.stdout)
        for a, b in zip(losses(second.stdout), losses(unbroken.stdout)[3:], strict=True):
            self.assertAlmostEqual(a, b, delta=1.01e-4)

    # ---- when it goes wrong ----

    def test_a_flipped_bit_is_found_by_the_checksum_which_names_the_rank(self):
        # Collectives of a run that checks every step: a broadcast, then an all-reduce and an all-gather of checksums each step.
        flipped = {"FAKE_CUDA_DEVICES": "3", "FAKE_NCCL_FAULT": "rank=1;op=4;kind=corrupt"}
        run = self.run_train(4, "--ranks", "3", **flipped)
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertRegex(run.stderr, r"^ultra-train: step 2: the ranks' parameters are not the same any more: rank 1 has [0-9a-f]{16}, "
                                     r"the other 2 have [0-9a-f]{16}\n$")
        seldom = {**flipped, "FAKE_NCCL_FAULT": "rank=1;op=3;kind=corrupt"}
        run = self.run_train(4, "--ranks", "3", "--check-every", "3", **seldom)
        self.assertRegex(run.stderr, r"^ultra-train: step 3: the ranks' parameters are not the same any more: rank 1 has ")

    def test_out_of_memory_is_one_line_with_numbers_and_a_remedy(self):
        run = self.run_train(2, "--width", "64", "--context", "64", FAKE_CUDA_MEMORY_MB="1")
        self.assertEqual(run.returncode, 1)
        self.assert_one_line(run.stderr, "ultra-train: CUDA: cuda 0: fake GPU (host memory): out of memory (2): wanted ", " MB, free ",
                             "a smaller --micro-batch, --context or --width needs less")

    def test_an_illegal_address_is_one_line(self):
        run = self.run_train(2, FAKE_CUDA_FAULT="cudaLaunchKernel:100:700")
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, r"^ultra-train: CUDA: [a-z_]+: an illegal memory access was encountered \(700\)\n$")

    def test_a_rank_among_threads_that_fails_ends_the_others_at_once(self):
        run = self.run_train(50, "--ranks", "2", "--collective-deadline", "90", FAKE_CUDA_DEVICES="2", FAKE_NCCL_FAULT="rank=1;op=4;kind=memory")
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assert_one_line(run.stderr, "rank 1", "out of memory")

    def test_a_rank_that_dies_is_missed_within_the_deadline(self):
        ranks = self.start_ranks(2, 50, "--collective-deadline", "4", FAKE_NCCL_FAULT="rank=1;op=5;kind=die")
        (_, errors), (_, _) = (rank.communicate(timeout=100) for rank in ranks)
        self.assertEqual(ranks[1].returncode, -9)
        self.assertEqual(ranks[0].returncode, 16, errors)
        self.assertIn("all_gather", errors)
        self.assertIn("4000 ms", errors)

    def test_an_asynchronous_error_ends_the_run_with_nccls_words(self):
        ranks = self.start_ranks(2, 50, FAKE_NCCL_FAULT="rank=1;op=4;kind=async")
        (_, errors), (_, other_errors) = (rank.communicate(timeout=100) for rank in ranks)
        self.assertEqual([rank.returncode for rank in ranks], [1, 1], errors + other_errors)
        self.assertIn("remote process exited or there was a network error", errors)

    # ---- the plug-in as nvcc and the real libraries made it ----

    @unittest.skipUnless(REAL and PRELOAD, "libultramarine_cuda.so wasn't built: nvcc or NCCL was not found")
    def test_the_real_plug_in_runs_on_the_preloaded_fake_bit_by_bit(self):
        twin = self.run_train(4, "--ranks", "2", FAKE_CUDA_DEVICES="2")
        real = self.run_train(4, "--ranks", "2", FAKE_CUDA_DEVICES="2", LD_PRELOAD=PRELOAD, ULTRAMARINE_CUDA_PLUGIN=REAL)
        self.assertEqual(real.returncode, 0, real.stderr)
        self.assertIn("2 ranks (nccl)", real.stdout)
        self.assertEqual(final_hash(real.stdout), final_hash(twin.stdout))
        self.assertEqual(losses(real.stdout), losses(twin.stdout))

    @unittest.skipUnless(REAL, "libultramarine_cuda.so wasn't built: nvcc or NCCL was not found")
    def test_the_real_plug_in_loads_and_answers(self):
        run = self.run_train(1, ULTRAMARINE_CUDA_PLUGIN=REAL)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertRegex(run.stdout, r"(?m)^device (cpu \(CUDA: no usable GPU: .* \((34|35|100)\)\)|cuda 0: .*)$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
