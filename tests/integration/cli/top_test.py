#!/usr/bin/python3
"""`ultra top` and `queue --watch` on a pseudo-terminal, as a person sees them: wall, list, filter, pages, cancel, resize, signals, colours, and a
scheduler that goes away and comes back."""

import os
import re
import signal
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import ULTRA, Home, kill, until  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "support"))
from screen import Screen  # noqa: E402

UP, DOWN, ESC, ENTER = "\033OA", "\033OB", "\033", "\r"


class OnOneCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Home()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.ultra("cluster", "up", "--nodes", "3", "--http", "127.0.0.1:0")
        program = "echo output of rank $RANK; while :; do :; done"
        cls.busy = cls.cluster.submit("--gpus", "2", "--name", "학습-busy", "--", "sh", "-c", program)
        cls.idle = cls.cluster.submit("--gpus", "8", "--name", "sleeper", "--", "sleep", "100000")
        cls.waits = cls.cluster.submit("--gpus", "24", "--name", "everything", "--", "true")
        cls.cluster.until_state(cls.busy, "running")
        cls.cluster.until_state(cls.idle, "running")

    def top(self, *words, rows=24, columns=110, **environment):
        screen = Screen([ULTRA, *(words or ["top", "--interval", "200ms"])], self.cluster.environment(**{"TERM": "xterm-256color", "LANG": "C.UTF-8", **environment}),
                        cwd=self.cluster.work, rows=rows, columns=columns)
        self.addCleanup(screen.close)
        return screen

    @staticmethod
    def choose(screen, name):
        """Moves the selection to the job's row, a key at a time. A frame comes in pieces and the wall marks the selected job too, so only the
        list counts, and only when exactly the next row of it is marked: another key before that would go past the job."""

        def marked():
            title = screen.row_of("JOB  NAME")
            return [row for row in screen.reversed_rows() if title is not None and row > title]

        screen.until(lambda: len(marked()) == 1 and screen.row_of(name) is not None, "one job is selected")
        while marked() != [screen.row_of(name)]:
            way = 1 if screen.row_of(name) > marked()[0] else -1
            wanted = marked()[0] + way
            screen.type(DOWN if way > 0 else UP).until(lambda: marked() == [wanted], f"the selection moved to row {wanted}")

    def test_the_wall_and_the_list_show_the_same_jobs(self):
        screen = self.top().shows("node01", "node02", "node03", "sleeper", "everything")
        self.assertIn("nodes 3/3", screen.text())
        self.assertIn("GPUs 10/24 (virtual)", screen.text())
        letters = {job: chr(ord("a") + job - 1) for job in (self.busy, self.idle)}
        wall = "".join(line for line in screen.text().split("\n") if re.match(r"node\d\d ", line))
        self.assertEqual(len(re.findall(letters[self.idle] + "[▁▂▃▄▅▆▇█]", wall)), 8, screen.text())
        self.assertEqual(len(re.findall(letters[self.busy] + "[▁▂▃▄▅▆▇█]", wall)), 2, screen.text())
        self.assertEqual(wall.count("·"), 14, screen.text())
        row = screen.lines()[screen.row_of("sleeper")]
        self.assertEqual(row.split()[:2], [letters[self.idle], str(self.idle)])
        waiting = screen.lines()[screen.row_of("everything")]
        self.assertIn("queued", waiting)
        self.assertRegex(waiting, r"in \d+[hm]")
        self.assertIn("Waits for 24 GPUs; 14 are free", waiting)
        # Widths: the column after a Hangul name stands where it stands after others.
        display = screen.screen.buffer
        user = self.cluster.json("queue")["jobs"][0]["details"]["owner"]["name"]

        def column_of_user(name):
            row = display[screen.row_of(name)]
            text = [row[c].data for c in range(110)]
            return next(c for c in range(20, 110 - len(user)) if "".join(text[c:c + len(user)]) == user)

        self.assertEqual(column_of_user("학습-busy"), column_of_user("sleeper"))
        screen.type("q")
        self.assertEqual(screen.end(), 0)
        self.assertEqual(screen.restored(), [])

    def test_a_busy_gpu_looks_busier_than_an_idle_one(self):
        letter = chr(ord("a") + self.busy - 1)
        screen = self.top()
        screen.until(lambda: re.search(letter + "[▂▃▄▅▆▇█]", screen.text()), "the busy job's GPUs show activity")
        self.assertIsNone(re.search(chr(ord("a") + self.idle - 1) + "[▃▄▅▆▇█]", screen.text()))

    def test_the_past_gives_way_to_narrow_windows(self):
        screen = self.top(rows=24, columns=60).shows("allocated", "sleeper")
        self.assertIsNone(re.search("% +[▁▂▃▄▅▆▇█]", screen.text().split("\n", 2)[2]), "no room behind the nodes")
        screen.resize(9, 60).hides("allocated").shows("sleeper")
        screen.resize(24, 24).hides("allocated").shows("node01")
        screen.resize(24, 140).shows("allocated", "busy", "sleeper").type("q")
        self.assertEqual(screen.end(), 0)

    def test_without_utf8_heights_are_ascii(self):
        screen = self.top(LANG="en_US.ISO-8859-1", columns=140).shows("allocated", "sleeper")
        screen.until(lambda: re.search(r"^allocated +-{2,} 42%", screen.lines()[1]), "ten GPUs of 24 in ASCII")
        self.assertFalse(set("▁▂▃▄▅▆▇█·") & set(screen.text()), screen.text())
        self.assertRegex(screen.text(), "(" + chr(ord("a") + self.idle - 1) + "_){8}")

    def test_filter_shows_some_and_escape_all(self):
        screen = self.top().shows("sleeper", "everything").type("/")
        screen.shows("/_").type("SLEEP").shows("/SLEEP_").hides("everything")
        screen.type(ENTER).shows("sleeper", "/SLEEP  ").type("/").shows("/SLEEP_").type("학").shows("No such jobs.").type("\x7f").shows("sleeper")
        screen.type(ESC).shows("everything", "sleeper")

    def test_enter_opens_the_job_and_l_its_output(self):
        screen = self.top(rows=40).shows("sleeper")
        self.choose(screen, "sleeper")
        screen.type(ENTER).shows(f"Job {self.idle}", "sleep 100000", "Attempt 1", "node0").type("q").shows("everything")
        self.choose(screen, "학습")
        screen.type("l").shows(f"Output of job {self.busy}", "[0] output of rank 0", "[1] output of rank 1").type(ESC).shows("everything")
        screen.type("?").shows("The wall", "cancel it").type("q").shows("everything")

    def test_the_order_changes_and_says_so(self):
        screen = self.top().shows("s order: mine first")
        for order in ("queue order", "most GPUs"):
            screen.type("s").shows(f"s order: {order}")
        self.assertLess(screen.row_of("everything"), screen.row_of("sleeper"))

    def test_cancel_asks_first(self):
        job = self.cluster.submit("--gpus", "24", "--name", "to-be-cancelled", "--", "true")
        screen = self.top().shows("to-be-cancelled").type("/cancelled").shows("/cancelled_").hides("sleeper").type(ENTER)
        screen.type("c").shows(f"Cancel job {job}? [y/N]").type("n").shows("Nothing was cancelled.")
        self.assertEqual(self.cluster.job(job)["details"]["state"], "queued")
        screen.type("c").shows(f"Cancel job {job}? [y/N]").type("y").shows(f"Job {job} is cancelled.")
        self.assertEqual(self.cluster.job(job)["details"]["state"], "cancelled")
        screen.type(ESC).shows("sleeper").hides("to-be-cancelled")

    def test_it_follows_the_size_of_the_window(self):
        screen = self.top(rows=24, columns=110).shows("everything")
        screen.resize(12, 60).until(lambda: screen.row_of("GPUs 10/24") == 0 and screen.row_of("enter details") == 11, "a smaller window is used")
        screen.resize(30, 140).until(lambda: screen.row_of("enter details") == 29, "a larger one too").shows("everything", "q quit")
        screen.resize(3, 20).until(lambda: screen.row_of("enter detail") == 2, "even a tiny one")
        screen.resize(24, 110).until(lambda: screen.row_of("enter details") == 23, "and back").shows("everything").type("q")
        self.assertEqual(screen.end(), 0)

    def test_every_ending_gives_the_terminal_back(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131),
                             (signal.SIGABRT, -signal.SIGABRT), (signal.SIGSEGV, -signal.SIGSEGV)):
            with self.subTest(number.name):
                screen = self.top().shows("everything")
                self.assertIn("alternate screen", screen.restored())  # it had been taken, or this proves nothing
                screen.send(number)
                self.assertEqual(screen.end(), code)
                self.assertEqual(screen.restored(), [])
        screen = self.top().shows("everything").type("\x03")  # as typed
        self.assertEqual(screen.end(), 130)
        self.assertEqual(screen.restored(), [])

    def test_stop_and_continue(self):
        for stop in ("\x1a", signal.SIGSTOP):
            with self.subTest(str(stop)):
                screen = self.top().shows("everything")
                screen.type(stop) if isinstance(stop, str) else screen.send(stop)
                screen.stopped()
                if isinstance(stop, str):
                    self.assertEqual(screen.restored(), [])  # while it is stopped, the shell has its terminal
                screen.written, size = b"", screen.screen
                size.reset()
                screen.send(signal.SIGCONT).shows("node01", "everything", "q quit").type("q")
                self.assertEqual(screen.end(), 0)
                self.assertEqual(screen.restored(), [])

    def test_colours_only_where_wanted(self):
        self.assertTrue(self.top().shows("everything").colours())
        self.assertEqual(self.top(NO_COLOR="1").shows("everything").colours(), set())
        self.assertEqual(self.top("top", "--color", "never").shows("everything").colours(), set())
        self.assertEqual(self.top(TERM="vt100").shows("everything").colours(), set())

    def test_it_works_on_other_terminals(self):
        for kind in ("screen", "vt100", "tmux-256color", "linux"):
            with self.subTest(kind):
                if not any(os.path.exists(f"{folder}/{kind[0]}/{kind}") for folder in ("/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo")):
                    continue
                screen = self.top(TERM=kind).shows("node01", "sleeper", "everything").type("q")
                self.assertEqual(screen.end(), 0)
                self.assertEqual(screen.restored(), [])

    def test_what_is_no_terminal_is_said(self):
        ran = self.cluster.ultra("top")
        self.assertEqual((ran.code, ran.out), (2, ""))
        self.assertIn("this needs a terminal; 'ultra queue' prints tables anywhere", ran.err)
        screen = self.top(TERM="no-such-terminal")
        self.assertEqual(screen.end(), 2)
        self.assertIn("this system doesn't know terminals of the kind", screen.text())

    def test_it_speaks_korean(self):
        screen = self.top(LANG="ko_KR.UTF-8").shows("노드 3/3", "실행 중", "대기", "취소")
        words = re.findall(r"[a-z]{3,}", re.sub(r"ultra top|sleeper|everything|busy|node|enter|local|default|root|" + os.environ.get("USER", "root"), "", screen.text()))
        self.assertEqual(words, [])

    def test_watch_redraws_in_place_until_control_c(self):
        screen = self.top("queue", "--watch", "--interval", "200ms").shows("everything", "2 jobs run on 10 GPUs, 1 waits.")
        seen = len(screen.written)
        screen.until(lambda: len(screen.written) > seen + 500, "it draws again")
        self.assertEqual(sum("everything" in line for line in screen.screen.display), 1, screen.text())
        screen.type("\x03")
        self.assertEqual(screen.end(), 130)
        self.assertEqual(screen.restored(), [])

    def test_watch_on_a_pipe_prints_table_after_table(self):
        program = self.cluster.start("queue", "--watch", "--interval", "100ms")
        tables, lines = 0, []
        while tables < 3:
            lines.append(program.stdout.readline())
            tables += lines[-1] == "\n"
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
        self.assertEqual(program.returncode, 130)
        self.assertEqual(sum(line.startswith("JOB\tNAME") for line in lines), 3)
        self.assertNotIn("\033", "".join(lines))
        program = self.cluster.start("queue", "--watch", "--json", "--interval", "100ms")
        self.assertTrue(program.stdout.readline().startswith('{"now_ms":'))
        self.assertTrue(program.stdout.readline().startswith('{"now_ms":'))
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)


