#!/usr/bin/python3
"""The web page in a real browser over a real cluster with jobs: every tab, both languages, both sizes, with and without identity (drive.mjs).
Exit 77 (skipped) where there is no browser or no page."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration", "cli"))
from home import BIN, ULTRA, Home, until  # noqa: E402

BUILD = os.path.dirname(BIN)
PACKAGES = os.path.join(BUILD, "scheduler", "dashboard", "source")
PICTURES = os.path.join(BUILD, "tests", "browser")
CHROMIUM = shutil.which("chromium")
NODE = shutil.which("node") or shutil.which("nodejs")
ACCOUNTS = "".join(f'[[account]]\nname = "{name}"\nshares = {shares}\nmembers = ["*"]\n' for name, shares in (("vision", 2), ("speech", 1)))
STEPS = """
import json, os, socket, time
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
step = 0
while True:
    step += 1
    if os.environ["RANK"] == "0":
        door.sendto(json.dumps({"type": "step", "rank": 0, "step": step, "loss": 2 + 1 / step, "tokens_per_s": 1000}).encode(), os.environ["ULTRA_PROGRESS"])
        print(f"step {step} is done", flush=True)
    time.sleep(0.5)
"""


class Page(unittest.TestCase):
    def setUp(self):
        self.home = Home()
        self.addCleanup(self.home.close)
        ran = self.home.ultra("cluster", "up", "--http", "127.0.0.1:0")
        self.assertEqual(ran.code, 0, ran)
        path = os.path.join(self.home.path, "cluster.toml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("[[account]]\n", ACCOUNTS + "[[account]]\n", 1).replace('currency = "EUR"', 'currency = "KRW"\nprice_per_gpu_hour = 4_634', 1))
        self.assertEqual(self.home.ultra("reload").code, 0)

    def dashboard(self):
        """The address of `ultra dashboard` with its secret path."""
        door = self.home.start("dashboard")

        def close():
            door.send_signal(signal.SIGINT)
            self.assertEqual(door.wait(30), 0)
            door.stdout.close()
            door.stderr.close()

        self.addCleanup(close)
        once = door.stdout.readline().strip()
        self.assertRegex(once, r"^http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{32}$")
        answers = [subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", once], stdout=subprocess.PIPE, text=True, check=True).stdout for _ in range(2)]
        self.assertRegex(answers[0], r"^303 http://127\.0\.0\.1:\d+/[0-9a-f]{32}/$")
        self.assertEqual(answers[1].strip(), "403", "the address works once")
        address = answers[0].split()[1]
        without = re.sub(r"[0-9a-f]{32}/$", "", address)
        for wrong, status in ((without + "v1/cluster", "403"), (without + "0" * 32 + "/v1/cluster", "403"), (address + "../v1/cluster", "404")):
            got = subprocess.run(["curl", "-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}", wrong], stdout=subprocess.PIPE, text=True, check=True).stdout
            self.assertEqual(got, status, wrong)
        def status_of(address, *words):
            return subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *words, address], stdout=subprocess.PIPE, text=True, check=True).stdout

        for header in ("Host: evil.example", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site"):
            self.assertIn(status_of(address + "v1/cluster", "-H", header), ("403", "421"), header)
        # What changes something needs the secret path, and must come from this page.
        held = self.home.submit("--hold", "--name", "untouched", "--", "true")
        own = "Origin: " + without.rstrip("/")
        cancel = f"v1/jobs/{held}/cancel"
        sent = ("-X", "POST", "-H", "Content-Type: application/json", "-d", "{}")
        for base, header in ((address, "Accept: */*"), (address, "Origin: http://evil.example"), (address, "Origin: null"), (address, "Origin: http://127.0.0.1:1"),
                             (without, own), (without + "0" * 32 + "/", own)):
            self.assertEqual(status_of(base + cancel, *sent, "-H", header), "403", header)
        self.assertEqual(self.home.job(held)["details"]["state"], "held")
        self.assertEqual(status_of(address + cancel, *sent, "-H", own), "200")
        self.assertEqual(self.home.job(held)["details"]["state"], "cancelled")
        return address

    def test_every_tab_shows_what_the_api_says(self):
        submit = self.home.submit
        running = submit("--account", "vision", "--gpus", "4", "--name", "train", "--time", "2h", "--", sys.executable, "-c", STEPS)
        submit("--account", "speech", "--gpus", "24", "--name", "listen", "--time", "3h", "--", "sleep", "10000")
        failed = submit("--account", "speech", "--gpus", "1", "--name", "broken", "--", "sh", "-c", "echo no such data; exit 3")
        submit("--account", "vision", "--gpus", "1", "--name", "brief", "--", "true")
        self.home.until_state(failed, "failed")
        self.home.until_state(running, "running")
        self.assertEqual(self.home.ultra("drain", "node08", "--reason", "a fan is to be replaced").code, 0)
        waiting = submit("--account", "speech", "--gpus", "48", "--name", "wide", "--time", "1h", "--", "true")
        submit("--account", "vision", "--gpus", "40", "--name", "second", "--time", "4h", "--", "true")
        submit("--account", "vision", "--hold", "--name", "held", "--", "true")
        until(lambda: self.home.job(running).get("progress"), "the job reports steps")
        until(lambda: "planned" in self.home.job(waiting), "the wide job is planned")
        given = {"known": self.dashboard(), "unknown": f"http://{self.home.json('cluster', 'status')['http']}/", "running": str(running), "waiting": str(waiting),
                 "failed": str(failed), "ultra": ULTRA, "environment": self.home.environment(), "folder": self.home.work, "packages": PACKAGES, "pictures": PICTURES,
                 "chromium": CHROMIUM}
        driven = subprocess.run([NODE, os.path.join(HERE, "drive.mjs"), json.dumps(given)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
        print(driven.stdout)
        print(f"pictures: {PICTURES}")
        self.assertEqual(driven.returncode, 0, driven.stdout)


if __name__ == "__main__":
    if not CHROMIUM or not NODE or not os.path.exists(os.path.join(PACKAGES, "node_modules", "playwright-core")):
        print("skipped: chromium, node or the page is missing (scripts/setup test, then build the target dashboard)")
        sys.exit(77)
    unittest.main(verbosity=2)
