#!/usr/bin/python3
"""`ultra report --plots` over a real cluster and the real gnuplot: pictures that are pictures, and say what the report says."""

import csv
import io
import os
import pathlib
import signal
import struct
import subprocess
import sys
import unittest
import xml.etree.ElementTree as xml
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import ULTRA, Home  # noqa: E402

ACCOUNTS = """
[[account]]
name = "vision"
shares = 3
members = ["*"]

[[account]]
name = "speech_and_text"
shares = 1
members = ["*"]
"""
SVG = "{http://www.w3.org/2000/svg}"


def decoded(png):
    """Width, height and the set of pixels of a PNG with 8 bits a channel, undone line by line as RFC 2083 says."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n", png[:8]
    at, chunks, header = 8, b"", None
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body), kind
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            chunks += body
        at += 12 + length
    width, height, depth, colour, *_ = header
    assert (depth, colour) in ((8, 2), (8, 6)), header
    step, data = 3 if colour == 2 else 4, zlib.decompress(chunks)
    pixels, before = set(), bytearray(width * step)
    for row in range(height):
        start = row * (width * step + 1)
        how, line = data[start], bytearray(data[start + 1:start + 1 + width * step])
        for i in range(len(line)):
            left, up, corner = line[i - step] if i >= step else 0, before[i], before[i - step] if i >= step else 0
            if how == 4:
                guess = left + up - corner
                line[i] = (line[i] + min((left, up, corner), key=lambda one: abs(guess - one))) & 255
            else:
                line[i] = (line[i] + (0, left, up, (left + up) // 2)[how]) & 255
        pixels.update(bytes(line[i:i + 3]) for i in range(0, len(line), step))
        before = line
    return width, height, pixels


class OnOneCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = Home()
        cls.addClassCleanup(cls.home.close)
        assert cls.home.ultra("cluster", "up", "--nodes", "2", "--http", "127.0.0.1:0").code == 0
        file = pathlib.Path(cls.home.path, "cluster.toml")
        text = file.read_text(encoding="utf-8").replace('[money]\ncurrency = "EUR"\n', '[money]\ncurrency = "KRW"\nprice_per_gpu_hour = 4_000\ncloud_price_per_gpu_hour = 5_600\n')
        file.write_text(text + ACCOUNTS, encoding="utf-8")
        reloaded = cls.home.ultra("reload")
        assert reloaded.code == 0, reloaded
        cls.home.ultra("submit", "--account", "vision", "--gpus", "8", "--wait", "--", "sh", "-c", "exit 3")
        cls.home.submit("--account", "vision", "--gpus", "16", "--", "sleep", "2")
        waited = cls.home.submit("--account", "speech_and_text", "--gpus", "16", "--", "true")
        cls.home.until_state(waited, "completed")
        cls.rows = {row["account"]: row for row in csv.DictReader(io.StringIO(cls.home.ultra("report", "--csv").out)) if row["kind"] == "account"}
        assert float(cls.rows["vision"]["used_gpu_hours"]) > 0 and float(cls.rows["speech_and_text"]["median_wait_s"]) > 0, cls.rows

    def draw(self, name, **environment):
        ran = self.home.ultra("report", "--plots", name, environment={"LANG": "C.UTF-8", **environment})
        self.assertEqual((ran.code, ran.err), (0, ""), ran)
        return ran.out.splitlines()

    def test_a_folder_gets_four_charts_as_png_and_svg(self):
        files = self.draw("deck")
        self.assertEqual(files, [f"deck/{name}.{kind}" for name in ("shares", "gpu-hours", "cost", "waits") for kind in ("png", "svg")])
        self.assertEqual(sorted(os.listdir(os.path.join(self.home.work, "deck"))), sorted(os.path.basename(file) for file in files))
        for file in files:
            with self.subTest(file):
                content = pathlib.Path(self.home.work, file).read_bytes()
                if file.endswith(".png"):
                    width, height, pixels = decoded(content)
                    self.assertEqual(width, 1200)
                    self.assertGreaterEqual(height, 480)
                    self.assertIn(bytes((0x00, 0x72, 0xB2)), pixels, "the bars' colour")
                    self.assertIn(bytes((255, 255, 255)), pixels)
                else:
                    tree = xml.fromstring(content)
                    self.assertEqual(tree.tag, SVG + "svg")
                    words = [one.text for one in tree.iter(SVG + "text")]
                    for account in ("vision", "speech_and_text", "default"):
                        self.assertIn(account, words)

    def test_svg_has_the_reports_values_as_texts_and_as_titles(self):
        self.draw("values")
        for file, series, column, written in (("shares", "used", "used_share", lambda text: f"{float(text) * 100:.1f}%"),
                                              ("shares", "entitled", "entitled_share", lambda text: f"{float(text) * 100:.1f}%"),
                                              ("gpu-hours", "failed", "failed_gpu_hours", lambda text: None),
                                              ("cost", "cloud", "cloud_cost", lambda text: None)):
            tree = xml.fromstring(pathlib.Path(self.home.work, "values", file + ".svg").read_bytes())
            titles = dict(one.text.rsplit(": ", 1) for one in tree.iter(SVG + "title") if ": " in one.text)
            texts = [one.text for one in tree.iter(SVG + "text")]
            for account, row in self.rows.items():
                with self.subTest(f"{file} {series} {account}"):
                    said = titles[f"{account}, {series}"]
                    if written(row[column]) is not None:
                        self.assertEqual(said, written(row[column]))
                        self.assertIn(said, texts)
                    else:
                        self.assertAlmostEqual(float(said.replace(",", "")), float(row[column]), delta=0.006)
        self.assertGreater(float(self.rows["vision"]["failed_gpu_hours"]), 0)

    def test_one_file_has_all_charts_on_one_sheet(self):
        self.assertEqual(self.draw("all.png"), ["all.png"])
        width, height, pixels = decoded(pathlib.Path(self.home.work, "all.png").read_bytes())
        self.assertEqual((width, height), (1800, 1000))
        self.assertTrue({bytes((0x00, 0x72, 0xB2)), bytes((0xD5, 0x5E, 0x00)), bytes((0xBB, 0xBB, 0xBB))} <= pixels, "all series are there")
        self.draw("all.svg", LANG="ko_KR.UTF-8")
        tree = xml.fromstring(pathlib.Path(self.home.work, "all.svg").read_bytes())
        words = " ".join(one.text for one in tree.iter(SVG + "text"))
        for word in ("보고서", "정해진 몫", "GPU시간", "대기 중앙값", "클라우드", "vision"):
            self.assertIn(word, words)
        self.assertTrue(all("sans-serif" in one.get("font-family") for one in tree.iter(SVG + "g") if one.get("font-family")))

    def test_a_picture_is_replaced_only_by_a_whole_one(self):
        file = pathlib.Path(self.home.work, "old.png")
        file.write_bytes(b"old")
        before = set(os.listdir(self.home.work))
        ran = self.home.ultra("report", "--plots", "old.png", environment={"PATH": "/nowhere"})
        self.assertEqual((ran.code, ran.out), (1, ""))
        self.assertEqual(ran.err, "error: --plots: there is no gnuplot, which draws the pictures; run 'apt-get install gnuplot-nox'\n")
        self.assertEqual(file.read_bytes(), b"old")
        self.assertEqual(set(os.listdir(self.home.work)), before)
        self.draw("old.png")
        self.assertEqual(file.read_bytes()[:4], b"\x89PNG")

    def test_control_c_leaves_nothing_half_drawn(self):
        programs = pathlib.Path(self.home.parent, "programs")
        programs.mkdir()
        pathlib.Path(programs, "gnuplot").write_text(f"#!/bin/sh\necho drawing > {programs}/fifo\nexec sleep 1000\n", encoding="ascii")
        os.chmod(programs / "gnuplot", 0o755)
        os.mkfifo(programs / "fifo")
        before = set(os.listdir(self.home.work))
        program = subprocess.Popen([ULTRA, "report", "--plots", "never.png"], env=self.home.environment(PATH=f"{programs}:{os.environ['PATH']}"), cwd=self.home.work,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with open(programs / "fifo", encoding="ascii") as fifo:  # opened by both sides: it draws
            self.assertEqual(fifo.read(), "drawing\n")
        self.assertNotEqual(set(os.listdir(self.home.work)), before)
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
        self.assertEqual(program.returncode, 130)
        self.assertEqual(set(os.listdir(self.home.work)), before)

    def test_what_can_not_be_drawn_is_said(self):
        for name, code, words in (("x.pdf", 2, "end it in .png or .svg, or name a folder"), ("no/such/x.png", 1, "give a folder that you may write")):
            ran = self.home.ultra("report", "--plots", name)
            self.assertEqual((ran.code, ran.out, ran.err.count("\n")), (code, "", 1), ran)
            self.assertIn(words, ran.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
