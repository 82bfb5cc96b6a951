#!/usr/bin/python3
"""The shell around the verbs, for real: Tab in bash, zsh and fish; manual pages through man and mandoc; job files; events; doctor."""

import json
import os
import re
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import BIN, ULTRA, Home, until  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from screen import Screen  # noqa: E402


def output(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=120, **options).stdout


def options_by_verb():
    """What --help says: verb -> its options. The truth that completion and manual have to tell as well."""
    verbs, found = [], {}
    listed = re.findall(r"(?m)^  ([a-z]+) {2,}", output(ULTRA, "--help").split("Verbs:")[1])
    for verb in listed:
        text = output(ULTRA, verb, "--help")
        verbs += [f"{verb} {sub}" for sub in re.findall(r"(?m)^  ([a-z]+) {2,}", text.split("Verbs:")[1])] if "Verbs:" in text else [verb]
    for verb in verbs:
        text = output(ULTRA, *verb.split(), "--help")
        found[verb] = set(re.findall(r"(?m)^  (?:-\w,)?(--[a-z-]+)", text)) - {"--help"}
    return found


class OnOneCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        cls.home.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0")
        cls.job = cls.home.submit("--gpus", "16", "--name", "holds", "--", "sleep", "100000")
        cls.home.until_state(cls.job, "running")
        cls.options = options_by_verb()

    def environment(self, **more):
        return self.home.environment(**{"PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "xterm-256color", "LANG": "C.UTF-8", **more})

    # Tab

    def bash(self, *words):
        """What bash's completion offers for the last word."""
        line = "source <(ultra completion bash); COMP_WORDS=(ultra \"$@\"); COMP_CWORD=$#; _ultra; printf '%s\\n' \"${COMPREPLY[@]}\""
        return set(output("bash", "--norc", "-c", line, "bash", *words, env=self.environment(), cwd=self.home.work).split())

    def test_bash_offers_every_option_of_every_verb(self):
        self.assertGreater(len(self.options), 15)
        for verb, options in self.options.items():
            with self.subTest(verb):
                self.assertEqual(options - self.bash(*verb.split(), "--"), set())

    def test_bash_offers_verbs_jobs_nodes_values_and_files(self):
        self.assertEqual(self.bash("sub"), {"submit"})
        self.assertEqual(self.bash("cluster", ""), {"up", "down", "status"})
        self.assertIn(str(self.job), self.bash("cancel", ""))
        self.assertEqual(self.bash("nodes", ""), {"node01", "node02"})
        self.assertEqual(self.bash("queue", "--state", "=", "ru"), {"running"})
        with open(os.path.join(self.home.work, "train.sh"), "w", encoding="ascii"):
            pass
        self.assertIn("train.sh", self.bash("submit", "tr"))

    def test_bash_on_a_terminal(self):
        screen = Screen(["bash", "--norc", "-i"], self.environment(PS1="$ "), cwd=self.home.work)
        self.addCleanup(screen.close)
        screen.shows("$").type("source <(ultra completion bash)\r").type("ultra nod\t").shows("ultra nodes").type("node01\r").shows("H100")
        screen.type("ultra queue --sta\trunning\r").shows("ultra queue --state running", "holds")

    def test_zsh_on_a_terminal(self):
        screen = Screen(["zsh", "-f", "-i"], self.environment(PS1="$ "), cwd=self.home.work, columns=140)
        self.addCleanup(screen.close)
        screen.shows("$").type("autoload -U compinit; compinit -u -D; source <(ultra completion zsh)\r").type("ultra nod\t").shows("ultra nodes")
        screen.type("node\t").shows("ultra nodes node0").type("\t").shows("node01", "node02").type("\x15ultra queue --state=runn\t").shows("ultra queue --state=running").type("\r").shows("holds")

    def test_fish(self):
        def offered(line):
            return output("fish", "--no-config", "-c", f"ultra completion fish | source; complete -C '{line}'", env=self.environment(HOME=self.home.work), cwd=self.home.work)

        self.assertIn("nodes\tshow the nodes", offered("ultra nod"))
        self.assertEqual(offered("ultra nodes node0").split("\n")[0], "node01\tup")
        self.assertIn("--gpus-per-node\t", offered("ultra submit --gpus-"))
        self.assertIn(f"{self.job}\tholds, running", offered("ultra show "))

    def test_tab_says_nothing_without_a_scheduler(self):
        ran = self.home.ultra("completion", "words", "show", "", environment={"ULTRA_SOCKET": "/nowhere/x.sock"})
        self.assertEqual((ran.code, ran.out, ran.err), (0, "", ""))

    # Manual pages

    def test_manual_pages_are_clean_and_whole(self):
        for language in ("en_US.UTF-8", "ko_KR.UTF-8"):
            folder = os.path.join(self.home.work, "man-" + language)
            pages = json.loads(self.home.ultra("man", folder, "--json", environment={"LANG": language}).out)
            names = {os.path.basename(page) for page in pages}
            self.assertLessEqual({"ultra.1", "ultra-scheduler.8", "ultra-agent.8"}, names)
            for page in pages:
                with self.subTest(page):
                    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False)
                    self.assertEqual(lint.stdout + lint.stderr, "")
                    shown = subprocess.run(["man", "-l", "--warnings", page], capture_output=True, text=True, check=False, env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""})
                    self.assertEqual((shown.returncode, shown.stderr), (0, ""))
            for verb, options in self.options.items():
                with open(os.path.join(folder, "man1", f"ultra-{verb.replace(' ', '-')}.1"), encoding="utf-8") as file:
                    text = file.read().replace("\\-", "-")
                for option in options:
                    self.assertIn(f"\\fB{option}\\fR", text, verb)
                if language.startswith("ko"):
                    self.assertRegex(text, "\\.SH 옵션|\\.SH 모든 명령")
        for daemon in ("ultra-scheduler", "ultra-agent"):
            help_text = output(os.path.join(BIN, daemon), "--help")
            with open(os.path.join(folder, "man8", daemon + ".8"), encoding="utf-8") as file:
                text = file.read().replace("\\-", "-")
            for option in set(re.findall(r"(?m)^\s+(?:-\w,)?(--[a-z-]+)", help_text)):
                self.assertIn(option, text, daemon)

    # Job files

    def job_file(self, text, name="job.toml"):
        path = os.path.join(self.home.work, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_a_job_file_is_checked_by_the_cluster_and_not_submitted(self):
        before = [job["details"]["job"] for job in self.home.json("queue", "--all")["jobs"]]
        path = self.job_file('name = "later"\ngpus = 8\ntime = "30m"\ncommand = ["true"]\n')
        ran = self.home.ultra("validate", path)
        self.assertEqual(ran.code, 0, ran)
        self.assertIn("job.toml is right: later, 8 GPUs, 30m limit.\n", ran.out)
        self.assertRegex(ran.out, r"It would start in .* on node01: Waits for 8 GPUs; none is free")
        answer = json.loads(self.home.ultra("validate", path, "--json").out)
        self.assertEqual(answer["spec"]["resources"]["gpus"], 8)
        self.assertEqual(answer["cluster"]["spec"]["account"], "default")
        self.assertEqual(answer["cluster"]["planned"]["reason"]["code"], "resources")
        self.assertEqual([job["details"]["job"] for job in self.home.json("queue", "--all")["jobs"]], before)
        # The promise is the one that the submitted job gets.
        job = int(self.home.ultra("submit", "--quiet", "--file", path).out)
        view = self.home.job(job)
        self.assertEqual(view["details"]["spec"]["name"], "later")
        self.assertEqual(view["details"]["spec"]["time_limit_ms"], 1_800_000)
        self.assertLess(abs(view["planned"]["start_ms"] - answer["cluster"]["planned"]["start_ms"]), 60_000)
        self.home.ultra("cancel", str(job))

    def test_an_array_in_a_job_file(self):
        path = self.job_file('gpus = 1\narray = "0-2%1"\ncommand = ["true"]\n', "array.toml")
        answer = json.loads(self.home.ultra("validate", path, "--json").out)
        self.assertEqual((answer["array_indices"], answer["array_limit"], answer["cluster"]["count"]), ([0, 1, 2], 1, 3))
        ran = self.home.ultra("submit", "--file", path)
        self.assertIn("Submitted array", ran.out)
        self.home.ultra("cancel", re.search(r"array (\d+)", ran.out).group(1))

    def test_mistakes_in_job_files(self):
        for text, code, part in [('gpus = 8\n\nnmae = "x"\ncommand = ["x"]\n', 2, "job.toml:3:1: nmae: unknown word; did you mean name?"),
                                 ('gpus = 65\ncommand = ["x"]\n', 2, "job.toml:1:8: gpus: 65 GPUs asked, partition main has 16; ask for at most 16"),
                                 ('gpus = 1\npartition = "mian"\ncommand = ["x"]\n', 2, "job.toml:2:13: partition: no partition \"mian\"; did you mean main?"),
                                 ('gpus = 1\ncommand = [\n', 2, "job.toml:"), ("gpus = 1\n", 2, "nothing to run")]:
            with self.subTest(part):
                ran = self.home.ultra("validate", self.job_file(text))
                self.assertEqual((ran.code, ran.out, ran.err.count("\n")), (code, "", 1), ran)
                self.assertIn(part, ran.err)
        away = {"ULTRA_SOCKET": "/nowhere/x.sock"}
        path = self.job_file('gpus = 1\ncommand = ["x"]\n')
        self.assertEqual(self.home.ultra("validate", path, environment=away).code, 5)
        self.assertEqual(self.home.ultra("validate", "--offline", path, environment=away).code, 0)
        script = self.job_file("#!/bin/sh\n#SBATCH --ntasks=2\n#SBATCH --frobnicate\n", "job.sh")
        self.assertIn("job.sh:3: --frobnicate", self.home.ultra("validate", script).err)

    # Events and nodes

    def test_events_tell_a_jobs_life(self):
        job = self.home.submit("--gpus", "1", "--name", "brief", "--", "true")
        self.home.ultra("cancel", str(job))
        ran = self.home.ultra("events", str(job))
        self.assertEqual(ran.code, 0, ran)
        lines = [line.split("\t") for line in ran.out.splitlines()]
        self.assertEqual(lines[0], ["TIME", "BY", "WHAT"])
        self.assertRegex(lines[1][2], "submitted it: 1 GPU")
        self.assertRegex(lines[-1][2], "cancelled it")
        events = self.home.json("events", str(job))["events"]
        self.assertEqual([event["type"] for event in events], ["job_submitted", "job_cancelled"])
        self.assertEqual([event["sequence"] for event in events], sorted(event["sequence"] for event in events))
        self.assertEqual(self.home.ultra("events", "4711").code, 3)

    def test_nodes_by_name(self):
        self.assertEqual(len(self.home.ultra("nodes", "node02").out.splitlines()), 2)
        self.assertEqual(len(self.home.json("nodes", "node[01-02]")["nodes"]), 2)
        ran = self.home.ultra("nodes", "nod01")
        self.assertEqual((ran.code, ran.err), (3, "error: NODE: there is no node nod01; did you mean node01?\n"))

    # Doctor

    def test_doctor_finds_a_healthy_cluster_healthy(self):
        ran = self.home.ultra("doctor", "--json")
        report = json.loads(ran.out)
        results = {check["check"]: check for check in report["checks"]}
        for name in ("scheduler", "clock", "version", "http-port", "agents-port", "nodes", "shared-folder", "driver", "permissions", "locks", "programs", "python3"):
            self.assertEqual(results[name]["result"], "ok", results[name])
        for check in report["checks"]:
            self.assertEqual(check["remedy"] == "", check["result"] == "ok", check)
        failed = [check["check"] for check in report["checks"] if check["result"] == "failed"]
        self.assertEqual(report["failed"], len(failed))
        self.assertEqual(ran.code, 1 if failed else 0)
        self.assertLessEqual(set(failed), {"state-disk", "temporary-disk", "shared-memory"})  # these depend on the machine


class Ailing(unittest.TestCase):
    def test_doctor_names_what_is_wrong_and_ends_with_1(self):
        home = Home()
        self.addCleanup(home.close)
        self.assertEqual(home.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0").code, 0)
        agent = home.json("cluster", "status")["agents"][0]
        os.kill(agent["pid"], 9)
        until(lambda: home.json("nodes")["nodes"][0]["node"]["state"] != "up", "the scheduler misses the agent")
        os.chmod(os.path.join(home.path, "secret"), 0o644)
        ran = home.ultra("doctor")
        self.assertEqual(ran.code, 1, ran)
        self.assertRegex(ran.out, r"warning\tnodes\tnode01 are not up; look with 'ultra nodes'")
        self.assertRegex(ran.out, r"failed\tpermissions\tothers may read .*secret \(mode 0644\); chmod 600 ")
        os.chmod(os.path.join(home.path, "secret"), 0o600)
        self.assertEqual(home.ultra("cluster", "down", "--requeue").code, 0)
        ran = home.ultra("doctor")
        self.assertEqual(ran.code, 1, ran)
        self.assertRegex(ran.out, r"failed\tscheduler\tno scheduler answers at .*; start one with 'ultra cluster up'")


if __name__ == "__main__":
    unittest.main(verbosity=2)
