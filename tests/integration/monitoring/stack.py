"""Real daemons of ours beside Debian's Prometheus and Alertmanager, for the tests of configs/monitoring. Standard library only.

Three nodes: node01 has "real" GPUs (NVIDIA's library made of a text file, tests/support/gpu/fake_nvml.cpp), node02 and node03 virtual ones. The shipped
configuration is used as it is, but for ports and the lengths of time that a test can't wait for.
"""
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import BINARIES, PATIENCE_S, Result, free_port, processes_that_mention, until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[3]
MONITORING = ROOT / "configs/monitoring"
LIBRARY = pathlib.Path(os.environ.get("FAKE_NVML", BINARIES.parent / "tests/fake_nvml/libnvidia-ml.so.1"))
CLUSTER = """
name = "monitored"
[[node]]
name = "node01"
gpus = 2
gpu_type = "H100"
address = "127.0.0.1"
[[node]]
name = "node[02-03]"
gpus = 2
gpu_type = "H100"
virtual = true
address = "127.0.0.1"
[[account]]
name = "nlp"
members = ["*"]
limits = { gpu_hours_per_month = 10000 }
[[account]]
name = "vision"
members = ["*"]
[timeouts]
heartbeat = "200ms"
suspect = "1s"
unreachable = "2s"
agents_return = "1s"
[metrics]
peak_tflops = { H100 = 989 }
[money]
currency = "EUR"
price_per_gpu_hour = 2.35
[scheduler]
http = "127.0.0.1:%(http)s"
agents = "127.0.0.1:%(agents)s"
[agent]
root_jobs = true
metrics = "127.0.0.1:0"
nvml_library = "%(library)s"
kernel_log = ""
"""


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


