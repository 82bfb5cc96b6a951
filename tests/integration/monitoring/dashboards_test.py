#!/usr/bin/env python3
"""Every expression of dashboards, rules and alerts against a real Prometheus that scraped a real run: jobs that run, wait and fail, a killed agent.

None is empty, or configs/monitoring/not_yet.toml says which metric it waits for; and a line there that is no longer true fails, too. Of an alert each
selector counts: that nothing is wrong is no reason to be empty.
"""
import json
import re
import subprocess
import sys
import tomllib
import unittest

import yaml

from stack import MONITORING, Stack, get, until

DASHBOARDS = sorted((MONITORING / "grafana/dashboards").glob("*.json"))
SELECTOR = re.compile(r'(?:\w+:)?ultramarine_[\w:]+(?:\{[^}]*\})?|\bup\{[^}]*\}')


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def with_values(expression):
    """As Grafana would send it, with all of everything chosen and five minutes shown."""
    for name, value in (("$__range_s", "300"), ("$__range", "5m"), ("$__rate_interval", "1m"), ("$__interval", "15s")):
        expression = expression.replace(name, value)
    return re.sub(r"\$(account|partition|node|job_id)\b", ".+", expression)


def expressions():
    """Place -> expression, of all that is shipped."""
    found = {}
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text())
        for panel in panels(dashboard):
            for target in panel.get("targets", []):
                found[f"{file.name}: {panel['title']}: {target['refId']}"] = with_values(target["expr"])
        for one in dashboard["annotations"]["list"]:
            found[f"{file.name}: annotation {one['name']}"] = with_values(one["expr"])
        for one in dashboard["templating"]["list"]:
            if one["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", one["query"]["query"]).groups()
                found[f"{file.name}: variable {one['name']}"] = f'count by ({label}) ({metric}{{{label}!=""}})'
    for file in sorted((MONITORING / "rules").glob("*.yml")):
        for rule in (rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]):
            if "record" in rule:
                found[f"rule {rule['record']}"] = rule["expr"]
            else:
                for selector in SELECTOR.findall(rule["expr"]):
                    found[f"alert {rule['alert']}: {selector}"] = selector
    return found


class Files(unittest.TestCase):
    """What can be said of the files alone."""

    def test_there_are_five_and_grafana_finds_them(self):
        self.assertEqual(len(DASHBOARDS), 5)
        provider = yaml.safe_load((MONITORING / "grafana/provisioning/dashboards/ultramarine.yaml").read_text())["providers"][0]
        self.assertEqual(provider["type"], "file")
        source = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
        uids = [json.loads(file.read_text())["uid"] for file in DASHBOARDS]
        self.assertEqual(len(set(uids)), 5)
        for file in DASHBOARDS:
            variable = json.loads(file.read_text())["templating"]["list"][0]
            self.assertEqual((variable["name"], variable["current"]["value"]), ("datasource", source["uid"]))

    def test_every_panel_says_in_words_and_units_what_it_shows(self):
        for file in DASHBOARDS:
            dashboard = json.loads(file.read_text())
            declared = {one["name"] for one in dashboard["templating"]["list"]}
            ids = [panel["id"] for panel in panels(dashboard)]
            self.assertEqual(len(ids), len(set(ids)), file.name)
            titles = [panel["title"] for panel in panels(dashboard)]
            self.assertEqual(len(titles), len(set(titles)), file.name)
            for panel in panels(dashboard):
                if panel["type"] == "row":
                    continue
                with self.subTest(file=file.name, panel=panel["title"]):
                    self.assertRegex(panel["description"], r"^[A-Z0-9].{15,}\.$")
                    defaults = panel["fieldConfig"]["defaults"]
                    self.assertTrue(defaults["unit"])
                    self.assertIsNone(defaults["thresholds"]["steps"][0]["value"])
                    for target in panel["targets"]:
                        used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__range", "__range_s"}
                        self.assertLessEqual(used, declared)

    def test_panels_do_not_overlap(self):
        for file in DASHBOARDS:
            taken = {}
            for panel in panels(json.loads(file.read_text())):
                at = panel["gridPos"]
                self.assertLessEqual(at["x"] + at["w"], 24)
                for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                    self.assertNotIn(cell, taken, f"{file.name}: {panel['title']} lies on {taken.get(cell)}")
                    taken[cell] = panel["title"]


