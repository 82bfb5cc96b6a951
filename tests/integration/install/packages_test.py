#!/usr/bin/env python3
"""The Debian packages in a throw-away Debian: install with what they depend on, walk a job, upgrade, remove, install again, purge; then the
units under a systemd of its own.

Needs root, debootstrap, a network and leave to mount; skips with the reason otherwise. Everything that runs in there runs in namespaces
of its own, so nothing is left of it. ULTRAMARINE_MIRROR names another Debian mirror.
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("ULTRAMARINE_BUILD", ROOT / "build" / "release")).resolve()
MIRROR = os.environ.get("ULTRAMARINE_MIRROR", "http://deb.debian.org/debian")
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}


def why_not():
    if os.geteuid() != 0:
        return "only root can make a Debian in a folder"
    for program in ("debootstrap", "dpkg-deb", "dpkg-shlibdeps", "file", "ip"):
        if not shutil.which(program):
            return f"{program} is missing: scripts/setup test-all installs it"
    if subprocess.run([*NAMESPACES, "--net", "true"], capture_output=True).returncode != 0:
        return "this machine allows no mount and pid namespaces"
    return ""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-6000:]}")
    return done.stdout


class Machine:
    """The Debian, booted: its systemd as process 1 of namespaces of its own, with no network but a loopback, and a read-only /proc/sys."""

    BOOT = """
        mount --make-rprivate /
        ip link set lo up
        mount --bind "$0" "$0"
        mount -t proc proc "$0/proc"
        mount --bind "$0/proc/sys" "$0/proc/sys"
        mount -o remount,ro,bind "$0/proc/sys"
        mount -t sysfs -o ro sysfs "$0/sys"
        if [ -e /sys/fs/cgroup/cgroup.procs ]; then
          mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup"
        else
          mount -t tmpfs tmpfs "$0/sys/fs/cgroup"
          mkdir "$0/sys/fs/cgroup/systemd"
          mount -t cgroup -o none,name=systemd cgroup "$0/sys/fs/cgroup/systemd"
        fi
        mount -t tmpfs tmpfs "$0/run"
        mount -t tmpfs tmpfs "$0/tmp"
        cd "$0"
        pivot_root . mnt
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /bin/sh -ec \
          'umount -l /mnt; exec /lib/systemd/systemd --unit=multi-user.target'
    """

    def __init__(self, root):
        unified = pathlib.Path("/sys/fs/cgroup/cgroup.procs").exists()
        self.group = pathlib.Path("/sys/fs/cgroup" + ("" if unified else "/systemd")) / f"ultramarine-test-{os.getpid()}"
        self.group.mkdir()
        enter = f'echo $$ >{self.group}/cgroup.procs; exec unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child sh -ec "$1" "$0"'
        self.outside = subprocess.Popen(["sh", "-ec", enter, str(root), self.BOOT], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self.first = None

    def __enter__(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.outside.poll() is None:
            children = pathlib.Path(f"/proc/{self.outside.pid}/task/{self.outside.pid}/children").read_text().split()
            if children:
                self.first = int(children[0])
                done = subprocess.run([*self.namespaces(), "systemctl", "is-system-running", "--wait"], env=ENVIRONMENT, capture_output=True, text=True)
                if done.stdout.strip() in ("running", "degraded"):
                    return self
            os.sched_yield()
        why = "not up after 60 s" if self.outside.poll() is None else self.outside.stderr.read().strip()
        self.__exit__()
        raise unittest.SkipTest(f"this machine lets no systemd start in a namespace: {why}")

    def __exit__(self, *_):
        self.outside.kill()  # and with it everything inside
        self.outside.wait()
        self.outside.stderr.close()
        deadline = time.monotonic() + 20
        while self.group.exists() and time.monotonic() < deadline:  # the kernel needs a moment to empty the group
            for folder, _, _ in os.walk(self.group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            os.sched_yield()

    def namespaces(self):
        return ["nsenter", "-t", str(self.first), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w"]

    def run(self, script):
        return run(*self.namespaces(), "/bin/sh", "-ec", textwrap.dedent(script), env=ENVIRONMENT, timeout=120)


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
        run("debootstrap", "--variant=minbase", "--include=adduser,init-system-helpers,systemd,dbus", "bookworm", cls.debian, MIRROR)
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

    def inside(self, script, network=True):
        """Runs a shell script in the Debian, with its own processes and /proc; none of them outlives it."""
        before = 'mount -t proc proc "$0/proc"; ' + ("" if network else "ip link set lo up; ") + 'exec chroot "$0" /bin/sh -ec "$1"'
        namespaces = NAMESPACES if network else [*NAMESPACES, "--net"]
        return run(*namespaces, "sh", "-ec", before, self.debian, textwrap.dedent(script), env=ENVIRONMENT, timeout=300)

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
        """.replace("\n            ", "\n"), network=False)

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
        print(self.inside("ldd /usr/bin/ultra* /usr/lib/ultramarine/ultra-shim* | grep -c '=>'").strip(), "libraries found in a bare Debian")
        self.assertNotIn("not found", self.inside("ldd /usr/bin/ultra* /usr/lib/ultramarine/ultra-shim*"))

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

    def test_the_units_under_systemd(self):
        self.install("1")
        clusters = self.debian / "etc/ultramarine"
        with Machine(self.debian) as machine:
            def until(condition):
                return machine.run(f"until {condition}; do :; done")

            ultra = "cd /tmp; runuser -u ultramarine -- ultra"
            services = "ultra-scheduler ultra-agent"
            sleeping = "grep -lz '^sleep' /proc/[0-9]*/cmdline 2>/dev/null | sort"

            # Nobody is started who was not asked for; then a walk as the system user, over the service's own socket.
            self.assertEqual(machine.run(f"systemctl is-active {services} || true").split(), ["inactive", "inactive"])
            machine.run(f"systemctl start {services}")
            until("runuser -u ultramarine -- ultra nodes 2>/dev/null | grep -qw up")
            output = machine.run(f"{ultra} submit --gpus 2 --follow -- sh -c 'echo rank $RANK as $(id -un)'")
            self.assertIn("rank 1 as ultramarine", output)

            # An upgrade restarts both; a crash too; the ranks run on.
            machine.run(f"{ultra} submit --name long --gpus 2 -- sleep 600")
            until(f"({ultra} show 2 --json) | grep -q '\"state\":\"running\"'")
            ranks = machine.run(sleeping).split()
            self.assertEqual(len(ranks), 2, ranks)
            pids = "systemctl show -P MainPID " + services
            before = machine.run(pids).split()
            for package in self.packages["2"]:
                shutil.copy(package, self.debian / "packages")
            machine.run("dpkg -i " + " ".join(f"/packages/{package.name}" for package in self.packages["2"]))
            upgraded = machine.run(pids).split()
            self.assertEqual(len({*before, *upgraded}), 4, f"{before} {upgraded}")
            machine.run("kill -9 " + " ".join(upgraded))
            until("test \"$(systemctl show -P NRestarts ultra-scheduler) $(systemctl show -P NRestarts ultra-agent)\" = '1 1'")
            until("runuser -u ultramarine -- ultra nodes 2>/dev/null | grep -qw up")
            self.assertEqual(machine.run(sleeping).split(), ranks)
            self.assertIn('"state":"running"', machine.run(f"{ultra} show 2 --json"))
            machine.run(f"{ultra} cancel 2; {ultra} wait 2 || test $? = 143")

            # What is wrong in the cluster file is said once, not again and again.
            text = (clusters / "cluster.toml").read_text()
            (clusters / "cluster.toml").write_text("[x\n" + text)
            machine.run("systemctl restart ultra-scheduler || true")
            until("systemctl is-failed -q ultra-scheduler")
            self.assertEqual(machine.run("systemctl show -P NRestarts ultra-scheduler; systemctl show -P ExecMainStatus ultra-scheduler").split(), ["0", "2"])
            (clusters / "cluster.toml").write_text(text)
            machine.run("systemctl start ultra-scheduler")

            # A cluster of a person's own, beside it.
            machine.run("adduser --quiet --disabled-password --gecos '' alice; install -d -o alice /etc/ultramarine/alice")
            own = text.replace("/etc/ultramarine/", "/etc/ultramarine/alice/").replace("8642", "9642").replace("8643", "9643")
            own = own.replace("/var/lib/ultramarine/", "/var/lib/ultramarine-alice/").replace("/run/ultramarine/", "/run/ultramarine-alice/")
            (clusters / "alice/cluster.toml").write_text(own)
            machine.run("""
                cd /etc/ultramarine/alice; (umask 077; od -An -tx1 -N32 /dev/urandom | tr -d ' \\n' >secret); chown alice secret
                echo 'ULTRA_AGENT_OPTIONS="--node node01"' >/etc/default/ultra-agent-alice
                systemctl start ultra-scheduler@alice ultra-agent@alice
            """)
            hers = "env ULTRA_SOCKET=/run/ultramarine-alice/scheduler.sock runuser -u alice -- ultra"
            until(f"{hers} nodes 2>/dev/null | grep -qw up")
            self.assertIn("rank as alice", machine.run(f"cd /tmp; {hers} submit --gpus 1 --follow -- sh -c 'echo rank as $(id -un)'"))

            # Removal stops what runs.
            machine.run("apt-get -q -y purge ultramarine ultramarine-agent")
            self.assertEqual(machine.run("grep -lz '^/usr/.*ultra-' /proc/[0-9]*/cmdline 2>/dev/null || true"), "")
        self.assertEqual(sorted(path.name for path in clusters.iterdir()), ["alice"], "what others wrote is theirs")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    unittest.main(verbosity=2)
