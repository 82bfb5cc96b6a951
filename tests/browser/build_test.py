#!/usr/bin/python3
"""How the page is built (scheduler/dashboard/build_page.mjs) where its packages can't be fetched: in a copy, against an address where nobody answers.
Exit 77 (skipped) where there is no Node.js with npm."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
NODE = shutil.which("node") or shutil.which("nodejs")
NPM = shutil.which("npm")


class Build(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="um-page-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = os.path.join(self.folder, "out")
        shutil.copytree(os.path.join(ROOT, "scheduler", "dashboard"), os.path.join(self.folder, "source"), ignore=shutil.ignore_patterns("node_modules", "dist"))
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        self.environment = {**os.environ, "npm_config_registry": nobody, "npm_config_cache": os.path.join(self.folder, "cache")}

    def build(self, *words):
        return subprocess.run([NODE, os.path.join(self.folder, "source", "build_page.mjs"), "--npm", NPM, "--out", self.out, "--heard",
                               os.path.join(ROOT, "scheduler", "cli", "languages", "ko.po"), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment)

    def test_without_a_network_the_build_goes_on_and_says_so_in_one_line(self):
        for _ in range(2):  # each build tries again
            ran = self.build()
            self.assertEqual(ran.returncode, 0, ran.stdout)
            self.assertRegex(ran.stdout, r"\Aweb page: not built, its packages could not be fetched \(.+\)\. With a network, build again; .+\.\n\Z")
        self.assertFalse(os.path.exists(self.out))
        asked = self.build("--check")
        self.assertEqual(asked.returncode, 1)
        self.assertIn("build again with a network", asked.stdout)

    def test_a_page_of_an_earlier_build_stays(self):
        os.makedirs(self.out)
        with open(os.path.join(self.out, "index.html"), "w", encoding="utf-8") as file:
            file.write("an earlier page")
        ran = self.build()
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assertIn("the page of an earlier build stays", ran.stdout)
        with open(os.path.join(self.out, "index.html"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "an earlier page")

    def test_a_mistake_in_the_list_of_packages_is_an_error(self):
        with open(os.path.join(self.folder, "source", "package-lock.json"), "w", encoding="utf-8") as file:
            file.write('{"lockfileVersion": ')
        ran = self.build()
        self.assertEqual(ran.returncode, 1, ran.stdout)
        self.assertIn("npm ci failed", ran.stdout)


if __name__ == "__main__":
    if not NODE or not NPM:
        print("skipped: node or npm is missing (scripts/setup test)")
        sys.exit(77)
    unittest.main(verbosity=2)
