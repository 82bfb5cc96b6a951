#!/usr/bin/env python3
"""Drives every operation of /v1/openapi.json against a real cluster, through both doors, and holds each answer to its schema.

Nothing here knows a route by its path: requests are built from the document (examples, parameters, bodies), and so are the mistakes: a
member left out, one too many, one of the wrong type, in every place where the schema has one.
"""
import copy
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sys
import unittest
import urllib.parse

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from cluster import Cluster, processes_that_mention, program_of, until  # noqa: E402


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Operation:
    def __init__(self, path, method, described):
        self.path, self.method, self.described = path, method.upper(), described
        self.name = described["operationId"]
        self.doors = described["x-doors"]
        parameters = described.get("parameters", [])
        self.in_path = [one for one in parameters if one["in"] == "path"]
        self.in_query = [one for one in parameters if one["in"] == "query"]
        content = described.get("requestBody", {}).get("content", {})
        self.body = content.get("application/json")

    def __repr__(self):
        return f"{self.method} {self.path}"


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(nodes=3)
        cls.cluster.up()
        cls.addClassCleanup(cls.cluster.close)
        status, _, text = cls.ask("socket", "GET", "/v1/openapi.json")
        assert status == 200, text
        cls.text = text
        cls.document = json.loads(text)
        cls.resolver = jsonschema.RefResolver("", cls.document)
        cls.operations = [Operation(path, method, described) for path, methods in cls.document["paths"].items()
                          for method, described in methods.items()]
        cls.ended = cls.cluster.submit("--gpus", 1, "--", "echo", "some output")
        assert cls.cluster.wait(cls.ended) == 0

    @classmethod
    def ask(cls, door, method, target, body=None, headers=None):
        if door == "socket":
            connection = UnixConnection(cls.cluster.home / "scheduler.sock")
        else:
            connection = http.client.HTTPConnection(cls.cluster.http(), timeout=60)
        with_body = {} if body is None else {"content-type": "application/json"}
        connection.request(method, target, None if body is None else json.dumps(body), {**with_body, **(headers or {})})
        reply = connection.getresponse()
        kind = reply.headers.get("content-type")
        text = (reply.read1() if kind == "text/event-stream" else reply.read()).decode()  # events have no end
        connection.close()
        return reply.status, kind, text

    # ---- from schemas to values

    def resolve(self, schema):
        while "$ref" in schema:
            schema = self.resolver.resolve(schema["$ref"])[1]
        return schema

    def sample(self, schema):
        """A value that the schema of a parameter allows."""
        schema = self.resolve(schema)
        if "enum" in schema:
            return schema["enum"][0]
        if schema["type"] == "integer":
            return str(schema.get("minimum", 0))
        if "examples" in schema:
            return schema["examples"][0]
        if "pattern" in schema:
            value = re.match(r"\^\((\w+)", schema["pattern"]).group(1)
            self.assertRegex(value, schema["pattern"])
            return value
        return "default"

    def wrong(self, schema):
        """A value of a type that the schema doesn't allow."""
        return 7 if schema.get("type") in ("string", "array", "object") else "seven"

    def places(self, schema, path=()):
        """Every member that may be sent, as (path, its schema, that of the object it is in)."""
        schema = self.resolve(schema)
        for name, member in schema.get("properties", {}).items():
            if "anyOf" in member:
                member = member["anyOf"][0]
            inner = self.resolve(member)
            yield (*path, name), inner, schema
            if inner.get("type") == "object":
                yield from self.places(inner, (*path, name))

    def with_value(self, body, path, value):
        body = copy.deepcopy(body)
        at = body
        for name in path[:-1]:
            if not isinstance(at.get(name), dict):
                at[name] = {}
            at = at[name]
        at[path[-1]] = value
        return body

    # ---- holding an answer to the document

    def check_against(self, schema, value, what):
        try:
            jsonschema.Draft202012Validator(schema, resolver=self.resolver).validate(value)
        except jsonschema.ValidationError as error:
            self.fail(f"{what}: {error.message} at {list(error.absolute_path)}")

    def check_answer(self, operation, status, kind, text, what=""):
        """The status is among those described, and the body is what is described for it. Returns what was said."""
        what = f"{operation} {what}: {status} {text[:300]}"
        described = operation.described["responses"].get(str(status))
        self.assertIsNotNone(described, f"{what}: this status is not described")
        if "content" not in described:
            self.assertEqual(text, "", what)
            return None
        self.assertIn(kind, described["content"], what)
        schema = described["content"][kind]["schema"]
        if kind == "application/x-ndjson":
            values = [json.loads(line) for line in text.splitlines()]
            self.assertTrue(values, what)
            for value in values:
                self.check_against(schema, value, what)
            return values
        value = json.loads(text) if kind == "application/json" else text
        self.check_against(schema, value, what)
        if "x-codes" in described:
            self.assertIn(value["code"], described["x-codes"], what)
        return value

    def running_job(self):
        job = self.cluster.submit("--gpus", 1, "--", "sleep", "600")
        until(lambda: self.cluster.state(job) == "running", f"job {job} runs")
        return job

    def running_script(self, gangs=0):
        """A script that runs, with so many gangs started inside it, each at a terminal."""
        spec = {"command": ["nap.sh"], "script": {"text": "#!/bin/sh\nexec sleep 600\n"}, "working_directory": "/tmp", "resources": {"gpus": 1}}
        status, _, text = self.ask("socket", "POST", "/v1/jobs", {"spec": spec})
        self.assertEqual(status, 200, text)
        job = json.loads(text)["job"]
        until(lambda: self.cluster.state(job) == "running", f"script {job} runs")
        for _ in range(gangs):
            spec = {"command": ["sleep", "600"], "beside_rank": 0, "terminal": {"rows": 24, "columns": 80}}
            status, _, text = self.ask("socket", "POST", f"/v1/jobs/{job}/gangs", {"spec": spec})
            self.assertEqual(status, 200, text)
        started = lambda: all(gang.get("started_ms") for gang in self.cluster.show(job)["details"]["attempts"][-1]["gangs"])
        until(started, f"the gangs of script {job} run")
        return job

    def target(self, operation, job, query=None, gang=1):
        path = operation.path
        values = {"ID": job, "N": gang}
        for one in operation.in_path:
            self.assertIn(one["name"], values, f"{operation}: this test has no value for {one['name']}")
            path = path.replace("{" + one["name"] + "}", str(values[one["name"]]))
        return path + ("?" + urllib.parse.urlencode(query) if query else "")

    def of_one_job(self, operation):
        """A job and a gang for which the operation should succeed: questions (some wait) about one that has ended, changes of one that runs."""
        if not operation.in_path:
            return None, None
        if operation.method == "GET":
            return self.ended, 1
        if "N" in [one["name"] for one in operation.in_path]:
            return self.running_script(gangs=1), 2
        if operation.name in ("hold_job", "release_job", "edit_job"):
            return self.cluster.submit("--hold", "--gpus", 1, "--", "true"), None
        return (self.running_script() if operation.body else self.running_job()), None

    def silence(self, node):
        """The node is unreachable until the test is over."""
        state = lambda: next(one["node"]["state"] for one in json.loads(self.ask("loopback", "GET", "/v1/nodes")[2])["nodes"] if one["node"]["config"]["name"] == node)  # noqa: E731
        agent = next(pid for pid in processes_that_mention(str(self.cluster.home))
                     if program_of(pid) == "ultra-agent" and node in pathlib.Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(agent, signal.SIGSTOP)
        self.addCleanup(until, lambda: state() == "up", f"{node} is back")
        self.addCleanup(os.kill, agent, signal.SIGCONT)
        until(lambda: state() == "unreachable", f"{node} is unreachable")

    def example_body(self, operation):
        """The document's example, but for jobs that must be there and wait."""
        if operation.name == "reorder_jobs":
            return {"jobs": [str(self.cluster.submit("--hold", "--gpus", 1, "--", "true")) for _ in range(2)]}
        if operation.name == "ask_favour":
            return {**operation.body["example"], "job": str(self.cluster.submit("--begin", "now+1h", "--gpus", 1, "--", "true"))}
        if operation.name == "lose_nodes":
            self.silence("node03")
            return {**operation.body["example"], "nodes": ["node03"]}
        return operation.body["example"] if operation.body else None

    # ---- the tests

    def test_the_document_is_sound(self):
        for name, schema in self.document["components"]["schemas"].items():
            jsonschema.Draft202012Validator.check_schema(schema)
            self.assertIn(schema["type"], ("object", "string", "integer"), name)
        self.assertEqual(self.ask("loopback", "GET", "/v1/openapi.json")[2], self.text, "both doors give the same document")
        self.assertGreaterEqual(len(self.operations), 16)
        for operation in self.operations:
            if operation.body:
                self.check_against(operation.body["schema"], operation.body["example"], f"{operation}: its example")

    def test_every_operation_answers_as_described_through_both_doors(self):
        for operation in self.operations:
            if operation.name == "shut_down":
                continue  # the last test
            for door in ("socket", "loopback"):
                with self.subTest(operation=str(operation), door=door):
                    job, gang = self.of_one_job(operation)
                    body = self.example_body(operation)
                    status, kind, text = self.ask(door, operation.method, self.target(operation, job, gang=gang), body)
                    self.check_answer(operation, status, kind, text, door)
                    good = 200 if "200" in operation.described["responses"] else 204
                    self.assertEqual(status, good if door in operation.doors else 403, f"{operation} through {door}: {text[:300]}")
                    if job and job != self.ended:
                        self.cluster.ultra("cancel", job)

    def test_every_parameter_is_taken_and_nothing_else(self):
        for operation in self.operations:
            job = self.ended if operation.in_path else None
            if operation.in_query:
                query = {one["name"]: self.sample(one["schema"]) for one in operation.in_query}
                for some in ([{name: value} for name, value in query.items()] + [query]):
                    with self.subTest(operation=str(operation), query=some):
                        status, kind, text = self.ask("socket", operation.method, self.target(operation, job, some))
                        self.assertEqual(status, 200, text)
                        self.check_answer(operation, status, kind, text, str(some))
            wrong = {one["name"]: "!" for one in operation.in_query if self.resolve(one["schema"]) != {"type": "string"}}
            for one in operation.in_query:
                schema = self.resolve(one["schema"])
                if "maximum" in schema:
                    self.expect_refusal(operation, job, {one["name"]: schema["maximum"] + 1}, one["name"])
                if "minimum" in schema:
                    self.expect_refusal(operation, job, {one["name"]: schema["minimum"] - 1}, one["name"])
            for name, value in {**wrong, "colour": "red"}.items():
                self.expect_refusal(operation, job, {name: value}, name)

    def expect_refusal(self, operation, job, query, field):
        with self.subTest(operation=str(operation), query=query):
            status, kind, text = self.ask("socket", operation.method, self.target(operation, job, query), {} if operation.body else None)
            self.assertEqual(status, 400, text)
            self.assertEqual(self.check_answer(operation, status, kind, text, str(query))["field"], field)

    def test_a_job_that_is_none_is_refused(self):
        for operation in self.operations:
            if not operation.in_path:
                continue
            body = operation.body["example"] if operation.body else None
            for job, expected in ((999999, 404), ("seven", 400)):
                with self.subTest(operation=str(operation), job=job):
                    status, kind, text = self.ask("socket", operation.method, self.target(operation, job), body)
                    self.assertEqual(status, expected, text)
                    self.check_answer(operation, status, kind, text)

    def test_bodies_are_held_to_their_schema(self):
        seen = 0
        for operation in self.operations:
            if not operation.body:
                continue
            target, example = self.target(operation, self.ended), operation.body["example"]
            cases = [("a member too many", (*path[:-1], "surplus"), 1) for path, _, owner in self.places(operation.body["schema"])
                     if owner.get("additionalProperties") is False]
            cases += [("a member too many", ("surplus",), 1)]
            cases += [("a wrong type", path, self.wrong(schema)) for path, schema, _ in self.places(operation.body["schema"])]
            for what, path, value in cases:
                with self.subTest(operation=str(operation), what=what, path=path):
                    status, kind, text = self.ask("socket", operation.method, target, self.with_value(example, path, value))
                    self.assertEqual(status, 400, text)
                    self.assertEqual(self.check_answer(operation, status, kind, text)["field"], ".".join(path))
                    seen += 1
            for path, schema, owner in self.places(operation.body["schema"]):
                if path[-1] not in owner.get("required", []):
                    continue
                body = copy.deepcopy(example)
                at = body
                for name in path[:-1]:
                    at = at.get(name, {})
                if path[-1] not in at:
                    continue  # what it is in isn't there either, and needn't be
                with self.subTest(operation=str(operation), what="left out", path=path):
                    del at[path[-1]]
                    status, kind, text = self.ask("socket", operation.method, target, body)
                    self.assertEqual(status, 400, text)
                    self.check_answer(operation, status, kind, text)
        self.assertGreater(seen, 50)

    def test_nothing_else_is_there(self):
        described = {operation.path for operation in self.operations}
        self.assertEqual(self.ask("socket", "GET", "/v1/jobs/1/secrets")[0], 404)
        for operation in self.operations:
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
                if method.lower() in self.document["paths"][operation.path]:
                    continue
                with self.subTest(path=operation.path, method=method):
                    status, _, text = self.ask("socket", method, self.target(operation, self.ended))
                    self.assertEqual(status, 400, text)
                    self.assertIn(f"{method} is not for", json.loads(text)["message"])
            for door in operation.doors:
                if door != "loopback":
                    continue
                status, kind, text = self.ask("loopback", operation.method, self.target(operation, self.ended), headers={"Host": "evil.example"})
                self.assertEqual(status, 421, text)
                self.check_answer(operation, status, kind, text)
        self.assertIn("/v1/openapi.json", described)

    def test_zz_the_end_of_the_daemon_too(self):
        operation = next(one for one in self.operations if one.name == "shut_down")
        self.running_job()
        status, kind, text = self.ask("loopback", "POST", operation.path, {"requeue": True})
        self.assertEqual(status, 403, text)
        self.check_answer(operation, status, kind, text)
        status, kind, text = self.ask("socket", "POST", operation.path, operation.body["example"])
        self.assertEqual(status, 409, text)
        self.check_answer(operation, status, kind, text)
        status, kind, text = self.ask("socket", "POST", operation.path, {"requeue": True})
        self.assertEqual(status, 200, text)
        self.check_answer(operation, status, kind, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