class ThePast(unittest.TestCase):
    """Two small nodes, so that one busy rank on each GPU is much of a node."""

    def test_it_rises_with_a_busy_job_and_stays_flat_with_an_idle_one(self):
        home = Home()
        self.addCleanup(home.close)
        self.assertEqual(home.ultra("cluster", "up", "--nodes", "2", "--gpus-per-node", "2", "--http", "127.0.0.1:0").code, 0)
        idle = home.submit("--gpus", "2", "--name", "sleeper", "--", "sleep", "100000")
        home.until_state(idle, "running")
        screen = Screen([ULTRA, "top", "--interval", "200ms"], home.environment(TERM="xterm-256color", LANG="C.UTF-8"), cwd=home.work, rows=24, columns=100)
        self.addCleanup(screen.close)

        def node_of(job):
            return home.job(job)["details"]["attempts"][0]["allocation"][0]["node"]

        def past(node):
            found = re.search(node + r"[^\n]*?\d% *([▁▂▃▄▅▆▇█]*)", screen.text())  # a frame comes in pieces
            return found.group(1) if found else ""

        quiet = node_of(idle)
        other = {"node01": "node02", "node02": "node01"}[quiet]
        screen.until(lambda: re.search("allocated +▅{3,} 50% +busy +▁{3,} +\\d%", screen.lines()[1]), "half of the GPUs are allocated, none is busy")
        screen.until(lambda: set(past(quiet)) == set(past(other)) == {"▁"}, "both nodes are flat")
        busy = home.submit("--gpus", "2", "--name", "loops", "--", "sh", "-c", "while :; do :; done")
        home.until_state(busy, "running")
        self.assertEqual(node_of(busy), other)
        screen.until(lambda: re.search("▅+█+ 100%", screen.lines()[1]), "all GPUs are allocated")
        screen.until(lambda: max(past(other), default="") > "▁", "its node is busier than before")
        screen.until(lambda: re.search("busy +▁+[▂▃▄▅▆▇]+", screen.lines()[1]), "and so is the cluster")
        self.assertEqual(set(past(quiet)), {"▁"}, screen.text())
        screen.type("q")
        self.assertEqual(screen.end(), 0)
        self.assertEqual(screen.restored(), [])


