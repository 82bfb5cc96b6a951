#!/usr/bin/env python3
"""The shipped rules: Debian's tools find nothing, every rule has unit tests, every alert says whom it concerns and what to do."""
import pathlib
import re
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
MONITORING = ROOT / "configs/monitoring"
RULES = sorted((MONITORING / "rules").glob("*.yml"))
UNIT_TESTS = sorted((ROOT / "tests/integration/monitoring/rules").glob("*.yml"))


def rules(kind):
    return [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"] if kind in rule]


def cases():
    return [case for file in UNIT_TESTS for case in yaml.safe_load(file.read_text())["tests"]]


class Rules(unittest.TestCase):
    def checked(self, *command):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_promtool_and_amtool_find_nothing(self):
        self.checked("promtool", "check", "rules", *RULES)
        self.checked("promtool", "check", "config", MONITORING / "prometheus.yml")
        self.checked("amtool", "check-config", MONITORING / "alertmanager.yml")

    def test_the_unit_tests_pass(self):
        self.checked("promtool", "test", "rules", *UNIT_TESTS)

    def test_every_alert_has_a_case_that_fires_and_one_that_does_not(self):
        asked = [one for case in cases() for one in case.get("alert_rule_test", [])]
        for alert in rules("alert"):
            of_this = [one["exp_alerts"] for one in asked if one["alertname"] == alert["alert"]]
            self.assertTrue(any(of_this), f"{alert['alert']} fires in no unit test")
            self.assertTrue(any(not fired for fired in of_this), f"{alert['alert']} is silent in no unit test")
        self.assertEqual({one["alertname"] for one in asked} - {alert["alert"] for alert in rules("alert")}, set(), "tests of alerts that are not there")

    def test_every_recording_rule_has_a_case(self):
        asked = {one["expr"] for case in cases() for one in case.get("promql_expr_test", []) if one["exp_samples"]}
        for rule in rules("record"):
            self.assertIn(rule["record"], asked)

    def test_names_are_used_once(self):
        names = [rule.get("alert") or rule["record"] for rule in rules("expr")]
        self.assertEqual(len(names), len(set(names)))

    def test_every_alert_says_whom_it_concerns_and_what_to_do(self):
        sections = set(re.findall(r"^### (\w+)$", (MONITORING / "README.md").read_text(), re.MULTILINE))
        for alert in rules("alert"):
            with self.subTest(alert["alert"]):
                self.assertIn(alert["labels"]["audience"], {"owner", "operator", "manager"})
                self.assertIn(alert["labels"]["severity"], {"critical", "warning", "info"})
                self.assertTrue(alert["annotations"]["summary"])
                self.assertTrue(alert["annotations"]["description"].endswith("."), "sentences that name the remedy")
                self.assertEqual(alert["annotations"]["runbook"], f"configs/monitoring/README.md#{alert['alert'].lower()}")
                self.assertIn(alert["alert"], sections, "its section of the README")
        self.assertEqual(sections, {alert["alert"] for alert in rules("alert")})

    def test_fatal_xids_are_those_that_the_agent_acts_on(self):
        table = (ROOT / "worker/devices/xid_table.cpp").read_text()
        fatal = re.findall(r'^ +\{(\d+), "[^"]*", (?:fail_job|drain_node), ', table, re.MULTILINE)
        [alert] = [one for one in rules("alert") if one["alert"] == "GpuXidFatal"]
        self.assertEqual(re.search(r'xid=~"([^"]*)"', alert["expr"])[1].split("|"), fatal)

    def test_the_readme_counts_the_alerts(self):
        said = re.search(r"(\d+) alerts: each says", (MONITORING / "README.md").read_text())
        self.assertEqual(int(said[1]), len(rules("alert")))

    def test_alerts_go_to_their_audience_and_a_dead_node_silences_its_gpus(self):
        file = MONITORING / "alertmanager.yml"
        for audience in ("owner", "operator", "manager"):
            told = self.checked("amtool", "config", "routes", "test", f"--config.file={file}", f"audience={audience}", "severity=warning")
            self.assertEqual(told.strip(), audience + "s")
        silenced = yaml.safe_load(file.read_text())["inhibit_rules"][0]
        self.assertEqual(silenced["source_matchers"], ['alertname="NodeDown"'])
        self.assertEqual(silenced["equal"], ["node"])
        matched = re.compile(re.search(r'"(.*)"', silenced["target_matchers"][0])[1])
        for alert in rules("alert"):
            if re.match(r"ultramarine_gpu_|(increase|rate)\(ultramarine_gpu_", alert["expr"]):
                self.assertTrue(matched.fullmatch(alert["alert"]), f"{alert['alert']} of a dead node's GPU")


if __name__ == "__main__":
    unittest.main(verbosity=2)
