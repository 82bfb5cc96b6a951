#!/usr/bin/python3
"""A cluster in Korean: no English sentence is left in queue, nodes, submit, show, cancel, events, report, policy, doctor, help and errors, JSON is the same to the
byte, exit codes are the same. Needs no Korean locale on the machine."""

import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import Home  # noqa: E402

KOREAN = {"LANG": "ko_KR.UTF-8", "LC_ALL": "", "LC_MESSAGES": "", "LANGUAGE": ""}
# Names, not sentences: of jobs, nodes, accounts, policies, programs, states in JSON words, units, signals.
NAMES = {"sleep", "train", "default", "main", "normal", "local", "ultra", "scheduler", "auto", "pmix", "none", "python", "virtual", "http", "tmp", "home",
         "work", "root", "sock", "journal", "cluster", "status", "queue", "submit", "node", "true", "completed", "cancelled", "xyz", "train.py", "job",
         "toml", "gpus", "name", "all", "show", "cancel", "nodes", "help", "running", "runing", "queued", "held", "starting", "stopping", "unknown",
         "failed", "bin", "usr", "mpirun", "apt", "get", "install", "openmpi", "dev", "shm", "lib", "pid", "tmpfs", "chrony", "systemd", "timesyncd",
         "permissions", "locks", "state", "disk", "temporary", "shared", "memory", "time", "service", "open", "files", "programs", "version", "clock",
         "port", "agents", "driver", "folder", "build", "release", "command", "auto", "always", "never", "bash", "zsh", "fish", "wait"}


def english_left(text):
    """Words that look like English prose: two or more beside each other, of small letters, that no name explains."""
    text = re.sub(r"'[^']*'|`[^`]*`|\"[^\"]*\"", " ", text)  # what is to be typed, and what was
    text = re.sub(r"--?[A-Za-z][\w-]*|\$?[A-Z][A-Z_]+\S*|/\S*|\S+\.(?:toml|sock|py|log)|https?\S+|\b\d\S*", " ", text)
    found = []
    for match in re.finditer(r"[A-Za-z]{2,}(?:[ ,;:]+[A-Za-z]{2,})+", text):
        words = [word for word in re.findall(r"[a-z]{2,}", match.group()) if word not in NAMES and not re.fullmatch(r"node\w*", word)]
        if words:
            found.append(match.group())
    return found