class SchedulerThatGoesAway(unittest.TestCase):
    def test_top_and_watch_wait_for_it(self):
        home = Home()
        self.addCleanup(home.close)
        self.assertEqual(home.ultra("cluster", "up", "--nodes", "1", "--http", "127.0.0.1:0").code, 0)
        job = home.submit("--gpus", "4", "--name", "stays", "--", "sleep", "100000")
        home.until_state(job, "running")
        environment = home.environment(TERM="xterm-256color")
        top = Screen([ULTRA, "top", "--interval", "200ms"], environment, cwd=home.work)
        self.addCleanup(top.close)
        watch = Screen([ULTRA, "queue", "--watch", "--interval", "200ms"], environment, cwd=home.work)
        self.addCleanup(watch.close)
        top.shows("stays", "nodes 1/1")
        watch.shows("stays")
        kill(home.json("cluster", "status")["scheduler"]["pid"])
        top.shows("reconnecting ...", "stays")
        watch.shows("reconnecting ...", "stays")
        self.assertEqual(home.ultra("cluster", "up").code, 0)
        top.shows("nodes 1/1", "stays").type("q")
        watch.shows("stays", "1 job runs").type("\x03")
        self.assertEqual((top.end(), watch.end()), (0, 130))
        self.assertEqual((top.restored(), watch.restored()), ([], []))
        until(lambda: home.job(job)["details"]["state"] == "running", "the job never noticed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
