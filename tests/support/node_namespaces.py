"""A cluster whose nodes are apart: scheduler and agents as real daemons, each, when asked for, a machine of its own as far as the kernel can pretend.

`Fleet` writes a cluster file and starts the daemons itself, so that tests can stop, freeze, kill and cut off each of them. With `namespaces=True`
every daemon has a network (a veth at one bridge, 10.88.0.x), a host name, processes and mounts of its own, and a boot id that changes when its power
was off. The first process of each node holds all of that: when it is killed, all of the node is gone, as by a power cut. Every holder dies with the
test, however that ends, so nothing is left behind.
"""
import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import uuid

from cluster import BINARIES, Cluster, free_port, has_failed, is_alive, processes_that_mention, until

HOLDER = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print('ready', flush=True)\nwhile True: signal.pause()"
SCHEDULER, SWITCH = "scheduler", "switch"
PORT = 8643
DEFAULT_S = {"heartbeat": 1, "suspect": 5, "unreachable": 10, "self_stop": 10, "self_stop_margin": 2,
             "launch": 60, "agents_return": 5, "restart_delay": 5, "unkillable": 10, "line_silence": 8,
             "line_unacknowledged": 5, "connect": 4, "reconnect_max": 1.5, "progress_patience": 3, "checkpoint_answer": 5}
REAL = {}
# A tenth of what they are by default: what happens when is the same, and tests are done sooner.
# But for what doesn't go faster: agents say once a second how far ranks are, and lines are not given up for this machine's slowness.
TENTH = {**{name: f"{seconds * 100:.0f}ms" for name, seconds in DEFAULT_S.items()}, "restart_delay_max": "1m",
         "line_silence": "2s", "connect": "1s", "reconnect_max": "300ms", "progress_patience": "3s"}
SLOW = bool(os.environ.get("ULTRAMARINE_SLOW"))


