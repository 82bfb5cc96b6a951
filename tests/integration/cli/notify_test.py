#!/usr/bin/python3
"""What people are told of their jobs, by a real scheduler, with a real HTTP receiver, a real SMTP receiver and a real mail program: start, end, failure and
the delay by a boost; a receiver that is away for a while; a scheduler that is killed; a receiver that never answers."""

import email
import email.policy
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import sys
import threading
import unittest
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, until  # noqa: E402

SECRET = "0123456789abcdef0123456789abcdef"


class Hook:
    """An HTTP receiver: what it got, in order. `status` is what it answers."""

    def __init__(self, port=0):
        self.got, self.status, self.lock = [], 204, threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    status = receiver.status
                    receiver.got.append({"path": self.path, "headers": dict(self.headers), "body": body, "json": json.loads(body), "status": status})
                self.send_response(status)
                self.end_headers()

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def url(self, path="/team"):
        return f"http://127.0.0.1:{self.port}{path}"

    def told(self, **wanted):
        """Bodies that were taken, of this event and job."""
        with self.lock:
            return [one["json"] for one in self.got if one["status"] < 300 and all((one["json"] | one["json"]["job"] | {"id": one["json"]["job"]["id"]})[key] == value for key, value in wanted.items())]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class MailServer(socketserver.ThreadingTCPServer):
    """SMTP as RFC 5321 has it, as far as a client needs it that only hands messages over."""
    allow_reuse_address = True
    daemon_threads = True

    class Session(socketserver.StreamRequestHandler):
        def say(self, line):
            self.wfile.write(line.encode() + b"\r\n")

        def handle(self):
            self.say("220 test ESMTP")
            sender, receivers = None, []
            while line := self.rfile.readline():
                word = line.decode().strip()
                verb = word.upper()
                if verb.startswith(("EHLO", "HELO")):
                    self.say("250 test")
                elif verb.startswith("MAIL FROM:"):
                    sender = word[10:].split()[0]
                    self.say("250 ok")
                elif verb.startswith("RCPT TO:"):
                    if "nobody@" in word:
                        self.say("550 no such user")
                    else:
                        receivers.append(word[8:])
                        self.say("250 ok")
                elif verb == "DATA":
                    self.say("354 go on")
                    text = b""
                    while (piece := self.rfile.readline()) != b".\r\n":
                        text += piece[1:] if piece.startswith(b"..") else piece
                    with self.server.lock:
                        self.server.got.append((sender, receivers, text))
                    sender, receivers = None, []
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    def __init__(self):
        self.got, self.lock = [], threading.Lock()
        super().__init__(("127.0.0.1", 0), self.Session)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def messages(self):
        with self.lock:
            return [(receivers, email.message_from_bytes(text, policy=email.policy.default)) for _, receivers, text in self.got]

    def close(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class Notifications(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(nodes=1, gpus_per_node=4)
        self.addCleanup(self.cluster.close)
        self.cluster.up()
        self.file = self.cluster.home / "cluster.toml"
        self.plain = re.sub(r'^\[notifications\]\nmail = "off".*\n', "", self.file.read_text(), flags=re.MULTILINE)
        secret = self.cluster.home / "hook-secret"
        secret.touch(0o600)
        secret.write_text(SECRET + "\n")

    def tell_by(self, text):
        self.file.write_text(self.plain + "\n[notifications]\nretry_after = \"100ms\"\n" + text)
        ran = self.cluster.ultra("reload")
        self.assertEqual(ran.code, 0, ran)
        return ran

    def hook(self, port=0):
        hook = Hook(port)
        self.addCleanup(hook.close)
        return hook

    def metric(self, line):
        with urllib.request.urlopen(f"http://{self.cluster.http()}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        return next((float(one.rsplit(" ", 1)[1]) for one in text.splitlines() if one.startswith(line + " ")), None)

    def hold_all(self, *words):
        """A job that holds all GPUs until it is cancelled."""
        job = self.cluster.submit("--gpus", 4, "--time", "2h", *words, "--", "sleep", "100000")
        until(lambda: self.cluster.state(job) == "running", "it runs")
        return job

    def boost_over(self, *words):
        """A job that waits, and another that is put ahead of it. Returns both and who holds the GPUs."""
        holds = self.hold_all()
        waits = self.cluster.submit("--gpus", 4, "--time", "1h", "--name", "waits", *words, "--", "true")
        favoured = self.cluster.submit("--gpus", 4, "--time", "8h", "--", "true")
        bill = self.cluster.ultra("boost", favoured, "--reason", "visitors", "--json").json()
        ran = self.cluster.ultra("boost", favoured, "--reason", "visitors", "--confirm", bill["token"])
        self.assertEqual(ran.code, 0, ran)
        return waits, favoured, holds

    def test_a_webhook_hears_of_start_end_failure_and_delay(self):
        hook = self.hook()
        ran = self.tell_by(f'webhooks_allowed = ["{hook.url("/")}"]\n[[notifications.webhook]]\nurl = "{hook.url("/all")}"\nsecret_file = "hook-secret"\n')
        self.assertIn("notifications:", ran.out)
        good = self.cluster.submit("--gpus", 1, "--name", "good", "--webhook", hook.url(), "--", "true")
        bad = self.cluster.submit("--gpus", 1, "--name", "bad <!channel>", "--webhook", hook.url(), "--", "sh", "-c", "exit 3")
        self.cluster.wait(good), self.cluster.wait(bad)
        for job, events in ((good, ["begin", "end"]), (bad, ["begin", "fail"])):
            until(lambda: [one["event"] for one in hook.told(id=job)] == sorted(events * 2), f"{events} of {job}, to both")
        fail = hook.told(id=bad, event="fail")[0]
        self.assertEqual((fail["job"]["exit_code"], fail["job"]["state"], fail["job"]["reason"]), (3, "failed", "rank 0 on node01, exit code 3"))
        self.assertEqual(fail["text"], f"Job {bad} bad ‹!channel› failed: rank 0 on node01, exit code 3 (default, {fail['job']['owner']})")
        with hook.lock:
            requests = list(hook.got)
        for one in requests:
            signature = one["headers"].get("Ultramarine-Signature")
            self.assertEqual(signature is not None, one["path"] == "/all")
            if signature:
                self.assertEqual(signature, "sha256=" + hmac.new(SECRET.encode(), one["body"], hashlib.sha256).hexdigest())
            self.assertEqual(one["headers"]["Ultramarine-Notice"], one["json"]["id"])
        self.assertEqual(len({one["json"]["id"] for one in requests}), 4, "the same notice has the same id wherever it goes")

        waits, favoured, _ = self.boost_over("--webhook", hook.url())
        until(lambda: hook.told(id=waits, event="delayed"), "the delay")
        delay = hook.told(id=waits, event="delayed")[0]
        self.assertEqual((delay["delay"]["job"], delay["delay"]["reason"]), (str(favoured), "visitors"))
        self.assertRegex(delay["text"], rf"^Job {waits} waits starts 8h.* later than planned, on .* UTC: .* put job {favoured} ahead of it: visitors ")
        until(lambda: self.metric('ultramarine_notifications_total{channel="webhook",result="delivered"}') == len(hook.told()), "they are counted")
        until(lambda: self.metric("ultramarine_queued_notifications") == 0, "nothing waits")

    def test_nobody_calls_what_is_not_allowed(self):
        ran = self.cluster.ultra("submit", "--gpus", 1, "--webhook", "http://127.0.0.1:9/x", "--", "true")
        self.assertEqual(ran.code, 4, ran)
        self.assertIn("--webhook: this cluster calls no webhooks of its users", ran.err)
        self.assertIn("webhooks_allowed in [notifications]", ran.err)
        ran = self.cluster.ultra("submit", "--gpus", 1, "--mail-type", "END", "--", "true")
        self.assertEqual(ran.code, 0, ran)
        self.assertIn("this cluster sends no mail", ran.err)
        self.assertEqual(self.cluster.ultra("submit", "--gpus", 1, "--mail-user", "a@b\r\nBcc: c@d", "--", "true").code, 2)
        self.assertIn("did you mean BEGIN?", self.cluster.ultra("submit", "--gpus", 1, "--mail-type", "BEGN", "--", "true").err)
        self.file.write_text(self.plain + '\n[notifications]\nmail = "smtp"\nfrom = "a@b"\n')
        ran = self.cluster.ultra("reload")
        self.assertEqual(ran.code, 2, ran)
        self.assertIn("notifications.mail: a URL is missing", ran.err)

    def mails_of(self, server, job, count):
        def found():
            mails = [(receivers, mail) for receivers, mail in server.messages() if f".{job}." in mail["Ultramarine-Notice"]]
            return mails if len(mails) >= count else None
        return until(found, f"{count} mails of job {job}")

    def test_mail_by_smtp_hears_of_start_end_failure_and_delay(self):
        server = MailServer()
        self.addCleanup(server.close)
        self.tell_by(f'mail = "smtp"\nsmtp_url = "smtp://127.0.0.1:{server.server_address[1]}"\nfrom = "ultramarine@example.org"\nmail_domain = "example.org"\nlanguage = "ko"\n')
        good = self.cluster.submit("--gpus", 1, "--name", "훈련 =?UTF-8?B?QmNj?= Bcc: eve@example.org", "--mail-type", "ALL", "--mail-user", "ada,bob@lab.example", "--", "true")
        self.cluster.wait(good)
        mails = self.mails_of(server, good, 4)
        self.assertEqual(sorted({str(receivers) for receivers, _ in mails}), ["['<ada@example.org>']", "['<bob@lab.example>']"])
        for _, mail in mails:
            self.assertIsNone(mail["Bcc"])
            self.assertIn(f"작업 {good} 훈련", mail["Subject"])
            self.assertIn(f"ultra show {good}", mail.get_content())
        bad = self.cluster.submit("--gpus", 1, "--mail-type", "FAIL", "--mail-user", "nobody@example.org,ada", "--", "sh", "-c", "echo no luck >&2; exit 3")
        self.cluster.wait(bad)
        (_, mail), = self.mails_of(server, bad, 1)
        self.assertIn("종료 코드 3", mail["Subject"])
        self.assertIn("  no luck", mail.get_content())
        until(lambda: self.metric('ultramarine_notifications_total{channel="mail",result="refused"}') == 1, "the refusal is counted")
        waits, _, _ = self.boost_over("--mail-type", "DELAYED", "--mail-user", "ada")
        (_, mail), = self.mails_of(server, waits, 1)
        self.assertIn("예정 시작이", mail["Subject"])

    def test_mail_by_a_program_and_once_for_an_array(self):
        folder = self.cluster.folder / "mails"
        folder.mkdir()
        program = self.cluster.folder / "sendmail"
        program.write_text(f'#!/bin/sh\nexec > {folder}/.$$\necho "$@"\ncat\nmv {folder}/.$$ {folder}/$$\n')
        program.chmod(0o755)
        self.tell_by(f'mail = "sendmail"\nsendmail = "{program}"\nfrom = "ultramarine@example.org"\n')

        def mails():
            texts = [path.read_text() for path in folder.iterdir() if not path.name.startswith(".")]
            return [(text.split("\n", 1)[0], email.message_from_string(text.split("\n", 1)[1], policy=email.policy.default)) for text in texts]

        def subjects(job):
            return sorted(mail["Subject"] for _, mail in mails() if f".{job}." in mail["Ultramarine-Notice"] or f".array-{job}." in mail["Ultramarine-Notice"])

        bad = self.cluster.submit("--gpus", 1, "--name", "bad", "--mail-type", "BEGIN,END", "--", "sh", "-c", "exit 3")
        until(lambda: len(subjects(bad)) == 2, "start and end")
        self.assertEqual(subjects(bad), [f"[local] Job {bad} bad failed: rank 0 on node01, exit code 3", f"[local] Job {bad} bad started on node01"])
        owner = self.cluster.show(bad)["details"]["owner"]["name"]
        self.assertEqual({words for words, _ in mails()}, {f"-i -f ultramarine@example.org -- {owner}"})
        array = self.cluster.submit("--gpus", 1, "--name", "sweep", "--array", "0-2", "--mail-type", "END", "--", "sh", "-c", "test $ULTRA_ARRAY_INDEX != 1")
        until(lambda: subjects(array), "the array's end")
        self.assertRegex(subjects(array)[0], rf"^\[local\] Array {array} sweep \(3 jobs\) ended: \d completed, \d failed, 0 cancelled$")
        self.assertEqual(len(subjects(array)), 1)
        waits, favoured, holds = self.boost_over("--mail-type", "DELAYED")
        until(lambda: subjects(waits), "the delay")
        self.assertIn("later than planned", subjects(waits)[0])
        for job in (waits, favoured, holds):
            self.cluster.ultra("cancel", job)
        short = self.cluster.submit("--gpus", 1, "--name", "short", "--time", "4s", "--mail-type", "TIME_LIMIT_50,FAIL", "--", "sleep", "1000")
        until(lambda: len(subjects(short)) == 2, "half of its time and its end")
        self.assertEqual(subjects(short), [f"[local] Job {short} short failed: it reached its time limit of 4s", f"[local] Job {short} short has used 50% of its time limit of 4s"])

    def test_nothing_is_lost_while_a_receiver_is_away_and_the_scheduler_is_killed(self):
        hook = self.hook()
        port = hook.port
        self.tell_by(f'webhooks_allowed = ["http://127.0.0.1:{port}/"]\n')
        before = self.cluster.submit("--gpus", 1, "--", "true")  # wants to be told nothing
        self.cluster.wait(before)
        hook.status = 503
        first = self.cluster.submit("--gpus", 1, "--webhook", hook.url(), "--", "true")
        self.cluster.wait(first)
        until(lambda: len([one for one in hook.got if one["json"]["job"]["id"] == first]) >= 2, "it was tried twice")
        tried = {one["json"]["id"] for one in hook.got}
        hook.close()  # nobody listens now
        second = self.cluster.submit("--gpus", 1, "--webhook", hook.url(), "--", "true")
        self.cluster.wait(second)
        self.cluster.kill_scheduler(signal.SIGKILL)
        self.assertTrue(self.cluster.start_scheduler())
        again = self.hook(port)
        until(lambda: sorted(one["event"] for one in again.told(id=second)) == ["begin", "end"], "both of the second")
        self.assertEqual([one["event"] for one in again.told(id=first)], ["begin", "end"], "and in order those of the first")
        self.assertLessEqual(tried, {one["json"]["id"] for one in again.got}, "under the same ids")
        self.assertEqual({one["json"]["job"]["id"] for one in again.got}, {first, second}, "nothing of before is told")
        until(lambda: self.metric("ultramarine_queued_notifications") == 0, "nothing waits any more")
        known = len(again.got)
        self.cluster.stop_scheduler()
        self.assertTrue(self.cluster.start_scheduler())
        third = self.cluster.submit("--gpus", 1, "--webhook", hook.url(), "--", "true")
        until(lambda: len(again.told(id=third)) == 2, "the third")
        self.assertEqual(len(again.got), known + 2, "what had arrived is not sent again after a clean stop")
        # Between the commit and the delivery.
        self.cluster.kill_scheduler(signal.SIGKILL)
        self.assertTrue(self.cluster.start_scheduler("after_round_commit_before_dispatch:1"))
        self.cluster.ultra("submit", "--gpus", 1, "--webhook", hook.url(), "--", "true")
        self.cluster.scheduler.wait()
        self.assertTrue(self.cluster.start_scheduler())
        until(lambda: [one["event"] for one in again.told(id=third + 1)] == ["begin", "end"], "the fourth, after a crash between decision and launch")

    def test_a_receiver_that_never_answers_holds_up_no_job(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        hook = self.hook()
        self.tell_by(f'webhooks_allowed = ["http://127.0.0.1:"]\ntimeout = "1m"\n'.replace('127.0.0.1:"', f'127.0.0.1:{silent.getsockname()[1]}/", "{hook.url("/")}"'))
        held = self.cluster.submit("--gpus", 1, "--webhook", f"http://127.0.0.1:{silent.getsockname()[1]}/", "--", "true")
        peer, _ = silent.accept()  # the scheduler waits for an answer from now on
        self.addCleanup(peer.close)
        jobs = [self.cluster.submit("--gpus", 1, "--webhook", hook.url(), "--", "true") for _ in range(3)]
        for job in [held, *jobs]:
            self.assertEqual(self.cluster.wait(job), 0)
        for job in jobs:
            until(lambda: len(hook.told(id=job)) == 2, f"start and end of {job}")
        peer.setblocking(False)
        self.assertIn(b"POST / HTTP/1.1", peer.recv(65536))
        self.assertGreaterEqual(self.metric("ultramarine_queued_notifications"), 2, "those of the first still wait")


if __name__ == "__main__":
    unittest.main(verbosity=2)
