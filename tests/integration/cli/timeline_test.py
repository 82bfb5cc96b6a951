#!/usr/bin/python3
"""`ultra timeline` over real daemons: the same jobs as `ultra queue --json`, in the same order, their bars where the scheduler's times put them."""

import datetime
import json
import os
import pathlib
import re
import signal
import sys
import unittest
import zoneinfo

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import ULTRA, Home  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from screen import Screen  # noqa: E402

ZONE = "Asia/Seoul"
SIGNS = "█▓░▒╳│→"


class OnOneCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Home()
        cls.addClassCleanup(cls.cluster.close)
        assert cls.cluster.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0").code == 0
        cls.nothing_yet = cls.cluster.ultra("timeline")
        file = pathlib.Path(cls.cluster.path, "cluster.toml")
        text = re.sub(r"^time_zone *=.*\n", "", file.read_text(encoding="utf-8"), flags=re.M)
        file.write_text(f'time_zone = "{ZONE}"\n' + text, encoding="utf-8")
        assert cls.cluster.ultra("reload").code == 0
        cls.ended = cls.cluster.submit("--gpus", "1", "--name", "short", "--time", "1m", "--", "true")
        cls.cluster.until_state(cls.ended, "completed")
        cls.runs = cls.cluster.submit("--gpus", "8", "--name", "학습-train", "--time", "40m", "--", "sleep", "100000")
        cls.cluster.until_state(cls.runs, "running")
        cls.planned = cls.cluster.submit("--gpus", "16", "--name", "all", "--time", "30m", "--", "true")
        cls.held = cls.cluster.submit("--gpus", "1", "--name", "later", "--hold", "--", "true")
        cls.after = cls.cluster.submit("--gpus", "1", "--name", "after", "--after", f"{cls.held}:ok", "--", "true")
        made = cls.cluster.ultra("reserve", "pumps", "--maintenance", "--nodes", "node02", "--start", "now+2h", "--duration", "30m", "--reason", "pumps")
        assert made.code == 0, made

    def ok(self, *words, **environment):
        ran = self.cluster.ultra(*words, environment={"LANG": "C.UTF-8", **environment})
        self.assertEqual(ran.code, 0, ran)
        return ran.out

    def queue(self):
        return json.loads(self.ok("queue", "--all", "--json"))["jobs"]

    def bars_of(self, lines):
        """Label -> the bars' part of its row, as wide as the axis."""
        begin = next(i for i, letter in enumerate(lines[1]) if letter in "─▼┴")
        # A Hangul letter takes two columns but is one character of the line.
        wide = {line: sum("가" <= letter <= "힣" for letter in line) for line in lines}
        return {line.split()[0]: line[begin - wide[line]:] for line in lines[2:]}, lines[1][begin:]

    def test_an_empty_cluster_says_so(self):
        self.assertEqual((self.nothing_yet.code, self.nothing_yet.out), (0, ""))
        self.assertEqual(self.nothing_yet.err, "Nothing ran in this time, runs or waits.\n")

    def test_json_has_the_queues_jobs_in_its_order_and_its_times(self):
        timeline, queue = json.loads(self.ok("timeline", "--json")), self.queue()
        self.assertEqual(timeline["time_zone"], ZONE)
        shown = [int(row["job"]) for row in timeline["jobs"]]
        self.assertEqual(shown, [self.runs, self.planned, self.ended])
        self.assertEqual(shown, [view["details"]["job"] for view in queue if view["details"]["job"] in shown])
        views = {view["details"]["job"]: view for view in queue}
        rows = {int(row["job"]): row for row in timeline["jobs"]}
        attempt = views[self.runs]["details"]["attempts"][0]
        self.assertEqual(rows[self.runs]["bars"], [{"kind": "held", "start_ms": attempt["decided_ms"], "end_ms": attempt["started_ms"] + 40 * 60_000,
                                                    "allocation": attempt["allocation"]}])
        plan = views[self.planned]["planned"]
        bar = rows[self.planned]["bars"][0]
        self.assertEqual((bar["kind"], bar["allocation"]), ("planned", plan["allocation"]))
        self.assertEqual(bar["end_ms"] - bar["start_ms"], 30 * 60_000)
        self.assertGreaterEqual(bar["start_ms"], rows[self.runs]["bars"][0]["end_ms"])
        gone = views[self.ended]["details"]["attempts"][0]
        self.assertEqual([(one["kind"], one["start_ms"], one["end_ms"]) for one in rows[self.ended]["bars"]], [("ended", gone["decided_ms"], gone["ended_ms"])])
        self.assertEqual([int(row["job"]) for row in timeline["unplanned"]],
                         [view["details"]["job"] for view in queue if view["details"]["state"] in ("queued", "held") and not (view.get("planned") or {}).get("start_ms")])
        self.assertEqual([one["name"] for one in timeline["reservations"]], ["pumps"])

    def test_on_a_pipe_rows_are_jobs_and_bars_lie_where_their_times_are(self):
        lines = self.ok("timeline", "--past", "30m", "--next", "3h").splitlines()
        self.assertNotIn("\033", "\n".join(lines))
        chart = lines[:lines.index("")]
        bars, axis = self.bars_of(chart)
        self.assertEqual(list(bars), [str(self.runs), str(self.planned), str(self.ended), "-"])
        now = axis.index("▼")
        self.assertAlmostEqual(now / len(axis), 30 / 210, delta=0.03)
        running, planned, ended, pumps = bars.values()
        self.assertEqual(running[now], "█")
        self.assertIn("▓", running[now:])
        self.assertNotIn("█", planned)
        self.assertGreater(planned.index("░"), now)
        self.assertGreaterEqual(planned.index("░"), running.rindex("▓"))
        self.assertIn("▒", ended[:now + 1])
        self.assertGreater(pumps.index("╳"), planned.rindex("░"))
        after = [line.split("\t") for line in lines[lines.index("") + 1:]]
        self.assertEqual(after[0], ["JOB", "NAME", "ACCOUNT", "GPUS", "NO START IS PLANNED"])
        self.assertEqual({int(row[0]) for row in after[1:]}, {self.held, self.after})
        self.assertTrue(all(row[4] for row in after[1:]), after)

    def test_the_axis_is_in_the_clusters_time_zone(self):
        first, axis = self.ok("timeline", "--past", "30m", "--next", "3h").splitlines()[:2]
        self.assertIn(ZONE, first)
        begin = next(i for i, letter in enumerate(axis) if letter in "─▼┴")
        hours = [(found.start() - begin, found.group()) for found in re.finditer(r"\d\d:\d\d", first)]
        self.assertGreaterEqual(len(hours), 3, first)
        now = datetime.datetime.now(zoneinfo.ZoneInfo(ZONE))
        for column, text in hours:
            at = now + datetime.timedelta(minutes=-30 + 210 * column / (len(axis) - begin))
            clock = at.replace(hour=int(text[:2]), minute=int(text[3:]), second=0)
            distance = abs((clock - at).total_seconds())
            self.assertLess(min(distance, 86400 - distance), 400, (column, text, at))

    def test_width_ascii_and_korean(self):
        for columns in ("60", "140"):
            widths = {len(line) for line in self.ok("timeline", COLUMNS=columns).splitlines()[:2]}
            self.assertEqual(max(widths), int(columns))
        self.assertEqual(max(len(line) for line in self.ok("timeline").splitlines()[:2]), 100)
        plain = self.ok("timeline", LANG="C")
        self.assertFalse(set(SIGNS) & set(plain))
        self.assertRegex(plain, "#+=+")
        korean = self.ok("timeline", LANG="ko_KR.UTF-8")
        self.assertIn("작업", korean)
        self.assertIn("점검", korean)

    def test_nodes_show_who_has_which_gpus(self):
        lines = self.ok("timeline", "--nodes", "--next", "3h").splitlines()
        allocation = self.cluster.job(self.runs)["details"]["attempts"][0]["allocation"]
        node = allocation[0]["node"]
        first = next(i for i, line in enumerate(lines) if line.startswith(node))
        rows, devices = [], []
        while len(devices) < 8:  # those that held something else before have a row of their own
            rows.append(lines[first + len(rows)])
            group = re.search(r"^(?:\S+)? +(\d)(?:-(\d))?  ", rows[-1])
            devices += range(int(group.group(1)), int(group.group(2) or group.group(1)) + 1)
        self.assertEqual(devices, list(range(8)))
        for row in rows:
            self.assertRegex(row, f"█+[0-9]*▓+ *░?{self.planned}░+")
        self.assertIn("╳", next(line for line in lines if line.startswith("node02")))
        self.assertTrue(any(f"▓{self.runs}▓" in line or f"█{self.runs}" in line for line in lines), lines)

    def test_filters(self):
        self.assertEqual(self.ok("timeline", "--account", "default").splitlines()[2:], self.ok("timeline", "--me").splitlines()[2:])
        ran = self.cluster.ultra("timeline", "--account", "defualt")
        self.assertIn("No such jobs. --account defualt: did you mean", ran.err)

    def test_on_a_terminal_it_is_coloured_and_explained_and_watch_redraws(self):
        environment = self.cluster.environment(TERM="xterm-256color", LANG="C.UTF-8")
        screen = Screen([ULTRA, "timeline"], environment, cwd=self.cluster.work, rows=24, columns=110)
        self.addCleanup(screen.close)
        self.assertEqual(screen.end(), 0)
        screen.shows("held until now", ZONE, "▼")
        self.assertTrue(screen.colours())
        self.assertTrue(all(len(line.rstrip()) <= 110 for line in screen.lines()))
        plain = Screen([ULTRA, "timeline"], {**environment, "NO_COLOR": "1"}, cwd=self.cluster.work, rows=24, columns=110)
        self.addCleanup(plain.close)
        self.assertEqual(plain.end(), 0)
        self.assertEqual(plain.shows("▼").colours(), set())
        watch = Screen([ULTRA, "timeline", "--watch", "--interval", "200ms"], environment, cwd=self.cluster.work, rows=24, columns=110)
        self.addCleanup(watch.close)
        watch.shows("pumps", "▼")
        seen = len(watch.written)
        watch.until(lambda: len(watch.written) > seen + 500, "it draws again")
        self.assertEqual(sum("pumps" in line for line in watch.lines()), 1, watch.text())
        watch.type("\x03")
        self.assertEqual(watch.end(), 130)
        self.assertEqual(watch.restored(), [])

    def test_watch_on_a_pipe_prints_chart_after_chart(self):
        program = self.cluster.start("timeline", "--watch", "--json", "--interval", "100ms")
        first, second = json.loads(program.stdout.readline()), json.loads(program.stdout.readline())
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
        self.assertEqual(program.returncode, 130)
        self.assertGreater(second["now_ms"], first["now_ms"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