def why_no_namespaces():
    """Why this machine can't have nodes of their own; "" when it can."""
    if os.geteuid() != 0:
        return "only root can make networks and host names of their own"
    for tool in ("ip", "nft", "ss", "unshare", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed: scripts/setup test installs it"
    probe = subprocess.run(["unshare", "--net", "--uts", "--pid", "--mount", "--fork", "--mount-proc", "true"], capture_output=True, text=True)
    return "" if probe.returncode == 0 else f"no namespaces here: {probe.stderr.strip()}"


NO_NAMESPACES = why_no_namespaces()
needs_namespaces = unittest.skipIf(NO_NAMESPACES, NO_NAMESPACES)
needs_root = unittest.skipUnless(os.geteuid() == 0, "only root can do this to a machine")
slow = unittest.skipUnless(SLOW, "takes minutes: scripts/test --slow runs it")


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def only_child(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    except (OSError, IndexError):
        return None


class Machine:
    """Namespaces, and the process that holds them."""

    def __init__(self, name, address=None, boot_file=None, hosts_file=None, switch=None, port=""):
        kinds = ["--net"] if name == SWITCH else ["--net", "--uts", "--pid", "--mount", "--mount-proc"]
        self.starter = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", *kinds, "--fork", "--kill-child=KILL", "/usr/bin/python3", "-c", HOLDER],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if self.starter.stdout.readline() != b"ready\n":
            raise AssertionError(f"the first process of {name} didn't start")
        self.pid = only_child(self.starter.pid)
        self.enter = ["nsenter", "-t", str(self.pid), *(["-n"] if name == SWITCH else ["-n", "-u", "-p", "-m"])]
        if name == SWITCH:
            self.run("ip", "link", "add", "bridge", "type", "bridge")
            self.run("ip", "link", "set", "bridge", "up")
            return
        hardware = f"02:00:0a:58:00:{int(address.rsplit('.', 1)[1]):02x}"  # the same after a power cut
        boot_file.write_text(f"{uuid.uuid4()}\n")
        # Of an earlier life: the kernel takes its time with a network that nobody has any more.
        subprocess.run([*switch.enter, "ip", "link", "delete", port], capture_output=True)
        switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        switch.run("ip", "link", "set", port, "master", "bridge", "up")
        self.run("sh", "-ec", f"hostname {name}; mount --bind {boot_file} /proc/sys/kernel/random/boot_id; mount --bind {hosts_file} /etc/hosts; ip link set lo up; ip link set eth0 address {hardware}; "
                              f"ip address add {address}/24 dev eth0; ip link set eth0 up")

    def run(self, *command):
        return run(*self.enter, *command)

    def power_off(self):
        self.starter.kill()
        self.starter.wait()
        self.starter.stdout.close()
        until(lambda: not is_alive(self.pid), "all of the machine is gone")


class Fleet(Cluster):
    """`agent`, `node`, `top`: more lines of the cluster file's [agent], of its [[node]] and above them. `before_start`: called with a node's name before
    its agent starts. `start_behind`: called with the fleet once the scheduler is there; what it returns is closed with it.
    `around`: words before the command of each agent. Where this test is root, root's own jobs are allowed."""

    def __init__(self, nodes=8, gpus=8, namespaces=False, timeouts=None, agent="", top="", node="", environment=None,
                 scheduler_of_agents=None, before_start=None, start_behind=None, around=(), folder_in="/tmp"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="um-", dir=folder_in))
        self.folder.chmod(0o755)
        self.home = self.folder
        self.names = [f"node{number:02}" for number in range(1, nodes + 1)]
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("ULTRA_", "OMPI_", "PMIX_"))}
        self.environment.update({"ULTRA_HOME": str(self.folder), "ULTRA_SOCKET": str(self.folder / "scheduler.sock"), "OMPI_ALLOW_RUN_AS_ROOT": "1",
                                 "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "LC_ALL": "C.UTF-8", "PATH": f"{BINARIES}:{self.environment['PATH']}"})
        self.environment.update(environment or {})
        self.before_start, self.start_behind, self.proxy, self.around = before_start, start_behind, None, list(around)
        self.namespaces, self.machines, self.daemons, self.scheduler, self.is_closed = namespaces, {}, {}, None, False
        self.addresses = {name: f"10.88.0.{10 + index}" for index, name in enumerate([SCHEDULER, *self.names])}
        host, port = (self.addresses[SCHEDULER], PORT) if namespaces else ("127.0.0.1", free_port())
        self.endpoint = f"{host}:{port}"
        (self.folder / "secret").write_text("0123456789abcdef" * 4 + "\n")
        (self.folder / "secret").chmod(0o600)
        (self.folder / "logs").mkdir()
        (self.folder / "boot").mkdir()
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in self.addresses.items()))
        address = f"10.88.0.[11-{10 + nodes}]" if namespaces and nodes > 1 else "10.88.0.11" if namespaces else "127.0.0.1"
        waits = "".join(f'timeouts.{name} = "{value}"\n' for name, value in (TENTH if timeouts is None else timeouts).items())
        (self.folder / "cluster.toml").write_text(
            f'name = "fleet"\n{waits}{top}\n[[node]]\nname = "node[01-{nodes:02}]"\ngpus = {gpus}\ngpu_type = "H100"\nvirtual = true\naddress = "{address}"\n{node}\n'
            f'[fabric]\nsocket_interface = "{"eth0" if namespaces else "lo"}"\n'
            f'[scheduler]\nhttp = ""\nagents = "{self.endpoint}"\ntrusted_network = {"true" if namespaces else "false"}\n'
            f'[agent]\nscheduler = "{scheduler_of_agents or self.endpoint}"\nminimum_uid = 1\nroot_jobs = true\n{agent}\n')

    # ---- life ----

    def up(self):
        try:
            if self.namespaces:
                self.machines[SWITCH] = Machine(SWITCH)
            for name in [SCHEDULER, *self.names]:
                self.power_on(name)
                if name == SCHEDULER and self.start_behind:
                    self.proxy = self.start_behind(self)
            until(lambda: self.node_states() == ["up"] * len(self.names), "all nodes are up")
        except BaseException:
            self.print_logs()
            self.close(check=False)
            raise

    def power_on(self, name):
        """A machine (where they have their own) and its daemon."""
        if self.namespaces:
            port = "port" + str(self.addresses[name].rsplit(".", 1)[1])
            self.machines[name] = Machine(name, self.addresses[name], self.folder / "boot" / name, self.folder / "hosts", self.machines[SWITCH], port)
        if self.before_start and name != SCHEDULER:
            self.before_start(self, name)
        self.start(name)

    def start(self, name):
        if name == SCHEDULER:
            command = [str(BINARIES / "ultra-scheduler"), "--config", str(self.folder / "cluster.toml")]
        else:
            command = [*self.around, str(BINARIES / "ultra-agent"), "--config", str(self.folder / "cluster.toml")]
            command += [] if self.namespaces else ["--node", name]  # a machine of its own is called like its node
        if self.namespaces:
            command = self.machines[name].enter + command
        with open(self.folder / "logs" / f"{name}.log", "ab") as log:
            self.daemons[name] = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if name == SCHEDULER:
            until(lambda: self.daemons[name].poll() is not None or self.ultra("queue", "--json").code == 0, "the scheduler answers")
            assert self.daemons[name].poll() is None, "the scheduler ended at once"

    def close(self, check=True):
        if self.is_closed:
            return
        self.is_closed = True
        for process in self.daemons.values():
            if process.poll() is None:
                process.kill()
        if self.proxy:
            self.proxy.close()
        for machine in self.machines.values():
            machine.power_off()
        for process in self.daemons.values():
            process.wait()
        try:
            until(self.kill_what_is_left, "no process of the fleet", 20)
            if check:
                until(self.remove_groups, "no control group of the fleet", 20)
            else:
                self.remove_groups()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill_what_is_left(self):
        """Again and again: what forks may slip through one look. True when nobody is left."""
        left = processes_that_mention(str(self.folder))
        for pid in left:
            for number in (signal.SIGKILL, signal.SIGCONT):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        return not left

    def remove_groups(self):
        """Control groups outlive the machines that they were made in. True when none is left.

        Who is still in one is killed: a process in the middle of its exec has no environment to be found by.
        """
        left = False
        for record in self.folder.glob("agents/*/containment.json"):
            for base in json.loads(record.read_text()).get("folders", []):
                for folder, _, _ in os.walk(base, topdown=False):
                    try:
                        for pid in (pathlib.Path(folder) / "cgroup.procs").read_text().split():
                            if int(pid) > 0:  # 0: of a pid namespace that can't be seen from here
                                os.kill(int(pid), signal.SIGKILL)
                    except OSError:
                        pass  # the group, or the process, is gone
                    try:
                        os.rmdir(folder)
                    except OSError:
                        left = left or os.path.isdir(folder)
        return not left

    def kill_daemon(self, name, number=signal.SIGKILL):
        """Ends a daemon and nothing else; what it started runs on."""
        os.kill(self.pid(name), number)
        self.daemons[name].wait()

    # ---- questions ----

    def pid(self, name):
        """Of a daemon, as this test sees it."""
        process = self.daemons[name].pid
        return until(lambda: only_child(process), f"the daemon of {name} runs") if self.namespaces else process

    def nodes(self):
        result = self.ultra("nodes", "--json")
        return {view["node"]["config"]["name"]: view for view in result.json()["nodes"]} if result.code == 0 else {}

    def node_states(self):
        return [view["node"]["state"] for view in self.nodes().values()]

    def node_state(self, name):
        return self.nodes()[name]["node"]["state"]

    def devices_in_use(self):
        return sum(view["allocated"] for view in self.nodes().values())

    def shims(self, name=None):
        """Pids of the supervisors (of one node)."""
        return [pid for pid in processes_that_mention(str(self.folder)) if program(pid).startswith("ultra-shim") and (name is None or f"/agents/{name}/" in words_of(pid))]

    def ranks(self, job):
        """Pids of living ranks, by rank, from the environment that they were started with."""
        found = {}
        for pid in processes_that_mention(str(self.folder)):
            values = environment_of(pid)
            if values.get("ULTRA_JOB_ID") == str(job) and not program(pid).startswith("ultra-shim") and "RANK" in values and environment_of(parent_of(pid)).get("RANK") is None:
                found[int(values["RANK"])] = pid
        return found

    # ---- faults (of machines of their own) ----

    def cut(self, name, direction="both", peer=None):
        """Drops what comes `in`, goes `out`, or both, on this machine; of one peer only, or of everybody."""
        rules = ["add table inet cut"]
        for hook, side in (("input", "saddr"), ("output", "daddr")):
            if direction == "both" or hook.startswith(direction):
                whom = f"ip {side} {self.addresses[peer]}" if peer else 'meta iifname != "lo"' if hook == "input" else 'meta oifname != "lo"'
                rules += [f"add chain inet cut {hook} {{ type filter hook {hook} priority 0; }}", f"add rule inet cut {hook} {whom} drop"]
        self.machines[name].run("nft", "; ".join(rules))

    def heal(self, name):
        self.machines[name].run("nft", "delete table inet cut")

    def power_off(self, name):
        """At once and without a last word: not even the kernel can say goodbye to the other side."""
        self.cut(name)
        self.machines.pop(name).power_off()
        self.daemons[name].wait()

    def reset_connections(self, name):
        self.machines[name].run("ss", "-K", "dst", self.addresses[SCHEDULER])


