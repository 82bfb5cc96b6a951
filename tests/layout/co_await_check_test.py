#!/usr/bin/env python3
"""The check finds each bad form on its line, and leaves the good ones alone."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import co_await_check  # noqa: E402

# Each is the body of a coroutine, with the number of findings.
BAD = [
    ("n = co_await f(Job{name, 1});", 1),
    ("co_await f({name, 3});", 1),
    ("co_await f(Job{.name = name, .gpus = 2});", 1),
    ("co_await f(Job{});", 1),
    ("co_await f(std::vector<int>{1, 2});", 1),
    ("co_await f(std::map<int, std::vector<int>>{{1, {2}}});", 3),
    ("co_await f([name] { return name; });", 1),
    ("co_await f([&] { return 1; });", 1),
    ("co_await f([this](int x) mutable -> int { return x; });", 1),
    ("auto reply = co_await ask(Question{1});", 1),
    ("int n = (co_await a()) + size(Job{x});", 1),
    ("int n = g(Job{x}, co_await a());", 1),
    ("if (co_await f(Job{x})) g();", 1),
    ("while (co_await f({x})) { g(); }", 1),
    ("for (auto x : co_await f(Job{1})) g(x);", 1),
    ("co_return co_await f(Job{x});", 1),
    ("if (ready) co_await f(Job{x});", 1),
    ("else_branch: co_await f(Job{x});", 1),
    ("auto x = Job{co_await f()};", 1),
    ("co_await (ready ? f(Job{1}) : f(Job{2}));", 2),
    ("co_await f(a, [x] { return x; }, Job{1});", 2),
    ("co_await asio::async_write(socket, asio::buffer(Head{1}.text()), use);", 1),
    ("co_spawn(io, [x]() -> awaitable<void> { co_await f(Job{x}); }, detached);", 1),
    ("switch (co_await f({1})) { case 1: break; }", 1),
    ("auto s = R\"(co_await })\"; co_await f(Job{1}); // co_await g(Job{2})", 1),
]
GOOD = [
    "Job job{name, 1}; n = co_await f(std::move(job));",
    "const auto job = Job{name, 1};\nco_await f(job);",
    "auto work = [name] { return name; }; co_await f(std::move(work));",
    "co_await f([] { return 1; });",
    "co_await f(Job(name));",
    "co_await f(std::string(name), 3);",
    "co_spawn(io, [x]() -> awaitable<void> { co_await f(x); }, detached);",
    "co_spawn(io, [x, j = Job{1}] { return run(x); }, detached); co_await f(x);",
    "if (co_await f(x)) { Job job{1}; g(job); }",
    "for (auto x : co_await f(y)) { g(Job{x}); }",
    "while (true) { co_await f(x); g(Job{1}); }",
    "std::size_t n{co_await f(x)};",
    "std::vector<int> list = {1, 2}; co_await f(list);",
    "const std::vector<int> list{1, 2};\nco_await f(list);",
    "try { co_await f(x); } catch (const Error& e) { g(Job{1}); }",
    "do { co_await f(x); } while (g(Job{1}));",
    "co_await f(table[index]);",
    "auto s = \"co_await f(Job{1})\"; /* co_await f(Job{1}); */ co_await f('{');",
    "[[maybe_unused]] auto n = co_await f(x);",
    "struct Local { int x{1}; }; co_await f(x);",
    "auto work = [x]() -> std::vector<int> { return {x}; }; co_await f(work);",
]
WHOLE = [
    "namespace a::b {\nstruct Session : Base {\n  Session() : x_{1} {}\n  awaitable<void> run() final { co_await f(x_); }\n  int x_{0};\n};\n}\n",
    "enum class Kind { one, two };\nawaitable<int> f() noexcept { co_return co_await g(); }\n",
    "template <class T>\nawaitable<T> f(T x) requires Small<T> { co_return co_await g(x); }\n",
    "#define START {\nawaitable<void> f() { co_await g(); }\n",
]


def findings(body):
    return co_await_check.findings("awaitable<int> coroutine() {\n" + body + "\n}\n")


class CoAwaitCheck(unittest.TestCase):
    def test_finds_each_bad_form(self):
        for body, count in BAD:
            with self.subTest(body):
                self.assertEqual(len(findings(body)), count)

    def test_leaves_good_forms_alone(self):
        for body in GOOD:
            with self.subTest(body):
                self.assertEqual(findings(body), [])
        for source in WHOLE:
            with self.subTest(source):
                self.assertEqual(co_await_check.findings(source), [])

    def test_says_where_and_what(self):
        self.assertEqual(findings("a();\nco_await f(\n    Job{1});"), [(4, "braced temporary")])
        self.assertEqual(findings("co_await f([x] {});"), [(2, "capturing lambda")])

    def test_the_program_fails_for_a_bad_file_and_only_then(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "room", "session.cpp")
            file.parent.mkdir()
            for body, status in (("Job job{1}; co_await f(job);", 0), ("co_await f(Job{1});", 1), ("co_await f(Job{1);", 1)):
                file.write_text("awaitable<void> run() {\n" + body + "\n}\n")
                with self.subTest(body):
                    result = subprocess.run([sys.executable, co_await_check.__file__, folder], capture_output=True, text=True)
                    self.assertEqual(result.returncode, status, result.stdout)
                    self.assertEqual("session.cpp" in result.stdout, status == 1)
            result = subprocess.run([sys.executable, co_await_check.__file__, folder + "/missing"], capture_output=True, text=True)
            self.assertEqual(result.returncode, 2)


if __name__ == "__main__":
    unittest.main()
