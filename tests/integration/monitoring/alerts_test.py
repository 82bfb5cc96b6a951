#!/usr/bin/env python3
"""Alerts on their way: a real fault, a real Prometheus with the shipped rules (`for:` cut to 5 s), a real Alertmanager, and somebody who is told.

SchedulerDown, NodeDown and GpuRowRemapPending fire and resolve; what follows from NodeDown is silenced.
"""
import signal
import unittest

from stack import Receiver, Stack, until

HOT = 'ultramarine_gpu_temperature_celsius{node="node03",gpu="7"} 99\n'  # nodes with virtual GPUs have no temperature


class Alerts(unittest.TestCase):
    went_well = False

    def tearDown(self):
        type(self).went_well = self._outcome.result.wasSuccessful()

    @classmethod
    def setUpClass(cls):
        cls.stack, cls.people = stack, people = Stack(), Receiver()
        cls.addClassCleanup(people.close)
        cls.addClassCleanup(lambda: stack.close(show_logs=not cls.went_well))
        people.metrics = HOT
        stack.gpus_say(temp=40)
        stack.start_cluster()
        stack.copy_configuration(hold="5s", alertmanager=True, scrape_also=[f"127.0.0.1:{people.port}"])
        stack.start_alertmanager(people.port)
        stack.start_prometheus()
        until(lambda: len(stack.query('up{job=~"ultramarine-.+"} == 1') or []) == 4, "Prometheus has found scheduler and agents")

    def test_scheduler_down(self):
        self.stack.kill("scheduler", signal.SIGTERM)
        told = self.people.wait("/operators", "firing", "SchedulerDown")
        self.assertEqual(told["severity"], "critical")
        self.stack.start_scheduler()
        self.people.wait("/operators", "resolved", "SchedulerDown")
        until(lambda: list(self.stack.node_states().values()) == ["up"] * 3, "the nodes are back")

    def test_node_down_silences_what_follows_from_it(self):
        self.stack.kill("node03")
        self.people.wait("/operators", "firing", "NodeDown", node="node03")

        def silenced():
            alerts = self.stack.page("/api/v2/alerts", of="alertmanager")
            return {one["labels"]["alertname"] for one in alerts if one["labels"].get("node") == "node03" and one["status"]["inhibitedBy"]}

        until(lambda: silenced() >= {"AgentMetricsDown", "GpuHot"}, "alerts of the node's agent and GPUs are inhibited")
        self.stack.start_agent("node03")
        self.people.wait("/operators", "resolved", "NodeDown", node="node03")
        until(lambda: self.stack.node_states().get("node03") == "up", "the node is back")

    def test_gpu_row_remap_pending(self):
        self.stack.gpus_say("0.pending 1", temp=40)
        told = self.people.wait("/operators", "firing", "GpuRowRemapPending", node="node01", gpu="0")
        self.assertEqual(told["audience"], "operator")
        self.stack.gpus_say(temp=40)
        self.people.wait("/operators", "resolved", "GpuRowRemapPending", node="node01", gpu="0")


if __name__ == "__main__":
    unittest.main(verbosity=2)
