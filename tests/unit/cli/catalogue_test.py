#!/usr/bin/python3
"""The message catalogues: every sentence that the sources speak has a Korean twin with the same places, written as people write Korean.

Uses GNU gettext's own tools (xgettext, msgen, msgfmt) to read the sources and the catalogue.
"""

import gettext
import io
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".").resolve()
CLI = ROOT / "scheduler" / "cli"
KOREAN = CLI / "languages" / "ko.po"


def tool(*words):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, encoding="utf-8").stdout


def messages(po):
    """(context, sentence) -> translation of a .po file, by msgfmt and Python's gettext."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = pathlib.Path(folder) / "x.mo"
        tool("msgfmt", "-o", compiled, po)
        catalogue = gettext.GNUTranslations(io.BytesIO(compiled.read_bytes()))._catalog
    found = {}
    for key, value in catalogue.items():
        key = key[0] if isinstance(key, tuple) else key
        if key:
            context, _, sentence = key.rpartition("\x04")
            found[context, sentence] = value
    return found


def spoken_in(sources):
    """Sentences in calls of spoken() and spoken_count(); for plurals (one, many)."""
    with tempfile.TemporaryDirectory() as folder:
        template, filled = pathlib.Path(folder) / "x.pot", pathlib.Path(folder) / "x.po"
        tool("xgettext", "--language=C++", "--from-code=UTF-8", "--keyword", "--keyword=spoken", "--keyword=spoken_count:2,3",
             "--keyword=spoken_form:2,3", "-o", template, *sources)
        template.write_text(template.read_text(encoding="utf-8").replace("nplurals=INTEGER; plural=EXPRESSION;", "nplurals=2; plural=n != 1;")
                            .replace("charset=CHARSET", "charset=UTF-8"), encoding="utf-8")
        tool("msgen", "-o", filled, template)
        return {sentence for _, sentence in messages(filled)}


def places(sentence):
    return sorted(set(re.findall(r"\{\d\}", sentence)))


class Catalogue(unittest.TestCase):
    def setUp(self):
        self.korean = messages(KOREAN)

    def test_every_spoken_sentence_has_a_twin(self):
        sources = [*CLI.glob("*.cpp"), *CLI.glob("*/*.cpp")]
        spoken = spoken_in(sources)
        self.assertGreater(len(spoken), 150)
        self.assertEqual(sorted(one for one in spoken if ("", one) not in self.korean), [], "add them to languages/ko.po")

    def test_the_check_can_fail(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "x.cpp"
            source.write_text('auto a = spoken("a sentence that nobody "\n "translated {0}", 1);\nauto b = spoken_count(n, "{0} elk", "{0} elks");\n')
            self.assertEqual(spoken_in([source]), {"a sentence that nobody translated {0}", "{0} elk"})

    def test_twins_have_the_same_places(self):
        for (_, sentence), twin in self.korean.items():
            with self.subTest(sentence):
                self.assertEqual(places(sentence), places(twin))
                self.assertTrue(twin.strip(), "empty")

    def test_twins_are_korean(self):
        for (_, sentence), twin in self.korean.items():
            with self.subTest(sentence):
                words = re.sub(r"'[^']*'|`[^`]*`|--\S+|\{\d\}|[A-Z_]{2,}|https?\S+", "", sentence)
                if re.search(r"[a-z]{3,}", words) and twin != sentence:
                    self.assertRegex(twin, "[가-힣]|HTTP|GPU|MPI|QOS")
                self.assertNotRegex(twin, r"(하세요|해요|예요|한다\.|이다\.)", "합니다체")
                # Particles that depend on what is filled in are written in both forms.
                self.assertNotRegex(twin, r"\{\d\}(은|는|이|가|을|와|과|으로)( |$|,|\.)", "write 은(는), 이(가), 을(를), 와(과) or (으)로")

    def test_what_others_say_is_understood(self):
        """Sentences of the room that reads scripts and of the core's refusals: each piece of three words or more is in a pattern."""
        heard = "\n".join(sentence for context, sentence in self.korean if context == "heard")
        unknown = []
        for source in [*(ROOT / "scheduler/batch").glob("*.cpp"), *(ROOT / "scheduler/core").glob("accept.cpp"), *(ROOT / "scheduler/core").glob("names.cpp"),
                       *(ROOT / "scheduler/core").glob("impossible.cpp")]:
            text = re.sub(r"//[^\n]*|'\\?.'", " ", source.read_text(encoding="utf-8"))
            for call in re.finditer(r"\b(?:Problem|refuse|refused|can_never|warn|push_back)\(([^;{]*);", text):
                for literal in re.findall(r'"((?:[^"\\]|\\.)*)"', call.group(1)):
                    piece = literal.replace('\\"', '"').strip(" ;:,.()-\"")
                    if len(re.findall(r"[A-Za-z]{2,}", piece)) >= 3 and " " in piece and "\\" not in piece and re.sub(r" \d+s?$", "", piece) not in heard:
                        unknown.append(f"{source.name}: {piece}")
        self.assertEqual(unknown, [])

    def test_nothing_english_is_printed_past_the_catalogue(self):
        """No literal with words goes straight to a person: << "two words" or error_line(..., "two words")."""
        found = []
        for source in [*CLI.glob("*.cpp"), *CLI.glob("verbs/*.cpp"), *CLI.glob("top/*.cpp")]:
            text = re.sub(r"//[^\n]*", "", source.read_text(encoding="utf-8"))
            for match in re.finditer(r'<<\s*"([^"\\]*[a-z]{2,} [a-z]{2,}[^"]*)"|error_line\([^,()]*,\s*"([^"\\]*[a-z]{2,} [a-z]{2,}[^"]*)"', text):
                found.append(f"{source.name}: {match.group(1) or match.group(2)}")
        self.assertEqual(found, [])


if __name__ == "__main__":
    unittest.main(verbosity=1)