class InKorean(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        cls.up = cls.home.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0", environment=KOREAN)
        cls.fills = cls.home.submit("--gpus", "16", "--name", "fills", "--time", "10m", "--", "sleep", "100000")
        cls.home.until_state(cls.fills, "running")
        cls.waits = cls.home.submit("--gpus", "2", "--name", "waits", "--", "true")
        cls.user = cls.home.job(cls.fills)["details"]["owner"]["name"]

    def korean(self, *words, code=0, **more):
        ran = self.home.ultra(*words, environment={**KOREAN, **more})
        self.assertEqual(ran.code, code, ran)
        said = ran.out + ran.err
        self.assertRegex(said, "[가-힣]", ran)
        said = re.sub(r"\b(fills|waits|late|" + re.escape(self.user) + r")\b", " ", said)
        self.assertEqual(english_left(said), [], ran)
        return ran

    def test_the_check_can_fail(self):
        self.assertEqual(english_left("작업 3: waits for the end"), ["waits for the end"])
        self.assertEqual(english_left("오류: --gpus: 정수가 필요합니다; 'ultra submit --help'를 보십시오 node[01-02]"), [])

    def test_up_and_status(self):
        self.assertEqual(self.up.code, 0, self.up)
        self.assertEqual(english_left(re.sub("다음: .*", "", self.up.out)), [])
        self.korean("cluster", "status")
        self.assertEqual(self.korean("cluster", "down", code=6).out, "")

    def test_queue_and_nodes(self):
        table = self.korean("queue").out
        self.assertIn("작업\t이름\t사용자\t계정", table)
        self.assertRegex(table, f"작업 {self.fills} \\(fills, default\\)[이가] 끝나면")
        self.korean("nodes")
        self.korean("queue", "--all")

    def test_report_and_policies(self):
        self.korean("report")
        self.korean("report", "--month", "soon", code=2)
        self.korean("policy", "show")
        self.korean("policy", "diff", "easy")
        self.korean("policy", "check", "fifo")
        self.korean("policy", "check", "esay", code=2)

    def test_show_submit_wait_cancel_events(self):
        self.korean("show", str(self.fills))
        self.korean("show", str(self.waits))
        late = self.korean("submit", "--gpus", "1", "--name", "late", "--", "true")
        job = re.search(r"작업 (\d+)", late.out).group(1)
        self.korean("wait", job, "--timeout", "1s", code=7)
        self.korean("cancel", job)
        self.korean("events", job)
        self.korean("show", job)
        self.korean("cancel", self.home.ultra("submit", "--quiet", "--", "true").out.strip())
        self.assertIn("취소했습니다", self.korean("events", job).out)

    def test_errors(self):
        for code, words in [(2, ["qeue"]), (2, ["submit", "--gpus", "99", "--", "true"]), (2, ["xyz"]), (2, ["queue", "--state", "runing"]), (2, ["queue", "--color", "red"]), (2, ["submit", "--gpus", "x", "--", "true"]),
                            (2, ["submit", "--gpu", "1", "--", "true"]), (2, ["submit", "--time", "soon", "--", "true"]), (2, ["submit", "--partition", "mian", "--", "true"]),
                            (2, ["submit", "--account", "xyz", "--", "true"]), (2, ["submit", "--export", "NOT_SET", "--", "true"]), (2, ["submit"]),
                            (2, ["submit", "--nodes", "1", "--gpus-per-node", "9", "--", "true"]), (3, ["show", "4711"]), (2, ["show", "one"]), (2, ["wait"]),
                            (3, ["nodes", "node07"]), (2, ["queue", "--interval", "1s"]), (2, ["validate", "/nowhere.toml"]), (2, ["completion", "tcsh"]), (2, ["top"]),
                            (5, ["queue", "--socket", "/nowhere/x.sock"])]:
            with self.subTest(" ".join(words)):
                ran = self.korean(*words, code=code)
                self.assertTrue(ran.err.startswith("오류: "), ran)
                self.assertEqual(ran.err.count("\n"), 1, ran)
                self.assertEqual(self.home.ultra(*words).code, code)

    def test_scripts(self):
        def script(text):
            path = os.path.join(self.home.work, "job.sh")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return path

        for lines in ("--gpus=x", "--time=soon", "--frobnicate", "--ntasks=3 --nodes=2 --ntasks-per-node=1", "--input=x", "--array=5-1", "--mem=lots",
                      "--gres=gpu:a:1,gpu:b:2", "--signal=NOPE", "--dependency=singleton", "--container=x", "-x=y", "word"):
            with self.subTest(lines):
                ran = self.home.ultra("submit", "--dry-run", script(f"#!/bin/sh\n#SBATCH {lines}\n"), environment=KOREAN)
                self.assertEqual(ran.code, 2, ran)
                self.assertRegex(ran.err, "[가-힣]")
                self.assertEqual(english_left(re.sub(r"job\.sh|FROM|\bx\b|frobnicate|apptainer exec.*", "", ran.err)), [], ran)
        ran = self.home.ultra("submit", "--gpus", "1", script("#!/bin/sh\n#SBATCH --mail-type=END --partition=a,main\n#PBS -l x\ntrue\n#SBATCH -n 1\n"), environment=KOREAN)
        self.assertIn("경고: ", ran.err)

    def test_help_and_doctor(self):
        for verb in ("queue", "nodes", "show", "cancel", "wait", "logs", "top", "events", "doctor", "man", "completion", "validate"):
            with self.subTest(verb):
                text = self.home.ultra(verb, "--help", environment=KOREAN).out
                # Examples, option names, and the words between them and their help stay.
                text = re.sub(r"^  (?!.*[가-힣]).*$|^  \S.*?  +|사용법:.*", " ", text, flags=re.M)
                self.assertEqual(english_left(text), [])
        ran = self.home.ultra("doctor", environment=KOREAN)
        self.assertEqual(english_left(re.sub(r"^(\S+)\t[a-z0-9-]+\t", r"\1 ", ran.out, flags=re.M)), [], ran)

    def test_json_is_the_same_in_both(self):
        for words in (["show", str(self.fills), "--json"], ["queue", "--json"], ["nodes", "--json"], ["events", str(self.fills), "--json"]):
            one, other = self.home.ultra(*words), self.home.ultra(*words, environment=KOREAN)
            strip = lambda text: re.sub(r'"(now_ms|heartbeat_age_ms)":\d+|\[[\d,]*\]|\(in [^)]*\)|at [\d:]+ UTC|"(start|end)_ms":\d+', "", text)  # noqa: E731 what time changes
            self.assertEqual(strip(one.out), strip(other.out))
        self.assertNotRegex(self.home.ultra("doctor", "--json", environment=KOREAN).out, "[가-힣]")


if __name__ == "__main__":
    unittest.main(verbosity=2)