class Stack:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="um-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.running = {}  # name -> Popen: all that close() has to end
        self.http_port, self.agents_port, self.prometheus_port, self.alertmanager_port = (free_port() for _ in range(4))

    def close(self, show_logs):
        for process in reversed(list(self.running.values())):
            process.terminate()
        for process in self.running.values():
            process.wait()
        if show_logs:
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)
        for pid in processes_that_mention(str(self.folder)):  # shims and ranks of the jobs of this run
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        until(lambda: not processes_that_mention(str(self.folder)), "nothing is left")
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, name, *command):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  env={**os.environ, "ULTRAMARINE_FAKE_NVML": str(self.folder / "nvml")})

    def kill(self, name, how=signal.SIGKILL):
        self.running[name].send_signal(how)
        self.running.pop(name).wait()

    # ---- ours

    def gpus_say(self, *lines, **said):
        """What the library says from now on of both GPUs, beside their names: temp, power, used ...; `lines` of one of them."""
        values = {"devices": 2, "driver": "570.1", "0.uuid": "GPU-a", "1.uuid": "GPU-b"}
        values.update({f"{gpu}.{key}": value for gpu in (0, 1) for key, value in said.items()})
        (self.folder / "next").write_text("".join(f"{key} {value}\n" for key, value in values.items()) + "".join(line + "\n" for line in lines))
        (self.folder / "next").rename(self.folder / "nvml")

    def start_cluster(self):
        assert LIBRARY.exists(), f"{LIBRARY} is not built (target nvml_fake)"
        (self.folder / "secret").write_text("0123456789abcdef" * 4 + "\n")
        (self.folder / "secret").chmod(0o600)
        (self.folder / "cluster.toml").write_text(CLUSTER % {"http": self.http_port, "agents": self.agents_port, "library": LIBRARY})
        self.start_scheduler()
        for node in ("node01", "node02", "node03"):
            self.start_agent(node)
        until(lambda: list(self.node_states().values()) == ["up"] * 3, "all nodes are up")

    def start_scheduler(self):
        self.run("scheduler", BINARIES / "ultra-scheduler", "--config", self.folder / "cluster.toml")

    def start_agent(self, node):
        self.run(node, BINARIES / "ultra-agent", "--config", self.folder / "cluster.toml", "--node", node)

    def ultra(self, *words):
        environment = {"PATH": f"{BINARIES}:/usr/bin:/bin", "HOME": str(self.folder), "ULTRA_SOCKET": str(self.folder / "scheduler.sock"), "LANG": "C.UTF-8",
                       "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        done = subprocess.run([str(BINARIES / "ultra"), *map(str, words)], env=environment, cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=240)
        return Result(done.returncode, done.stdout, done.stderr)

    def node_states(self):
        listed = self.ultra("nodes", "--json")
        return {one["node"]["config"]["name"]: one["node"]["state"] for one in listed.json()["nodes"]} if listed.code == 0 else {}

    def submit(self, *words):
        done = self.ultra("submit", "--json", "--max-restarts", 0, *words)
        assert done.code == 0, done
        return done.json()["job"]

    def job(self, job):
        return self.ultra("show", job, "--json").json()

    # ---- Debian's

    def copy_configuration(self, hold, alertmanager=False, scrape_also=()):
        """The shipped files with this run's ports. Everything that waits is quick; `hold` is what each `for:` becomes."""
        (self.folder / "rules").mkdir()
        for file in (MONITORING / "rules").glob("*.yml"):
            text = re.sub(r"^( +for: )\w+$", rf"\g<1>{hold}", file.read_text(), flags=re.MULTILINE)
            (self.folder / "rules" / file.name).write_text(re.sub(r"^( +interval: )\w+$", r"\g<1>1s", text, flags=re.MULTILINE))
        text = (MONITORING / "prometheus.yml").read_text().replace("127.0.0.1:8642", f"127.0.0.1:{self.http_port}")
        text = re.sub(r"(_interval: )\w+", r"\g<1>1s", text.replace("127.0.0.1:9093", f"127.0.0.1:{self.alertmanager_port}"))
        if not alertmanager:
            text = re.sub(r"^alerting:\n(  .*\n)+", "", text, flags=re.MULTILINE)
        for number, target in enumerate(scrape_also):
            text += f"  - job_name: also-{number}\n    static_configs: [{{targets: ['{target}']}}]\n"
        (self.folder / "prometheus.yml").write_text(text)

    def start_prometheus(self):
        self.run("prometheus", "prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/tsdb",
                 f"--web.listen-address=127.0.0.1:{self.prometheus_port}")

    def start_alertmanager(self, webhook_port):
        text = (MONITORING / "alertmanager.yml").read_text().replace("127.0.0.1:9095", f"127.0.0.1:{webhook_port}")
        (self.folder / "alertmanager.yml").write_text(re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", text))
        self.run("alertmanager", "prometheus-alertmanager", f"--config.file={self.folder}/alertmanager.yml", f"--storage.path={self.folder}/alertmanager",
                 f"--web.listen-address=127.0.0.1:{self.alertmanager_port}", "--cluster.listen-address=")

    def query(self, expression):
        """Samples that are numbers; None while Prometheus doesn't answer yet."""
        try:
            answer = json.loads(get(f"http://127.0.0.1:{self.prometheus_port}/api/v1/query?query={urllib.parse.quote(expression)}"))
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise AssertionError(f"{expression}: {error.read().decode()}")
        except (urllib.error.URLError, ConnectionError):
            return None
        return [one for one in answer["data"]["result"] if one["value"][1] != "NaN"]

    def page(self, path, of="prometheus"):
        port = self.prometheus_port if of == "prometheus" else self.alertmanager_port
        return json.loads(get(f"http://127.0.0.1:{port}{path}"))


class Receiver:
    """What Alertmanager tells whom: a webhook that remembers, and a page of metrics whose text the test writes."""

    def __init__(self):
        self.told, self.metrics, self.changed = [], "", threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with receiver.changed:
                    receiver.told += [(self.path, one["status"], one["labels"]) for one in body["alerts"]]
                    receiver.changed.notify_all()
                self.send_response(200)
                self.end_headers()

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(receiver.metrics.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def wait(self, path, status, name, **labels):
        """Returns the labels that were told; what was told before counts, too, and only once."""
        deadline = time.monotonic() + PATIENCE_S
        with self.changed:
            while True:
                for one in self.told:
                    if one[:2] == (path, status) and one[2]["alertname"] == name and all(one[2].get(key) == value for key, value in labels.items()):
                        self.told.remove(one)
                        return one[2]
                if not self.changed.wait(deadline - time.monotonic() if deadline > time.monotonic() else 0):
                    raise AssertionError(f"{path} was never told that {name} {labels} is {status}; it was told {self.told}")
