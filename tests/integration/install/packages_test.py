#!/usr/bin/env python3
"""The Debian packages in a throw-away Debian: install with what they depend on, walk a job, upgrade, remove, install again, purge.

Needs root, debootstrap, a network and leave to mount; skips with the reason otherwise. Everything that runs in there runs in namespaces
of its own, so nothing is left of it. ULTRAMARINE_MIRROR names another Debian mirror.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("ULTRAMARINE_BUILD", ROOT / "build" / "release")).resolve()
MIRROR = os.environ.get("ULTRAMARINE_MIRROR", "http://deb.debian.org/debian")
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]


def why_not():
    if os.geteuid() != 0:
        return "only root can make a Debian in a folder"
    for program in ("debootstrap", "dpkg-deb", "dpkg-shlibdeps", "unshare"):
        if not shutil.which(program):
            return f"{program} is missing: scripts/setup test-all installs it"
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
        return "this machine allows no mount and pid namespaces"
    return ""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-6000:]}")
    return done.stdout


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = why_not()
        if reason:
            print(f"packages: skipped: {reason}")
            raise unittest.SkipTest(reason)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="um-packages-", dir="/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.debian = cls.folder / "debian"
        run("debootstrap", "--variant=minbase", "--include=adduser,init-system-helpers", "bookworm", cls.debian, MIRROR)
        run("cmake", "--build", BUILD, "--target", "installable")
        for release in ("1", "2"):
            run("cpack", "-D", f"CPACK_DEBIAN_PACKAGE_RELEASE={release}", "-B", cls.folder / "packages", cwd=BUILD)
        version = re.search(r'CPACK_PACKAGE_VERSION "([^"]+)"', (BUILD / "CPackConfig.cmake").read_text()).group(1)
        cls.packages = {release: [cls.folder / "packages" / f"{name}_{version}-{release}_{cls.architecture()}.deb"
                                  for name in ("ultramarine", "ultramarine-agent")] for release in ("1", "2")}
        cls.version = version
        # The second build has another cluster file: whose is kept?
        raw = cls.folder / "raw"
        run("dpkg-deb", "-R", cls.packages["2"][0], raw)
        with open(raw / "etc/ultramarine/cluster.toml", "a") as file:
            file.write("# of release 2\n")
        run("dpkg-deb", "--root-owner-group", "-b", raw, cls.packages["2"][0])

    @staticmethod
    def architecture():
        return run("dpkg", "--print-architecture").strip()

    def inside(self, script, root=None):
        """Runs a shell script in the Debian, with its own processes and /proc; none of them outlives it."""
        mounts = 'mount -t proc proc "$0/proc" && exec chroot "$0" /bin/sh -ec "$1"'
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        return run(*NAMESPACES, "sh", "-ec", mounts, root or self.debian, textwrap.dedent(script), env=environment)

    def install(self, release, *options):
        target = self.debian / "packages"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for package in self.packages[release]:
            shutil.copy(package, target)
        names = " ".join(f"/packages/{package.name}" for package in self.packages[release])
        self.inside(f"apt-get -q -y --no-install-recommends {' '.join(options)} install {names}")

    def state(self, package):
        return self.inside(f"dpkg-query -W -f='${{db:Status-Status}} ${{Version}}' {package} || true").strip()

    def services(self, script):
        """Starts the daemons as their units do, runs the script as their user, stops them. There is no systemd in there."""
        commands = {}
        for name in ("scheduler", "agent"):
            unit = (self.debian / f"usr/lib/systemd/system/ultra-{name}.service").read_text()
            commands[name] = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1)
        return self.inside(f"""
            install -d -o ultramarine -g ultramarine /run/ultramarine
            . /etc/default/ultra-agent
            runuser -u ultramarine -- {commands['scheduler']} >/var/log/ultra-scheduler.log 2>&1 &
            scheduler=$!
            runuser -u ultramarine -- {commands['agent']} >/var/log/ultra-agent.log 2>&1 &
            agent=$!
            finish() {{ cat /var/log/ultra-*.log >&2; }}
            trap finish EXIT
            cat >/tmp/script <<'END'
            until ultra queue >/dev/null 2>&1; do :; done
            {script}
            END
            timeout 60 runuser -u ultramarine -- sh -e /tmp/script
            trap - EXIT
            kill $scheduler $agent
        """.replace("\n            ", "\n"))

    def test_from_install_to_purge(self):
        debian = self.debian
        for package in self.packages["1"]:
            print(f"{package.name}: {package.stat().st_size / 1e6:.1f} MB")
        secret = debian / "etc/ultramarine/secret"
        cluster_file = debian / "etc/ultramarine/cluster.toml"
        journal = debian / "var/lib/ultramarine/scheduler/journal.sqlite"

        # ---- install: apt finds everything that they depend on in a bare Debian
        self.install("1")
        for package in ("ultramarine", "ultramarine-agent"):
            self.assertEqual(self.state(package), f"installed {self.version}-1")
            self.assertEqual(self.inside(f"dpkg -V {package}"), "", "every file is as it was packed")
        user = self.inside("getent passwd ultramarine").strip().split(":")
        self.assertEqual((user[5], user[6]), ("/var/lib/ultramarine", "/usr/sbin/nologin"))
        self.assertEqual(secret.stat().st_mode & 0o7777, 0o600)
        self.assertEqual(secret.stat().st_uid, int(user[2]))
        self.assertRegex(secret.read_text(), "^[0-9a-f]{64}\n$")
        self.assertEqual((debian / "var/lib/ultramarine").stat().st_uid, int(user[2]))
        print(self.inside("ldd /usr/bin/ultra* /usr/lib/ultramarine/ultra-shim | grep -c '=>'").strip(), "libraries found in a bare Debian")
        self.assertNotIn("not found", self.inside("ldd /usr/bin/ultra* /usr/lib/ultramarine/ultra-shim"))

        # ---- the walk, as the units start the daemons
        output = self.services("cd /tmp; ultra submit --gpus 2 --follow -- sh -c 'echo rank $RANK of $WORLD_SIZE as $(id -un)'")
        self.assertIn("[1] rank 1 of 2 as ultramarine", output)
        self.assertIn("Job 1 completed", output)
        self.assertTrue(journal.exists())

        # ---- upgrade: what people wrote, the secret and the state stay
        kept = secret.read_text()
        with open(cluster_file, "a") as file:
            file.write("# written by the site\n")
        self.install("2", "-o Dpkg::Options::=--force-confdef", "-o Dpkg::Options::=--force-confold")
        for package in ("ultramarine", "ultramarine-agent"):
            self.assertEqual(self.state(package), f"installed {self.version}-2")
        self.assertTrue(cluster_file.read_text().endswith("# written by the site\n"))
        self.assertTrue(cluster_file.with_suffix(".toml.dpkg-dist").read_text().endswith("# of release 2\n"))
        self.assertEqual(secret.read_text(), kept)
        self.assertEqual(secret.stat().st_mode & 0o7777, 0o600)
        self.assertIn("completed", self.services("ultra show 1"))

        # ---- remove: programs go, conffiles, secret and state stay
        self.inside("apt-get -q -y remove ultramarine ultramarine-agent")
        self.assertEqual(self.state("ultramarine").split()[0], "config-files")
        self.assertEqual([path for path in (debian / "usr").rglob("*ultra*") if "share/doc" not in str(path)], [])
        for path in (cluster_file, secret, journal, debian / "etc/default/ultra-agent", debian / "var/lib/ultramarine/agent"):
            self.assertTrue(path.exists(), path)

        # ---- installed again, the cluster knows its past
        self.install("2", "-o Dpkg::Options::=--force-confdef", "-o Dpkg::Options::=--force-confold")
        self.assertEqual(secret.read_text(), kept)
        self.assertIn("completed", self.services("ultra show 1"))

        # ---- purge: nothing stays but the user
        self.inside("apt-get -q -y purge ultramarine ultramarine-agent")
        for path in ("etc/ultramarine", "etc/default/ultra-agent", "var/lib/ultramarine", "usr/lib/ultramarine", "usr/share/ultramarine"):
            self.assertFalse((debian / path).exists(), path)
        self.assertEqual(self.inside("getent passwd ultramarine").strip().split(":"), user)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    unittest.main(verbosity=2)
