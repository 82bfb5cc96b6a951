#!/usr/bin/env python3
"""`cmake --install` into a folder: what lies where, and the walk of a job by the installed programs alone."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("ULTRAMARINE_BUILD", ROOT / "build" / "release")).resolve()
CMAKE = os.environ.get("ULTRAMARINE_CMAKE", "cmake")
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="um-install-", dir="/tmp"))
STAGED = FOLDER / "staged"
os.environ["ULTRAMARINE_BIN"] = str(STAGED / "usr" / "bin")  # before the helper reads it
sys.path.insert(0, str(ROOT / "tests" / "support"))
from cluster import Cluster  # noqa: E402


def install(prefix, **environment):
    subprocess.run([CMAKE, "--install", BUILD, "--prefix", prefix, "--strip"], check=True, stdout=subprocess.PIPE,
                   env={**os.environ, **environment})


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(shutil.rmtree, FOLDER, ignore_errors=True)
        install("/usr", DESTDIR=str(STAGED))

    def test_everything_lies_in_its_place(self):
        for name in ("usr/bin/ultra", "usr/bin/ultra-scheduler", "usr/bin/ultra-agent", "usr/bin/ultra-train", "usr/bin/ultra-perf", "usr/bin/ultra-simulate",
                     "usr/lib/ultramarine/ultra-shim", "usr/lib/ultramarine/ultra-shim-full"):
            program = STAGED / name
            self.assertTrue(os.access(program, os.X_OK), name)
            sections = subprocess.run(["readelf", "-SdW", program], capture_output=True, text=True, check=True).stdout
            self.assertNotIn(".symtab", sections, f"{name} is stripped")
            for built in (program, BUILD / "bin" / program.name):
                paths = re.findall(r"(?:runpath|rpath): \[(.*)\]", subprocess.run(["readelf", "-dW", built], capture_output=True, text=True, check=True).stdout)
                for folder in paths[0].split(":") if paths else []:  # of Debian's PMIx; never of a build, and never empty: that is the current folder
                    self.assertTrue(folder.startswith("/usr/lib/"), f"{built} looks for libraries in '{folder}'")
            print(f"{name}: {program.stat().st_size / 1e6:.1f} MB")
        built = [path.name for path in (BUILD / "bin").glob("libultramarine_cuda.so*")]
        staged = [path.name for path in (STAGED / "usr/lib/ultramarine").glob("libultramarine_cuda.so*")]
        self.assertEqual(staged, built, "the plug-in for GPUs, where it was built")
        share = STAGED / "usr" / "share" / "ultramarine"
        for folder in ("clusters", "policies", "monitoring", "examples"):
            installed = {path.relative_to(share) for path in (share / folder).rglob("*") if path.is_file()}
            there = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs" / folder).rglob("*") if path.is_file()}
            self.assertEqual(installed, there)
        self.assertTrue(os.access(share / "examples" / "client.py", os.X_OK))
        self.assertEqual((STAGED / "etc/ultramarine/cluster.toml").read_text(), (ROOT / "configs/clusters/site.toml").read_text())
        units = {path.name for path in (STAGED / "usr/lib/systemd/system").iterdir()}
        self.assertEqual(units, {"ultra-scheduler.service", "ultra-scheduler@.service", "ultra-agent.service", "ultra-agent@.service"})

    def test_a_job_walks_by_what_was_installed(self):
        with Cluster(nodes=2) as cluster:
            job = cluster.submit("--nodes", 2, "--gpus-per-node", 1, "--", "ultra-train", "reduce-check")
            self.assertEqual(cluster.wait(job), 0, cluster.logs(job))
            where = cluster.submit("--gpus", 1, "--", "sh", "-c", "readlink /proc/$PPID/exe; command -v ultra; command -v ultra-train")
            self.assertEqual(cluster.wait(where), 0)
            self.assertEqual(cluster.logs(where, "--rank", 0).split(), [str(STAGED / name) for name in
                                                          ("usr/lib/ultramarine/ultra-shim", "usr/bin/ultra", "usr/bin/ultra-train")])

    def test_another_prefix_is_named_in_units_and_files(self):
        prefix = FOLDER / "opt"
        install(prefix)
        for unit in (prefix / "lib/systemd/system").iterdir():
            text = unit.read_text()
            command = re.search(r"^ExecStart=(\S+) --config (\S+)", text, re.M)
            self.assertTrue(os.access(command.group(1), os.X_OK), command.group(1))
            self.assertTrue(command.group(2).startswith(f"{prefix}/etc/ultramarine/"), command.group(2))
            self.assertNotIn("/usr/", text)
        self.assertIn(f'secret_file = "{prefix}/etc/ultramarine/secret"', (prefix / "etc/ultramarine/cluster.toml").read_text())
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze here: units are not verified")
        # Verified where their programs are; a template needs an instance.
        units = []
        for unit in (prefix / "lib/systemd/system").iterdir():
            units.append(unit.with_name(unit.name.replace("@.", "@alice.")))
            if units[-1] != unit:
                shutil.copy(unit, units[-1])
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
        ours = [line for line in done.stderr.splitlines() if "ultra-" in line]
        self.assertEqual((done.returncode, ours), (0, []), done.stderr)

    def test_what_the_units_must_and_must_not_say(self):
        folder = STAGED / "usr/lib/systemd/system"
        for name in ("ultra-agent.service", "ultra-agent@.service"):
            lines = (folder / name).read_text().splitlines()
            self.assertIn("KillMode=process", lines)
            self.assertIn("OOMPolicy=continue", lines)
            # Jobs would inherit it.
            for word in ("NoNewPrivileges", "Protect", "Private", "Restrict[A-Z].*=", "SystemCall", "MemoryDeny", "UMask", "CapabilityBoundingSet"):
                kept = [line for line in lines if re.match(word, line) and not line.startswith("RestartPrevent")]
                self.assertEqual(kept, [], f"{name}: {word}")
        for name in os.listdir(folder):
            lines = (folder / name).read_text().splitlines()
            self.assertIn("Restart=on-failure", lines)
            self.assertEqual([line for line in lines if line.startswith("User=")], ["User=%i" if "@" in name else "User=ultramarine"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