class RealRun(unittest.TestCase):
    went_well = False

    def tearDown(self):
        type(self).went_well = self._outcome.result.wasSuccessful()

    @classmethod
    def setUpClass(cls):
        cls.stack = stack = Stack()
        cls.addClassCleanup(lambda: stack.close(show_logs=not cls.went_well))
        said = {"temp": 90, "power": 300_000, "used": 1 << 29, "util": 0}
        stack.gpus_say(**said)
        stack.start_cluster()
        stack.copy_configuration(hold="1s")
        stack.start_prometheus()
        until(lambda: len(stack.query('up{job=~"ultramarine-.+"} == 1') or []) == 4, "Prometheus has found scheduler and agents")
        until(lambda: stack.query("count(ultramarine_job_wait_seconds_bucket)"), "what counts from 0 has been scraped at 0")

        text = stack.folder / "text"
        text.write_bytes(b"In the beginning was the word. " * 4000)
        for account, command in (("nlp", "true"), ("vision", "false")):
            job = stack.submit("--gpus", 1, "--account", account, "--", command)
            stack.ultra("wait", job, "--timeout", "60s")
        stack.gpus_say("1.xid 63", **said)  # a fault that nobody has to act on
        until_told = ("sh", "-c", f"until [ -e {stack.folder}/go ]; do sleep 0.05; done")
        first = stack.submit("--gpus", 2, "--account", "nlp", "--nodelist", "node03", "--", *until_told)
        promised = stack.submit("--gpus", 2, "--account", "vision", "--nodelist", "node03", "--", "true")
        until(lambda: stack.job(first)["details"]["state"] == "running" and stack.job(promised).get("planned"), "a job waits and is promised its start")
        (stack.folder / "go").touch()
        stack.ultra("wait", promised, "--timeout", "60s")
        idle = ("sleep", "1000")
        held = stack.submit("--gpus", 1, "--account", "nlp", "--nodelist", "node01", "--mpi", "none", "--name", "idle", "--", *idle)
        cls.lost = stack.submit("--gpus", 1, "--account", "vision", "--nodelist", "node03", "--name", "lost", "--", *idle)
        cls.training = stack.submit("--gpus", 2, "--account", "nlp", "--nodelist", "node02", "--time", "10m", "--name", "training", "--", "ultra-train", "--data", text,
                                    "--steps", "100000", "--layers", 1, "--width", 16, "--heads", 2, "--context", 16, "--global-batch", 16,
                                    "--checkpoint-directory", stack.folder / "checkpoints", "--checkpoint-every", 100)
        stack.submit("--gpus", 6, "--account", "vision", "--name", "waiting", "--", "true")
        until(lambda: stack.job(cls.training).get("progress"), "training reports progress")
        until(lambda: stack.job(held)["details"]["state"] == "running", "a job holds a real GPU and does nothing")
        until(lambda: stack.job(cls.lost)["details"]["state"] == "running", "the job that will lose its node runs")
        stack.kill("node03")
        until(lambda: stack.node_states().get("node03") == "unreachable", "the node of the killed agent can't be reached")

    def test_expressions_have_data_or_a_reason(self):
        listed = tomllib.loads((MONITORING / "not_yet.toml").read_text())["metric"]
        reason = {}
        for one in listed:
            for place in one["used_by"]:
                self.assertNotIn(place, reason, "listed twice")
                reason[place] = one
        everything = expressions()
        self.assertEqual(set(reason) - set(everything), set(), "not_yet.toml names what is not there")
        missing = {place: expression for place, expression in everything.items() if place not in reason}

        def all_have_data():
            for place in list(missing):
                if self.stack.query(missing[place]):
                    del missing[place]
            return not missing

        try:
            until(all_have_data, "every expression that is not listed has data")
        except AssertionError:
            self.fail("without data, and not in not_yet.toml:\n" + "\n".join(f"{place}: {expression}" for place, expression in missing.items()))
        for place, one in reason.items():
            with self.subTest(place):
                self.assertTrue(one["reason"].endswith("."), "a sentence")
                self.assertIn(one["name"], everything[place])
                self.assertEqual(self.stack.query(everything[place]), [], "it has data now: take it off not_yet.toml")
        for one in listed:
            self.assertEqual(self.stack.query(f'{{__name__=~"{one["name"]}(_bucket)?"}}'), [], "the metric is there now: take it off not_yet.toml")
        print(f"{len(everything)} expressions, {len(reason)} of them listed as empty for want of {len(listed)} metrics", file=sys.stderr)

    def test_prometheus_likes_the_rules(self):
        def evaluated():
            all_rules = [rule for group in self.stack.page("/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
            return all_rules if all(rule["health"] != "unknown" for rule in all_rules) else None

        for rule in until(evaluated, "every rule has been evaluated"):
            self.assertEqual(rule["health"], "ok", (rule["name"], rule.get("lastError")))

    def test_promtool_finds_nothing_at_any_target(self):
        groups = json.loads(get(f"http://127.0.0.1:{self.stack.http_port}/v1/prometheus/targets"))
        self.assertEqual([one["labels"].get("instance") for one in groups], [None, "node01", "node02", "node03"])
        for one in groups[:3]:
            text = get(f"http://{one['targets'][0]}/metrics")
            done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
            self.assertLess(len(text), 1 << 20)

    def test_gpus_add_up(self):
        self.assertEqual(float(self.stack.query("sum(ultramarine_gpus)")[0]["value"][1]), 6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
