#!/usr/bin/env python3
"""A real Prometheus scrapes a real run: promtool finds nothing to complain about, every expression of the dashboard has data."""
import json
import pathlib
import re
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[3]
DASHBOARDS = sorted((ROOT / "configs/monitoring/grafana/dashboards").glob("*.json"))


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=2)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)  # also when the rest of the set-up fails
        cls.http = cls.cluster.http()
        # The shipped configuration, with this run's port and a short interval.
        text = (ROOT / "configs/monitoring/prometheus.yml").read_text()
        cls.config = cls.cluster.folder / "prometheus.yml"
        cls.config.write_text(re.sub(r"127\.0\.0\.1:8642", cls.http, text).replace("15s", "1s"))
        cls.port = free_port()
        cls.log = open(cls.cluster.folder / "prometheus.log", "w")
        cls.server = subprocess.Popen(["prometheus", f"--config.file={cls.config}", f"--storage.tsdb.path={cls.cluster.folder}/tsdb",
                                       f"--web.listen-address=127.0.0.1:{cls.port}"], stdout=cls.log, stderr=cls.log)
        cls.addClassCleanup(cls.stop_prometheus)
        # Rates and quantiles need something to happen between two scrapes.
        until(lambda: cls.query(cls, "count(ultramarine_job_wait_seconds_bucket)"), "Prometheus has scraped")
        data = cls.cluster.folder / "text"
        data.write_bytes(b"In the beginning was the word. " * 4000)
        cls.first = cls.cluster.submit("--gpus", 1, "--", "true")
        cls.cluster.wait(cls.first)
        cls.training = cls.cluster.submit("--nodes", 2, "--gpus-per-node", 8, "--time", "10m", "--name", "training", "--", "ultra-train", "--data", str(data),
                                          "--steps", "100000", "--layers", 1, "--width", 16, "--heads", 2, "--context", 16, "--global-batch", 16)
        cls.waiting = cls.cluster.submit("--gpus", 16, "--name", "waiting", "--", "true")
        until(lambda: cls.cluster.show(cls.training).get("progress"), "the training job reports progress")

    @classmethod
    def stop_prometheus(cls):
        cls.server.terminate()
        cls.server.wait()
        cls.log.close()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.ultra("cancel", cls.waiting, cls.training)
        cls.cluster.wait(cls.training)

    def query(self, expression):
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(expression)}"
        try:
            return json.loads(get(url))["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it is still starting
                return None
            raise AssertionError(f"{expression}: {error.read().decode()}")
        except (urllib.error.URLError, ConnectionError):
            return None

    def test_the_shipped_configuration_is_valid(self):
        done = subprocess.run(["promtool", "check", "config", str(ROOT / "configs/monitoring/prometheus.yml")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_finds_nothing(self):
        text = get(f"http://{self.http}/metrics")
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        self.assertLess(len(text), 1 << 20)

    def test_gpus_add_up(self):
        gpus = until(lambda: self.query("sum(ultramarine_gpus)"), "Prometheus has scraped")
        self.assertEqual(float(gpus[0]["value"][1]), 16)

    def test_what_a_running_job_does_is_measured(self):
        for expression in ('ultramarine_active_gpu_seconds_total{source="virtual"} > 0', 'ultramarine_job_active_ratio{source="virtual"} > 0',
                           "ultramarine_train_step_seconds_count > 0", "ultramarine_event_loop_lag_seconds_count > 0",
                           'ultramarine_lost_gpu_seconds_total{cause="startup"} > 0', "ultramarine_productive_gpu_seconds_total > 0"):
            until(lambda expression=expression: self.query(expression), expression)
        self.assertEqual(self.query("ultramarine_train_mfu_ratio"), [], "the cluster file says no peak")

    def test_every_expression_of_the_dashboard_has_data(self):
        self.assertTrue(DASHBOARDS)
        for file in DASHBOARDS:
            dashboard = json.loads(file.read_text())
            ids = [panel["id"] for panel in dashboard["panels"]]
            self.assertEqual(len(ids), len(set(ids)))
            for panel in dashboard["panels"]:
                self.assertTrue(panel["description"], panel["title"])
                for target in panel["targets"]:
                    def has_data(expression=target["expr"]):
                        return [v for v in self.query(expression) or [] if v["value"][1] != "NaN"]
                    with self.subTest(dashboard=file.name, panel=panel["title"], expression=target["expr"]):
                        until(has_data, target["expr"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
