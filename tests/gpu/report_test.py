"""The report of a run on a GPU, made here with a fake one, and the table that is written from it.

Run by ctest with RULES (the conformance binary on the fakes) and SOURCE (the tree).
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["SOURCE"])


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ultramarine_report_")
        self.report = os.path.join(self.folder.name, "gpu-report.json")

    def tearDown(self):
        self.folder.cleanup()

    def run_part(self, part, gtest_filter, **settings):
        return subprocess.run([sys.executable, SOURCE / "tests/gpu/run_on_gpu.py", "--report", self.report, "--part", part, "--",
                               os.environ["RULES"], f"--gtest_filter={gtest_filter}"], env={**os.environ, **settings}, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_without_a_gpu_nothing_is_written_and_the_reason_is_printed(self):
        run = self.run_part("Rules", "CudaConformance.A*", FAKE_CUDA_DEVICES="0")
        self.assertEqual(run.returncode, 77, run.stdout)
        self.assertIn("[  SKIPPED ] Rules: no usable GPU: no CUDA-capable device is detected (100)", run.stdout)
        self.assertFalse(os.path.exists(self.report))

    def test_parts_come_together_with_what_the_machine_is(self):
        self.assertEqual(self.run_part("Rules", "CudaConformance.T*").returncode, 0)
        self.assertEqual(self.run_part("Nccl", "NcclConformance.*").returncode, 0)
        with open(self.report, encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(report["machine"]["gpu"], "fake GPU (host memory)")
        self.assertGreaterEqual(int(report["machine"]["cuda_runtime"]), 13000)
        self.assertTrue(report["commit"])
        self.assertEqual(report["parts"]["Nccl"]["NcclConformance.ANonBlockingWorldOfOne"]["result"], "passed")
        self.assertIn("CudaConformance.TheMachineIsRecorded", report["parts"]["Rules"])

    def test_a_failing_case_fails_the_part(self):
        run = self.run_part("Rules", "CudaConformance.AStream*", FAKE_CUDA_FAULT="cudaMemcpyAsync:1:skip")
        self.assertNotEqual(run.returncode, 0)
        with open(self.report, encoding="utf-8") as file:
            self.assertEqual(set(case["result"] for case in json.load(file)["parts"]["Rules"].values()), {"failed"})

    def test_a_case_that_hangs_is_named_and_fails_the_part(self):
        binary = pathlib.Path(self.folder.name) / "hangs"
        binary.write_text("#!/bin/sh\necho '[ RUN      ] Suite.Done'\necho '[ RUN      ] Suite.Hangs'\nexec sleep 600\n", encoding="ascii")
        binary.chmod(0o755)
        run = subprocess.run([sys.executable, SOURCE / "tests/gpu/run_on_gpu.py", "--report", self.report, "--part", "Rules", "--limit", "1",
                              "--", binary], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertIn("Rules: Suite.Hangs was not done after 1 s", run.stdout)
        with open(self.report, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["parts"]["Rules"], {"Suite.Hangs": {"result": "failed", "reason": "not done after 1 s"}})

    def table(self, reports, *words):
        tree = pathlib.Path(self.folder.name) / "tree"
        for part in ("scripts/gpu-table", "worker/trainer/README.md"):
            (tree / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SOURCE / part, tree / part)
        for part in ("tests/gpu", "worker/trainer/device/cuda"):
            shutil.copytree(SOURCE / part, tree / part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("reports"))
        for name, report in reports.items():
            (tree / "tests/gpu/reports").mkdir(exist_ok=True)
            (tree / f"tests/gpu/reports/{name}.json").write_text(json.dumps(report), encoding="utf-8")
        run = subprocess.run([sys.executable, tree / "scripts/gpu-table", *words], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        return run, (tree / "worker/trainer/README.md").read_text(encoding="utf-8")

    def test_the_table_tells_what_a_report_proves_and_no_more(self):
        report = {"format": 1, "date": "2030-01-02", "commit": "0123456789ab", "machine": {"gpu": "NVIDIA H100"},
                  "parts": {"Kernels": {"CudaKernels.Linear": {"result": "passed"}, "CudaKernels.Gelu": {"result": "failed"},
                                        "CudaKernels.Attention": {"result": "skipped", "reason": "none"}}}}
        run, _ = self.table({"lab": report}, "--check")
        self.assertEqual(run.returncode, 1, "the committed table doesn't know of this report")
        run, text = self.table({"lab": report})
        self.assertEqual(run.returncode, 0, run.stdout)
        rows = {line.split("|")[1].strip(): line.split("|")[5].strip() for line in text.splitlines() if line.count("|") == 6}
        self.assertEqual(rows["linear"], "NVIDIA H100 (2030-01-02, 0123456789ab)")
        self.assertEqual(rows["GELU"], "FAILED on NVIDIA H100 (2030-01-02, 0123456789ab)")
        self.assertEqual(rows["attention"], "never run on a GPU")
        self.assertEqual(rows["rules of NCCL"], "never run on a GPU")

    def test_a_report_of_a_fake_gpu_is_refused(self):
        run, _ = self.table({"fake": {"date": "2030-01-02", "commit": "1", "machine": {"gpu": "fake GPU (host memory)"}, "parts": {}}})
        self.assertEqual(run.returncode, 1)
        self.assertIn("of a fake GPU", run.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
