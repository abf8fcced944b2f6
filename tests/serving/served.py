"""Starts `pannsdist serve` as a process, and asks it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

START_S, END_S = 120, 60
COMMAND = (sys.executable, "-m", "pannsdist", "serve", "--port", "0")


@dataclass(frozen=True)
class Reply:
    """Status, headers and JSON of an answer."""

    status: int
    headers: Mapping[str, str]
    record: Any

    @property
    def code(self) -> str:
        """Why it was refused; it has the one shape of refusals."""
        assert set(self.record) == {"error"}, self.record
        assert {"code", "message"} <= set(self.record["error"]) <= {"code", "message", "hint"}
        assert all(isinstance(text, str) and text for text in self.record["error"].values())
        return self.record["error"]["code"]


class Server:
    """A running server; what it printed is in `errors`."""

    def __init__(self, *options: object, env: Mapping[str, str]) -> None:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 closed with the server
        variables = {**os.environ, "NO_PROXY": "127.0.0.1", **env}
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=self._printed,
            env=variables,
            start_new_session=True,  # another test may send Ctrl-C to all processes of this one
        )
        self.session = requests.Session()
        self.session.trust_env = False
        self.address = ""
        line = self.process.stdout.readline().decode()
        if not (found := re.match(r"ready: (http://127\.0\.0\.1:(\d+))/", line)):
            self.process.kill()
            raise AssertionError(f"{line}{self.errors}")
        self.ready = line
        self.address, self.port = found[1], int(found[2])

    @property
    def errors(self) -> str:
        """What it printed on stderr."""
        self._printed.seek(0)
        return self._printed.read().decode()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self._printed.close()

    def ask(self, method: str, path: str, **how: Any) -> Reply:
        """A request on the one connection of this process."""
        reply = self.session.request(method, self.address + path, timeout=END_S, **how)
        assert reply.headers["x-content-type-options"] == "nosniff"
        return Reply(reply.status_code, reply.headers, json.loads(reply.content))

    def post(self, path: str, *files: Path | tuple[str, bytes], **fields: Any) -> Reply:
        """A form with files and fields."""
        pairs = [(one.name, one.read_bytes()) if isinstance(one, Path) else one for one in files]
        return self.ask("POST", path, files=[("file", pair) for pair in pairs], data=fields)

    def results(self, path: str, *files: Path, **fields: Any) -> list[dict[str, Any]]:
        """What it answers; it must."""
        reply = self.post(path, *files, **fields)
        assert reply.status == 200, reply.record
        return reply.record["results"]

    def metric(self, name: str) -> float:
        """The sum of the samples of a metric."""
        lines = self.session.get(f"{self.address}/metrics", timeout=END_S).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}(\{{.*)? ", line))

    def wait_for(self, name: str, value: float) -> None:
        """Until a metric has a value."""
        until = time.monotonic() + END_S
        while self.metric(name) != value:
            assert time.monotonic() < until, f"{name} never was {value}"
            time.sleep(0.01)

    def connected(self) -> socket.socket:
        """A connection of its own."""
        return socket.create_connection(("127.0.0.1", self.port), END_S)

    def stop(self) -> int:
        """End it with SIGTERM; its exit code."""
        self.session.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_S)


def base64_of(path: Path) -> str:
    """The bytes of a file in base64."""
    return base64.b64encode(path.read_bytes()).decode()


def answer_on(connection: socket.socket) -> tuple[int, Any]:
    """Status and JSON of an answer on a connection; (0, None) where it ends without one."""
    received = b""
    while more := connection.recv(65536):
        received += more
        head, ends, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if ends and length and len(body) >= int(length[1]):
            return int(head.split()[1]), json.loads(body)
    return 0, None
