#!/usr/bin/env python3
"""The example client (configs/examples/client.py): at most 60 lines, standard library only, and it works."""
import ast
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from cluster import Cluster  # noqa: E402

CLIENT = ROOT / "configs" / "examples" / "client.py"


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=1)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)

    def client(self, *arguments, **environment):
        return subprocess.run(["/usr/bin/python3", "-I", CLIENT, *arguments], capture_output=True, text=True, timeout=120, cwd=self.cluster.folder,
                              env={**self.cluster.environment, "ULTRA_SOCKET": str(self.cluster.home / "scheduler.sock"), **environment})

    def test_it_is_short_and_needs_nothing(self):
        text = CLIENT.read_text()
        self.assertLessEqual(len(text.splitlines()), 60)
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                self.assertIn(name.split(".")[0], sys.stdlib_module_names)

    def test_it_submits_follows_and_ends_as_the_job_does(self):
        done = self.client("2", "sh", "-c", "echo $GREETING from rank $RANK of $WORLD_SIZE in $PWD; echo trouble >&2; test $RANK = 0 || exit 3",
                           GREETING="hello")
        self.assertEqual(done.returncode, 3, done)
        for rank in (0, 1):
            self.assertIn(f"hello from rank {rank} of 2 in {self.cluster.folder}\n", done.stdout)
        self.assertEqual(done.stderr.count("trouble\n"), 2, done)
        job = int(done.stderr.split("job ")[1].split()[0])
        self.assertEqual(self.cluster.state(job), "failed")
        self.assertEqual(self.client("1", "true").returncode, 0)

    def test_a_refusal_is_one_line(self):
        done = self.client("65", "true")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("spec.resources.gpus", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
