#!/usr/bin/env python3
"""The web page built by Debian 12's own nodejs and npm: where this machine's are those, by them; elsewhere in a throw-away Debian that gets them by apt,
first without a network. What comes out is compared with the page of the build.

In a throw-away Debian it needs what packages_test.py needs; skips with the reason otherwise.
"""
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import packages_test as debian

SOURCES = debian.ROOT / "scheduler"
CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
BUILD_PAGE = "node /page/dashboard/build_page.mjs --npm /usr/bin/npm --out /page/out --heard /page/ko.po"


def is_debians_own():
    versions = subprocess.run(["dpkg-query", "-W", "-f=${Version}\n", "nodejs", "npm"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return versions.returncode == 0 and re.fullmatch(r"18\S*deb12\S*\n9\S*ds\S*\n", versions.stdout) is not None


def content(folder):
    """The page's files; of a .gz what is in it: how well one is packed depends on Node's zlib."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return found


class PageOnDebian(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="um-page-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def place_sources(self, page):
        shutil.copytree(SOURCES / "dashboard", page / "dashboard", ignore=shutil.ignore_patterns("node_modules", "dist"))
        shutil.copy(SOURCES / "cli" / "languages" / "ko.po", page)

    def check_page(self, out, said):
        versions = re.findall(r"^v?(\d+)\.\d+\.\d+$", said, re.M)
        self.assertEqual(versions[:2], ["18", "9"], said)
        print("Node.js and npm:", " ".join(re.findall(r"^v?\d+\.\d+\.\d+$", said, re.M)))
        built = content(out)
        self.assertIn("index.html", built)
        beside = debian.BUILD / "share" / "ultramarine" / "dashboard"
        if (beside / "index.html").exists():
            self.assertEqual({name: len(data) for name, data in built.items()}, {name: len(data) for name, data in content(beside).items()})
            self.assertEqual(built, content(beside), "the same bytes as the build's own")
            print(f"{len(built)} files, the same as those of {beside}")

    def test_debians_own_node_builds_the_page(self):
        if is_debians_own():
            page = self.folder / "page"
            page.mkdir()
            self.place_sources(page)
            command = BUILD_PAGE.replace("/page/", f"{page}/").replace("node ", "/usr/bin/node ", 1)
            said = debian.run("sh", "-ec", f"/usr/bin/node --version; /usr/bin/npm --version; {command}")
            self.check_page(page / "out", said)
            return
        reason = debian.why_not()
        if reason:
            print(f"page on Debian: skipped: {reason}")
            self.skipTest(reason)
        machine = self.folder / "debian"
        debian.run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", machine, debian.MIRROR)
        (machine / "page").mkdir()
        self.place_sources(machine / "page")
        if CERTIFICATES.exists():  # a network may have certificates of its own
            shutil.copy(CERTIFICATES, machine / CERTIFICATES.relative_to("/"))
        environment = {**debian.ENVIRONMENT, "NODE_EXTRA_CA_CERTS": str(CERTIFICATES)}
        environment.update({name: value for name, value in os.environ.items() if re.fullmatch(r"npm_config_\w+|(https?|no)_proxy", name, re.I)})

        def inside(script, *namespaces):
            before = 'mount -t proc proc "$0/proc"; exec chroot "$0" /bin/sh -ec "$1"'
            return debian.run(*debian.NAMESPACES, *namespaces, "sh", "-ec", before, machine, script, env=environment, timeout=600)

        inside("apt-get -q -y update; apt-get -q -y --no-install-recommends install nodejs npm")
        offline = inside(BUILD_PAGE, "--net")
        self.assertRegex(offline, r"\Aweb page: not built, its packages could not be fetched \(.+\)\. With a network, build again; .+\n\Z")
        self.assertFalse((machine / "page" / "out").exists())
        print("without a network:", offline.strip())
        self.check_page(machine / "page" / "out", inside(f"node --version; npm --version; {BUILD_PAGE}"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
