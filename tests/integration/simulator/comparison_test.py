#!/usr/bin/python3
"""The production policy is better than EASY backfill where ULTRAMARINE_TRACES names a folder with real traces: `scripts/compare-policies --check` says so.
And the check can fail: EASY is not better than itself."""

import os
import pathlib
import subprocess
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[3]
COMPARE = SOURCE / "scripts/compare-policies"
OWN_TRACE = sorted((pathlib.Path(__file__).parent / "traces").glob("*.csv"))[0]
FOLDER = os.environ.get("ULTRAMARINE_TRACES", "")


def compare(*words):
    return subprocess.run([COMPARE, *words], capture_output=True, text=True, timeout=3000)


class Comparison(unittest.TestCase):
    @unittest.skipUnless(FOLDER, "ULTRAMARINE_TRACES names no folder with real traces")
    def test_the_production_policy_is_better_than_easy_on_real_traces(self):
        traces = sorted(pathlib.Path(FOLDER).glob("*.csv"))
        self.assertTrue(traces, f"{FOLDER} has no trace")
        ran = compare("--check", *traces)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_easy_is_not_better_than_itself(self):
        ran = compare("--check", "--policy", "easy", OWN_TRACE)
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertIn("not better than easy", ran.stderr)
        self.assertEqual(compare("--policy", "easy", OWN_TRACE).returncode, 0)


if __name__ == "__main__":
    unittest.main()