def words_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def program(pid):
    return os.path.basename((words_of(pid).split() or [""])[0])


def parent_of(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


def environment_of(pid):
    try:
        entries = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def resident_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def also_at_real_values(test):
    """Beside a test of `Faults`, whose time-outs are a tenth, there is a slow one of the same text with the default ones."""
    test.has_twin = True
    return test


def twin_of(test):
    @functools.wraps(test)
    def twin(self):
        self.timeouts = REAL
        test(self)

    twin.has_twin = False
    return slow(twin)


class Faults(unittest.TestCase):
    """A test that breaks something for real and says how long the answer took."""

    timeouts = TENTH

    def __init_subclass__(cls, **arguments):
        super().__init_subclass__(**arguments)
        for name, test in list(vars(cls).items()):
            if getattr(test, "has_twin", False):
                setattr(cls, f"{name}_at_real_values", twin_of(test))

    def fleet(self, **options):
        fleet = Fleet(**{"timeouts": self.timeouts, **options})
        fleet.up()

        def close():
            failed = has_failed(self)
            if failed:
                fleet.print_logs()
            fleet.close(check=not failed)

        self.addCleanup(close)
        return fleet

    def scaled(self, seconds):
        """What is so many seconds at default time-outs."""
        return seconds if self.timeouts is REAL else seconds / 10

    def limit(self, name):
        """A time-out of the fleet, in seconds."""
        return self.scaled(DEFAULT_S[name])

    def measured(self, fault, what, seconds, at_most=None):
        """For whoever reads the test's output. `at_most`: where the machine's load can't be the reason."""
        real = " (real values)" if self.timeouts is REAL else ""
        print(f"{fault}{real}: {what}: {seconds:.3f} s" + (f" (at most {at_most:g})" if at_most else ""), file=sys.stderr)
        if at_most:
            self.assertLessEqual(seconds, at_most, f"{fault}: {what}")

    def await_running(self, fleet, job):
        until(lambda: fleet.state(job) == "running", f"job {job} runs")

    def await_ranks(self, fleet, job, count=1):
        """Their pids, by rank."""
        return until(lambda: (found := fleet.ranks(job)) and len(found) == count and found, f"{count} ranks of job {job}")

    def failure(self, fleet, job, attempt=-1):
        return fleet.show(job)["details"]["attempts"][attempt].get("failure") or {}
